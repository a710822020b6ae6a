//! Where running clients are found: a socket each, in a folder that only their user may enter.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::unistd::geteuid;
use tokio::net::{UnixListener, UnixStream};
use transport::folders;

use crate::failure::Failure;
use crate::status::Board;

/// The name of the client service.
pub const SERVICE: &str = "service";

/// The folder of the sockets.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

impl Folder {
    /// The folder of this user, [`folders::client_sockets`].
    pub fn of_user() -> Result<Self, Failure> {
        folders::client_sockets().map(Self).ok_or_else(|| {
            Failure::Local("there is no folder for the local socket; set XDG_RUNTIME_DIR or HOME".to_owned())
        })
    }

    /// A folder by name.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// The socket of the client of this name, if there is one.
    #[must_use]
    pub fn socket_of(&self, name: &str) -> Option<PathBuf> {
        let path = self.path(name);
        std::os::unix::net::UnixStream::connect(&path)
            .is_ok()
            .then_some(path)
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
        let tunnels: Vec<_> = names.iter().filter(|name| *name != SERVICE).collect();
        let name = match (name, tunnels.as_slice()) {
            (Some(name), _) => name,
            (None, [only]) => only,
            (None, []) => return Err(Failure::Local(
                "no vpnclient of this user runs; start one, for instance: vpnclient connect HOST --hub HUB --user USER --rootless"
                    .to_owned(),
            )),
            (None, several) => {
                let several = several.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
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
    name: String,
    board: Arc<Board>,
}

impl ControlSocket {
    /// Binds the socket of a client that was given no name: that of its hub as far as it makes a file name, with a number where
    /// one of this name runs already.
    pub fn bind_free(folder: &Folder, hub: &str) -> Result<Self, Failure> {
        let name = plain_name(hub);
        let numbered = (2..100).map(|number| format!("{name}-{number}"));
        let running = folder.names();
        let free = std::iter::once(name.clone())
            .chain(numbered)
            .find(|name| !running.contains(name));
        Self::bind(folder, &free.unwrap_or(name))
    }

    /// The same, with the board of the connection that programs may ask about.
    #[must_use]
    pub fn about(mut self, board: Arc<Board>) -> Self {
        self.board = board;
        self
    }

    /// Where the connection notes how it stands.
    pub fn board(&self) -> &Arc<Board> {
        &self.board
    }

    /// What the client is called.
    pub fn name(&self) -> &str {
        &self.name
    }

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
        let name = name.to_owned();
        let board = Arc::default();
        Ok(Self {
            listener,
            path,
            name,
            board,
        })
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

/// The longest name of a client, in bytes.
const MAX_NAME: usize = 64;

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '@')
}

/// What of a hub's name makes a plain file name.
fn plain_name(hub: &str) -> String {
    let plain: String = hub
        .chars()
        .map(|c| if is_plain(c) { c } else { '_' })
        .take(60)
        .collect();
    match plain.trim_start_matches('.') {
        "" => "hub".to_owned(),
        SERVICE => format!("{SERVICE}-hub"),
        name => name.to_owned(),
    }
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

    #[tokio::test]
    async fn a_client_without_a_name_gets_one_of_its_hub_that_is_free() {
        let home = tempfile::tempdir().unwrap();
        let folder = Folder::at(home.path());
        let bind = |hub: &str| ControlSocket::bind_free(&folder, hub).unwrap();
        let (one, two) = (bind("my hub"), bind("my hub"));
        assert_eq!((one.name(), two.name()), ("my_hub", "my_hub-2"));
        assert_eq!(bind("../..").name(), "_..");
        assert_eq!(bind("service").name(), "service-hub");
        assert_eq!(bind("研究室").name(), "___");
        assert_eq!(bind("").name(), "hub");
    }

    #[test]
    fn vpncmd_finds_the_socket_of_the_service() {
        let path = Folder::at(Path::new("/run/hubward-client")).path(SERVICE);
        assert!(path.ends_with(folders::SERVICE_SOCKET), "{}", path.display());
    }

    #[test]
    fn names_are_plain_file_names() {
        for name in ["", "..", "a/b", ".hidden", "a b", &"x".repeat(65)] {
            assert!(check_name(name).is_err(), "{name}");
        }
        assert!(check_name("lab@vpn.example.org").is_ok());
    }
}
