//! What the service knows: accounts, adapters, authorities, settings. A value; [`super::store`] keeps it.

use protocol::error::ErrorCode;
use protocol::password;
use protocol::rpc::Secret;
use protocol::rpc::client::account::Account;
use protocol::rpc::client::service::{ManagerSetting, ServiceConfig};
use protocol::rpc::keep::{Keep, KeepProtocol};
use transport::tls::Fingerprint;

/// Accounts, adapters and authorities at most, each.
pub(super) const MOST: usize = 1024;
/// The longest name of an account, in bytes.
const LONGEST_NAME: usize = 255;
/// What stands before an adapter's name in the name of its device (client RPC §3.3).
pub(super) const DEVICE_PREFIX: &str = "vpn_";
/// The kernel's names have at most 15 bytes.
const LONGEST_ADAPTER: usize = 15 - DEVICE_PREFIX.len();

/// Everything that is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Book {
    /// The accounts, oldest first.
    pub accounts: Vec<Entry>,
    /// The virtual network adapters.
    pub adapters: Vec<Adapter>,
    /// The authorities that are trusted, DER.
    pub authorities: Vec<Vec<u8>>,
    /// SHA-0 of the service's password.
    pub password: Secret<[u8; 20]>,
    /// Whether callers on this machine are asked for none.
    pub password_remote_only: bool,
    /// What the service does by itself.
    pub config: ServiceConfig,
    /// How much a graphical manager shows.
    pub manager: ManagerSetting,
    /// The chosen driver of smart cards, of which there is none.
    pub card_device: u32,
}

/// An account, and what stock managers do not know of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Entry {
    /// What managers know.
    pub account: Account,
    /// Options beyond that, as `vpnclient connect` takes them.
    pub options: Vec<String>,
    /// The server's certificate that somebody has accepted in as many words.
    pub pin: Option<Fingerprint>,
}

/// A virtual network adapter: the name and address of a device, which is there while an account uses it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Adapter {
    /// Its name, to which the device's adds `vpn_`.
    pub name: String,
    /// The hardware address.
    pub mac: [u8; 6],
    /// Whether accounts may use it.
    pub enabled: bool,
}

impl Default for Book {
    /// As a stock service begins.
    fn default() -> Self {
        Self {
            accounts: Vec::new(),
            adapters: Vec::new(),
            authorities: Vec::new(),
            password: Secret::new(*password::admin_hash(b"").as_bytes()),
            password_remote_only: false,
            config: ServiceConfig {
                keep: Keep {
                    enabled: false,
                    host: "keepalive.softether.org".to_owned(),
                    port: 80,
                    protocol: KeepProtocol::Udp,
                    interval: 50,
                },
                allow_remote: false,
            },
            manager: ManagerSetting::default(),
            card_device: 0,
        }
    }
}

impl Book {
    /// The account of this name, ignoring case.
    #[must_use]
    pub fn account(&self, name: &str) -> Option<&Entry> {
        let name = name.to_lowercase();
        self.accounts.iter().find(|entry| entry.key() == name)
    }

    /// The same, to be changed.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn account_mut(&mut self, name: &str) -> Result<&mut Entry, ErrorCode> {
        let name = name.to_lowercase();
        let found = self.accounts.iter_mut().find(|entry| entry.key() == name);
        found.ok_or(ErrorCode::AccountNotFound)
    }

    /// The adapter of this name, ignoring case.
    #[must_use]
    pub fn adapter(&self, name: &str) -> Option<&Adapter> {
        self.adapters
            .iter()
            .find(|adapter| adapter.name.eq_ignore_ascii_case(name))
    }

    pub(super) fn adapter_mut(&mut self, name: &str) -> Result<&mut Adapter, ErrorCode> {
        let found = self
            .adapters
            .iter_mut()
            .find(|adapter| adapter.name.eq_ignore_ascii_case(name));
        found.ok_or(ErrorCode::ObjectNotFound)
    }

    /// Gives accounts whose adapter is not there the newest of those that are, as a stock service does whenever an account or an
    /// adapter is made, and when an adapter goes (client RPC §3.3).
    pub(super) fn settle_adapters(&mut self) {
        let Some(newest) = self.adapters.last().map(|adapter| adapter.name.clone()) else {
            return;
        };
        let names: Vec<_> = self
            .adapters
            .iter()
            .map(|adapter| adapter.name.to_lowercase())
            .collect();
        for entry in &mut self.accounts {
            let device = &mut entry.account.option.device_name;
            if !names.contains(&device.to_lowercase()) {
                device.clone_from(&newest);
            }
        }
    }

    /// Whether the service has a password.
    #[must_use]
    pub fn has_password(&self) -> bool {
        self.password != Secret::new(*password::admin_hash(b"").as_bytes())
    }
}

impl Entry {
    /// What accounts are told apart by.
    #[must_use]
    pub fn key(&self) -> String {
        self.account.account_name.to_lowercase()
    }
}

impl Adapter {
    /// The name of its device.
    #[must_use]
    pub fn device(&self) -> String {
        format!("{DEVICE_PREFIX}{}", self.name)
    }
}

/// Checks the name of an account.
pub(super) fn check_account_name(name: &str) -> Result<(), ErrorCode> {
    let good = !name.trim().is_empty() && name.len() <= LONGEST_NAME && !name.chars().any(char::is_control);
    good.then_some(()).ok_or(ErrorCode::InvalidParameter)
}

/// Checks the name of an adapter: part of a device's name.
pub(super) fn check_adapter_name(name: &str) -> Result<(), ErrorCode> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let good = !name.is_empty() && name.len() <= LONGEST_ADAPTER && name.chars().all(plain);
    good.then_some(()).ok_or(ErrorCode::AdapterBadName)
}

/// The opaque key of an authority: part of its hash, so that it is the same after a restart.
pub(super) fn authority_key(der: &[u8]) -> u32 {
    let fingerprint = Fingerprint::of(&der.to_vec().into()).to_string();
    let digits = fingerprint.strip_prefix("sha256:").unwrap_or_default();
    digits
        .get(..8)
        .and_then(|digits| u32::from_str_radix(digits, 16).ok())
        .unwrap_or(1)
        .max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_adapters_are_parts_of_device_names() {
        for name in ["vpn1", "a", "elevenchars", "x-1_2.3"] {
            assert_eq!(check_adapter_name(name), Ok(()), "{name}");
        }
        for name in ["", "twelve_chars", "a/b", "a b", "ü"] {
            assert_eq!(check_adapter_name(name), Err(ErrorCode::AdapterBadName), "{name}");
        }
    }

    #[test]
    fn names_of_accounts_may_be_in_any_language_and_not_empty() {
        for name in ["acc1", "to the lab", "研究室"] {
            assert_eq!(check_account_name(name), Ok(()), "{name}");
        }
        for name in ["", "  ", "a\nb", &"x".repeat(256)] {
            assert!(check_account_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn accounts_are_found_ignoring_case() {
        let mut book = Book::default();
        let mut entry = Entry::default();
        entry.account.account_name = "Büro".to_owned();
        book.accounts.push(entry);
        assert!(book.account("BÜRO").is_some());
        assert!(book.account("Buro").is_none());
    }

    #[test]
    fn a_fresh_service_has_no_password() {
        assert!(!Book::default().has_password());
    }
}
