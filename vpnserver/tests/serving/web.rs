//! A client of the JSON interface that writes its HTTP by hand, so that it can be rude.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::site::{PATIENCE, Site};

/// A connection.
pub(crate) struct Web(BufReader<TlsStream<TcpStream>>);

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The number of the refusal.
    pub(crate) fn code(&self) -> u64 {
        self.json()["error"]["code"]
            .as_u64()
            .unwrap_or_else(|| panic!("no refusal: {self:?}"))
    }
}

impl Web {
    pub(crate) async fn open(site: &Site) -> Self {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
            .with_no_client_auth();
        let tcp = TcpStream::connect(site.address).await.unwrap();
        let name = ServerName::from(site.address.ip());
        let tls = TlsConnector::from(Arc::new(config)).connect(name, tcp).await;
        Self(BufReader::new(tls.unwrap()))
    }

    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let stream = self.0.get_mut();
        // Whether the server still listens, its answer says.
        let _ = stream.write_all(bytes.as_ref()).await;
        let _ = stream.flush().await;
    }

    /// The next answer with a body, or without one for `100 Continue`.
    pub(crate) async fn read(&mut self) -> Answer {
        timeout(PATIENCE, self.read_answer())
            .await
            .expect("an answer comes")
    }

    async fn read_answer(&mut self) -> Answer {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            assert!(
                self.0.read_line(&mut line).await.unwrap() > 0,
                "hung up after {lines:?}"
            );
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let status = lines[0].split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines[1..]
            .iter()
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let mut answer = Answer {
            status,
            headers,
            body: String::new(),
        };
        let length = answer
            .header("Content-Length")
            .map_or(0, |text| text.parse().unwrap());
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await.unwrap();
        answer.body = String::from_utf8(body).unwrap();
        answer
    }

    /// Whether the server ends the connection, in time.
    pub(crate) async fn is_hung_up(&mut self) -> bool {
        let mut rest = Vec::new();
        timeout(PATIENCE, self.0.read_to_end(&mut rest)).await.is_ok()
    }

    pub(crate) async fn exchange(&mut self, request: impl AsRef<[u8]>) -> Answer {
        self.write(request).await;
        self.read().await
    }

    /// Calls a method with a password, of a hub if one is named.
    pub(crate) async fn call(&mut self, login: &str, method: &str, params: &Value) -> Answer {
        let body = json!({ "jsonrpc": "2.0", "id": "7", "method": method, "params": params });
        self.exchange(post(login, &body.to_string())).await
    }
}

/// `POST /api/` with these headers.
pub(crate) fn post(headers: &str, body: &str) -> String {
    format!(
        "POST /api/ HTTP/1.1\r\nHost: vpn.example\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            cert,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            cert,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
