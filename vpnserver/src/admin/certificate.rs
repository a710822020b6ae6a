//! The server's certificate and ciphers.

use protocol::rpc::certificate::KeyPair;
use protocol::rpc::{Nothing, Text};

use super::{Administrator, Reply};
use crate::server::Server;

/// The certificate; the key stays where it is: nobody needs it over the network.
pub(super) async fn get(server: &Server, _: &Administrator, _: Nothing) -> Reply<KeyPair> {
    Ok(KeyPair {
        cert: Some(server.identity().certificate.to_vec()),
        ..KeyPair::default()
    })
}

/// There is no preference to set: TLS 1.3 and 1.2 with the suites below, the strongest both sides have.
pub(super) async fn cipher(server: &Server, _: &Administrator, _: Nothing) -> Reply<Text> {
    let first = server
        .identity()
        .tls
        .crypto_provider()
        .cipher_suites
        .first()
        .map(|suite| suite.suite());
    Ok(Text {
        string: first
            .and_then(|suite| suite.as_str())
            .unwrap_or_default()
            .to_owned(),
    })
}

pub(super) async fn ciphers(server: &Server, _: &Administrator, _: Nothing) -> Reply<Text> {
    let identity = server.identity();
    let suites = identity.tls.crypto_provider().cipher_suites.iter();
    let names: Vec<_> = suites.filter_map(|suite| suite.suite().as_str()).collect();
    Ok(Text {
        string: names.join(";"),
    })
}
