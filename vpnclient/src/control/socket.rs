//! Where running clients are found: a socket each, in a folder that only their user may enter.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;
use tokio::net::{UnixListener, UnixStream};

use crate::failure::Failure;

/// The folder of the sockets.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

impl Folder {
    /// The folder of this user: `/run/hubward-client` for root, else `hubward-client` in `$XDG_RUNTIME_DIR`, else in
    /// `$XDG_STATE_HOME` or `~/.local/state`.
    pub fn of_user() -> Result<Self, Failure> {
        let folder = |name: &str| {
            std::env::var_os(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        let base = if geteuid().is_root() {
            Some(PathBuf::from("/run"))
        } else {
            folder("XDG_RUNTIME_DIR")
                .or_else(|| folder("XDG_STATE_HOME"))
                .or_else(|| folder("HOME").map(|home| home.join(".local/state")))
        };
        base.map(|base| Self(base.join("hubward-client"))).ok_or_else(|| {
            Failure::Local("there is no folder for the local socket; set XDG_RUNTIME_DIR or HOME".to_owned())
        })
    }

    /// A folder by name.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}.sock"))
    }

    /// The clients that run, by name.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries
            .filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".sock")?.to_owned()))
            .filter(|name| std::os::unix::net::UnixStream::connect(self.path(name)).is_ok())
            .collect();
        names.sort_unstable();
        names
    }

    /// Calls the client of this name, or the only one.
    pub async fn call(&self, name: Option<&str>) -> Result<UnixStream, Failure> {
        let names = self.names();
        let name = match (name, names.as_slice()) {
            (Some(name), _) => name,
            (None, [only]) => only,
            (None, []) => return Err(Failure::Local(
                "no vpnclient of this user runs; start one, for instance: vpnclient connect HOST --hub HUB --user USER --rootless"
                    .to_owned(),
            )),
            (None, several) => {
                let several = several.join(", ");
                return Err(Failure::Usage(format!("several clients run; name one with --via: {several}")));
            }
        };
        UnixStream::connect(self.path(name)).await.map_err(|e| {
            let running = if names.is_empty() {
                "none".to_owned()
            } else {
                names.join(", ")
            };
            Failure::Local(format!(
                "the client {name} does not answer: {e}; running: {running}"
            ))
        })
    }
}

/// A bound socket; its file goes when it is dropped.
#[derive(Debug)]
pub struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl ControlSocket {
    /// Binds the socket of `name`. One of a client that is dead is replaced, that of a living one is not.
    pub fn bind(folder: &Folder, name: &str) -> Result<Self, Failure> {
        let failed = |e: io::Error| {
            Failure::Local(format!(
                "the local socket cannot be made in {}: {e}",
                folder.0.display()
            ))
        };
        check_name(name)?;
        make_private(&folder.0).map_err(failed)?;
        let path = folder.path(name);
        if std::os::unix::net::UnixStream::connect(&path).is_ok() {
            return Err(Failure::Usage(format!(
                "a client called {name} runs already; give this one another name with --name"
            )));
        }
        match fs::remove_file(&path) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(failed(e)),
            _ => {}
        }
        let listener = UnixListener::bind(&path).map_err(failed)?;
        fs::set_permissions(&path, Permissions::from_mode(0o600)).map_err(failed)?;
        Ok(Self { listener, path })
    }

    /// The next program of this user, or of root; others are turned away without a word.
    ///
    /// # Errors
    /// What the kernel says.
    pub async fn accept(&self) -> io::Result<UnixStream> {
        loop {
            let (stream, _) = self.listener.accept().await?;
            let peer = stream.peer_cred()?.uid();
            if peer == 0 || peer == geteuid().as_raw() {
                return Ok(stream);
            }
        }
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// The name of a client after something that has a name of its own, such as a hub: what no name may hold becomes a `-`.
#[must_use]
pub fn name_of(what: &str) -> String {
    let name: String = what
        .chars()
        .map(|c| if is_plain(c) { c } else { '-' })
        .take(MAX_NAME)
        .collect();
    match name.strip_prefix('.') {
        Some(rest) => format!("-{rest}"),
        None if name.is_empty() => "-".to_owned(),
        None => name,
    }
}

/// The longest name of a client, in bytes.
const MAX_NAME: usize = 64;

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '@')
}

/// A name that is a plain file name.
fn check_name(name: &str) -> Result<(), Failure> {
    let good =
        !name.is_empty() && name.len() <= MAX_NAME && !name.starts_with('.') && name.chars().all(is_plain);
    good.then_some(()).ok_or_else(|| {
        Failure::Usage(format!(
            "{name:?} cannot name a client: letters, digits, '-', '_', '.' and '@'; give one with --name"
        ))
    })
}

/// A folder that others can neither enter nor have made.
fn make_private(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let found = fs::symlink_metadata(folder)?;
    if !found.is_dir() || found.uid() != geteuid().as_raw() {
        return Err(io::Error::new(
            ErrorKind::PermissionDenied,
            "it is not a folder of this user's own",
        ));
    }
    fs::set_permissions(folder, Permissions::from_mode(0o700))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_living_client_keeps_its_name_and_a_dead_one_does_not() {
        let home = tempfile::tempdir().unwrap();
        let folder = Folder::at(&home.path().join("sockets"));
        let socket = ControlSocket::bind(&folder, "lab").unwrap();
        assert_eq!(folder.names(), ["lab"]);
        assert!(matches!(
            ControlSocket::bind(&folder, "lab"),
            Err(Failure::Usage(_))
        ));
        drop(socket);
        assert_eq!(folder.names(), [""; 0]);
        drop(UnixListener::bind(folder.path("lab")).unwrap()); // as a killed one leaves it
        assert!(ControlSocket::bind(&folder, "lab").is_ok());
    }

    #[tokio::test]
    async fn the_only_client_needs_no_name_and_of_several_one_is_to_be_named() {
        let home = tempfile::tempdir().unwrap();
        let folder = Folder::at(home.path());
        assert!(matches!(folder.call(None).await, Err(Failure::Local(_))));
        let _one = ControlSocket::bind(&folder, "one").unwrap();
        assert!(folder.call(None).await.is_ok());
        let _two = ControlSocket::bind(&folder, "two").unwrap();
        let refused = folder.call(None).await.unwrap_err().to_string();
        assert!(refused.contains("one, two"), "{refused}");
        assert!(folder.call(Some("two")).await.is_ok());
        assert!(folder.call(Some("three")).await.is_err());
    }

    #[test]
    fn names_are_plain_file_names() {
        for name in ["", "..", "a/b", ".hidden", "a b", &"x".repeat(65)] {
            assert!(check_name(name).is_err(), "{name}");
        }
        assert!(check_name("lab@vpn.example.org").is_ok());
    }

    #[test]
    fn what_has_any_name_gives_a_client_one() {
        for (what, name) in [
            ("lab", "lab"),
            ("Branch Office", "Branch-Office"),
            ("../etc", "-.-etc"),
            ("", "-"),
            ("Zürich", "Z-rich"),
        ] {
            assert_eq!(name_of(what), name);
            assert!(check_name(&name_of(what)).is_ok(), "{what}");
        }
        assert!(check_name(&name_of(&"x".repeat(200))).is_ok());
    }
}
