//! Names of hubs, users and groups.
//!
//! The characters are those that the stock server accepts (found by asking it for every one of them): letters, digits,
//! `# % & ( ) - . _`, and blanks inside; users may have `@` as well. Names compare ignoring case.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};

use thiserror::Error;

/// The longest name, in bytes (protocol §4.3).
pub const MAX_NAME: usize = 255;

/// User names the server itself uses for sessions of its own, and for the hub's administrator.
const RESERVED_USERS: [&str; 5] = ["administrator", "link", "cascade", "securenat", "localbridge"];
const RESERVED_USER_PREFIX: &str = "l3sw_";

/// Why a text is not a name.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum NameError {
    /// Nothing, or more than 255 bytes.
    #[error("a name has 1 to {MAX_NAME} characters")]
    Length,
    /// A character outside the allowed set, or a blank at an end.
    #[error(
        "the name {0:?} has a character that names may not have: use letters, digits and # % & ( ) - . _"
    )]
    Character(String),
    /// A user name that the server keeps for itself.
    #[error("the user name {0:?} is reserved for the server's own sessions")]
    Reserved(String),
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, Eq)]
        pub struct $type(String);

        impl $type {
            /// The name as it was given.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// A name read back from the store, which was checked when it was written.
            pub(super) fn stored(text: String) -> Self {
                Self(text)
            }
        }

        impl PartialEq for $type {
            fn eq(&self, other: &Self) -> bool {
                self.0.eq_ignore_ascii_case(&other.0)
            }
        }

        impl PartialEq<str> for $type {
            fn eq(&self, other: &str) -> bool {
                self.0.eq_ignore_ascii_case(other)
            }
        }

        impl Hash for $type {
            fn hash<H: Hasher>(&self, state: &mut H) {
                for byte in self.0.bytes() {
                    state.write_u8(byte.to_ascii_lowercase());
                }
                state.write_u8(0xFF);
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

name! {
    /// The name of a hub.
    HubName
}
name! {
    /// The name of a user or a group. The user named `*` stands for every name that RADIUS or NT knows.
    UserName
}

impl HubName {
    /// The name in `text`. A leading dot is refused, as the stock server does.
    ///
    /// # Errors
    /// See [`NameError`].
    pub fn parse(text: &str) -> Result<Self, NameError> {
        check(text, |_| false)?;
        if text.starts_with('.') {
            return Err(NameError::Character(text.into()));
        }
        Ok(Self(text.into()))
    }
}

impl UserName {
    /// The user or group name in `text`.
    ///
    /// # Errors
    /// See [`NameError`].
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text == "*" {
            return Ok(Self(text.into()));
        }
        check(text, |character| character == '@')?;
        let lower = text.to_ascii_lowercase();
        if RESERVED_USERS.contains(&lower.as_str()) || lower.starts_with(RESERVED_USER_PREFIX) {
            return Err(NameError::Reserved(text.into()));
        }
        Ok(Self(text.into()))
    }
}

impl UserName {
    /// The group name in `text`. Groups log in nowhere, so that names of the server's own sessions are free for them.
    ///
    /// # Errors
    /// See [`NameError`].
    pub fn parse_group(text: &str) -> Result<Self, NameError> {
        check(text, |_| false)?;
        Ok(Self(text.into()))
    }
}

fn check(text: &str, also: impl Fn(char) -> bool) -> Result<(), NameError> {
    if text.is_empty() || text.len() > MAX_NAME {
        return Err(NameError::Length);
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || "#%&()-._ ".contains(c) || also(c);
    if !text.chars().all(allowed) || text.starts_with(' ') || text.ends_with(' ') {
        return Err(NameError::Character(text.into()));
    }
    Ok(())
}

/// How a name is looked up in maps: lower-cased once, so that case does not matter.
#[must_use]
pub fn folded(name: &(impl Borrow<str> + ?Sized)) -> String {
    name.borrow().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stock_characters_are_names() {
        for name in [
            "office", "a b", "a#b", "a%b", "a&b", "a(b)", "a-b", "a.b", "a_b", "A9", "*",
        ] {
            assert!(UserName::parse(name).is_ok(), "{name}");
            assert_eq!(HubName::parse(name).is_ok(), name != "*", "{name}");
        }
        assert!(UserName::parse("a@example.org").is_ok());
        assert!(UserName::parse(&"a".repeat(255)).is_ok());
    }

    #[test]
    fn other_characters_are_refused() {
        for c in "!\"$'*+,/:;<=>?[\\]^`{|}~\0\té日".chars() {
            let name = format!("a{c}b");
            assert_eq!(UserName::parse(&name), Err(NameError::Character(name.clone())));
            assert_eq!(HubName::parse(&name), Err(NameError::Character(name.clone())));
        }
        assert!(HubName::parse("a@b").is_err());
        assert!(HubName::parse(".a").is_err());
        for name in [" a", "a "] {
            assert!(UserName::parse(name).is_err(), "{name:?}");
        }
        assert_eq!(UserName::parse(""), Err(NameError::Length));
        assert_eq!(HubName::parse(&"a".repeat(256)), Err(NameError::Length));
    }

    #[test]
    fn names_of_the_server_itself_are_reserved() {
        for name in [
            "Administrator",
            "link",
            "Cascade",
            "SecureNAT",
            "LocalBridge",
            "L3SW_x",
        ] {
            assert_eq!(UserName::parse(name), Err(NameError::Reserved(name.into())));
        }
    }

    #[test]
    fn groups_may_be_called_as_sessions_of_the_server_are() {
        assert!(UserName::parse_group("administrator").is_ok());
        for name in ["*", "a@b", "a/b", ""] {
            assert!(UserName::parse_group(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn case_does_not_tell_names_apart() {
        let (one, two) = (
            HubName::parse("Office").unwrap(),
            HubName::parse("OFFICE").unwrap(),
        );
        assert_eq!(one, two);
        assert_eq!(one.to_string(), "Office");
    }
}
