//! The RPC of the client service (client RPC §1): how a manager tells a VPN client on this machine what to do.
//!
//! The messages are written with the same `message!` as those of a server's administration, and travel in the same
//! records; what differs is the way in ([`Hello`]), the shape of a refusal ([`refusal`]), and the table of methods
//! ([`method`]). "Client RPC §n" in a comment names a section of `docs/client-rpc.md`.

pub mod account;
pub mod adapter;
pub mod authority;
pub mod config;
pub mod file;
pub mod method;
pub mod service;
pub mod smart_card;

use super::Secret;
use crate::error::ErrorCode;
use crate::pack::Pack;

/// Where client services listen: the first of these ports that is free (client RPC §1).
pub const PORTS: [u16; 5] = [9931, 9932, 9933, 9934, 9935];

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Being told of every change.
    Notification,
    /// Calling methods.
    Management,
    /// Connecting the account with this key.
    ShortcutConnect,
    /// Disconnecting the account with this key.
    ShortcutDisconnect,
}

impl Mode {
    fn number(self) -> u32 {
        match self {
            Self::Notification => 0,
            Self::Management => 1,
            Self::ShortcutConnect => 2,
            Self::ShortcutDisconnect => 3,
        }
    }

    fn of(number: u32) -> Option<Self> {
        [
            Self::Notification,
            Self::Management,
            Self::ShortcutConnect,
            Self::ShortcutDisconnect,
        ]
        .into_iter()
        .find(|mode| mode.number() == number)
    }
}

/// The first bytes of a manager: what it wants, and why it may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// What the connection is for.
    pub mode: Mode,
    /// The password's SHA-0 for [`Mode::Management`], the account's key for the shortcuts; [`Mode::Notification`]
    /// sends none.
    pub secret: Secret<[u8; 20]>,
}

impl Hello {
    /// The bytes of every hello but that of a [`Mode::Notification`], which are the first four.
    pub const LENGTH: usize = 24;

    /// What travels.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.mode.number().to_be_bytes().to_vec();
        if self.mode != Mode::Notification {
            bytes.extend_from_slice(&self.secret[..]);
        }
        bytes
    }

    /// Reads a hello from the front of `bytes`; `None` while it is not all there.
    ///
    /// # Errors
    /// [`ErrorCode::Protocol`] for a mode that nobody knows.
    pub fn decode(bytes: &[u8]) -> Result<Option<Self>, ErrorCode> {
        let Some((number, rest)) = bytes.split_first_chunk() else {
            return Ok(None);
        };
        let mode = Mode::of(u32::from_be_bytes(*number)).ok_or(ErrorCode::Protocol)?;
        if mode == Mode::Notification {
            let secret = Secret::new([0; 20]);
            return Ok(Some(Self { mode, secret }));
        }
        Ok(rest.first_chunk().map(|secret| Self {
            mode,
            secret: Secret::new(*secret),
        }))
    }
}

/// The service's one word after a hello for management.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Welcome {
    /// Call.
    Accepted,
    /// The password is another one.
    WrongPassword,
    /// The service takes no calls from other machines.
    NotFromHere,
    /// What other versions say.
    Other(u32),
}

impl From<u32> for Welcome {
    fn from(number: u32) -> Self {
        match number {
            0 => Self::Accepted,
            1 => Self::WrongPassword,
            2 => Self::NotFromHere,
            other => Self::Other(other),
        }
    }
}

impl From<Welcome> for u32 {
    fn from(welcome: Welcome) -> u32 {
        match welcome {
            Welcome::Accepted => 0,
            Welcome::WrongPassword => 1,
            Welcome::NotFromHere => 2,
            Welcome::Other(number) => number,
        }
    }
}

/// The answer PACK of a call that is refused: that it is stands in one element, why in another.
#[must_use]
pub fn refusal(code: ErrorCode) -> Pack {
    let mut pack = Pack::new();
    pack.set_int("error", 1);
    pack.set_int("error_code", code.code());
    pack
}

/// Why an answer is none, if it is none. An unknown method is refused with the number in `error` alone, as a
/// server's administration does.
#[must_use]
pub fn refused(answer: &Pack) -> Option<ErrorCode> {
    let code = answer.int("error_code").unwrap_or_default();
    if code != 0 {
        return Some(ErrorCode::from_code(code));
    }
    answer.error()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hello_is_read_as_it_was_written() {
        for mode in [Mode::Management, Mode::ShortcutConnect, Mode::ShortcutDisconnect] {
            let hello = Hello {
                mode,
                secret: Secret::new([7; 20]),
            };
            let bytes = hello.encode();
            assert_eq!(bytes.len(), Hello::LENGTH);
            for length in 0..Hello::LENGTH {
                assert_eq!(Hello::decode(&bytes[..length]), Ok(None), "{length} bytes");
            }
            assert_eq!(Hello::decode(&bytes), Ok(Some(hello)));
        }
    }

    #[test]
    fn a_watcher_sends_no_secret() {
        let hello = Hello::decode(&[0; 4]).unwrap().unwrap();
        assert_eq!(hello.mode, Mode::Notification);
        assert_eq!(hello.encode(), [0; 4]);
    }

    #[test]
    fn an_unknown_mode_is_refused() {
        assert_eq!(Hello::decode(&[0, 0, 0, 9]), Err(ErrorCode::Protocol));
    }

    #[test]
    fn a_refusal_is_found_in_both_its_shapes() {
        let code = ErrorCode::from_code(36);
        assert_eq!(refused(&refusal(code)), Some(code));
        let mut alone = Pack::new();
        alone.set_int("error", 33);
        assert_eq!(refused(&alone), Some(ErrorCode::NotSupported));
        assert_eq!(refused(&Pack::new()), None);
    }
}
