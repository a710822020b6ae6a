//! What a client may ask after the hello (protocol §4.3, §5.5 to §5.8).

use std::fmt;

use super::login::{Login, text};
use super::node::{ClientVersion, OsInfo, required};
use crate::error::ErrorCode;
use crate::pack::Pack;
use crate::password::PasswordHash;

/// The name of a field of ours.
const ALONE: &str = "hubward_alone";

/// A client's request.
#[derive(Clone, PartialEq, Eq)]
pub enum Request {
    /// Start a session.
    Login(Box<Login>),
    /// Join this connection to a session.
    AdditionalConnect {
        /// The session's secret handle, from the welcome.
        session_key: [u8; 20],
        /// The client program.
        client: ClientVersion,
        /// Whether it is the session's only one: others that the server knows of are dead (protocol §14).
        alone: bool,
    },
    /// List the hubs that are not hidden.
    EnumHub,
    /// Change a user's password.
    ChangePassword(ChangePassword),
    /// Administer the server or a hub over this connection.
    Admin(AdminLogin),
}

/// The `password` request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangePassword {
    /// Hub of the user.
    pub hub: String,
    /// User name.
    pub user: String,
    /// `SHA0(old hash ‖ random)`.
    pub old_proof: Proof,
    /// Hash of the new password and the user name.
    pub new_password: PasswordHash,
    /// MD4 of the new password in UTF-16LE, for PPP; zeros when unknown.
    pub new_password_nt: Proof<16>,
    /// The client program.
    pub client: ClientVersion,
}

/// The `admin` request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminLogin {
    /// Hub to administer; `None` for the whole server.
    pub hub: Option<String>,
    /// `SHA0(SHA0(password) ‖ random)`.
    pub proof: Proof,
    /// Whether the tool copes with an empty password instead of asking for a new one first.
    pub accept_empty_password: bool,
    /// The administration tool.
    pub client: ClientVersion,
    /// Its operating system.
    pub os: Option<OsInfo>,
}

/// Bytes that prove knowledge of a secret; not shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Proof<const N: usize = 20>(pub [u8; N]);

impl<const N: usize> fmt::Debug for Proof<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proof(..)")
    }
}

impl Request {
    /// The message as elements.
    #[must_use]
    pub fn to_pack(&self) -> Pack {
        let mut pack = Pack::new();
        match self {
            Self::Login(login) => return login.to_pack(),
            Self::AdditionalConnect {
                session_key,
                client,
                alone,
            } => {
                pack.set_str("method", "additional_connect")
                    .set_data("session_key", session_key);
                client.write(&mut pack);
                if *alone {
                    pack.set_int(ALONE, 1);
                }
            }
            Self::EnumHub => {
                pack.set_str("method", "enum_hub");
            }
            Self::ChangePassword(change) => change.write(&mut pack),
            Self::Admin(admin) => admin.write(&mut pack),
        }
        pack
    }

    /// Reads a request.
    ///
    /// # Errors
    /// What to refuse it with: an `error` of the client's own is echoed, an unknown method or a missing field is
    /// [`ErrorCode::Protocol`], a cluster member's is [`ErrorCode::NotFarmController`].
    pub fn from_pack(pack: &Pack) -> Result<Self, ErrorCode> {
        if let Some(code) = pack.error() {
            return Err(code);
        }
        let method = pack.str("method").unwrap_or_default().to_ascii_lowercase();
        match method.as_str() {
            "login" => Login::from_pack(pack).map(Box::new).map(Self::Login),
            "additional_connect" => Ok(Self::AdditionalConnect {
                session_key: required(pack.array("session_key"))?,
                client: ClientVersion::read(pack),
                alone: pack.int(ALONE) == Some(1),
            }),
            "enum_hub" => Ok(Self::EnumHub),
            "password" => ChangePassword::read(pack).map(Self::ChangePassword),
            "admin" => AdminLogin::read(pack).map(Self::Admin),
            "farm_connect" => Err(ErrorCode::NotFarmController),
            _ => Err(ErrorCode::Protocol),
        }
    }
}

/// Without the session key.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Login(login) => login.fmt(f),
            Self::AdditionalConnect { client, alone, .. } => f
                .debug_struct("AdditionalConnect")
                .field("client", client)
                .field("alone", alone)
                .finish_non_exhaustive(),
            Self::EnumHub => f.write_str("EnumHub"),
            Self::ChangePassword(change) => change.fmt(f),
            Self::Admin(admin) => admin.fmt(f),
        }
    }
}

impl ChangePassword {
    fn write(&self, pack: &mut Pack) {
        pack.set_str("method", "password")
            .set_str("hubname", &self.hub)
            .set_str("username", &self.user)
            .set_data("secure_old_password", &self.old_proof.0)
            .set_data("new_password", self.new_password.as_bytes())
            .set_data("new_password_ntlm", &self.new_password_nt.0);
        self.client.write(pack);
    }

    fn read(pack: &Pack) -> Result<Self, ErrorCode> {
        Ok(Self {
            hub: text(pack, "hubname")?,
            user: text(pack, "username")?,
            old_proof: Proof(required(pack.array("secure_old_password"))?),
            new_password: PasswordHash::new(required(pack.array("new_password"))?),
            new_password_nt: Proof(pack.array("new_password_ntlm").unwrap_or_default()),
            client: ClientVersion::read(pack),
        })
    }
}

impl AdminLogin {
    fn write(&self, pack: &mut Pack) {
        pack.set_str("method", "admin");
        if let Some(hub) = &self.hub {
            pack.set_str("hubname", hub);
        }
        pack.set_data("secure_password", &self.proof.0)
            .set_bool("accept_empty_password", self.accept_empty_password);
        self.client.write(pack);
        if let Some(os) = &self.os {
            os.write(pack);
        }
    }

    fn read(pack: &Pack) -> Result<Self, ErrorCode> {
        let hub = if pack.contains("hubname") {
            Some(text(pack, "hubname")?)
        } else {
            None
        };
        Ok(Self {
            hub: hub.filter(|name| !name.is_empty()),
            proof: Proof(required(pack.array("secure_password"))?),
            accept_empty_password: pack.bool("accept_empty_password"),
            client: ClientVersion::read(pack),
            os: OsInfo::read(pack),
        })
    }
}
