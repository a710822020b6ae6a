//! The records of the store. What the wire or a person may send is checked before it becomes one of these.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use nat::{Ipv6Config, Ipv6Net, SecureNatConfig};
use protocol::policy::Policy;

use super::admin_option::AdminOptions;
use super::host_address::HostAddress;
use super::name::{HubName, UserName};
use super::option::HubOptions;
use super::server_settings::{KeepAlive, ServerCertificate, Syslog};
use super::trust::Radius;
use crate::secret::{PasswordRecord, Sealed};

/// The lasting identity of a hub, a user or a group: 16 random bytes, so that two nodes never choose the same.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id([u8; 16]);

impl Id {
    /// A new identity.
    #[must_use]
    pub fn random() -> Self {
        Self(rand::random())
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// IPv6 of the hub with this identity before somebody sets it: its unique local network is made of the identity, so
    /// that it is always the same one and nobody else's.
    #[must_use]
    pub fn default_ipv6(&self) -> Ipv6Config {
        Ipv6Config::new(Ipv6Net::unique_local(&self.0))
    }

    pub(super) fn from_stored(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Milliseconds since 1970-01-01 UTC; never 0, which the wire uses for "none".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The time of the system's clock.
    #[must_use]
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_millis()).unwrap_or(u64::MAX).max(1))
    }

    /// From milliseconds, where 0 is "none".
    #[must_use]
    pub fn from_millis(millis: u64) -> Option<Self> {
        // The store keeps signed numbers; later than that is not a date anyone means.
        (millis != 0).then_some(Self(millis.min(i64::MAX as u64)))
    }

    /// As milliseconds.
    #[must_use]
    pub fn as_millis(self) -> u64 {
        self.0
    }
}

/// Settings of the whole server.
#[derive(Clone, Debug)]
pub struct Server {
    /// Identity of this installation.
    pub id: Id,
    /// A random name, such as for the self-signed certificate.
    pub name: String,
    /// The administrator's password hash; without one nobody administers over the network.
    pub admin_password: Option<Sealed>,
    /// The certificate that it shows; none until the first start has made one.
    pub certificate: Option<ServerCertificate>,
    /// The TLS cipher that an administrator prefers, by its OpenSSL name; none for the built-in order.
    pub cipher: Option<String>,
    /// What keeps its Internet line alive.
    pub keep_alive: KeepAlive,
    /// Where logs are sent.
    pub syslog: Syslog,
}

/// A TCP port the server listens on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The port.
    pub port: u16,
    /// Whether it is open.
    pub enabled: bool,
}

/// What kind of hub; anything but stand-alone belongs to a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HubKind {
    /// One server's own hub.
    Standalone,
    /// The same on every member of a cluster.
    Static,
    /// On one member of a cluster at a time.
    Dynamic,
}

impl HubKind {
    /// Its number on the wire and in the store.
    #[must_use]
    pub fn code(self) -> u32 {
        match self {
            Self::Standalone => 0,
            Self::Static => 1,
            Self::Dynamic => 2,
        }
    }

    /// The kind of a number.
    #[must_use]
    pub fn from_code(code: u32) -> Option<Self> {
        [Self::Standalone, Self::Static, Self::Dynamic]
            .into_iter()
            .find(|kind| kind.code() == code)
    }
}

/// SecureNAT of a hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecureNat {
    /// Whether it runs while the hub is online.
    pub enabled: bool,
    /// How.
    pub config: SecureNatConfig,
}

/// When a log file is closed and the next begun (policies §6), by the numbers of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// Write the security log.
    pub security: bool,
    /// 0 never, 1 every second, 2 minute, 3 hour, 4 day, 5 month.
    pub security_switch: u32,
    /// Write the packet log.
    pub packet: bool,
    /// As `security_switch`.
    pub packet_switch: u32,
    /// Per class (TCP connections, TCP, DHCP, UDP, ICMP, IP, ARP, Ethernet): 0 nothing, 1 header, 2 all.
    pub classes: [u32; 8],
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            security: true,
            security_switch: 4,
            packet: true,
            packet_switch: 4,
            classes: [1, 0, 1, 0, 0, 0, 0, 0],
        }
    }
}

/// A virtual hub.
#[derive(Clone, Debug)]
pub struct Hub {
    /// Its identity; what is sealed for it is bound to this.
    pub id: Id,
    /// Its name.
    pub name: HubName,
    /// Its kind.
    pub kind: HubKind,
    /// Whether it takes sessions.
    pub online: bool,
    /// The two hashes of its administrator's password, 40 bytes; without one nobody administers it alone.
    pub password: Option<Sealed>,
    /// How many sessions it takes; 0 is no limit.
    pub max_sessions: u32,
    /// Whether it is hidden from anonymous enumeration.
    pub no_enum: bool,
    /// Shown to users when they connect.
    pub message: String,
    /// SecureNAT.
    pub secure_nat: SecureNat,
    /// Logging.
    pub logs: LogSettings,
    /// Extended options.
    pub options: HubOptions,
    /// What its administrator may not do, and how much it may hold.
    pub admin_options: AdminOptions,
    /// The RADIUS servers it asks, if any.
    pub radius: Option<Radius>,
    /// When it was made.
    pub created: Timestamp,
}

impl Hub {
    /// A new hub with the defaults: online, no password, SecureNAT configured but off.
    #[must_use]
    pub fn new(name: HubName) -> Self {
        let id = Id::random();
        let mut config = SecureNatConfig::with_random_mac(rand::random());
        config.ipv6 = id.default_ipv6();
        Self {
            id,
            name,
            kind: HubKind::Standalone,
            online: true,
            password: None,
            max_sessions: 0,
            no_enum: false,
            message: String::new(),
            secure_nat: SecureNat {
                enabled: false,
                config,
            },
            logs: LogSettings::default(),
            options: HubOptions::default(),
            admin_options: AdminOptions::default(),
            radius: None,
            created: Timestamp::now(),
        }
    }
}

/// How a user proves who they are.
#[derive(Clone, Debug)]
pub enum UserAuth {
    /// Not at all: whoever gives the name is in.
    Anonymous,
    /// With a password of this server.
    Password {
        /// Its record; `None` until one is set, and nobody logs in till then.
        record: Option<PasswordRecord>,
        /// The protocol hash itself, only while the hub's `AllowStandardPassword` is on (the store sees to that).
        standard: Option<Sealed>,
    },
    /// With the private key of exactly this certificate.
    Certificate {
        /// X.509, DER.
        der: Vec<u8>,
    },
    /// With a certificate signed by one the hub trusts.
    Signed {
        /// Its common name must be this.
        common_name: Option<String>,
        /// Its serial number must be this.
        serial: Option<Vec<u8>>,
    },
    /// By asking a RADIUS server.
    Radius {
        /// The name to ask for, when it is another.
        name: Option<String>,
    },
    /// By asking a Windows domain.
    Nt {
        /// The name to ask for, when it is another.
        name: Option<String>,
    },
}

impl UserAuth {
    /// Its number on the wire (admin RPC §4).
    #[must_use]
    pub fn code(&self) -> u32 {
        match self {
            Self::Anonymous => 0,
            Self::Password { .. } => 1,
            Self::Certificate { .. } => 2,
            Self::Signed { .. } => 3,
            Self::Radius { .. } => 4,
            Self::Nt { .. } => 5,
        }
    }
}

/// Frames and bytes of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Unicast frames.
    pub unicast_packets: u64,
    /// Unicast bytes.
    pub unicast_bytes: u64,
    /// Broadcast and multicast frames.
    pub broadcast_packets: u64,
    /// Broadcast and multicast bytes.
    pub broadcast_bytes: u64,
}

/// Traffic as the hub sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// From sessions.
    pub received: Counters,
    /// To sessions.
    pub sent: Counters,
}

/// What a user has used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Logins.
    pub logins: u32,
    /// The last of them.
    pub last_login: Option<Timestamp>,
    /// Traffic of all sessions.
    pub traffic: Traffic,
}

/// A user of a hub.
#[derive(Clone, Debug)]
pub struct User {
    /// Its identity; what is sealed for it is bound to this.
    pub id: Id,
    /// Its name.
    pub name: UserName,
    /// The person's name.
    pub real_name: String,
    /// A remark.
    pub note: String,
    /// The group it belongs to.
    pub group: Option<UserName>,
    /// How it logs in.
    pub auth: UserAuth,
    /// Its own policy, which then replaces its group's.
    pub policy: Option<Policy>,
    /// After this nobody logs in as this user.
    pub expires: Option<Timestamp>,
    /// When it was made.
    pub created: Timestamp,
    /// When its settings changed last.
    pub updated: Timestamp,
    /// Counters; changed by [`super::Store::add_usage`] alone.
    pub usage: Usage,
}

impl User {
    /// A new user of a hub.
    #[must_use]
    pub fn new(name: UserName, auth: UserAuth) -> Self {
        let now = Timestamp::now();
        Self {
            id: Id::random(),
            name,
            real_name: String::new(),
            note: String::new(),
            group: None,
            auth,
            policy: None,
            expires: None,
            created: now,
            updated: now,
            usage: Usage::default(),
        }
    }
}

/// What a hub's users come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HubSummary {
    /// Users.
    pub users: u32,
    /// Groups.
    pub groups: u32,
    /// Logins of all users.
    pub logins: u32,
    /// The last of them.
    pub last_login: Option<Timestamp>,
}

/// A password that came as the protocol's hash in an imported file, and waits for its Argon2 record.
#[derive(Clone, Debug)]
pub struct ImportedPassword {
    /// The user.
    pub user: Id,
    /// What stands in the record's place.
    pub record: PasswordRecord,
}

/// A group of users.
#[derive(Clone, Debug)]
pub struct Group {
    /// Its identity.
    pub id: Id,
    /// Its name.
    pub name: UserName,
    /// A longer name.
    pub real_name: String,
    /// A remark.
    pub note: String,
    /// The policy of members without one of their own.
    pub policy: Option<Policy>,
}

/// Counters to add to a user: what one session did since the last report.
#[derive(Clone, Debug)]
pub struct UsageReport {
    /// The user.
    pub user: Id,
    /// Set when the session began since the last report.
    pub login: Option<Timestamp>,
    /// Traffic since the last report.
    pub traffic: Traffic,
}

/// A former state of the store that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backup {
    /// What names it: the number of the last change in it.
    pub number: u64,
    /// When it was kept.
    pub at: Timestamp,
    /// Its size.
    pub bytes: u64,
    /// Hubs in it.
    pub hubs: u32,
    /// Users in it.
    pub users: u32,
}

/// A hub joined to a network device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalBridge {
    /// The hub; it need not exist yet.
    pub hub: HubName,
    /// The interface, or for a TAP the name without `tap_`.
    pub device: String,
    /// The hardware address of a TAP that the server makes; `None` joins an existing interface.
    pub tap: Option<[u8; 6]>,
    /// This machine's address on the TAP.
    pub address: Option<HostAddress>,
}
