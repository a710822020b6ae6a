//! Kernel settings that routing for others needs: set while somebody needs them, put back afterwards.
//!
//! Kernel NAT, published hosts, bridges with an address and the NAT instance need the same settings, in several processes
//! on one machine. Who holds them, and what the first of them found, is written where all of them see it and where it ends
//! with the network namespace whose settings they are: in nftables. Each holder has a table `hubward_TAG.found`, which does
//! nothing; the comments of its rules are what to put back. A holder takes over the notes of those that are there, and the
//! last one to go puts everything back. A note is written before its setting is changed, so a killed process leaves its
//! notes behind; the next start under the same tag goes on with them, or settles them ([`unclaimed`]).

mod ipv6;

use std::collections::BTreeMap;
use std::fmt;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use netdev::sysctl;

use crate::nft::{self, NftError, Ruleset};
use crate::tag::Tag;

/// Packets pass between interfaces.
const FORWARD: (&str, &str) = ("net.ipv4.ip_forward", "1");
/// No ICMP redirects. The kernel asks this setting *or* the device's own, so both must be off.
const NO_REDIRECTS: (&str, &str) = ("net.ipv4.conf.all.send_redirects", "0");

/// The kernel counts what its connections carry, for who looks at them. A kernel without connections has no such setting.
const COUNT: (&str, &str) = ("net.netfilter.nf_conntrack_acct", "1");

/// How a note begins, and how the name of a table of notes ends.
const NOTE: &str = "found";
const TABLE: &str = ".found";

/// Tables of one machine are changed by one process at a time; who finds it taken looks again this often, and goes on after
/// this time, because anybody on the machine can have taken the name.
const LOCK: &[u8] = b"hubward/settings";
const LOOK: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a kernel setting is not held. Nothing was changed then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HoldError {
    /// What was found could not be noted, so nothing was changed.
    #[error("forwarding must be switched on, and what it was before noted in nftables: {0}")]
    Note(#[from] NftError),
    /// The setting itself.
    #[error(transparent)]
    Setting(#[from] netdev::Error),
}

/// Settings, each with a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Notes(BTreeMap<String, String>);

impl Notes {
    /// What is to be put back, setting and value.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// What the comments of a table say. Other comments give nothing, nor do settings that are never ours.
    fn from_comments<'a>(comments: impl Iterator<Item = &'a str>) -> Self {
        let pair = |comment: &'a str| {
            let (key, value) = comment.strip_prefix(NOTE)?.strip_prefix(' ')?.split_once('=')?;
            (is_ours(key) && matches!(value, "0" | "1")).then(|| (key.to_owned(), value.to_owned()))
        };
        Self(comments.filter_map(pair).collect())
    }

    fn comments(&self) -> impl Iterator<Item = String> {
        self.iter().map(|(key, value)| format!("{NOTE} {key}={value}"))
    }
}

fn is_ours(key: &str) -> bool {
    let of_device = key
        .strip_prefix("net.ipv4.conf.")
        .and_then(|rest| rest.strip_suffix(".send_redirects"));
    key == FORWARD.0
        || key == COUNT.0
        || ipv6::is_ours(key)
        || of_device.is_some_and(|device| !device.is_empty() && !device.contains('.'))
}

/// The devices' own setting beside [`NO_REDIRECTS`].
fn redirects_of(device: &str) -> String {
    format!("net.ipv4.conf.{}.send_redirects", device.replace('.', "/"))
}

/// What is held by this process, by table: notes, and the values that are held.
static HELD: Mutex<BTreeMap<String, Held>> = Mutex::new(BTreeMap::new());

#[derive(Clone, Debug)]
struct Held {
    /// Tells this hold from an earlier one of the same table whose end is still under way.
    number: u64,
    notes: Notes,
    values: Vec<(String, &'static str)>,
}

fn held() -> MutexGuard<'static, BTreeMap<String, Held>> {
    // The table is whole after every statement that could panic.
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// IPv4 forwarding without redirects, until it is released. Dropped, it is released by a task of its own.
#[must_use]
pub struct Forwarding {
    /// Table and number of the hold; `None` once it was released.
    hold: Option<(String, u64)>,
}

impl fmt::Debug for Forwarding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Forwarding").field(&self.hold).finish()
    }
}

impl Forwarding {
    /// Turns forwarding on, and the redirects of these devices off with everybody's. A tag holds once.
    ///
    /// # Errors
    /// When the settings may not be changed, or what they were cannot be noted.
    pub async fn hold(tag: &Tag, devices: &[&str]) -> Result<Self, HoldError> {
        let mut values = vec![
            (FORWARD.0.to_owned(), FORWARD.1),
            (NO_REDIRECTS.0.to_owned(), NO_REDIRECTS.1),
        ];
        values.extend(devices.iter().map(|device| (redirects_of(device), "0")));
        if sysctl::read(COUNT.0).is_ok() {
            values.push((COUNT.0.to_owned(), COUNT.1));
        }
        let lock = Lock::take().await;
        Self::take(tag.settings_table(), values, &[], lock).await
    }

    /// Changes settings to these values, in this order, after what they were was noted in `table`; the settings in `kept` as they
    /// are, for something else that is put back would change them.
    async fn take(
        table: String,
        values: Vec<(String, &'static str)>,
        kept: &[String],
        lock: Lock,
    ) -> Result<Self, HoldError> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let notes = note(&table, &values, kept).await?;
        let this = Self {
            hold: Some((table.clone(), number)),
        };
        let settings = values.clone();
        let hold = Held {
            number,
            notes,
            values,
        };
        held().insert(table, hold);
        for (key, value) in &settings {
            if let Err(error) = sysctl::swap(key, value) {
                drop(lock);
                this.release().await;
                return Err(error.into());
            }
        }
        Ok(this)
    }

    /// Puts back what was found, unless others hold it still.
    pub async fn release(mut self) {
        if let Some((table, number)) = self.hold.take() {
            release(table, number).await;
        }
    }
}

impl Drop for Forwarding {
    fn drop(&mut self) {
        let Some((table, number)) = self.hold.take() else {
            return;
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(release(table, number))),
            Err(_) => tracing::debug!(table, "kernel settings stay as they are until the next start"),
        }
    }
}

/// Writes down what is to be put back, if anything is; nothing but notes is changed.
async fn note(table: &str, values: &[(String, &'static str)], kept: &[String]) -> Result<Notes, HoldError> {
    let mut there = Vec::with_capacity(values.len());
    for (key, value) in values {
        let now = sysctl::read(key)?;
        there.push((key, now != *value || kept.contains(key), now));
    }
    let journal = match journal().await {
        Ok(journal) => journal,
        // Without nftables nobody has notes, and what is as it should be needs none.
        Err(_) if there.iter().all(|(_, differs, _)| !differs) => return Ok(Notes::default()),
        Err(error) => return Err(error.into()),
    };
    let known = |key: &String| journal.values().find_map(|notes| notes.0.get(key)).cloned();
    let notes = there
        .into_iter()
        .filter_map(|(key, differs, now)| Some((key.clone(), known(key).or(differs.then_some(now))?)));
    let notes = Notes(notes.collect());
    let before = journal.get(table).cloned().unwrap_or_default();
    let mut needless = before.clone();
    needless.0.retain(|key, _| !notes.0.contains_key(key));
    put_back(&needless, table, &journal);
    if before == notes {
        return Ok(notes);
    }
    if notes == Notes::default() {
        nft::remove(table).await?;
    } else {
        write(table, &notes).await?;
    }
    Ok(notes)
}

async fn write(table: &str, notes: &Notes) -> Result<(), NftError> {
    let mut set = Ruleset::replace(table);
    for comment in notes.comments() {
        set.note(&comment);
    }
    nft::apply(&set.into_document()).await
}

/// The notes of every holder on this machine, by table.
async fn journal() -> Result<BTreeMap<String, Notes>, NftError> {
    let mut journal = BTreeMap::new();
    for table in nft::tables().await? {
        if !table.name.ends_with(TABLE) {
            continue;
        }
        // A holder may go between the two questions.
        if let Some(rules) = nft::rules(&table.name).await? {
            let comments = rules.iter().filter_map(|rule| rule.comment.as_deref());
            journal.insert(table.name, Notes::from_comments(comments));
        }
    }
    Ok(journal)
}

async fn release(table: String, number: u64) {
    let _lock = Lock::take().await;
    let hold = {
        let mut held = held();
        match held.get(&table) {
            Some(hold) if hold.number == number => held.remove(&table),
            _ => None,
        }
    };
    if let Some(Held { notes, .. }) = hold
        && notes != Notes::default()
    {
        end(&table, &notes).await;
    }
}

/// Puts back what nobody else holds, then takes the notes away: in this order, so that they outlive a kill in between.
async fn end(table: &str, notes: &Notes) {
    let journal = journal().await.unwrap_or_else(|error| {
        tracing::debug!(%error, "who else holds kernel settings is not known");
        BTreeMap::new()
    });
    put_back(notes, table, &journal);
    if let Err(error) = nft::remove(table).await {
        tracing::debug!(table, %error, "notes of kernel settings stay");
    }
}

/// Puts back what no table of the journal but `own` holds.
fn put_back(notes: &Notes, own: &str, journal: &BTreeMap<String, Notes>) {
    let is_held = |key: &str| {
        journal
            .iter()
            .any(|(table, notes)| table != own && notes.0.contains_key(key))
    };
    let mut free: Vec<_> = notes.iter().filter(|(key, _)| !is_held(key)).collect();
    // It changes those of single interfaces, which follow.
    free.sort_by_key(|(key, _)| *key != ipv6::FORWARD);
    for (key, former) in free {
        match sysctl::write(key, former) {
            Ok(()) => {}
            // The setting went with its device.
            Err(_) if sysctl::read(key).is_err() => {}
            Err(error) => {
                tracing::warn!(setting = %key, %former, %error, "could not put a kernel setting back");
            }
        }
    }
}

/// Sets the settings that are held once more, where somebody else has changed them since, and notes them again, where
/// somebody emptied nftables.
pub(crate) async fn reassert() {
    let all = held().clone();
    for (table, Held { notes, values, .. }) in all {
        for (key, value) in &values {
            match sysctl::swap(key, value) {
                Ok(None) => {}
                Ok(Some(found)) => {
                    tracing::warn!(setting = %key, %found, "somebody changed a kernel setting; it is back");
                }
                Err(error) => {
                    tracing::debug!(setting = %key, %error, "a kernel setting could not be looked at");
                }
            }
        }
        let _lock = Lock::take().await;
        let is_held = held().contains_key(&table);
        if !is_held || notes == Notes::default() || !matches!(nft::rules(&table).await, Ok(None)) {
            continue;
        }
        if let Err(error) = write(&table, &notes).await {
            tracing::warn!(table, %error, "what to put back at the end could not be noted again");
        }
    }
}

/// A table of notes that nobody in this process holds.
pub(crate) struct Unclaimed {
    pub(crate) table: String,
    pub(crate) notes: Notes,
}

impl Unclaimed {
    /// Puts back what nobody else holds, and takes the notes away.
    pub(crate) async fn settle(self) {
        let _lock = Lock::take().await;
        end(&self.table, &self.notes).await;
    }
}

/// The notes under tags that `wanted` accepts, and that this process does not hold.
pub(crate) async fn unclaimed(wanted: impl Fn(&str) -> bool) -> Result<Vec<Unclaimed>, NftError> {
    let journal = journal().await?;
    let held = held();
    Ok(journal
        .into_iter()
        .filter(|(table, _)| !held.contains_key(table) && Tag::of_table(table).is_some_and(&wanted))
        .map(|(table, notes)| Unclaimed { table, notes })
        .collect())
}

/// The right to change settings and notes: a name in the network namespace, which ends with its holder.
struct Lock(Option<UnixDatagram>);

impl Lock {
    async fn take() -> Self {
        let Ok(name) = SocketAddr::from_abstract_name(LOCK) else {
            return Self(None);
        };
        let since = Instant::now();
        loop {
            match UnixDatagram::bind_addr(&name) {
                Ok(socket) => return Self(Some(socket)),
                Err(error) if error.kind() != std::io::ErrorKind::AddrInUse => return Self(None),
                Err(_) if since.elapsed() > PATIENCE => {
                    tracing::warn!(
                        "somebody does not give back the lock of kernel settings; going on without"
                    );
                    return Self(None);
                }
                Err(_) => tokio::time::sleep(LOOK).await,
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        drop(self.0.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_read_back_and_nothing_else_is() {
        let notes = Notes(BTreeMap::from([
            (FORWARD.0.to_owned(), "0".to_owned()),
            (NO_REDIRECTS.0.to_owned(), "1".to_owned()),
            (COUNT.0.to_owned(), "0".to_owned()),
            (redirects_of("a-long-name.100"), "1".to_owned()),
        ]));
        let comments: Vec<_> = notes.comments().collect();
        assert!(
            comments.iter().all(|comment| comment.len() <= 128),
            "{comments:?}"
        );
        let read = Notes::from_comments(comments.iter().map(String::as_str).chain(["web"]));
        assert_eq!(read, notes);
        for other in [
            "",
            "web",
            "found",
            "found kernel.core_pattern=1",
            "found net.ipv4.ip_forward=|sh",
            "found net.ipv4.conf.a.b.send_redirects=1",
            "found net.ipv4.conf..send_redirects=1",
        ] {
            assert_eq!(
                Notes::from_comments([other].into_iter()),
                Notes::default(),
                "{other}"
            );
        }
    }
}
