//! Where the programs of a user find each other's files.

use std::path::PathBuf;

use nix::unistd::geteuid;

/// The folder of this user's settings: `hubward` in `$XDG_CONFIG_HOME`, else in `~/.config`. `None` when the user has no home.
#[must_use]
pub fn settings() -> Option<PathBuf> {
    let config = named("XDG_CONFIG_HOME").or_else(|| in_home(".config"))?;
    Some(config.join("hubward"))
}

/// The folder of the sockets of this user's VPN clients: `/run/hubward-client` for root, else `hubward-client` in
/// `$XDG_RUNTIME_DIR`, else in `$XDG_STATE_HOME` or `~/.local/state`. `None` when the user has no home.
#[must_use]
pub fn client_sockets() -> Option<PathBuf> {
    let base = if geteuid().is_root() {
        PathBuf::from("/run")
    } else {
        named("XDG_RUNTIME_DIR")
            .or_else(|| named("XDG_STATE_HOME"))
            .or_else(|| in_home(".local/state"))?
    };
    Some(base.join("hubward-client"))
}

/// The socket of our client service, in the folder of the sockets.
pub const SERVICE_SOCKET: &str = "service.sock";

fn named(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable)
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
}

fn in_home(folder: &str) -> Option<PathBuf> {
    Some(named("HOME")?.join(folder))
}
