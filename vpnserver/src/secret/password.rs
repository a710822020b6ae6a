//! Password records: Argon2id over the protocol's 20-byte password hash.
//!
//! The protocol hash, not the password, goes in: imported hashes and the hashes that stock administration tools send work
//! the same way as a password that came in clear (protocol §4.2).

use std::cell::RefCell;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash as PhcHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use protocol::password::PasswordHash;
use thiserror::Error;

use super::Sealed;
use super::verified::{Account, Verified};
use super::workers::Workers;

/// 19 MiB, two passes, one lane: OWASP's first recommendation for Argon2id; about 20 ms on one core.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const SALT_BYTES: usize = 16;

/// Why a record could not be made, read or checked.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum RecordError {
    /// The text is not a PHC string of Argon2.
    #[error("a password record in the store is damaged: set the user's password again")]
    Damaged,
    /// Argon2 or the random source failed.
    #[error("the password could not be hashed")]
    Hashing,
    /// So many passwords wait to be checked that the answer would come too late.
    #[error("too many log in at once; this one should come again in a moment")]
    Busy,
}

/// How the text of an imported hash begins, where another begins with the name of its function.
const IMPORTED: &str = "$sealed$";

/// What the store keeps of a password: a PHC string that answers only whether a hash is the right one. An imported hash
/// waits in its place, sealed, until Argon2 has been run over it.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordRecord(String);

impl PasswordRecord {
    /// The PHC string to keep.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A PHC string from elsewhere.
    ///
    /// # Errors
    /// When it is not one of Argon2id.
    pub fn from_text(text: String) -> Result<Self, RecordError> {
        let hash = PhcHash::new(&text).map_err(|_| RecordError::Damaged)?;
        let costs = Params::try_from(&hash).map_err(|_| RecordError::Damaged)?;
        // Checking a record costs what the record says: one from elsewhere must not cost more than ours.
        let dear = costs.m_cost() > MEMORY_KIB || costs.t_cost() > PASSES || costs.p_cost() > LANES;
        if hash.algorithm.as_str() != "argon2id" || hash.hash.is_none() || dear {
            return Err(RecordError::Damaged);
        }
        Ok(Self(text))
    }

    /// A password hash from an imported file, sealed for [`super::Identity::ImportedPassword`], for which no record has been
    /// made yet.
    #[must_use]
    pub fn imported(sealed: &Sealed) -> Self {
        Self(format!("{IMPORTED}{}", STANDARD_NO_PAD.encode(sealed.as_bytes())))
    }

    /// The sealed hash, where no record of it has been made yet.
    #[must_use]
    pub fn as_imported(&self) -> Option<Sealed> {
        let bytes = STANDARD_NO_PAD.decode(self.0.strip_prefix(IMPORTED)?).ok()?;
        Some(Sealed::from_bytes(bytes))
    }

    /// A PHC string that was kept. It is judged when it is checked.
    #[must_use]
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for PasswordRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordRecord")
    }
}

/// Makes and checks records, never more at once than there are cores: a flood of logins costs time, not memory.
#[derive(Clone, Debug)]
pub struct Hasher {
    workers: Arc<Workers>,
    /// None where there is no random source; then Argon2 is run every time.
    verified: Option<Arc<Verified>>,
}

impl Hasher {
    /// A hasher with one place per core.
    #[must_use]
    pub fn new() -> Self {
        Self {
            workers: Arc::new(Workers::new()),
            verified: Verified::new().ok().map(Arc::new),
        }
    }

    /// The record of a password hash.
    ///
    /// # Errors
    /// When Argon2 or the random source fails.
    pub async fn record(&self, hash: PasswordHash) -> Result<PasswordRecord, RecordError> {
        self.workers.run(None, move || make(&hash)).await
    }

    /// Whether `hash`, which `source` has sent for `account`, is the one `record` was made of. Without a record the same work is done for the answer
    /// no, so that time does not tell which users exist. A hash that was right before is right at once
    /// (docs/adr/0009-passwords-that-were-right.md).
    ///
    /// # Errors
    /// When the record is damaged or Argon2 fails, or too many wait already.
    pub async fn check(
        &self,
        source: IpAddr,
        account: Account,
        hash: PasswordHash,
        record: Option<PasswordRecord>,
    ) -> Result<bool, RecordError> {
        let verified = self.verified.clone();
        if let (Some(verified), Some(record)) = (&verified, &record)
            && verified.knows(Instant::now(), &account, record, &hash)
        {
            return Ok(true);
        }
        let work = move || match record {
            Some(record) => {
                let right = verify(&hash, &record)?;
                if let Some(verified) = verified.filter(|_| right) {
                    verified.remember(Instant::now(), account, &record, &hash);
                }
                Ok(right)
            }
            None => {
                verify(&hash, nobody()?)?;
                Ok(false)
            }
        };
        self.workers.run(Some(source), work).await
    }

    /// Forgets that a password of this account was right: the account has changed, or is no more.
    pub fn forget(&self, account: &Account) {
        if let Some(verified) = &self.verified {
            verified.forget(account);
        }
    }

    /// The same for all accounts of a hub, or of all hubs.
    pub fn forget_all(&self, hub: Option<&str>) {
        if let Some(verified) = &self.verified {
            verified.forget_all(hub);
        }
    }

    /// How many accounts have a password that is remembered to have been right.
    #[must_use]
    pub fn remembered(&self) -> usize {
        self.verified.as_ref().map_or(0, |verified| verified.len())
    }
}

impl Default for Hasher {
    fn default() -> Self {
        Self::new()
    }
}

/// The record of no user: made once per process from a random value that nobody knows.
fn nobody() -> Result<&'static PasswordRecord, RecordError> {
    static NOBODY: LazyLock<Result<PasswordRecord, RecordError>> = LazyLock::new(|| {
        let mut random = [0; 20];
        aws_lc_rs::rand::fill(&mut random).map_err(|_| RecordError::Hashing)?;
        make(&PasswordHash::new(random))
    });
    NOBODY.as_ref().map_err(|error| *error)
}

fn make(hash: &PasswordHash) -> Result<PasswordRecord, RecordError> {
    let mut salt = [0; SALT_BYTES];
    aws_lc_rs::rand::fill(&mut salt).map_err(|_| RecordError::Hashing)?;
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|_| RecordError::Hashing)?;
    let written = ParamsString::try_from(&params).map_err(|_| RecordError::Hashing)?;
    let output = run(
        Algorithm::Argon2id,
        Version::V0x13,
        params,
        hash,
        &salt,
        Params::DEFAULT_OUTPUT_LEN,
    )?;
    let record = PhcHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: written,
        salt: Some(Salt::new(&salt).map_err(|_| RecordError::Hashing)?),
        hash: Some(output),
    };
    Ok(PasswordRecord(record.to_string()))
}

/// Whether the record is of this hash, with the costs that the record itself names.
fn verify(hash: &PasswordHash, record: &PasswordRecord) -> Result<bool, RecordError> {
    let record = PhcHash::new(record.as_str()).map_err(|_| RecordError::Damaged)?;
    let (Some(salt), Some(expected)) = (&record.salt, &record.hash) else {
        return Err(RecordError::Damaged);
    };
    let algorithm = Algorithm::try_from(record.algorithm.as_str()).map_err(|_| RecordError::Damaged)?;
    let version = record.version.map(Version::try_from).transpose();
    let version = version.map_err(|_| RecordError::Damaged)?.unwrap_or_default();
    let params = Params::try_from(&record).map_err(|_| RecordError::Damaged)?;
    let output = run(
        algorithm,
        version,
        params,
        hash,
        salt.as_ref(),
        expected.as_bytes().len(),
    )
    .map_err(|_| RecordError::Damaged)?;
    // Outputs are compared in constant time.
    Ok(output == *expected)
}

thread_local! {
    /// The memory of Argon2, kept between two runs: touching 19 MiB for the first time costs a good part of one.
    static BLOCKS: RefCell<Vec<Block>> = const { RefCell::new(Vec::new()) };
}

/// Gives back what this thread has kept for its next run.
pub(super) fn give_back() {
    drop(BLOCKS.take());
}

fn run(
    algorithm: Algorithm,
    version: Version,
    params: Params,
    hash: &PasswordHash,
    salt: &[u8],
    length: usize,
) -> Result<Output, RecordError> {
    let mut output = [0; Output::MAX_LENGTH];
    let output = output.get_mut(..length).ok_or(RecordError::Hashing)?;
    let blocks = params.block_count();
    BLOCKS
        .with_borrow_mut(|memory| {
            if memory.len() < blocks {
                *memory = Vec::with_capacity(blocks);
                netdev::memory::prefer_large_pages(memory.spare_capacity_mut());
                memory.resize(blocks, Block::new());
            }
            Argon2::new(algorithm, version, params).hash_password_into_with_memory(
                hash.as_bytes(),
                salt,
                output,
                &mut memory[..blocks],
            )
        })
        .map_err(|_| RecordError::Hashing)?;
    Output::new(output).map_err(|_| RecordError::Hashing)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn account() -> Account {
        Account::new("lab", "alice")
    }

    #[tokio::test]
    async fn record_knows_its_hash_and_no_other() {
        let hasher = Hasher::new();
        let record = hasher.record(PasswordHash::new([7; 20])).await.unwrap();
        assert!(
            record.as_str().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{}",
            record.as_str()
        );
        assert_eq!(
            hasher
                .check(
                    SOURCE,
                    account(),
                    PasswordHash::new([7; 20]),
                    Some(record.clone())
                )
                .await,
            Ok(true)
        );
        assert_eq!(
            hasher
                .check(SOURCE, account(), PasswordHash::new([8; 20]), Some(record))
                .await,
            Ok(false)
        );
        assert_eq!(
            hasher
                .check(SOURCE, account(), PasswordHash::new([7; 20]), None)
                .await,
            Ok(false)
        );
    }

    #[tokio::test]
    async fn a_password_that_was_right_is_right_at_once_and_another_record_is_asked() {
        let hasher = Hasher::new();
        let hash = PasswordHash::new([7; 20]);
        let record = hasher.record(hash.clone()).await.unwrap();
        let known = |record: &PasswordRecord| {
            let verified = hasher.verified.as_ref().unwrap();
            verified.knows(Instant::now(), &account(), record, &PasswordHash::new([7; 20]))
        };
        assert!(!known(&record));
        assert_eq!(
            hasher
                .check(SOURCE, account(), hash.clone(), Some(record.clone()))
                .await,
            Ok(true)
        );
        assert!(known(&record));
        let changed = hasher.record(PasswordHash::new([8; 20])).await.unwrap();
        assert_eq!(
            hasher.check(SOURCE, account(), hash, Some(changed.clone())).await,
            Ok(false)
        );
        assert!(!known(&changed));
    }

    #[tokio::test]
    async fn two_records_of_one_hash_differ() {
        let hasher = Hasher::new();
        let one = hasher.record(PasswordHash::new([7; 20])).await.unwrap();
        let two = hasher.record(PasswordHash::new([7; 20])).await.unwrap();
        assert_ne!(one, two);
    }

    #[tokio::test]
    async fn damaged_record_is_an_error_not_a_no() {
        let record = PasswordRecord::from_stored("$argon2id$nonsense".into());
        assert_eq!(
            Hasher::new()
                .check(SOURCE, account(), PasswordHash::new([7; 20]), Some(record))
                .await,
            Err(RecordError::Damaged)
        );
    }
}
