//! Where the service keeps what it knows: `service.toml`, which people may read, and `secrets.toml` beside it, which holds
//! everything that must stay between the service and the servers. In a folder that only its user can enter.
//!
//! Each file is written whole, made durable and put in the place of the old one. Settings name their secrets by numbers that are used
//! once: new secrets are written before the settings that name them, old ones go after. So a `kill -9` at any moment leaves
//! settings and secrets that belong together.

mod tables;

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use nix::unistd::{Pid, geteuid};
use zeroize::Zeroizing;

use super::book::Book;
use crate::failure::Failure;
use tables::{Secrets, SecretsFile, SettingsFile};

const SETTINGS: &str = "service.toml";
const SECRETS: &str = "secrets.toml";
const LOCK: &str = "service.lock";
/// No file of the service is longer.
const LONGEST: u64 = 64 * 1024 * 1024;

/// The folder, which this process alone has.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    /// The secrets as they are in their file, by number.
    secrets: BTreeMap<String, Secrets>,
    /// The settings as they are in their file.
    settings: Zeroizing<String>,
    _lock: Flock<File>,
}

impl Store {
    /// Opens the folder, which is made where it is missing, and reads what is kept there.
    ///
    /// # Errors
    /// Another service has it, it is somebody else's, or a file in it does not make sense.
    pub fn open(folder: &Path) -> Result<(Self, Book), Failure> {
        let unusable = |e: io::Error| {
            Failure::Local(format!(
                "the folder {} cannot be used: {e}; mend it, or give another with --config-dir",
                folder.display()
            ))
        };
        make_private(folder).map_err(unusable)?;
        let lock = lock(folder)?;
        let settings = read(&folder.join(SETTINGS)).map_err(unusable)?;
        let secrets = read(&folder.join(SECRETS)).map_err(unusable)?;
        let broken = |file: &str, e: &dyn std::fmt::Display| {
            let path = folder.join(file).display().to_string();
            let line = e.to_string().replace('\n', " ");
            Failure::Local(format!("{path} cannot be understood: {line}; mend or remove it"))
        };
        let secrets_file: SecretsFile =
            toml::from_str(&secrets).map_err(|e| broken(SECRETS, &e.message()))?;
        let settings_file: SettingsFile = toml::from_str(&settings).map_err(|e| broken(SETTINGS, &e))?;
        let book = settings_file
            .into_book(&secrets_file)
            .map_err(|why| broken(SETTINGS, &why))?;
        let store = Self {
            folder: folder.to_owned(),
            secrets: secrets_file.secret,
            settings,
            _lock: lock,
        };
        Ok((store, book))
    }

    /// Makes `book` what is kept. When this returns, it is on the disk.
    ///
    /// # Errors
    /// What the kernel says; then what was kept before is kept still.
    pub fn keep(&mut self, book: &Book) -> io::Result<()> {
        let mut numbers = Numbers {
            before: &self.secrets,
            now: BTreeMap::new(),
        };
        let settings = SettingsFile::of(book, &mut |secrets| numbers.number(secrets));
        let now = numbers.now;
        let settings = Zeroizing::new(toml::to_string(&settings).map_err(io::Error::other)?);
        let settings = Zeroizing::new(format!("{HEAD}{}", *settings));
        let both: BTreeMap<_, _> = now.iter().chain(&self.secrets).collect();
        let both: BTreeMap<String, Secrets> = both.into_iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        if both.len() != self.secrets.len() {
            self.write_secrets(&both)?;
            self.secrets = both;
        }
        if settings != self.settings {
            write_whole(&self.folder, SETTINGS, settings.as_bytes())?;
            self.settings = settings;
        }
        if now.len() != self.secrets.len() {
            self.write_secrets(&now)?;
            self.secrets = now;
        }
        Ok(())
    }

    fn write_secrets(&self, secrets: &BTreeMap<String, Secrets>) -> io::Result<()> {
        let file = SecretsFile {
            secret: secrets.clone(),
        };
        let text = Zeroizing::new(toml::to_string(&file).map_err(io::Error::other)?);
        let text = Zeroizing::new(format!("{SECRETS_HEAD}{}", *text));
        write_whole(&self.folder, SECRETS, text.as_bytes())
    }
}

const HEAD: &str = "\
# Accounts and settings of the Hubward client service (vpnclient run). Passwords and keys are in secrets.toml.
# Change it while the service does not run; while it does, vpncmd /CLIENT and `vpnclient options` are the way.

";
const SECRETS_HEAD: &str =
    "# Passwords and keys that service.toml names by number. Whoever reads this file can use them.\n\n";

/// The numbers by which settings name their secrets: a secret that was kept before has its number still.
struct Numbers<'a> {
    before: &'a BTreeMap<String, Secrets>,
    now: BTreeMap<String, Secrets>,
}

impl Numbers<'_> {
    fn number(&mut self, secrets: Secrets) -> Option<String> {
        if secrets == Secrets::default() {
            return None;
        }
        let same =
            |(number, known): &(&String, &Secrets)| **known == secrets && !self.now.contains_key(*number);
        let number = match self.before.iter().find(same) {
            Some((number, _)) => number.clone(),
            None => format!("{:016x}", rand::random::<u64>()),
        };
        self.now.insert(number.clone(), secrets);
        Some(number)
    }
}

/// A folder that others cannot enter.
fn make_private(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let found = fs::metadata(folder)?;
    if found.uid() != geteuid().as_raw() {
        let foreign = "it belongs to another user";
        return Err(io::Error::new(ErrorKind::PermissionDenied, foreign));
    }
    if found.mode() & 0o077 != 0 {
        fs::set_permissions(folder, Permissions::from_mode(0o700))?;
    }
    Ok(())
}

fn lock(folder: &Path) -> Result<Flock<File>, Failure> {
    let path = folder.join(LOCK);
    let failed = |e: io::Error| Failure::Local(format!("{} cannot be made: {e}", path.display()));
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(failed)?;
    let mut file = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|_| {
        let pid = fs::read_to_string(&path).unwrap_or_default();
        Failure::Usage(format!(
            "a service with process id {} has {} already",
            pid.trim(),
            folder.display()
        ))
    })?;
    file.set_len(0)
        .and_then(|()| writeln!(file, "{}", Pid::this()))
        .map_err(failed)?;
    Ok(file)
}

/// The text of a file; none where there is none.
fn read(path: &Path) -> io::Result<Zeroizing<String>> {
    let file = match File::open(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Zeroizing::default()),
        opened => opened?,
    };
    let mut text = Zeroizing::new(String::new());
    io::Read::read_to_string(&mut io::Read::take(file, LONGEST), &mut text)?;
    Ok(text)
}

/// Writes a file whole, in the place of the old one.
fn write_whole(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let new = folder.join(format!(".{name}.new"));
    match fs::remove_file(&new) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, folder.join(name))?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use protocol::rpc::Secret;
    use protocol::rpc::Timestamp;
    use protocol::rpc::cascade::{LinkAuthType, ProxyType};
    use protocol::rpc::client::account::ConnectionOption;

    use super::*;
    use crate::service::book::{Adapter, Entry};

    fn full() -> Book {
        let mut book = Book {
            password: Secret::new([9; 20]),
            ..Book::default()
        };
        book.config.allow_remote = true;
        book.config.keep.enabled = true;
        book.manager.easy_mode = true;
        book.authorities.push(vec![1, 2, 3]);
        book.adapters.push(Adapter {
            name: "vpn1".into(),
            mac: [0x5e, 1, 2, 3, 4, 5],
            enabled: false,
        });
        for (n, kind) in [
            LinkAuthType::Password,
            LinkAuthType::PlainPassword,
            LinkAuthType::Certificate,
        ]
        .into_iter()
        .enumerate()
        {
            let mut entry = Entry::default();
            let account = &mut entry.account;
            account.account_name = format!("account \"{n}\" 研究室");
            account.startup = n == 1;
            account.shortcut_key = [u8::try_from(n).unwrap() + 1; 20];
            account.created = Some(Timestamp(1_700_000_000_000));
            account.updated = Some(Timestamp(1_700_000_000_001));
            account.option = ConnectionOption {
                hostname: "vpn.example.org".into(),
                port: 443,
                hub_name: "lab".into(),
                device_name: "vpn1".into(),
                proxy_type: ProxyType::Socks5,
                proxy_password: Secret::new("proxy pass".to_owned()),
                ..ConnectionOption::usual()
            };
            account.auth.auth_type = kind;
            account.auth.username = "alice".into();
            match kind {
                LinkAuthType::Password => account.auth.hashed_password = Some(Secret::new(vec![7; 20])),
                LinkAuthType::PlainPassword => {
                    account.auth.plain_password = Some(Secret::new("Fuji-3776 \"ü\"".to_owned()));
                }
                _ => {
                    account.auth.client_x = Some(vec![4; 100]);
                    account.auth.client_k = Some(Secret::new(vec![5; 100]));
                }
            }
            entry.options = vec!["--no-dns".into()];
            entry.pin = Some(format!("sha256:{}", "ab".repeat(32)).parse().unwrap());
            book.accounts.push(entry);
        }
        book
    }

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("hubward/client");
        (home, path)
    }

    #[test]
    fn everything_is_read_as_it_was_kept() {
        let (_home, path) = folder();
        let (mut store, empty) = Store::open(&path).unwrap();
        assert_eq!(empty, Book::default());
        store.keep(&full()).unwrap();
        drop(store);
        let (mut store, book) = Store::open(&path).unwrap();
        assert_eq!(book, full());
        store.keep(&Book::default()).unwrap();
        drop(store);
        assert_eq!(Store::open(&path).unwrap().1, Book::default());
    }

    #[test]
    fn secrets_are_in_a_file_of_their_own_and_nobody_else_can_look() {
        let (_home, path) = folder();
        let (mut store, _) = Store::open(&path).unwrap();
        store.keep(&full()).unwrap();
        let settings = fs::read_to_string(path.join(SETTINGS)).unwrap();
        for secret in ["Fuji", "proxy pass", "BwcHBwcH", "BQUFBQUF", "CQkJCQkJ"] {
            assert!(!settings.contains(secret), "{secret}");
        }
        assert!(settings.contains("vpn.example.org") && settings.contains("研究室"));
        let secrets = fs::read_to_string(path.join(SECRETS)).unwrap();
        assert!(secrets.contains("Fuji-3776"));
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!(mode(&path), 0o700);
        for file in [SETTINGS, SECRETS, LOCK] {
            assert_eq!(mode(&path.join(file)), 0o600, "{file}");
        }
    }

    #[test]
    fn a_folder_that_others_could_enter_is_closed() {
        let (_home, path) = folder();
        fs::create_dir_all(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        Store::open(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn one_service_has_a_folder() {
        let (_home, path) = folder();
        let first = Store::open(&path).unwrap();
        let refused = Store::open(&path).unwrap_err();
        assert!(
            matches!(&refused, Failure::Usage(text) if text.contains(&Pid::this().to_string())),
            "{refused}"
        );
        drop(first);
        assert!(Store::open(&path).is_ok());
    }

    /// After each of the writes that a change makes the folder holds the state before it or the one after it.
    #[test]
    fn an_end_between_two_writes_loses_nothing() {
        let (_home, path) = folder();
        let (mut store, _) = Store::open(&path).unwrap();
        store.keep(&full()).unwrap();
        let mut changed = full();
        changed.accounts[1].account.auth.plain_password = Some(Secret::new("another".to_owned()));
        let old = [SETTINGS, SECRETS].map(|file| fs::read(path.join(file)).unwrap());
        let all_secrets = {
            // The state after the first write: the secrets of both, the settings of before.
            let mut numbers = Numbers {
                before: &store.secrets,
                now: BTreeMap::new(),
            };
            SettingsFile::of(&changed, &mut |secrets| numbers.number(secrets));
            let mut both = numbers.now;
            both.extend(store.secrets.clone());
            both
        };
        store.write_secrets(&all_secrets).unwrap();
        drop(store);
        let (mut store, book) = Store::open(&path).unwrap();
        assert_eq!(book, full(), "before the settings are written");
        // A half-written file is no file of the service.
        fs::write(path.join(".service.toml.new"), "half").unwrap();
        store.keep(&changed).unwrap();
        drop(store);
        let (_, book) = Store::open(&path).unwrap();
        assert_eq!(book, changed);
        let secrets = fs::read_to_string(path.join(SECRETS)).unwrap();
        assert!(!secrets.contains("Fuji-3776"), "the old password is gone");
        assert_ne!(old[1], secrets.as_bytes());
    }

    #[test]
    fn a_file_that_makes_no_sense_is_named_with_its_line_and_left_alone() {
        let (_home, path) = folder();
        fs::create_dir_all(&path).unwrap();
        for nonsense in ["version = 99\n", "version = 1\nacount = []\n", "[[account\n"] {
            fs::write(path.join(SETTINGS), nonsense).unwrap();
            let refused = Store::open(&path).unwrap_err().to_string();
            assert!(refused.contains(SETTINGS) && !refused.contains('\n'), "{refused}");
            assert_eq!(fs::read_to_string(path.join(SETTINGS)).unwrap(), nonsense);
        }
    }
}
