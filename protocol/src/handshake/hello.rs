//! Hello: the server's first message, with the challenge of this connection (protocol §4.1).

use crate::error::ErrorCode;
use crate::pack::Pack;

/// Our own field: the server wants the password itself (authentication type 2).
const WANTS_PASSWORD: &str = "hubward_password";

/// The server's first message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Product name of the server.
    pub product: String,
    /// Version, major * 100 + minor.
    pub version: u32,
    /// Build number.
    pub build: u32,
    /// Challenge of this connection.
    pub random: [u8; 20],
    /// The server keeps no password equivalents and so asks for the password itself; stock servers never say so.
    pub wants_password: bool,
}

impl Hello {
    /// The message as elements.
    #[must_use]
    pub fn to_pack(&self) -> Pack {
        let mut pack = Pack::new();
        pack.set_str("hello", &self.product)
            .set_int("version", self.version)
            .set_int("build", self.build)
            .set_data("random", &self.random);
        if self.wants_password {
            pack.set_bool(WANTS_PASSWORD, true);
        }
        pack
    }

    /// Reads the message.
    ///
    /// # Errors
    /// The server's own refusal, or [`ErrorCode::NotVpnServer`] without a product name or a challenge of 20 bytes.
    pub fn from_pack(pack: &Pack) -> Result<Self, ErrorCode> {
        if let Some(code) = pack.error() {
            return Err(code);
        }
        Ok(Self {
            product: pack.str("hello").ok_or(ErrorCode::NotVpnServer)?.to_owned(),
            version: pack.int_or_0("version"),
            build: pack.int_or_0("build"),
            random: pack.array("random").ok_or(ErrorCode::NotVpnServer)?,
            wants_password: pack.bool(WANTS_PASSWORD),
        })
    }
}
