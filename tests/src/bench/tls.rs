//! A bare TLS stream: what encryption alone leaves of the bare one.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use anyhow::Result;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};

const NAME: &str = "bench.test";

/// Makes TLS of a connected pair of sockets: the sender is its client, the receiver its server.
pub fn pair(
    sender: TcpStream,
    receiver: TcpStream,
) -> Result<(impl Write + Send + 'static, impl Read + Send + 'static)> {
    let made = rcgen::generate_simple_self_signed([NAME.to_owned()])?;
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let certificate = made.cert.der().clone();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone())?;
    let client = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let server = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?;
    let client = ClientConnection::new(Arc::new(client), ServerName::try_from(NAME)?)?;
    let server = ServerConnection::new(Arc::new(server))?;
    Ok((
        StreamOwned::new(client, sender),
        StreamOwned::new(server, receiver),
    ))
}
