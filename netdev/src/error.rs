//! What can go wrong with a network device, and how to mend it.

use std::io;

use nix::libc;

/// A refused or failed operation on a network device.
///
/// Every message is one line that names the device and, where there is one, the way out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The process lacks the right to change the network.
    #[error("{what}: permission denied; run as root or give the program CAP_NET_ADMIN and CAP_NET_RAW")]
    Privilege {
        /// The operation that was refused.
        what: String,
    },
    /// The process may not listen on interfaces that are there already.
    #[error(
        "{device}: an interface can be bridged only with CAP_NET_RAW; run as root, or let the service have it: see \
         /usr/share/hubward/bridge.conf"
    )]
    NoPacketSocket {
        /// The interface.
        device: String,
    },
    /// `/dev/net/tun` does not exist or has no driver behind it.
    #[error(
        "/dev/net/tun is missing; load it with `modprobe tun`, or give the container `--device /dev/net/tun`"
    )]
    NoTunDevice,
    /// `/dev/net/tun` exists and this process may not open it.
    #[error("/dev/net/tun may not be opened; run as root, or let this user read and write it")]
    TunDeviceForbidden,
    /// A TAP device of this name is held by another process.
    #[error("{device} is in use by another program; stop that program or choose another name")]
    Busy {
        /// The wanted device name.
        device: String,
    },
    /// A device of this name exists and is something else than a TAP device.
    #[error("{device} exists and is not a TAP device of the kind needed; choose another name")]
    NotATap {
        /// The wanted device name.
        device: String,
    },
    /// A text that cannot be the name of a device.
    #[error(
        "`{name}` cannot name a network device; use 1 to 15 printable characters without space, `/` or `:`"
    )]
    BadName {
        /// The text.
        name: String,
    },
    /// A hardware address that cannot belong to one station.
    #[error("{mac} is a group address or zero; a device needs a unicast hardware address")]
    BadMac {
        /// The address, in its usual notation.
        mac: String,
    },
    /// No device of this name in this network namespace.
    #[error("there is no network device {device}; `ip link` lists those there are")]
    NoDevice {
        /// The wanted device name.
        device: String,
    },
    /// The device, address or route to be added is there already.
    #[error("{what}: it exists already")]
    Exists {
        /// The operation.
        what: String,
    },
    /// The kernel has no way to an address.
    #[error("there is no route to {destination}; check the address and the default route")]
    NoRoute {
        /// The address asked for.
        destination: std::net::IpAddr,
    },
    /// The `nft` program is not installed.
    #[error("the program nft is missing; install the package `nftables`")]
    NoNft,
    /// Anything else the operating system said.
    #[error("{what}: {source}")]
    Io {
        /// The operation.
        what: String,
        /// The system's answer.
        source: io::Error,
    },
}

impl Error {
    /// Names the operation `what` that failed with `source`, recognising the answers that have a remedy.
    pub(crate) fn from_io(what: impl Into<String>, source: io::Error) -> Self {
        let what = what.into();
        match source.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => Self::Privilege { what },
            Some(libc::EEXIST) => Self::Exists { what },
            _ => Self::Io { what, source },
        }
    }

    /// Whether the thing to be added is there already.
    pub fn is_exists(&self) -> bool {
        matches!(self, Self::Exists { .. })
    }

    /// Whether the device, address, route, rule or setting to be changed is not (or no longer) there.
    pub fn is_absent(&self) -> bool {
        match self {
            Self::NoDevice { .. } => true,
            Self::Io { source, .. } => {
                matches!(
                    source.raw_os_error(),
                    Some(libc::ENODEV | libc::ESRCH | libc::EADDRNOTAVAIL | libc::ENOENT)
                )
            }
            _ => false,
        }
    }
}

/// The result of an operation on a network device.
pub type Result<T, E = Error> = std::result::Result<T, E>;
