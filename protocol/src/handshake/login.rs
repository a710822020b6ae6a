//! Login: who the client is, how it proves it, and what session it asks for (protocol §4.3).

use std::fmt;

use zeroize::Zeroizing;

use super::node::{ClientVersion, NodeInfo, OsInfo, required};
use super::udp::UdpOffer;
use crate::error::ErrorCode;
use crate::pack::Pack;

/// Our own field of login and welcome: the highest version of super-frames that a client knows, and the one that a
/// server grants (protocol §14.3).
pub(super) const SUPER_FRAMES: &str = "hubward_super_frames";
/// The version that [`crate::block`] speaks.
pub(super) const SUPER_FRAMES_VERSION: u32 = 1;

/// Longest hub name, user name, password and product name in bytes (protocol §4.3).
pub const TEXT_BYTES: usize = 255;

/// The `login` request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// Hub to enter.
    pub hub: String,
    /// User name, without domain; upper and lower case mean the same user.
    pub user: String,
    /// Proof of being that user.
    pub auth: Auth,
    /// The session asked for.
    pub options: SessionOptions,
    /// The client program.
    pub client: ClientVersion,
    /// A number some hubs ask for; 0 otherwise.
    pub client_id: u32,
    /// Fingerprint of the client's machine.
    pub unique_id: Option<[u8; 20]>,
    /// What the client tells about both ends; absent in minimal clients.
    pub node: Option<NodeInfo>,
    /// What the client tells about its operating system.
    pub os: Option<OsInfo>,
}

/// How a client proves who it is. The numbers are those of `authtype`.
#[derive(Clone, PartialEq, Eq)]
pub enum Auth {
    /// 0: no proof; the user must be an anonymous one.
    Anonymous,
    /// 1: `SHA0(hash ‖ random)`.
    Challenge([u8; 20]),
    /// 2: the password itself, inside TLS.
    Plain(Zeroizing<String>),
    /// 3: certificate (DER) and its signature over the challenge.
    Certificate {
        /// X.509 certificate, DER.
        cert: Vec<u8>,
        /// RSA PKCS#1 v1.5 signature with SHA-1 over the 20 bytes of `random`.
        signature: Vec<u8>,
    },
    /// 99: a cluster controller's ticket.
    Ticket([u8; 20]),
}

/// The kind of session a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionOptions {
    /// TCP connections wanted, 1 to 32.
    pub max_connection: u32,
    /// Data inside TLS. Off, it would be bare TCP; an absent field means off.
    pub use_encrypt: bool,
    /// Every block a zlib stream.
    pub use_compress: bool,
    /// TCP connections of one direction each.
    pub half_connection: bool,
    /// Bridge or router mode.
    pub bridge: bool,
    /// Monitoring mode.
    pub monitor: bool,
    /// A connection of its own for priority frames.
    pub qos: bool,
    /// What the client's other, UDP-borne transport could do; it matters to nobody over TCP.
    pub rudp: Option<RudpSupport>,
    /// UDP acceleration, if offered.
    pub udp: Option<UdpOffer>,
    /// Frames may travel unfinished (protocol §14.3); only our own clients offer it.
    pub super_frames: bool,
}

/// One full-duplex connection, encrypted.
impl Default for SessionOptions {
    fn default() -> Self {
        Self {
            max_connection: 1,
            use_encrypt: true,
            use_compress: false,
            half_connection: false,
            bridge: false,
            monitor: false,
            qos: false,
            rudp: None,
            udp: None,
            super_frames: false,
        }
    }
}

/// Capabilities of R-UDP, which this crate does not speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RudpSupport {
    /// Bulk transfer.
    pub bulk: bool,
    /// Authenticated bulk transfer.
    pub hmac_on_bulk: bool,
    /// Recovery.
    pub recovery: bool,
    /// Highest version of bulk transfer.
    pub bulk_max_version: u32,
}

impl Login {
    /// The message as elements.
    #[must_use]
    pub fn to_pack(&self) -> Pack {
        let mut pack = Pack::new();
        pack.set_str("method", "login")
            .set_str("hubname", &self.hub)
            .set_str("username", &self.user);
        self.auth.write(&mut pack);
        self.client.write(&mut pack);
        // The same three facts under the names that other versions read.
        pack.set_str("hello", &self.client.product)
            .set_int("version", self.client.version)
            .set_int("build", self.client.build)
            .set_int("protocol", 0)
            .set_int("client_id", self.client_id);
        self.options.write(&mut pack);
        if let Some(id) = &self.unique_id {
            pack.set_data("unique_id", id);
        }
        if let Some(node) = &self.node {
            node.write(&mut pack);
        }
        if let Some(os) = &self.os {
            os.write(&mut pack);
        }
        pack
    }

    /// Reads the message.
    ///
    /// # Errors
    /// [`ErrorCode::Protocol`] when a field is missing or wrong, [`ErrorCode::AuthTypeNotSupported`] for types that
    /// are unknown or must not come from the network.
    pub fn from_pack(pack: &Pack) -> Result<Self, ErrorCode> {
        Ok(Self {
            hub: text(pack, "hubname")?,
            user: text(pack, "username")?,
            auth: Auth::read(pack)?,
            options: SessionOptions::read(pack),
            client: ClientVersion::read(pack),
            client_id: pack.int_or_0("client_id"),
            unique_id: pack.array("unique_id"),
            node: NodeInfo::read(pack),
            os: OsInfo::read(pack),
        })
    }
}

/// A required text of at most [`TEXT_BYTES`].
pub(super) fn text(pack: &Pack, name: &str) -> Result<String, ErrorCode> {
    required(
        pack.str(name)
            .filter(|text| text.len() <= TEXT_BYTES)
            .map(str::to_owned),
    )
}

impl Auth {
    fn write(&self, pack: &mut Pack) {
        match self {
            Self::Anonymous => pack.set_int("authtype", 0),
            Self::Challenge(proof) => pack.set_int("authtype", 1).set_data("secure_password", proof),
            Self::Plain(password) => pack.set_int("authtype", 2).set_str("plain_password", password),
            Self::Certificate { cert, signature } => pack
                .set_int("authtype", 3)
                .set_data("cert", cert)
                .set_data("sign", signature),
            Self::Ticket(ticket) => pack.set_int("authtype", 99).set_data("ticket", ticket),
        };
    }

    /// 96 to 98 stand for "already authenticated inside the server": from the network they would be a way in, so they
    /// are as unknown as any other number (protocol §4.3). An absent type reads as 0, anonymous.
    fn read(pack: &Pack) -> Result<Self, ErrorCode> {
        match pack.int_or_0("authtype") {
            0 => Ok(Self::Anonymous),
            1 => required(pack.array("secure_password")).map(Self::Challenge),
            2 => text(pack, "plain_password").map(|password| Self::Plain(Zeroizing::new(password))),
            3 => Ok(Self::Certificate {
                cert: required(pack.data("cert").filter(|cert| !cert.is_empty()))?.to_vec(),
                signature: required(pack.data("sign"))?.to_vec(),
            }),
            99 => required(pack.array("ticket")).map(Self::Ticket),
            _ => Err(ErrorCode::AuthTypeNotSupported),
        }
    }

    /// What it is called in logs.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::Challenge(_) => "standard password",
            Self::Plain(_) => "plain password",
            Self::Certificate { .. } => "certificate",
            Self::Ticket(_) => "cluster ticket",
        }
    }
}

/// The kind of proof only.
impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl SessionOptions {
    fn write(&self, pack: &mut Pack) {
        pack.set_int("max_connection", self.max_connection)
            .set_bool("use_encrypt", self.use_encrypt)
            .set_bool("use_compress", self.use_compress)
            .set_bool("half_connection", self.half_connection)
            .set_bool("require_bridge_routing_mode", self.bridge)
            .set_bool("require_monitor_mode", self.monitor)
            .set_bool("qos", self.qos);
        if let Some(rudp) = &self.rudp {
            pack.set_bool("support_bulk_on_rudp", rudp.bulk)
                .set_bool("support_hmac_on_bulk_of_rudp", rudp.hmac_on_bulk)
                .set_bool("support_udp_recovery", rudp.recovery)
                .set_int("rudp_bulk_max_version", rudp.bulk_max_version);
        }
        if let Some(udp) = &self.udp {
            udp.write(pack);
        }
        if self.super_frames {
            pack.set_int(SUPER_FRAMES, SUPER_FRAMES_VERSION);
        }
    }

    fn read(pack: &Pack) -> Self {
        Self {
            max_connection: pack.int_or_0("max_connection").clamp(1, 32),
            use_encrypt: pack.bool("use_encrypt"),
            use_compress: pack.bool("use_compress"),
            half_connection: pack.bool("half_connection"),
            bridge: pack.bool("require_bridge_routing_mode"),
            monitor: pack.bool("require_monitor_mode"),
            qos: pack.bool("qos"),
            rudp: pack.contains("rudp_bulk_max_version").then(|| RudpSupport {
                bulk: pack.bool("support_bulk_on_rudp"),
                hmac_on_bulk: pack.bool("support_hmac_on_bulk_of_rudp"),
                recovery: pack.bool("support_udp_recovery"),
                bulk_max_version: pack.int_or_0("rudp_bulk_max_version"),
            }),
            udp: UdpOffer::read(pack),
            // Who offers a later version knows ours, too.
            super_frames: pack.int_or_0(SUPER_FRAMES) >= SUPER_FRAMES_VERSION,
        }
    }
}
