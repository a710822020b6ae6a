//! Settings of the whole server, beside its name and its administrator's password.

use protocol::error::ErrorCode;

use super::{Result, StoreError};
use crate::secret::Sealed;

/// The longest name of a host (RFC 1035).
const MAX_HOST: usize = 253;
/// The longest certificate and the longest chain that are kept.
const MAX_CERTIFICATE: usize = 64 << 10;
const MAX_CHAIN: usize = 16;

/// The certificate that the server shows and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerCertificate {
    /// X.509 in DER: the server's own, then those that lead from it to a root.
    pub chain: Vec<Vec<u8>>,
    /// Its private key in DER (PKCS #1, PKCS #8 or SEC 1), sealed for [`crate::secret::Identity::ServerKey`].
    pub key: Sealed,
}

/// How keep-alive packets travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeepProtocol {
    /// A TCP connection that is opened and kept.
    Tcp,
    /// UDP datagrams.
    #[default]
    Udp,
}

impl KeepProtocol {
    /// Its number on the wire and in the store.
    #[must_use]
    pub fn code(self) -> u32 {
        match self {
            Self::Tcp => 0,
            Self::Udp => 1,
        }
    }

    /// The protocol of a number.
    #[must_use]
    pub fn from_code(code: u32) -> Option<Self> {
        [Self::Tcp, Self::Udp]
            .into_iter()
            .find(|protocol| protocol.code() == code)
    }
}

/// Traffic that keeps the server's own line to the Internet alive. Off unless somebody asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeepAlive {
    /// Whether anything is sent.
    pub enabled: bool,
    /// Where to: a name or an address.
    pub host: String,
    /// The port there; 0 where none was ever set.
    pub port: u16,
    /// How.
    pub protocol: KeepProtocol,
    /// How often, in seconds.
    pub interval: u32,
}

impl KeepAlive {
    /// The shortest and the longest interval in seconds; what is outside is moved to the nearer one, as the stock server
    /// does.
    pub const INTERVAL: std::ops::RangeInclusive<u32> = 5..=600;
}

impl Default for KeepAlive {
    fn default() -> Self {
        Self {
            enabled: false,
            host: String::new(),
            port: 0,
            protocol: KeepProtocol::default(),
            interval: 50,
        }
    }
}

/// Where the logs are sent as they are written (policies §6).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Syslog {
    /// 0 nothing, 1 the server's log, 2 security logs too, 3 packet logs too.
    pub level: u32,
    /// A name or an address.
    pub host: String,
    /// The UDP port there.
    pub port: u16,
}

impl Syslog {
    /// The highest level.
    pub const MAX_LEVEL: u32 = 3;
}

/// Refuses what may not be kept.
pub(super) fn check(server: &super::Server) -> Result<()> {
    let invalid = |text: &str| Err(StoreError::Invalid(text.to_owned()));
    let keep = &server.keep_alive;
    if keep.host.len() > MAX_HOST || server.syslog.host.len() > MAX_HOST {
        return invalid("the name of a host is too long");
    }
    if keep.enabled && (keep.host.is_empty() || keep.port == 0) {
        return invalid("keep-alive needs a host and a port");
    }
    if !KeepAlive::INTERVAL.contains(&keep.interval) {
        return invalid("the interval of keep-alive is 5 to 600 seconds");
    }
    if server.syslog.level > Syslog::MAX_LEVEL {
        return invalid("the level of syslog is a number from 0 to 3");
    }
    if server.syslog.level > 0 && (server.syslog.host.is_empty() || server.syslog.port == 0) {
        return invalid("syslog needs a host and a port");
    }
    match &server.certificate {
        Some(shown)
            if shown.chain.is_empty()
                || shown.chain.len() > MAX_CHAIN
                || shown.chain.iter().any(|der| der.len() > MAX_CERTIFICATE) =>
        {
            Err(StoreError::Refused(ErrorCode::Protocol))
        }
        _ => Ok(()),
    }
}
