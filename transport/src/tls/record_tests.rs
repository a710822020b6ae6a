//! Our record layer against rustls on the other side, and against itself.

use std::io::{self, Read, Write};
use std::sync::{Arc, LazyLock};

use bytes::BytesMut;
use rustls::crypto::aws_lc_rs::{ALL_CIPHER_SUITES, default_provider};
use rustls::pki_types::ServerName;
use rustls::{
    AlertDescription, ClientConfig, ClientConnection, Connection, Error, ServerConfig, ServerConnection,
    SignatureScheme, SupportedCipherSuite,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::record::{Answer, MAX_PLAIN, kind};
use super::*;

/// Settings of a server whose certificate has an ECDSA key.
fn server() -> Arc<ServerConfig> {
    static SERVER: LazyLock<Arc<ServerConfig>> = LazyLock::new(|| certified(&rcgen::PKCS_ECDSA_P256_SHA256));
    SERVER.clone()
}

/// Settings of a server whose certificate suits the suite: those of TLS 1.2 name the kind of its key.
fn server_for(suite: SupportedCipherSuite) -> Arc<ServerConfig> {
    static RSA: LazyLock<Arc<ServerConfig>> = LazyLock::new(|| certified(&rcgen::PKCS_RSA_SHA256));
    match suite {
        SupportedCipherSuite::Tls12(suite) if suite.sign.contains(&SignatureScheme::RSA_PKCS1_SHA256) => {
            RSA.clone()
        }
        _ => server(),
    }
}

fn certified(algorithm: &'static rcgen::SignatureAlgorithm) -> Arc<ServerConfig> {
    let pair = rcgen::KeyPair::generate_for(algorithm).unwrap();
    let about = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = about.self_signed(&pair).unwrap();
    let key = PrivateKeyDer::try_from(pair.serialize_der()).unwrap();
    server_config(vec![certificate.der().clone()], key).unwrap()
}

/// Settings of a client with one suite only.
fn client(suite: SupportedCipherSuite) -> Arc<ClientConfig> {
    judging(suite, Judge::Anyone)
}

fn judging(suite: SupportedCipherSuite, judge: Judge) -> Arc<ClientConfig> {
    let (config, _) = client_config(&Trust::Insecure).unwrap();
    let provider = CryptoProvider {
        cipher_suites: vec![suite],
        ..default_provider()
    };
    let verifier = Verifier {
        judge,
        shown: Shown::default(),
        provider: crypto(),
    };
    let mut only = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[suite.version()])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    only.enable_secret_extraction = config.enable_secret_extraction;
    Arc::new(only)
}

async fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (out, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
    (out.unwrap(), accepted.unwrap().0)
}

fn localhost() -> ServerName<'static> {
    ServerName::try_from("localhost").unwrap()
}

/// Our two ends of one connection: client and server.
async fn ours(suite: SupportedCipherSuite) -> (TlsStream, TlsStream) {
    let (a, b) = sockets().await;
    let (a, b) = tokio::join!(
        connect(a, client(suite), localhost()),
        accept(b, server_for(suite))
    );
    (a.unwrap(), b.unwrap())
}

/// rustls with its handshake done, and the socket.
struct Theirs {
    connection: Connection,
    socket: std::net::TcpStream,
}

impl Theirs {
    fn handshake(mut connection: Connection, tcp: TcpStream) -> Self {
        let mut socket = tcp.into_std().unwrap();
        socket.set_nonblocking(false).unwrap();
        while connection.is_handshaking() || connection.wants_write() {
            connection.complete_io(&mut socket).unwrap();
        }
        Self { connection, socket }
    }

    /// The records that carry this.
    fn seal(&mut self, data: &[u8]) -> Vec<u8> {
        self.connection.set_buffer_limit(None);
        self.connection.writer().write_all(data).unwrap();
        self.take()
    }

    fn take(&mut self) -> Vec<u8> {
        let mut records = Vec::new();
        while self.connection.wants_write() {
            self.connection.write_tls(&mut records).unwrap();
        }
        records
    }

    /// What records carry.
    fn open(&mut self, mut records: &[u8]) -> Vec<u8> {
        let mut data = Vec::new();
        while !records.is_empty() {
            self.connection.read_tls(&mut records).unwrap();
            self.connection.process_new_packets().unwrap();
            let mut part = vec![0; 1 << 20];
            while let Ok(len @ 1..) = self.connection.reader().read(&mut part) {
                data.extend_from_slice(&part[..len]);
            }
        }
        data
    }
}

/// One of ours, taken apart, and rustls on the other side.
async fn mixed(suite: SupportedCipherSuite, we_serve: bool) -> (Parts, Theirs) {
    let (a, b) = sockets().await;
    let (ours, theirs) = if we_serve {
        let connection = ClientConnection::new(client(suite), localhost()).unwrap();
        let theirs = tokio::task::spawn_blocking(move || Theirs::handshake(connection.into(), a));
        tokio::join!(accept(b, server_for(suite)), theirs)
    } else {
        let mut config = (*server_for(suite)).clone();
        config.send_tls13_tickets = 2; // as OpenSSL does
        let connection = ServerConnection::new(Arc::new(config)).unwrap();
        let theirs = tokio::task::spawn_blocking(move || Theirs::handshake(connection.into(), b));
        tokio::join!(connect(a, client(suite), localhost()), theirs)
    };
    let (mut parts, theirs) = (ours.unwrap().into_parts(), theirs.unwrap());
    // The record with the tickets is on the socket: those that follow depend on it.
    if !we_serve && suite.tls13().is_some() {
        let mut plain = BytesMut::new();
        while parts.sealed_records() < 1 {
            parts.tcp.readable().await.unwrap();
            let Parts { tcp, intake, .. } = &mut parts;
            let outcome = intake.read(4096, &mut plain, |_, _| {}, |room| tcp.try_read(room));
            assert!(matches!(outcome, Ok(1..) | Err(ReadError::Io(_))));
        }
        assert!(plain.is_empty());
    }
    (parts, theirs)
}

impl Parts {
    fn seal(&mut self, data: &[u8]) -> Vec<u8> {
        let mut sealed = Sealed::default();
        self.sealer.seal(data, &mut sealed).unwrap();
        sealed.bytes().to_vec()
    }

    fn open(&mut self, records: &[u8]) -> Vec<u8> {
        let mut plain = BytesMut::new();
        assert_eq!(
            self.intake.opener.open(records, &mut plain).unwrap(),
            records.len()
        );
        plain.to_vec()
    }

    fn sealed_records(&self) -> u64 {
        self.intake.opener.records()
    }
}

fn data(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 + i / 251) as u8).collect()
}

#[tokio::test]
async fn every_suite_is_spoken_with_rustls_both_ways() {
    let mut tried = 0;
    for suite in ALL_CIPHER_SUITES {
        for we_serve in [true, false] {
            let (mut ours, mut theirs) = mixed(*suite, we_serve).await;
            for len in [1, 100, MAX_PLAIN, MAX_PLAIN + 1, 200_000] {
                let data = data(len);
                assert!(
                    theirs.open(&ours.seal(&data)) == data,
                    "{suite:?}, {len} bytes to rustls"
                );
                assert!(
                    ours.open(&theirs.seal(&data)) == data,
                    "{suite:?}, {len} bytes from rustls"
                );
            }
            tried += 1;
        }
    }
    // Three of TLS 1.3, and of TLS 1.2 three for each of two kinds of keys.
    assert_eq!(tried, 2 * 9);
}

#[tokio::test]
async fn records_may_be_cut_at_any_byte() {
    let (mut ours, mut theirs) = mixed(ALL_CIPHER_SUITES[0], true).await;
    for cut in 1..300 {
        let first = theirs.seal(&data(100));
        let records = [first, theirs.seal(&data(50))].concat();
        let mut plain = BytesMut::new();
        for part in records.chunks(cut) {
            let read = ours.intake.read(
                1 << 16,
                &mut plain,
                |_, _| {},
                |room| {
                    room[..part.len()].copy_from_slice(part);
                    Ok(part.len())
                },
            );
            assert!(matches!(read, Ok(len) if len == part.len()));
        }
        assert_eq!(plain, [data(100), data(50)].concat(), "in parts of {cut}");
    }
}

#[tokio::test]
async fn a_record_that_was_changed_is_refused_and_lends_nothing() {
    for suite in [ALL_CIPHER_SUITES[0], *ALL_CIPHER_SUITES.last().unwrap()] {
        let suite = if suite.tls13().is_some() { suite } else { tls12() };
        let (mut ours, mut theirs) = mixed(suite, true).await;
        let record = theirs.seal(&data(40));
        for at in 0..record.len() {
            let mut changed = record.clone();
            changed[at] ^= 1;
            // A longer record is not complete, and so neither believed nor refused.
            changed.resize(1 << 16, 0);
            let mut plain = BytesMut::new();
            let outcome = ours.intake.opener.open(&changed, &mut plain);
            assert!(outcome.is_err() && plain.is_empty(), "{suite:?}, byte {at}");
        }
        assert_eq!(ours.open(&record), data(40), "a refused record uses no number up");
        let mut plain = BytesMut::new();
        let again = ours.intake.opener.open(&record, &mut plain).unwrap_err();
        assert_eq!(again.error, Error::DecryptError, "nor is a record taken twice");
        assert_eq!(again.alert, Some(AlertDescription::BadRecordMac));
    }
}

fn tls12() -> SupportedCipherSuite {
    let is = |suite: &&SupportedCipherSuite| {
        format!("{:?}", suite.suite()).ends_with("ECDSA_WITH_AES_128_GCM_SHA256")
    };
    *ALL_CIPHER_SUITES.iter().find(is).unwrap()
}

#[tokio::test]
async fn a_key_is_renewed_before_it_has_sealed_too_much() {
    for suite in ALL_CIPHER_SUITES.iter().filter(|suite| suite.tls13().is_some()) {
        let (mut ours, mut theirs) = mixed(*suite, true).await;
        ours.sealer.set_limit(16);
        // Several renewals in one batch, and several batches.
        for _ in 0..10 {
            let data = data(40 * MAX_PLAIN);
            assert!(theirs.open(&ours.seal(&data)) == data);
        }
        assert!(
            ours.sealer.renewals() >= 10 * 40 / 16,
            "{}",
            ours.sealer.renewals()
        );
    }
}

#[tokio::test]
async fn a_peer_may_renew_its_key_and_ask_for_ours() {
    let suite = ALL_CIPHER_SUITES[0];
    let (mut ours, mut theirs) = mixed(suite, false).await;
    for round in 0..5 {
        theirs.connection.refresh_traffic_keys().unwrap();
        let records = [theirs.take(), theirs.seal(&data(round))].concat();
        assert_eq!(ours.open(&records), data(round));
        let mut sealed = Sealed::default();
        if let Some(answer) = ours.intake.opener.poll_answer() {
            ours.sealer.answer(answer, &mut sealed).unwrap();
        }
        ours.sealer.seal(&data(30), &mut sealed).unwrap();
        assert_eq!(theirs.open(sealed.bytes()), data(30));
    }
    // RFC 8446 §4.6.3: one that asks for an answer gets it.
    let (a, b) = ours_apart(suite).await;
    let (mut a, mut b) = (a, b);
    let mut sealed = Sealed::default();
    a.sealer
        .put(kind::HANDSHAKE, &[24, 0, 0, 1, 1], &mut sealed)
        .unwrap();
    assert_eq!(b.open(sealed.bytes()), b"");
    assert_eq!(b.intake.opener.poll_answer(), Some(Answer::KeyUpdate));
    assert_eq!(b.intake.opener.poll_answer(), None);
}

async fn ours_apart(suite: SupportedCipherSuite) -> (Parts, Parts) {
    let (a, b) = ours(suite).await;
    (a.into_parts(), b.into_parts())
}

#[tokio::test]
async fn handshake_messages_are_joined_and_the_others_refused() {
    let (mut a, mut b) = ours_apart(ALL_CIPHER_SUITES[0]).await;
    let mut sealed = Sealed::default();
    for byte in [24, 0, 0, 1, 0] {
        a.sealer.put(kind::HANDSHAKE, &[byte], &mut sealed).unwrap();
    }
    assert_eq!(b.open(sealed.bytes()), b"");
    assert_eq!(b.intake.opener.records(), 0, "the next key begins with record 0");
    for (name, first, then) in [
        ("a client hello", (kind::HANDSHAKE, &[1, 0, 0, 0][..]), None),
        ("a ticket for a server", (kind::HANDSHAKE, &[4, 0, 0, 0]), None),
        ("no key update", (kind::HANDSHAKE, &[24, 0, 0, 1, 2]), None),
        (
            "behind a key update",
            (kind::HANDSHAKE, &[24, 0, 0, 1, 0, 24]),
            None,
        ),
        ("nothing", (kind::HANDSHAKE, &[]), None),
        ("half an alert", (kind::ALERT, &[1]), None),
        ("an unknown kind", (77, &[1]), None),
        ("a fatal alert", (kind::ALERT, &[2, 80]), None),
        ("a warning in TLS 1.3", (kind::ALERT, &[1, 100]), None),
        (
            "data within a message",
            (kind::HANDSHAKE, &[24, 0]),
            Some((kind::DATA, &[1][..])),
        ),
        ("too long a message", (kind::HANDSHAKE, &[4, 1, 0, 0]), None),
    ] {
        let (mut a, mut b) = ours_apart(ALL_CIPHER_SUITES[0]).await;
        let mut sealed = Sealed::default();
        for (kind, content) in std::iter::once(first).chain(then) {
            a.sealer.put(kind, content, &mut sealed).unwrap();
        }
        let mut plain = BytesMut::new();
        assert!(
            b.intake.opener.open(sealed.bytes(), &mut plain).is_err(),
            "{name}"
        );
    }
}

#[tokio::test]
async fn tls_12_ends_before_its_key_has_sealed_too_much() {
    let (mut ours, mut theirs) = mixed(tls12(), true).await;
    ours.sealer.set_limit(16);
    let mut sealed = Sealed::default();
    while ours.sealer.seal(&[1], &mut sealed).is_ok() {}
    ours.sealer.close_notify(&mut sealed).unwrap();
    // The handshake took one, and four are left for last words.
    assert_eq!(
        theirs.open(sealed.bytes()).len(),
        16 - 1 - 4,
        "what was sealed is good"
    );
    let mut end = [0];
    assert_eq!(
        theirs.connection.reader().read(&mut end).unwrap(),
        0,
        "a clean end"
    );
}

#[tokio::test]
async fn tls_12_is_not_negotiated_anew() {
    let (mut ours, mut theirs) = mixed(tls12(), true).await;
    let hello = |theirs: &mut Parts| {
        let mut sealed = Sealed::default();
        theirs
            .sealer
            .put(kind::HANDSHAKE, &[1, 0, 0, 0], &mut sealed)
            .unwrap();
        sealed.bytes().to_vec()
    };
    let (mut a, mut b) = ours_apart(tls12()).await;
    assert_eq!(b.open(&hello(&mut a)), b"");
    assert_eq!(b.intake.opener.poll_answer(), Some(Answer::NoRenegotiation));
    let mut plain = BytesMut::new();
    assert!(
        b.intake.opener.open(&hello(&mut a), &mut plain).is_err(),
        "nor asked for twice"
    );
    let mut sealed = Sealed::default();
    ours.sealer.answer(Answer::NoRenegotiation, &mut sealed).unwrap();
    assert_eq!(theirs.open(sealed.bytes()), b"", "a warning, not an end");
}

#[tokio::test]
async fn an_end_is_told_from_a_torn_connection() {
    for goodbye in [true, false] {
        let (mut a, mut b) = ours(ALL_CIPHER_SUITES[0]).await;
        a.write_all(b"last words").await.unwrap();
        a.flush().await.unwrap();
        if goodbye {
            a.shutdown().await.unwrap();
        } else {
            drop(a);
        }
        let mut read = Vec::new();
        let outcome = b.read_to_end(&mut read).await;
        assert_eq!(read, b"last words");
        match outcome {
            Ok(_) => assert!(goodbye),
            Err(error) => assert!(!goodbye && error.kind() == std::io::ErrorKind::UnexpectedEof),
        }
    }
}

#[tokio::test]
async fn a_stream_carries_more_than_any_buffer_holds() {
    let (mut a, mut b) = ours(ALL_CIPHER_SUITES[0]).await;
    let sent = data(3_000_000);
    let expected = sent.clone();
    let writing = async {
        a.write_all(&sent).await.unwrap();
        a.shutdown().await.unwrap();
    };
    let mut read = Vec::new();
    let (_, outcome) = tokio::join!(writing, b.read_to_end(&mut read));
    outcome.unwrap();
    assert!(read == expected);
}

/// What rustls held against a handshake.
fn held(outcome: io::Result<TlsStream>) -> Error {
    let error = outcome.err().unwrap();
    error.get_ref().unwrap().downcast_ref::<Error>().unwrap().clone()
}

#[tokio::test]
async fn a_client_that_believes_nobody_says_so_and_hangs_up() {
    for suite in [ALL_CIPHER_SUITES[0], tls12()] {
        let (a, b) = sockets().await;
        let config = judging(suite, Judge::Pin(Fingerprint([0; 32])));
        let (ours, theirs) = tokio::join!(connect(a, config, localhost()), accept(b, server()));
        assert!(matches!(held(ours), Error::InvalidCertificate(_)));
        assert!(matches!(held(theirs), Error::AlertReceived(_)));
    }
}

#[tokio::test]
async fn ends_without_a_common_suite_part_in_words() {
    let (a, b) = sockets().await;
    let modern = ServerConfig::builder_with_provider(crypto())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::clone(&server().cert_resolver));
    let (ours, theirs) = tokio::join!(
        connect(a, client(tls12()), localhost()),
        accept(b, Arc::new(modern))
    );
    assert!(matches!(
        held(ours),
        Error::AlertReceived(AlertDescription::ProtocolVersion)
    ));
    assert!(matches!(held(theirs), Error::PeerIncompatible(_)));
}

#[tokio::test]
async fn a_peer_that_breaks_the_rules_is_told_so() {
    let (mut ours, theirs) = {
        let (a, b) = sockets().await;
        let connection = ClientConnection::new(client(ALL_CIPHER_SUITES[0]), localhost()).unwrap();
        let theirs = tokio::task::spawn_blocking(move || Theirs::handshake(connection.into(), a));
        let (ours, theirs) = tokio::join!(accept(b, server()), theirs);
        (ours.unwrap(), theirs.unwrap())
    };
    let telling = tokio::task::spawn_blocking(move || {
        let Theirs {
            mut connection,
            mut socket,
        } = theirs;
        socket.write_all(&[23, 3, 3, 0, 20]).unwrap();
        socket.write_all(&[0; 20]).unwrap();
        connection.complete_io(&mut socket).unwrap_err()
    });
    let mut byte = [0];
    let error = ours.read(&mut byte).await.unwrap_err();
    assert_eq!(
        error.get_ref().unwrap().downcast_ref(),
        Some(&Error::DecryptError)
    );
    let told = telling.await.unwrap();
    assert_eq!(
        told.get_ref().unwrap().downcast_ref(),
        Some(&Error::AlertReceived(AlertDescription::BadRecordMac))
    );
}
