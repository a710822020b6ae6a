//! TLS cipher suites by the names that administrators know, those of OpenSSL.

use std::sync::Arc;

use rustls::{CipherSuite, ServerConfig};

use crate::tls::{TlsStream, crypto};

/// The suites there are and their names, strongest first.
const NAMES: [(CipherSuite, &str); 9] = [
    (CipherSuite::TLS13_AES_256_GCM_SHA384, "TLS_AES_256_GCM_SHA384"),
    (
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
        "TLS_CHACHA20_POLY1305_SHA256",
    ),
    (CipherSuite::TLS13_AES_128_GCM_SHA256, "TLS_AES_128_GCM_SHA256"),
    (
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        "ECDHE-ECDSA-AES256-GCM-SHA384",
    ),
    (
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        "ECDHE-RSA-AES256-GCM-SHA384",
    ),
    (
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        "ECDHE-ECDSA-CHACHA20-POLY1305",
    ),
    (
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        "ECDHE-RSA-CHACHA20-POLY1305",
    ),
    (
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        "ECDHE-ECDSA-AES128-GCM-SHA256",
    ),
    (
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        "ECDHE-RSA-AES128-GCM-SHA256",
    ),
];

/// One of the suites there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cipher(CipherSuite);

impl Cipher {
    /// The suite of this name, ignoring case.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        NAMES
            .iter()
            .find(|(_, known)| known.eq_ignore_ascii_case(name))
            .map(|(suite, _)| Self(*suite))
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        let (_, name) = NAMES
            .iter()
            .find(|(suite, _)| *suite == self.0)
            .unwrap_or(&NAMES[0]);
        name
    }

    /// The suite that the two ends of a connection have agreed on.
    #[must_use]
    pub fn agreed(stream: &TlsStream) -> Option<Self> {
        Self::all().find(|known| known.0 == stream.suite())
    }

    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        NAMES.iter().map(|(suite, _)| Self(*suite))
    }
}

/// The same settings with another preference: the server takes this suite before all others of the same version of TLS
/// that the client offers, or, without one, what the client likes best.
///
/// # Errors
/// When rustls refuses, which it does not for suites there are.
pub fn prefer(config: &ServerConfig, cipher: Option<Cipher>) -> Result<Arc<ServerConfig>, rustls::Error> {
    let mut provider = (*crypto()).clone();
    if let Some(Cipher(preferred)) = cipher {
        provider
            .cipher_suites
            .sort_by_key(|offered| offered.suite() != preferred);
    }
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(config.cert_resolver.clone());
    config.ignore_client_order = cipher.is_some();
    // As in `tls::server_config`.
    config.send_tls13_tickets = 0;
    config.enable_secret_extraction = true;
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suite_of_the_provider_has_a_name_and_every_name_a_suite() {
        let mut offered: Vec<_> = crypto()
            .cipher_suites
            .iter()
            .map(|suite| u16::from(suite.suite()))
            .collect();
        let mut named: Vec<_> = NAMES.iter().map(|(suite, _)| u16::from(*suite)).collect();
        offered.sort_unstable();
        named.sort_unstable();
        assert_eq!(offered, named);
        for cipher in Cipher::all() {
            assert_eq!(Cipher::named(&cipher.name().to_ascii_lowercase()), Some(cipher));
        }
        assert_eq!(Cipher::named("AES128-SHA"), None);
    }
}
