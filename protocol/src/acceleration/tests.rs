use std::net::SocketAddr;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::cipher::{Opener, Sealer};
use super::message::Header;
use super::{Accelerator, Key, Refused, Settings, Transmit, Version, tcp_mss};
use crate::block::FRAME_BYTES;

const CLIENT: &str = "192.0.2.1:4000";
const SERVER: &str = "192.0.2.2:40000";
const STEP: Duration = Duration::from_millis(50);
const TRIP: Duration = Duration::from_millis(20);

fn at(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap())
        .collect()
}

/// Both ends of a session.
#[derive(Clone, Copy, Debug)]
struct Kind {
    version: Version,
    ours: bool,
    compress: bool,
}

const STOCK: Kind = Kind {
    version: Version::V2,
    ours: false,
    compress: false,
};
const OURS: Kind = Kind { ours: true, ..STOCK };

fn pair(kind: Kind, now: Instant) -> (Accelerator, Accelerator) {
    let (client_key, server_key) = (Key::new([1; 20], [2; 128]), Key::new([3; 20], [4; 128]));
    let client = Settings {
        version: kind.version,
        our_key: client_key,
        peer_key: server_key,
        our_cookie: 10,
        peer_cookie: 20,
        fast_detect: true,
        compress: kind.compress,
        ours: kind.ours,
        peer: at(SERVER),
    };
    let server = Settings {
        our_key: client.peer_key.clone(),
        peer_key: client.our_key.clone(),
        our_cookie: client.peer_cookie,
        peer_cookie: client.our_cookie,
        peer: at(CLIENT),
        ..client.clone()
    };
    let client = Accelerator::new(&client, now, [5; 32]).unwrap();
    // Clocks have nothing to do with each other.
    let server = Accelerator::new(&server, now - Duration::from_secs(1000), [6; 32]).unwrap();
    (client, server)
}

/// A path between two ends; what is sent arrives a moment later.
struct Path {
    now: Instant,
    client: Accelerator,
    server: Accelerator,
    upward: bool,
    downward: bool,
    under_way: Vec<(Instant, Transmit)>,
}

impl Path {
    fn new(kind: Kind) -> Self {
        let now = Instant::now() + Duration::from_secs(10_000);
        let (client, server) = pair(kind, now);
        Self {
            now,
            client,
            server,
            upward: true,
            downward: true,
            under_way: Vec::new(),
        }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += STEP;
            for (end, open) in [(&mut self.client, self.upward), (&mut self.server, self.downward)] {
                end.handle_timeout(self.now);
                while let Some(sent) = end.poll_output() {
                    if open {
                        self.under_way.push((self.now + TRIP, sent));
                    }
                }
            }
            let (arrived, rest) = std::mem::take(&mut self.under_way)
                .into_iter()
                .partition(|(due, _)| *due <= self.now);
            self.under_way = rest;
            for (_, mut sent) in arrived {
                let (to, from) = if sent.to == at(SERVER) {
                    (&mut self.server, at(CLIENT))
                } else {
                    (&mut self.client, at(SERVER))
                };
                to.handle_input(self.now, from, &mut sent.datagram).unwrap();
            }
        }
    }

    fn usable(&self) -> (bool, bool) {
        (self.client.is_usable(self.now), self.server.is_usable(self.now))
    }
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn the_packets_of_the_reference_are_opened_and_made_again_byte_by_byte() {
    // Protocol §8.7.
    let packets = [
        (
            Version::V2,
            "bfb88473a81c0246cb6a62c1e1e8e330bc32b431c65cc437849e8a7576ec9962",
            "326c1f097942b954c784dbd1a38774d3ab0ef0b5a90caf52c7f15147fe523c38dfee66bb7f5e5ffa7b13fa4eb1fe201a7d37fe529a",
            (0x26ee_d4d5, 0x65845, 0x65854, 2),
        ),
        (
            Version::V2,
            "480701dcc606d8720f295dcdc305c57eb48b2acef7b5ec0eae835ce86e21a3fd",
            "0065be735be762124f68049540653fdc658d9cae84b55ba3e71983da0e41d59977d61db329f5b338a214de73d1250ec2000391924f691ea1de4d32308e2e",
            (0xfb3d_0f0b, 0x65854, 0, 11),
        ),
        (
            Version::V1,
            "7f6f03f8739aa42f744a88c619e5f2856e01733e",
            "59ec204a419abdb0d0fab3a1179be32b442535227c462e0b4d9920beb488efd53a1f8960f2df97bb16ae48e6f500d05f771069349f9fd34b68f1201685d24575e7e4ab3f51b106be28924ba125a1a5a959f0",
            (0xecce_c6ad, 0x6c3e1, 0x6c3ff, 19),
        ),
    ];
    for (version, key, packet, (cookie, tick, echo, padding)) in packets {
        let mut keys = Key::new([0; 20], [0; 128]);
        match version {
            Version::V1 => keys.v1.copy_from_slice(&hex(key)),
            Version::V2 => keys.v2[..32].copy_from_slice(&hex(key)),
        }
        let packet = hex(packet);
        let mut open = packet.clone();
        let opened = Opener::new(version, &keys).unwrap().open(&mut open).unwrap();
        let (header, rest) = Header::read(&open[opened.inner]).unwrap();
        assert_eq!((header.cookie, header.tick, header.echo), (cookie, tick, echo));
        assert_eq!((header.size, header.compressed, rest.len()), (0, false, padding));

        let mut vector = [0; 20];
        vector.copy_from_slice(&packet[..20]);
        let mut made = Vec::new();
        Sealer::new(version, &keys, vector)
            .unwrap()
            .seal(&header, &[], padding, &mut made);
        assert_eq!(made, packet);
    }
}

#[test]
fn frames_go_this_way_only_after_both_ends_have_heard_each_other_for_ten_seconds() {
    let mut path = Path::new(STOCK);
    path.pass(seconds(9));
    assert_eq!(path.usable(), (false, false));
    path.pass(seconds(4));
    assert_eq!(path.usable(), (true, true));

    let mut path = Path::new(OURS);
    path.pass(seconds(1));
    assert_eq!(path.usable(), (false, false));
    path.pass(seconds(4));
    assert_eq!(path.usable(), (true, true));
}

#[test]
fn a_dead_path_is_left_after_two_seconds_and_must_be_steady_anew() {
    let mut path = Path::new(STOCK);
    path.pass(seconds(15));
    (path.upward, path.downward) = (false, false);
    path.pass(Duration::from_millis(2300));
    assert_eq!(path.usable(), (false, false));
    (path.upward, path.downward) = (true, true);
    path.pass(seconds(9));
    assert_eq!(path.usable(), (false, false));
    path.pass(seconds(5));
    assert_eq!(path.usable(), (true, true));
}

#[test]
fn a_path_that_dies_one_way_is_left_by_both_ends() {
    let mut path = Path::new(STOCK);
    path.pass(seconds(15));
    path.upward = false;
    path.pass(Duration::from_millis(2300));
    assert!(!path.usable().1, "the server hears nothing");
    path.pass(seconds(3));
    assert!(!path.usable().0, "the client hears that it is not heard");
}

#[test]
fn a_peer_that_is_not_heard_any_more_is_told_by_silence() {
    let mut path = Path::new(STOCK);
    path.pass(seconds(15));
    path.upward = false;
    let (mut last, mut longest) = (path.now, Duration::ZERO);
    for _ in 0..seconds(10).as_millis() / STEP.as_millis() {
        path.now += STEP;
        path.server.handle_timeout(path.now);
        while path.server.poll_output().is_some() {
            longest = longest.max(path.now - last);
            last = path.now;
        }
    }
    assert!(
        longest > Duration::from_millis(2100),
        "a stock client gives the path up"
    );
    assert!(path.now - last <= seconds(1), "and may come back to it");
}

#[test]
fn an_end_that_cannot_send_leaves_the_path_at_once() {
    let mut path = Path::new(STOCK);
    path.pass(seconds(15));
    path.client.send_failed();
    assert_eq!(path.usable(), (false, true));
}

#[test]
fn silence_on_one_side_never_makes_a_path() {
    let mut path = Path::new(OURS);
    path.downward = false;
    path.pass(seconds(30));
    assert_eq!(path.usable(), (false, false));
}

#[test]
fn keep_alives_keep_to_their_intervals_however_long_nothing_else_happens() {
    let mut path = Path::new(STOCK);
    path.upward = false;
    for _ in 0..100 {
        let due = path.client.poll_timeout();
        path.client.handle_timeout(due);
        assert!(path.client.poll_output().is_some());
        assert!(path.client.poll_output().is_none());
        let next = path.client.poll_timeout() - due;
        assert!((500..=1000).contains(&next.as_millis()), "{next:?}");
    }
}

#[test]
fn the_peer_is_where_its_newest_datagram_came_from() {
    let now = Instant::now() + seconds(10_000);
    let (mut client, mut server) = pair(STOCK, now);
    let mut datagrams = Vec::new();
    for n in 0..3 {
        let mut datagram = Vec::new();
        assert!(client.seal(now + n * STEP, b"frame", &mut datagram));
        datagrams.push(datagram);
    }
    let moved = at("198.51.100.7:9");
    let thief = at("203.0.113.66:66");
    server
        .handle_input(now, at(CLIENT), &mut datagrams[1].clone())
        .unwrap();
    assert_eq!(server.peer(), at(CLIENT));
    for old in [0, 1] {
        server
            .handle_input(now, thief, &mut datagrams[old].clone())
            .unwrap();
        assert_eq!(server.peer(), at(CLIENT), "an old datagram moved the peer");
    }
    server
        .handle_input(now, moved, &mut datagrams[2].clone())
        .unwrap();
    assert_eq!(server.peer(), moved);
}

#[test]
fn what_is_not_from_the_peer_or_not_for_us_is_refused_and_forgotten() {
    let now = Instant::now() + seconds(10_000);
    let (mut client, mut server) = pair(OURS, now);
    let mut datagram = Vec::new();
    assert!(client.seal(now, b"frame", &mut datagram));
    // Its own datagram comes back to it.
    assert_eq!(
        client.handle_input(now, at(SERVER), &mut datagram.clone()),
        Err(Refused::Forged)
    );
    for byte in 0..datagram.len() {
        let mut tampered = datagram.clone();
        tampered[byte] ^= 1;
        assert_eq!(
            server.handle_input(now, at("203.0.113.66:66"), &mut tampered),
            Err(Refused::Forged)
        );
    }
    assert_eq!(server.peer(), at(CLIENT));
    let mut again = datagram.clone();
    assert_eq!(
        server.handle_input(now, at(CLIENT), &mut datagram),
        Ok(&b"frame"[..])
    );
    assert_eq!(
        server.handle_input(now, at(CLIENT), &mut again),
        Err(Refused::Replayed)
    );

    let (mut other, _) = pair(OURS, now);
    other.peer_cookie += 1;
    let mut datagram = Vec::new();
    assert!(other.seal(now, b"frame", &mut datagram));
    assert_eq!(
        server.handle_input(now, at(CLIENT), &mut datagram),
        Err(Refused::Cookie)
    );
}

#[test]
fn a_datagram_that_is_more_than_half_a_minute_old_is_refused() {
    for version in [Version::V1, Version::V2] {
        let now = Instant::now() + seconds(10_000);
        let (mut client, mut server) = pair(Kind { version, ..STOCK }, now);
        let seal = |client: &mut Accelerator, after| {
            let mut datagram = Vec::new();
            assert!(client.seal(now + after, b"frame", &mut datagram));
            datagram
        };
        let (mut old, mut late, mut new) = (
            seal(&mut client, seconds(0)),
            seal(&mut client, seconds(1)),
            seal(&mut client, Duration::from_millis(30_500)),
        );
        assert!(server.handle_input(now, at(CLIENT), &mut new).is_ok());
        assert!(server.handle_input(now, at(CLIENT), &mut late).is_ok());
        assert_eq!(
            server.handle_input(now, at(CLIENT), &mut old),
            Err(Refused::TooOld)
        );
    }
}

#[test]
fn a_peer_that_echoes_what_was_never_sent_is_not_alive() {
    let now = Instant::now() + seconds(10_000);
    let (mut client, mut server) = pair(OURS, now);
    server.peer_tick = u64::MAX;
    for n in 0..100 {
        let mut datagram = Vec::new();
        assert!(server.seal(now + n * STEP, b"frame", &mut datagram));
        client
            .handle_input(now + n * STEP, at(SERVER), &mut datagram)
            .unwrap();
    }
    assert!(!client.is_usable(now + 100 * STEP));
}

#[test]
fn frames_that_fit_make_datagrams_that_fit() {
    assert_eq!(
        (tcp_mss(at(SERVER)), tcp_mss(at("[2001:db8::1]:1"))),
        (1309, 1289)
    );
    let now = Instant::now() + seconds(10_000);
    for version in [Version::V1, Version::V2] {
        let (client, _) = pair(Kind { version, ..STOCK }, now);
        let frame = usize::from(tcp_mss(at(SERVER))) + 14 + 20 + 20;
        assert!(client.sealed_len(frame) <= super::max_datagram(at(SERVER)));
    }
}

fn kinds() -> impl Strategy<Value = Kind> {
    let version = prop_oneof![Just(Version::V1), Just(Version::V2)];
    (version, any::<bool>(), any::<bool>()).prop_map(|(version, ours, compress)| Kind {
        version,
        ours,
        compress,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_frame_comes_out_as_it_went_in(
        kind in kinds(),
        frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..=FRAME_BYTES), 1..8),
    ) {
        let now = Instant::now() + seconds(10_000);
        let (mut client, mut server) = pair(kind, now);
        for frame in frames {
            let mut datagram = Vec::new();
            prop_assert!(client.seal(now, &frame, &mut datagram));
            if !kind.compress {
                prop_assert_eq!(datagram.len(), client.sealed_len(frame.len()));
            }
            prop_assert_eq!(server.handle_input(now, at(CLIENT), &mut datagram), Ok(&frame[..]));
        }
    }

    #[test]
    fn nothing_that_a_stranger_sends_is_taken(kind in kinds(), mut datagram in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let now = Instant::now() + seconds(10_000);
        let (_, mut server) = pair(kind, now);
        prop_assert!(server.handle_input(now, at(CLIENT), &mut datagram).is_err());
        prop_assert!(!server.is_usable(now));
    }

    #[test]
    fn lengths_and_ticks_of_a_hostile_peer_break_nothing(
        kind in kinds(),
        cookie in prop_oneof![Just(20), any::<u32>()],
        tick in any::<u64>(),
        echo in any::<u64>(),
        size in any::<u16>(),
        compressed in any::<bool>(),
        payload in proptest::collection::vec(any::<u8>(), 0..1800),
    ) {
        let now = Instant::now() + seconds(10_000);
        let (mut client, mut server) = pair(kind, now);
        let header = Header { cookie, tick, echo, size, compressed };
        let mut datagram = Vec::new();
        client.sealer.seal(&header, &payload, 3, &mut datagram);
        if let Ok(frame) = server.handle_input(now, at(CLIENT), &mut datagram) {
            prop_assert!(frame.len() <= FRAME_BYTES);
            prop_assert_eq!((cookie, tick == 0), (20, false));
        }
        server.handle_timeout(now + seconds(5));
        prop_assert!(server.poll_timeout() > now);
        prop_assert!(!server.is_usable(now + seconds(5)));
    }
}
