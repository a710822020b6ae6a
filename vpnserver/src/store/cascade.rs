//! Cascade connections: what a hub would be on another server.

use protocol::policy::Policy;

use super::Id;
use crate::secret::Sealed;

/// How a cascade proves who it is. What is secret is sealed for the cascade's [`crate::secret::Identity`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CascadeProof {
    /// Not at all.
    Anonymous,
    /// With the hash of a password and the user's name, 20 bytes.
    Password(Sealed),
    /// With the password itself.
    PlainPassword(Sealed),
    /// With a certificate (X.509, DER) and its key (DER).
    Certificate {
        /// The certificate.
        der: Vec<u8>,
        /// The key.
        key: Sealed,
    },
}

impl CascadeProof {
    /// Its number on the wire (admin RPC §4).
    #[must_use]
    pub fn code(&self) -> u32 {
        match self {
            Self::Anonymous => 0,
            Self::Password(_) => 1,
            Self::PlainPassword(_) => 2,
            Self::Certificate { .. } => 3,
        }
    }
}

/// What a cascade's connection goes through on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProxyKind {
    /// Nothing.
    #[default]
    Direct,
    /// An HTTP proxy.
    Http,
    /// SOCKS, version 4.
    Socks4,
    /// SOCKS, version 5.
    Socks5,
}

impl ProxyKind {
    /// Its number on the wire and in the store.
    #[must_use]
    pub fn code(self) -> u32 {
        match self {
            Self::Direct => 0,
            Self::Http => 1,
            Self::Socks4 => 2,
            Self::Socks5 => 3,
        }
    }

    /// The kind of a number.
    #[must_use]
    pub fn from_code(code: u32) -> Option<Self> {
        [Self::Direct, Self::Http, Self::Socks4, Self::Socks5]
            .into_iter()
            .find(|kind| kind.code() == code)
    }
}

/// The proxy of a cascade.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CascadeProxy {
    /// Which, if any.
    pub kind: ProxyKind,
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The name to give there.
    pub username: String,
    /// The password to give there.
    pub password: Option<Sealed>,
    /// Lines to add to the request to an HTTP proxy.
    pub http_headers: String,
}

/// A cascade connection of a hub.
#[derive(Clone, Debug)]
pub struct Cascade {
    /// Its identity; what is sealed for it is bound to this.
    pub id: Id,
    /// Its name, in any language; two of one hub differ not only in case.
    pub name: String,
    /// Whether it is wanted.
    pub online: bool,
    /// The server.
    pub host: String,
    /// The TCP port there.
    pub port: u16,
    /// The UDP port there, where only UDP gets through; 0 for none.
    pub udp_port: u16,
    /// The hub there.
    pub hub: String,
    /// The user there.
    pub username: String,
    /// How it proves to be that user.
    pub proof: CascadeProof,
    /// What it goes through.
    pub proxy: CascadeProxy,
    /// TCP connections to ask for.
    pub max_connections: u32,
    /// Seconds between two of them.
    pub additional_interval: u32,
    /// Seconds that one of them lives; 0 for ever.
    pub connection_life: u32,
    /// Encrypted beyond the login.
    pub encrypt: bool,
    /// Compressed.
    pub compress: bool,
    /// One direction per TCP connection.
    pub half_duplex: bool,
    /// No connection of its own for priority frames.
    pub no_qos: bool,
    /// No UDP beside TCP.
    pub no_udp_acceleration: bool,
    /// Whether the server must show `server_certificate`, or one that the hub trusts.
    pub check_certificate: bool,
    /// The one certificate to accept, X.509 in DER.
    pub server_certificate: Option<Vec<u8>>,
    /// What the other side may do here.
    pub policy: Policy,
}
