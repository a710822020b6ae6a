//! The login request: which proof of identity goes to which server, and what session is asked for.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::certificate::{CertificateError, SigningKey};
use protocol::handshake::{Auth, ClientVersion, Hello, Login, NodeInfo, OsInfo, SessionOptions};
use protocol::password::{PasswordHash, user_hash};

use crate::secret::Password;

/// Who logs in where.
#[derive(Debug)]
pub struct Identity {
    /// The hub.
    pub hub: String,
    /// The user.
    pub user: String,
    /// How the user proves it.
    pub proof: Proof,
}

/// How a user proves who they are.
pub enum Proof {
    /// By nothing.
    Anonymous,
    /// By a password, with a one-time code perhaps.
    Password(Arc<Password>),
    /// By the hash of a password, as accounts of the stock client keep it: good for servers that keep one, too.
    Hashed(Hash),
    /// By a certificate (DER) and its key.
    Certificate {
        /// The certificate.
        certificate: Vec<u8>,
        /// Its key.
        key: Box<SigningKey>,
    },
}

/// The hash of a password, until it is forgotten: it is as good as the password where it is good for anything.
pub struct Hash(Mutex<Option<PasswordHash>>);

impl Hash {
    /// A hash that was kept.
    pub fn new(hash: PasswordHash) -> Self {
        Self(Mutex::new(Some(hash)))
    }

    fn kept(&self) -> MutexGuard<'_, Option<PasswordHash>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Without secrets.
impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Anonymous => "Anonymous",
            Self::Password(_) => "Password(..)",
            Self::Hashed(_) => "Hashed(..)",
            Self::Certificate { .. } => "Certificate(..)",
        })
    }
}

/// Why a login could not even be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unprovable {
    /// The server wants the password itself, and nobody said that it may be believed.
    #[error(
        "the server wants the password itself, which is given only to a server whose certificate is verified"
    )]
    Unverified,
    /// Only the hash is here.
    #[error("the server wants the password itself, and only its hash is known here; give the password")]
    HashAlone,
    /// The password was forgotten, or its code used up.
    #[error("the password is not there any more; start the client again")]
    Forgotten,
    /// Texts lose their blanks at either end on the wire (protocol §3).
    #[error(
        "the server wants the password itself, and the protocol cannot carry one that begins or ends with a blank; \
         choose another password"
    )]
    Blanks,
    /// The key does not sign.
    #[error("the private key cannot sign: {0}")]
    Key(#[from] CertificateError),
}

/// The name of this program on the wire. "Server" and "bridge" must not be in it (protocol §4.3).
const PRODUCT: &str = "Hubward VPN Client";

/// How this program introduces itself.
pub fn version() -> ClientVersion {
    ClientVersion {
        product: PRODUCT.to_owned(),
        version: protocol::VERSION,
        build: protocol::BUILD,
    }
}

impl Identity {
    /// The proof for a server that said `hello`. A one-time code is used up by it.
    ///
    /// `believed` says that its certificate was verified, or that the user explicitly does without: only then a server
    /// that wants the password itself gets it. Every other server gets the answer to its challenge, from which the
    /// password does not follow.
    pub fn prove(&self, hello: &Hello, believed: bool) -> Result<Auth, Unprovable> {
        match &self.proof {
            Proof::Anonymous => Ok(Auth::Anonymous),
            Proof::Hashed(_) if hello.wants_password => Err(Unprovable::HashAlone),
            Proof::Hashed(hash) => match &*hash.kept() {
                Some(hash) => Ok(Auth::Challenge(hash.prove(&hello.random))),
                None => Err(Unprovable::Forgotten),
            },
            Proof::Password(password) if hello.wants_password || password.goes_itself() => {
                if !believed {
                    return Err(Unprovable::Unverified);
                }
                let password = password.say().ok_or(Unprovable::Forgotten)?;
                if password.trim_matches([' ', '\t']).len() != password.len() {
                    return Err(Unprovable::Blanks);
                }
                Ok(Auth::Plain(password))
            }
            Proof::Password(password) => {
                let password = password.say().ok_or(Unprovable::Forgotten)?;
                Ok(Auth::Challenge(
                    user_hash(password.as_bytes(), &self.user).prove(&hello.random),
                ))
            }
            Proof::Certificate { certificate, key } => {
                let signature = key.sign(&hello.random, &mut rand::rng())?;
                Ok(Auth::Certificate {
                    cert: certificate.clone(),
                    signature,
                })
            }
        }
    }

    /// What has to be got from somebody before the next login.
    pub fn incomplete(&self) -> Option<&Arc<Password>> {
        match &self.proof {
            Proof::Password(password) if !password.is_complete() => Some(password),
            _ => None,
        }
    }

    /// Forgets the password, if there is one; whether there was.
    pub fn forget_password(&self) -> bool {
        match &self.proof {
            Proof::Password(password) => password.forget(),
            Proof::Hashed(hash) => *hash.kept() = None,
            Proof::Anonymous | Proof::Certificate { .. } => return false,
        }
        true
    }

    /// The login request with this proof.
    pub fn login(&self, auth: Auth, options: SessionOptions, node: NodeInfo) -> Login {
        Login {
            hub: self.hub.clone(),
            user: self.user.clone(),
            auth,
            options,
            client: version(),
            client_id: 0,
            unique_id: None,
            node: Some(node),
            os: Some(os()),
        }
    }
}

/// What the server may list about this end.
pub fn node(hello: &Hello, server: &str, unique_id: [u8; 16]) -> NodeInfo {
    let text = |path: &str| {
        std::fs::read_to_string(path)
            .unwrap_or_default()
            .trim()
            .to_owned()
    };
    NodeInfo {
        client_product: PRODUCT.to_owned(),
        client_version: protocol::VERSION,
        client_build: protocol::BUILD,
        server_product: hello.product.clone(),
        server_version: hello.version,
        server_build: hello.build,
        client_os: "Linux".to_owned(),
        client_os_version: text("/proc/sys/kernel/osrelease"),
        client_host: text("/proc/sys/kernel/hostname"),
        server_host: server.to_owned(),
        unique_id,
        ..NodeInfo::default()
    }
}

/// The name of this machine.
pub fn host_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty() && name != "localhost")
}

fn os() -> OsInfo {
    OsInfo {
        title: "Linux".to_owned(),
        ..OsInfo::default()
    }
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;

    fn hello(wants_password: bool) -> Hello {
        let mut random = [0; 20];
        for (byte, n) in random.iter_mut().zip(0..) {
            *byte = n;
        }
        Hello {
            product: "server".into(),
            version: 501,
            build: 9674,
            random,
            wants_password,
        }
    }

    fn alice(password: &str) -> Identity {
        as_password(Password::new("alice", Zeroizing::new(password.to_owned())))
    }

    fn as_password(password: Password) -> Identity {
        let proof = Proof::Password(Arc::new(password));
        Identity {
            hub: "lab".into(),
            user: "alice".into(),
            proof,
        }
    }

    #[test]
    fn a_server_that_does_not_ask_never_gets_the_password() {
        for believed in [false, true] {
            let auth = alice("microsoft").prove(&hello(false), believed).unwrap();
            // Protocol §4.2, the last row of the table.
            let Auth::Challenge(answer) = auth else {
                panic!("not a challenge's answer")
            };
            assert_eq!(answer[..4], [0x84, 0x25, 0xf0, 0x27]);
        }
    }

    #[test]
    fn the_password_itself_goes_only_to_a_server_that_asks_and_is_believed() {
        let asked = alice("microsoft").prove(&hello(true), true).unwrap();
        assert!(matches!(asked, Auth::Plain(password) if *password == "microsoft"));
        assert_eq!(
            alice("microsoft").prove(&hello(true), false),
            Err(Unprovable::Unverified)
        );
    }

    #[test]
    fn a_password_for_radius_goes_itself_to_any_server_that_is_believed() {
        let radius =
            || as_password(Password::new("alice", Zeroizing::new("microsoft".to_owned())).sent_itself());
        assert!(
            matches!(radius().prove(&hello(false), true), Ok(Auth::Plain(password)) if *password == "microsoft")
        );
        assert_eq!(radius().prove(&hello(false), false), Err(Unprovable::Unverified));
    }

    #[test]
    fn a_hash_answers_challenges_and_nothing_else() {
        let identity = Identity {
            proof: Proof::Hashed(Hash::new(user_hash(b"microsoft", "alice"))),
            ..alice("")
        };
        let Ok(Auth::Challenge(answer)) = identity.prove(&hello(false), true) else {
            panic!("not a challenge's answer")
        };
        assert_eq!(answer[..4], [0x84, 0x25, 0xf0, 0x27]);
        assert_eq!(identity.prove(&hello(true), true), Err(Unprovable::HashAlone));
        assert!(identity.forget_password());
        assert_eq!(identity.prove(&hello(false), true), Err(Unprovable::Forgotten));
    }

    #[test]
    fn a_forgotten_password_proves_nothing() {
        let identity = alice("microsoft");
        assert!(identity.incomplete().is_none());
        assert!(identity.forget_password());
        assert!(identity.incomplete().is_some());
        assert_eq!(identity.prove(&hello(false), true), Err(Unprovable::Forgotten));
    }

    #[test]
    fn a_password_that_would_not_arrive_whole_is_refused() {
        assert_eq!(alice(" blank").prove(&hello(true), true), Err(Unprovable::Blanks));
        assert!(alice(" blank").prove(&hello(false), true).is_ok());
    }

    #[test]
    fn the_request_names_hub_and_user_and_is_no_bridge() {
        let identity = Identity {
            proof: Proof::Anonymous,
            ..alice("")
        };
        let auth = identity.prove(&hello(true), false).unwrap();
        let login = identity.login(
            auth,
            SessionOptions::default(),
            node(&hello(false), "vpn.example.org", [7; 16]),
        );
        assert_eq!((login.hub.as_str(), login.user.as_str()), ("lab", "alice"));
        assert!(!login.client.is_bridge());
        assert_eq!(login.node.unwrap().server_host, "vpn.example.org");
    }

    #[test]
    fn secrets_are_not_shown() {
        assert!(!format!("{:?}", alice("microsoft")).contains("microsoft"));
    }
}
