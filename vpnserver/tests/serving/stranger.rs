//! What strangers can do to the server: little, and not for long.

use std::time::{Duration, Instant};

use protocol::error::ErrorCode;
use protocol::handshake::Request;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use vpnserver::events::Event;

use crate::peer::{enter, login};
use crate::site::{PATIENCE, Site, lab};

/// Why the server parted from a stranger.
async fn parting(site: &Site) -> String {
    site.event(|event| match event {
        Event::StrangerLeft { reason, .. } => Some(reason.clone()),
        _ => None,
    })
    .await
}

async fn hung_up(stream: &mut (impl AsyncReadExt + Unpin)) {
    let mut rest = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut rest))
        .await
        .expect("the server hangs up");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_tls_is_hung_up_on() {
    let folder = TempDir::new().unwrap();
    let (site, _admin) = lab(&folder, &["alice"]).await;
    let mut stranger = TcpStream::connect(site.address).await.unwrap();
    stranger.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    hung_up(&mut stranger).await;
    let reason = parting(&site).await;
    assert!(reason.starts_with("no TLS handshake"), "{reason}");
    enter(&site, login("alice")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_request_of_the_protocol_is_hung_up_on() {
    let folder = TempDir::new().unwrap();
    let (site, _admin) = lab(&folder, &[]).await;
    for garbage in [
        b"\0\x01\x02\x03 nonsense\r\n\r\n".to_vec(),
        b"POST /vpnsvc/vpn.cgi HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n".to_vec(),
        b"POST /vpnsvc/vpn.cgi HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n".to_vec(),
        [b"GET /".as_slice(), &[b'a'; 100_000]].concat(),
    ] {
        let mut stream = site.dial().await.into_stream().0;
        let _ = stream.write_all(&garbage).await;
        let _ = stream.flush().await;
        hung_up(&mut stream).await;
    }
    assert!(site.server.sessions.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_is_too_long_is_not_read() {
    let folder = TempDir::new().unwrap();
    let (site, _admin) = lab(&folder, &["alice"]).await;
    let mut dialed = site.dial().await;
    let mut request = Request::Login(Box::new(login("alice"))).to_pack();
    request.set_data("ballast", &vec![0; 70_000]);
    let answer = dialed.request(&request).await;
    assert!(answer.map_or(true, |answer| answer.error().is_some()));
    assert!(site.server.sessions.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_makes_no_sense_is_answered_so() {
    let folder = TempDir::new().unwrap();
    let (site, _admin) = lab(&folder, &[]).await;
    for (method, code) in [
        ("nonsense", ErrorCode::Protocol),
        ("login", ErrorCode::Protocol),
        ("farm_connect", ErrorCode::NotFarmController),
    ] {
        let mut request = protocol::pack::Pack::new();
        request.set_str("method", method);
        let answer = site.dial().await.request(&request).await.unwrap();
        assert_eq!(answer.error(), Some(code), "{method}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_nothing_is_sent_away_after_fifteen_seconds() {
    let folder = TempDir::new().unwrap();
    let (site, _admin) = lab(&folder, &[]).await;
    let began = Instant::now();
    let mut silent = TcpStream::connect(site.address).await.unwrap();
    hung_up(&mut silent).await;
    assert!(
        began.elapsed() >= Duration::from_secs(14),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(parting(&site).await, "no login within 15 seconds");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_source_cannot_take_all_the_room() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &["alice"]).await;
    let already = enter(&site, login("alice")).await.unwrap();
    let mut crowd = Vec::new();
    for _ in 0..300 {
        crowd.push(TcpStream::connect(site.address).await.unwrap());
    }
    let source = site
        .event(|event| match event {
            Event::Flooded { source, .. } => Some(*source),
            _ => None,
        })
        .await;
    assert_eq!(source, site.address.ip());
    // Who is in already, and who comes another way, does not notice.
    assert_eq!(already.tunnel.watch().borrow().connections, 1);
    crate::site::set_option(&mut admin, "lab", "AllowStandardPassword", 1).await;
    drop(crowd);
    while !site.server.connections.all().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    enter(&site, login("alice")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_breaks_the_framing_loses_its_connection_only() {
    let folder = TempDir::new().unwrap();
    let (site, _admin) = lab(&folder, &["alice", "mallory"]).await;
    let alice = enter(&site, login("alice")).await.unwrap();
    let mut dialed = site.dial().await;
    let answer = dialed
        .request(&Request::Login(Box::new(login("mallory"))).to_pack())
        .await
        .unwrap();
    assert!(answer.error().is_none());
    let (mut stream, _) = dialed.into_stream();
    // Four thousand million frames are announced.
    stream.write_all(&[0xff, 0xff, 0xff, 0xfe]).await.unwrap();
    stream.write_all(&[0xff; 64]).await.unwrap();
    stream.flush().await.unwrap();
    hung_up(&mut stream).await;
    assert_eq!(alice.tunnel.watch().borrow().connections, 1);
}
