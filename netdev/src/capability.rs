//! What this process can do here, and what to do when it cannot.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, setsockopt, socket, sockopt};

use crate::{Error, Result, tap};

/// What this process can do in the network namespace of the calling thread.
#[derive(Debug)]
pub struct Capabilities {
    /// Whether links, addresses, routes and nftables may be changed (CAP_NET_ADMIN).
    pub net_admin: bool,
    /// Whether `/dev/net/tun` can be opened; the error names the remedy.
    pub tun_device: Result<()>,
    /// The `nft` program.
    pub nft: Option<PathBuf>,
}

impl Capabilities {
    /// Everything that a TAP device with addresses and routes needs.
    pub fn require_tap(self) -> Result<()> {
        self.tun_device?;
        if self.net_admin {
            Ok(())
        } else {
            Err(Error::Privilege {
                what: "making a TAP device".to_owned(),
            })
        }
    }

    /// Everything that firewall rules need; gives the program that sets them.
    pub fn require_nft(&self) -> Result<&Path> {
        let nft = self.nft.as_deref().ok_or(Error::NoNft)?;
        if self.net_admin {
            Ok(nft)
        } else {
            Err(Error::Privilege {
                what: "changing nftables rules".to_owned(),
            })
        }
    }
}

/// Looks at what is possible, without changing anything.
pub fn probe() -> Capabilities {
    Capabilities {
        net_admin: net_admin(),
        tun_device: tap::open_tun().map(drop),
        nft: find_program("nft"),
    }
}

/// Whether CAP_NET_ADMIN is effective, and for this network namespace.
///
/// Root of a user namespace has the capability in `/proc`, but it counts only if that namespace owns the network
/// namespace. The kernel checks just this when a socket is marked (CAP_NET_ADMIN or CAP_NET_RAW).
fn net_admin() -> bool {
    const CAP_NET_ADMIN: u32 = 12;
    let effective = fs::read_to_string("/proc/thread-self/status")
        .ok()
        .and_then(|status| {
            let value = status
                .lines()
                .find_map(|line| line.strip_prefix("CapEff:"))?
                .trim()
                .to_owned();
            u64::from_str_radix(&value, 16).ok()
        });
    if effective.is_none_or(|bits| bits & (1 << CAP_NET_ADMIN) == 0) {
        return false;
    }
    let flags = SockFlag::SOCK_CLOEXEC;
    socket(AddressFamily::Inet, SockType::Datagram, flags, None)
        .is_ok_and(|socket| setsockopt(&socket, sockopt::Mark, &1).is_ok())
}

/// Finds a program on the PATH or in the places for administrators' programs, which a user's PATH leaves out.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|file| {
            file.metadata()
                .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_by_its_name() {
        assert!(find_program("sh").is_some());
        assert!(find_program("no-such-program-here").is_none());
    }

    #[test]
    fn missing_parts_are_refused_with_the_way_out() {
        let none = || Capabilities {
            net_admin: false,
            tun_device: Err(Error::NoTunDevice),
            nft: None,
        };
        assert!(
            none()
                .require_tap()
                .unwrap_err()
                .to_string()
                .contains("modprobe tun")
        );
        assert!(none().require_nft().unwrap_err().to_string().contains("nftables"));
        let unprivileged = Capabilities {
            net_admin: false,
            tun_device: Ok(()),
            nft: Some("/usr/sbin/nft".into()),
        };
        assert!(
            unprivileged
                .require_nft()
                .unwrap_err()
                .to_string()
                .contains("CAP_NET_ADMIN")
        );
        assert!(
            unprivileged
                .require_tap()
                .unwrap_err()
                .to_string()
                .contains("CAP_NET_ADMIN")
        );
    }
}
