//! The server's answers to a login: welcome, redirect to a cluster member, and the answer to a further connection
//! (protocol §5.1, §5.4, §5.5).

use std::fmt;
use std::net::IpAddr;

use super::login::{SUPER_FRAMES, SUPER_FRAMES_VERSION};
use super::udp::UdpGrant;
use crate::error::ErrorCode;
use crate::pack::Pack;
use crate::policy::Policy;
use crate::tunnel::Direction;

/// Success of a login: the session and its parameters, which the client obeys whatever it asked for.
#[derive(Clone, PartialEq, Eq)]
pub struct Welcome {
    /// Name of the session.
    pub session_name: String,
    /// Name of this TCP connection.
    pub connection_name: String,
    /// Secret handle with which further connections join the session.
    pub session_key: [u8; 20],
    /// A shorter handle that no connection over TCP uses.
    pub session_key_32: u32,
    /// TCP connections granted, 1 to 32.
    pub max_connection: u32,
    /// Data inside TLS; off means bare TCP from here on (protocol §7.6).
    pub use_encrypt: bool,
    /// Every block a zlib stream.
    pub use_compress: bool,
    /// TCP connections of one direction each.
    pub half_connection: bool,
    /// A connection of its own for priority frames.
    pub qos: bool,
    /// Silence after which a connection or session is over, in milliseconds.
    pub timeout_ms: u32,
    /// VLAN of the session's frames on the hub, 0 for none.
    pub vlan_id: u32,
    /// Effective policy of the session.
    pub policy: Policy,
    /// Text for the user, may be empty.
    pub message: String,
    /// Asks the client not to offer updates.
    pub no_update_notice: bool,
    /// UDP acceleration, if granted.
    pub udp: Option<UdpGrant>,
    /// Frames may travel unfinished (protocol §14.3); granted only to who offered it.
    pub super_frames: bool,
}

/// The shortest and longest silence a session may allow (protocol §5.1). A stock client divides by half of it.
pub const TIMEOUT_MS: std::ops::RangeInclusive<u32> = 5_000..=60_000;

impl Welcome {
    /// The message as elements.
    #[must_use]
    pub fn to_pack(&self) -> Pack {
        let mut pack = Pack::new();
        pack.set_str("session_name", &self.session_name)
            .set_str("connection_name", &self.connection_name)
            .set_data("session_key", &self.session_key)
            .set_int("session_key_32", self.session_key_32)
            .set_int("max_connection", self.max_connection)
            .set_bool("use_encrypt", self.use_encrypt)
            .set_bool("use_compress", self.use_compress)
            .set_bool("half_connection", self.half_connection)
            .set_bool("qos", self.qos)
            .set_int("timeout", self.timeout_ms)
            .set_int("vlan_id", self.vlan_id)
            .set_bool("is_azure_session", false)
            .set_bool("enable_udp_recovery", false)
            .set_bool("suppress_client_update_notification", self.no_update_notice)
            .set_data("Msg", self.message.as_bytes());
        self.policy.write(&mut pack);
        if let Some(udp) = &self.udp {
            udp.write(&mut pack);
        }
        if self.super_frames {
            pack.set_int(SUPER_FRAMES, SUPER_FRAMES_VERSION);
        }
        pack
    }

    /// Reads the message. Numbers are brought into their range, as the stock client does.
    ///
    /// # Errors
    /// The server's refusal, or [`ErrorCode::Protocol`] without names or session key.
    pub fn from_pack(pack: &Pack) -> Result<Self, ErrorCode> {
        if let Some(code) = pack.error() {
            return Err(code);
        }
        let text = |name: &str| pack.str(name).map(str::to_owned).ok_or(ErrorCode::Protocol);
        Ok(Self {
            session_name: text("session_name")?,
            connection_name: text("connection_name")?,
            session_key: pack.array("session_key").ok_or(ErrorCode::Protocol)?,
            session_key_32: pack.int_or_0("session_key_32"),
            max_connection: pack.int_or_0("max_connection").clamp(1, 32),
            use_encrypt: pack.bool("use_encrypt"),
            use_compress: pack.bool("use_compress"),
            half_connection: pack.bool("half_connection"),
            qos: pack.bool("qos"),
            timeout_ms: pack
                .int_or_0("timeout")
                .clamp(*TIMEOUT_MS.start(), *TIMEOUT_MS.end()),
            vlan_id: pack.int_or_0("vlan_id"),
            policy: Policy::read(pack),
            message: String::from_utf8_lossy(pack.data("Msg").unwrap_or_default()).into_owned(),
            no_update_notice: pack.bool("suppress_client_update_notification"),
            udp: UdpGrant::read(pack),
            super_frames: pack.int_or_0(SUPER_FRAMES) == SUPER_FRAMES_VERSION,
        })
    }
}

/// Without the session's keys.
impl fmt::Debug for Welcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Welcome")
            .field("session_name", &self.session_name)
            .field("connection_name", &self.connection_name)
            .field("max_connection", &self.max_connection)
            .field("use_encrypt", &self.use_encrypt)
            .field("use_compress", &self.use_compress)
            .field("half_connection", &self.half_connection)
            .field("qos", &self.qos)
            .field("timeout_ms", &self.timeout_ms)
            .field("udp", &self.udp)
            .field("super_frames", &self.super_frames)
            .finish_non_exhaustive()
    }
}

/// A cluster controller's answer: log in again at a member, with this ticket.
#[derive(Clone, PartialEq, Eq)]
pub struct Redirect {
    /// Address of the member.
    pub ip: IpAddr,
    /// Its ports; a client keeps its present port if it is among them, else takes the first.
    pub ports: Vec<u16>,
    /// Proof of having been let in by the controller.
    pub ticket: [u8; 20],
    /// The certificate that the member must show, DER.
    pub cert: Vec<u8>,
    /// Text for the user, may be empty.
    pub message: String,
}

impl Redirect {
    /// Whether an answer to a login is a redirect.
    #[must_use]
    pub fn is(pack: &Pack) -> bool {
        pack.error().is_none() && pack.bool("Redirect")
    }

    /// The message as elements.
    #[must_use]
    pub fn to_pack(&self) -> Pack {
        let ports = self.ports.iter().map(|port| u32::from(*port)).collect::<Vec<_>>();
        let mut pack = Pack::new();
        pack.set_bool("Redirect", true)
            .set_ip("Ip", self.ip)
            .set_ints("Port", &ports)
            .set_data("Ticket", &self.ticket)
            .set_data("Cert", &self.cert)
            .set_data("Msg", self.message.as_bytes());
        pack
    }

    /// Reads the message.
    ///
    /// # Errors
    /// The server's refusal, or [`ErrorCode::Protocol`] without address, port or ticket.
    pub fn from_pack(pack: &Pack) -> Result<Self, ErrorCode> {
        if let Some(code) = pack.error() {
            return Err(code);
        }
        let ports = (0..pack.count("Port"))
            .filter_map(|i| {
                u16::try_from(pack.int_at("Port", i)?)
                    .ok()
                    .filter(|port| *port != 0)
            })
            .collect::<Vec<_>>();
        if ports.is_empty() {
            return Err(ErrorCode::Protocol);
        }
        Ok(Self {
            ip: pack.ip("Ip").ok_or(ErrorCode::Protocol)?,
            ports,
            ticket: pack.array("Ticket").ok_or(ErrorCode::Protocol)?,
            cert: pack.data("Cert").unwrap_or_default().to_vec(),
            message: String::from_utf8_lossy(pack.data("Msg").unwrap_or_default()).into_owned(),
        })
    }

    /// The port to use when the present connection goes to `current`.
    #[must_use]
    pub fn port(&self, current: u16) -> u16 {
        if self.ports.contains(&current) {
            current
        } else {
            self.ports.first().copied().unwrap_or(current)
        }
    }
}

/// Without the ticket.
impl fmt::Debug for Redirect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redirect")
            .field("ip", &self.ip)
            .field("ports", &self.ports)
            .finish_non_exhaustive()
    }
}

/// Success of `additional_connect`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attached {
    /// The way frames may go on this connection.
    pub direction: Direction,
}

impl Attached {
    /// The message as elements.
    #[must_use]
    pub fn to_pack(self) -> Pack {
        let mut pack = Pack::new();
        pack.set_int("error", 0)
            .set_int("direction", self.direction.code());
        pack
    }

    /// Reads the message.
    ///
    /// # Errors
    /// The server's refusal, or [`ErrorCode::Protocol`] for an unknown direction.
    pub fn from_pack(pack: &Pack) -> Result<Self, ErrorCode> {
        if let Some(code) = pack.error() {
            return Err(code);
        }
        let direction = Direction::from_code(pack.int_or_0("direction")).ok_or(ErrorCode::Protocol)?;
        Ok(Self { direction })
    }
}

/// The hubs a server shows to strangers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HubList {
    /// Their names.
    pub names: Vec<String>,
}

impl HubList {
    /// The message as elements.
    #[must_use]
    pub fn to_pack(&self) -> Pack {
        let mut pack = Pack::new();
        pack.set_int("NumHub", u32::try_from(self.names.len()).unwrap_or(u32::MAX))
            .set_strs("HubName", &self.names);
        pack
    }

    /// Reads the message.
    ///
    /// # Errors
    /// The server's refusal.
    pub fn from_pack(pack: &Pack) -> Result<Self, ErrorCode> {
        match pack.error() {
            Some(code) => Err(code),
            None => Ok(Self {
                names: (0..pack.count("HubName"))
                    .filter_map(|i| pack.str_at("HubName", i).map(str::to_owned))
                    .collect(),
            }),
        }
    }
}

/// A refusal (protocol §5.3).
#[must_use]
pub fn refusal(code: ErrorCode) -> Pack {
    let mut pack = Pack::new();
    pack.set_int("error", code.code())
        .set_bool("no_save_password", false);
    pack
}
