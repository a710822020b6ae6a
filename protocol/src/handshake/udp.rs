//! The negotiation of UDP acceleration inside login and welcome (protocol §8.1).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use crate::pack::Pack;

/// Our own element in login and welcome (protocol §14): the peer counts its datagrams, and how it wants them used.
const OURS: &str = "hubward_udp";

/// When frames should go by UDP between two ends of ours; stock ends do it whenever they can.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UdpUse {
    /// While there is no TCP connection: as long as there is, super-frames over TCP are faster.
    #[default]
    StandBy,
    /// Whenever the path works.
    WhenUsable,
}

impl UdpUse {
    fn code(self) -> u32 {
        match self {
            Self::StandBy => 1,
            Self::WhenUsable => 2,
        }
    }

    fn read(pack: &Pack) -> Option<Self> {
        match pack.int_or_0(OURS) {
            0 => None,
            2 => Some(Self::WhenUsable),
            _ => Some(Self::StandBy),
        }
    }
}

/// What a client offers.
#[derive(Clone, PartialEq, Eq)]
pub struct UdpOffer {
    /// Version it would like; informational, 1.
    pub version: u32,
    /// Highest version it speaks: 1 is RC4, 2 is ChaCha20-Poly1305.
    pub max_version: u32,
    /// Local address of its TCP connection; unspecified on loopback.
    pub ip: IpAddr,
    /// Its UDP port; 0 means that UDP is not wanted.
    pub port: u16,
    /// Key of its packets in version 1.
    pub key: [u8; 20],
    /// Key of its packets in version 2.
    pub key_v2: [u8; 128],
    /// Changes nothing in any packet; always set.
    pub hmac: bool,
    /// Whether it knows the fast keep-alive timers.
    pub fast_detect: bool,
    /// What a client of ours says beside it.
    pub ours: Option<UdpUse>,
}

/// What a server grants.
#[derive(Clone, PartialEq, Eq)]
pub struct UdpGrant {
    /// Version to speak.
    pub version: u32,
    /// Local address of the server; unspecified means that of the TCP connection.
    pub ip: IpAddr,
    /// Its UDP port.
    pub port: u16,
    /// Key of its packets in version 1.
    pub key: [u8; 20],
    /// Key of its packets in version 2.
    pub key_v2: [u8; 128],
    /// Cookie that packets to the server carry.
    pub server_cookie: u32,
    /// Cookie that packets to the client carry.
    pub client_cookie: u32,
    /// Whether packets are encrypted.
    pub use_encryption: bool,
    /// Changes nothing in any packet.
    pub hmac: bool,
    /// Whether both sides use the fast keep-alive timers.
    pub fast_detect: bool,
    /// What a server of ours answers to a client of ours.
    pub ours: Option<UdpUse>,
}

impl UdpOffer {
    pub(super) fn write(&self, pack: &mut Pack) {
        pack.set_bool("use_udp_acceleration", true)
            .set_int("udp_acceleration_version", self.version)
            .set_int("udp_acceleration_max_version", self.max_version)
            .set_ip("udp_acceleration_client_ip", self.ip)
            .set_int("udp_acceleration_client_port", self.port.into())
            .set_data("udp_acceleration_client_key", &self.key)
            .set_data("udp_acceleration_client_key_v2", &self.key_v2)
            .set_bool("support_hmac_on_udp_acceleration", self.hmac)
            .set_bool("support_udp_accel_fast_disconnect_detect", self.fast_detect);
        if let Some(ours) = self.ours {
            pack.set_int(OURS, ours.code());
        }
    }

    /// An offer that lacks something is none: UDP is never needed. Version 1 clients send no second key.
    pub(super) fn read(pack: &Pack) -> Option<Self> {
        if !pack.bool("use_udp_acceleration") {
            return None;
        }
        let max_version = pack.int("udp_acceleration_max_version").unwrap_or(1);
        let key_v2 = pack.array("udp_acceleration_client_key_v2");
        Some(Self {
            version: pack.int("udp_acceleration_version").unwrap_or(1),
            max_version,
            ip: pack
                .ip("udp_acceleration_client_ip")
                .unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            port: u16::try_from(pack.int("udp_acceleration_client_port")?).ok()?,
            key: pack.array("udp_acceleration_client_key")?,
            key_v2: if max_version >= 2 {
                key_v2?
            } else {
                key_v2.unwrap_or([0; 128])
            },
            hmac: pack.bool("support_hmac_on_udp_acceleration"),
            fast_detect: pack.bool("support_udp_accel_fast_disconnect_detect"),
            ours: UdpUse::read(pack),
        })
    }
}

impl UdpGrant {
    pub(super) fn write(&self, pack: &mut Pack) {
        pack.set_bool("use_udp_acceleration", true)
            .set_int("udp_acceleration_version", self.version)
            .set_ip("udp_acceleration_server_ip", self.ip)
            .set_int("udp_acceleration_server_port", self.port.into())
            .set_data("udp_acceleration_server_key", &self.key)
            .set_data("udp_acceleration_server_key_v2", &self.key_v2)
            .set_int("udp_acceleration_server_cookie", self.server_cookie)
            .set_int("udp_acceleration_client_cookie", self.client_cookie)
            .set_bool("udp_acceleration_use_encryption", self.use_encryption)
            .set_bool("use_hmac_on_udp_acceleration", self.hmac)
            .set_bool("udp_accel_fast_disconnect_detect", self.fast_detect);
        if let Some(ours) = self.ours {
            pack.set_int(OURS, ours.code());
        }
    }

    /// A grant without a port or a cookie is ignored, as the stock client does.
    pub(super) fn read(pack: &Pack) -> Option<Self> {
        if !pack.bool("use_udp_acceleration") {
            return None;
        }
        let version = pack.int("udp_acceleration_version").unwrap_or(1);
        let key_v2 = pack.array("udp_acceleration_server_key_v2");
        let nonzero = |name: &str| pack.int(name).filter(|value| *value != 0);
        Some(Self {
            version,
            ip: pack
                .ip("udp_acceleration_server_ip")
                .unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            port: u16::try_from(nonzero("udp_acceleration_server_port")?).ok()?,
            key: pack.array("udp_acceleration_server_key")?,
            key_v2: if version >= 2 {
                key_v2?
            } else {
                key_v2.unwrap_or([0; 128])
            },
            server_cookie: nonzero("udp_acceleration_server_cookie")?,
            client_cookie: nonzero("udp_acceleration_client_cookie")?,
            use_encryption: pack.bool("udp_acceleration_use_encryption"),
            hmac: pack.bool("use_hmac_on_udp_acceleration"),
            fast_detect: pack.bool("udp_accel_fast_disconnect_detect"),
            ours: UdpUse::read(pack),
        })
    }
}

/// Without the keys.
impl fmt::Debug for UdpOffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UdpOffer")
            .field("max_version", &self.max_version)
            .field("ip", &self.ip)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

/// Without the keys and cookies.
impl fmt::Debug for UdpGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UdpGrant")
            .field("version", &self.version)
            .field("ip", &self.ip)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}
