//! Passwords from imported files (docs/adr/0007-imported-passwords.md): the protocol's hash, sealed, until Argon2 has been
//! run over it, at the next login or in the background.

use protocol::password::PasswordHash;

use super::authenticate::Attempt;
use super::{Logins, Refused};
use crate::secret::{Identity, PasswordRecord, Sealed};
use crate::store::{Id, ImportedPassword, StoreError, User};

/// Users whose records are made before they are written together.
const BATCH: u32 = 32;

impl Logins {
    /// Whether `hash` is the imported one of a user; if so, its record takes the place. Either way Argon2 is run once, so that
    /// time tells nothing.
    pub(super) async fn check_imported(
        &self,
        attempt: &Attempt<'_>,
        user: &User,
        sealed: &Sealed,
        hash: PasswordHash,
    ) -> Result<bool, Refused> {
        if self.open_imported(user.id, sealed)? != hash {
            return Ok(self
                .hasher
                .check(attempt.peer, attempt.account(), hash, None)
                .await?);
        }
        let record = self.hasher.record(hash).await?;
        let imported = ImportedPassword {
            user: user.id,
            record: PasswordRecord::imported(sealed),
        };
        self.db
            .run(move |store| store.replace_imported(&[(imported, record)]))
            .await?;
        Ok(true)
    }

    /// Makes the records of some imported passwords, one core at a time; says whether there may be more.
    ///
    /// # Errors
    /// When the store fails, a value does not open or Argon2 fails.
    pub async fn make_records(&self) -> Result<bool, Refused> {
        let waiting = self.db.run(|store| store.imported_passwords(BATCH)).await?;
        if waiting.is_empty() {
            return Ok(false);
        }
        let mut records = Vec::with_capacity(waiting.len());
        for imported in waiting {
            let sealed = imported
                .record
                .as_imported()
                .ok_or(StoreError::Damaged("password"))?;
            let hash = self.open_imported(imported.user, &sealed)?;
            records.push((imported, self.hasher.record(hash).await?));
        }
        self.db.run(move |store| store.replace_imported(&records)).await?;
        Ok(true)
    }

    fn open_imported(&self, user: Id, sealed: &Sealed) -> Result<PasswordHash, Refused> {
        let bytes = self
            .vault
            .open_sealed(&Identity::ImportedPassword(user), sealed)?;
        let hash = <[u8; 20]>::try_from(bytes.as_slice()).map_err(|_| StoreError::Damaged("password"))?;
        Ok(PasswordHash::new(hash))
    }
}
