//! Ethernet frames: how tests make them, and that they cross the hub unchanged whatever the session is like.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::Ipv4Addr;

use protocol::handshake::SessionOptions;
use tempfile::TempDir;

use crate::peer::{Peer, enter, login};
use crate::site::{Site, lab};

pub(crate) const BROADCAST: [u8; 6] = [0xff; 6];

/// The address of station `n`.
pub(crate) fn station(n: u8) -> [u8; 6] {
    [0x02, 0, 0, 0, 0, n]
}

/// A frame of an EtherType for experiments (IEEE 802 §9.2.3).
pub(crate) fn frame(to: [u8; 6], from: [u8; 6], body: &[u8]) -> Vec<u8> {
    let mut frame = [to.as_slice(), &from, &[0x88, 0xb5], body].concat();
    frame.resize(frame.len().max(60), 0);
    frame
}

/// IPv4 and UDP around a payload, without a UDP checksum (RFC 768 allows that).
pub(crate) fn udp(
    (from_mac, from, from_port): ([u8; 6], Ipv4Addr, u16),
    (to_mac, to, to_port): ([u8; 6], Ipv4Addr, u16),
    payload: &[u8],
) -> Vec<u8> {
    let length = |of: usize| u16::try_from(of).unwrap().to_be_bytes();
    let mut ip = vec![0x45, 0];
    ip.extend(length(28 + payload.len()));
    ip.extend([0, 0, 0, 0, 64, 17, 0, 0]);
    ip.extend(from.octets());
    ip.extend(to.octets());
    let sum: u32 = ip
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
        .sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    let checksum = !u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
    ip[10..12].copy_from_slice(&checksum.to_be_bytes());
    let mut frame = [to_mac.as_slice(), &from_mac, &[0x08, 0x00], &ip].concat();
    frame.extend(from_port.to_be_bytes());
    frame.extend(to_port.to_be_bytes());
    frame.extend(length(8 + payload.len()));
    frame.extend([0, 0]);
    frame.extend(payload);
    frame
}

/// Makes both known to the hub and to each other.
pub(crate) async fn introduce(one: &mut Peer, other: &mut Peer) {
    greet(one, other, 1).await;
    greet(other, one, 2).await;
}

async fn greet(talker: &Peer, listener: &mut Peer, n: u8) {
    let hello = frame(BROADCAST, station(n), b"hello");
    talker.send([hello.clone()]);
    assert_eq!(listener.receive().await, hello);
}

const ROUNDS: u32 = 40;
const FRAMES: u32 = 50;

/// Sends many frames, a round at a time so that no queue overflows, and compares what was sent with what came.
async fn transfer(from: &Peer, to: &mut Peer, source: u8, target: u8) {
    let (mut sent, mut came) = (DefaultHasher::new(), DefaultHasher::new());
    for round in 0..ROUNDS {
        let frames: Vec<_> = (0..FRAMES)
            .map(|n| {
                let number = (round * FRAMES + n).to_be_bytes();
                let length = 4 + 29 * n as usize;
                let body: Vec<u8> = number.iter().copied().cycle().take(length).collect();
                frame(station(target), station(source), &body)
            })
            .collect();
        frames.iter().for_each(|frame| frame.hash(&mut sent));
        from.send(frames);
        for _ in 0..FRAMES {
            to.receive().await.to_vec().hash(&mut came);
        }
    }
    assert_eq!(sent.finish(), came.finish());
}

/// Two sessions of this kind with all the connections that they are granted exchange frames.
async fn exchange(options: SessionOptions, connections: u32) {
    let folder = TempDir::new().unwrap();
    let (site, _admin) = lab(&folder, &["alice", "bob"]).await;
    let mut one = full(&site, "alice", &options).await;
    let mut other = full(&site, "bob", &options).await;
    assert_eq!(one.welcome.max_connection, connections);
    introduce(&mut one, &mut other).await;
    transfer(&one, &mut other, 1, 2).await;
    transfer(&other, &mut one, 2, 1).await;
    let traffic = one.tunnel.traffic();
    let sent = traffic.frames_out.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(sent, u64::from(ROUNDS * FRAMES) + 1);
}

async fn full(site: &Site, user: &str, options: &SessionOptions) -> Peer {
    let mut login = login(user);
    login.options = options.clone();
    let peer = enter(site, login).await.unwrap();
    for _ in 1..peer.welcome.max_connection {
        peer.join(site).await.unwrap();
    }
    let session = site.server.sessions.with_key(&peer.welcome.session_key).unwrap();
    let mut state = session.tunnel.watch();
    state
        .wait_for(|state| state.connections == peer.welcome.max_connection as usize)
        .await
        .unwrap();
    peer
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_cross_over_one_connection() {
    exchange(SessionOptions::default(), 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_cross_compressed() {
    let options = SessionOptions {
        use_compress: true,
        ..SessionOptions::default()
    };
    exchange(options, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_cross_over_eight_connections() {
    let options = SessionOptions {
        max_connection: 8,
        ..SessionOptions::default()
    };
    exchange(options, 8).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_cross_half_duplex() {
    let options = SessionOptions {
        max_connection: 2,
        half_connection: true,
        ..SessionOptions::default()
    };
    exchange(options, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_cross_beside_a_connection_for_priority() {
    let options = SessionOptions {
        max_connection: 4,
        qos: true,
        ..SessionOptions::default()
    };
    exchange(options, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_cross_half_duplex_compressed_and_with_priority() {
    let options = SessionOptions {
        max_connection: 8,
        half_connection: true,
        use_compress: true,
        qos: true,
        ..SessionOptions::default()
    };
    exchange(options, 8).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_crosses_from_hub_to_hub_or_back_to_its_sender() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &["alice", "bob"]).await;
    crate::site::add_hub(&mut admin, "other").await;
    admin
        .call::<protocol::rpc::method::CreateUser>(&crate::site::anonymous("other", "eve"))
        .await
        .unwrap();
    let mut alice = enter(&site, login("alice")).await.unwrap();
    let mut bob = enter(&site, login("bob")).await.unwrap();
    let mut elsewhere = login("eve");
    elsewhere.hub = "other".to_owned();
    let mut eve = enter(&site, elsewhere).await.unwrap();
    alice.send([frame(BROADCAST, station(1), b"to all of lab")]);
    bob.receive().await;
    assert!(alice.heard_nothing());
    assert!(eve.heard_nothing());
}
