//! Secrets at rest.
//!
//! - [`Vault`] is the key file of the data folder and seals what must come back as it was: the hashes that challenge
//!   response needs (admin and hub passwords, and the standard password where a hub allows it).
//! - [`PasswordRecord`] is everything else: Argon2id over the protocol's password hash, which only ever answers yes or no.

mod key;
mod password;
mod sealed;
mod verified;
mod workers;

pub use key::{KeyError, Vault};
pub use password::{Hasher, PasswordRecord, RecordError};
pub use sealed::{Identity, SealError, Sealed};
pub use verified::Account;
