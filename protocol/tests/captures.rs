//! Sessions of the stock software, byte for byte: everything is read to its last byte, becomes typed values, and is
//! written again as it was.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod stream;

use std::time::SystemTime;

use base64::Engine;
use bytes::BytesMut;
use protocol::acceleration::{Accelerator, Key, Settings, Version};
use protocol::block::{BlockDecoder, BlockEncoder, Dropped, Item, encode_keepalive};
use protocol::certificate::{SigningKey, verify};
use protocol::error::ErrorCode;
use protocol::handshake::{
    Attached, Auth, ClientEvent, ClientHandshake, Hello, Request, ServerHandshake, Welcome, refusal,
};
use protocol::http;
use protocol::pack::{Limits, Pack};
use protocol::password::{admin_hash, user_hash};
use protocol::rpc::frame::FrameDecoder;
use protocol::tunnel::Direction;
use rand::SeedableRng;
use stream::{Side, Stream, data};

/// Frames and keep-alives behind the negotiation: client to server, then server to client.
const DATA: [(&str, [(usize, usize); 2]); 20] = [
    ("anonymous.conn1", [(9, 1), (9, 1)]),
    ("certificate.conn1", [(8, 1), (10, 1)]),
    ("compressed.conn1", [(8, 1), (10, 1)]),
    ("half-duplex-4conn.conn1", [(0, 2), (0, 0)]),
    ("half-duplex-4conn.conn2", [(0, 0), (0, 1)]),
    ("half-duplex-4conn.conn3", [(0, 0), (12, 1)]),
    ("half-duplex-4conn.conn4", [(8, 1), (0, 0)]),
    ("no-encrypt-2conn.conn1", [(0, 1), (0, 1)]),
    ("no-encrypt-2conn.conn2", [(8, 1), (10, 1)]),
    ("password-1conn.conn1", [(40, 3), (42, 3)]),
    ("password-4conn-qos.conn1", [(0, 3), (2, 2)]),
    ("password-4conn-qos.conn2", [(0, 2), (0, 2)]),
    ("password-4conn-qos.conn3", [(8, 2), (10, 1)]),
    ("password-4conn-qos.conn4", [(0, 2), (0, 2)]),
    ("plain-password.conn1", [(8, 1), (10, 1)]),
    ("refused-no-such-hub.conn1", [(0, 0), (0, 0)]),
    ("refused-wrong-password.conn1", [(0, 0), (0, 0)]),
    ("udp-accel-plaintext.conn1", [(0, 6), (4, 4)]),
    ("udp-accel-v1.conn1", [(0, 5), (4, 4)]),
    ("udp-accel-v2.conn1", [(0, 4), (4, 5)]),
];

const ADMIN: &str = "admin-rpc.conn1";

fn names() -> impl Iterator<Item = &'static str> {
    DATA.iter().map(|(name, _)| *name).chain([ADMIN])
}

/// A typed message written as stock peers write it: sorted, with the padding that the original had.
fn with_padding(mut pack: Pack, original: &Pack) -> Vec<u8> {
    pack.sort();
    pack.set_data("pencore", original.data("pencore").unwrap())
        .encode()
}

#[test]
fn every_pack_is_written_as_it_was_read() {
    for name in names() {
        for side in [Side::Client, Side::Server] {
            for message in &Stream::load(name, side).packs {
                let pack = Pack::decode(message, &Limits::BEFORE_LOGIN).unwrap();
                assert_eq!(&pack.encode(), message, "{name}");
                let mut sorted = pack.clone();
                let padding = pack.data("pencore").unwrap();
                sorted.remove("pencore").sort();
                sorted.set_data("pencore", padding);
                assert_eq!(&sorted.encode(), message, "{name}: stock order");
            }
        }
    }
}

#[test]
fn every_request_is_written_as_it_was_read() {
    for name in names() {
        let stream = Stream::load(name, Side::Client);
        let [message] = &stream.packs[..] else {
            panic!("{name}: one request")
        };
        let pack = Pack::decode(message, &Limits::BEFORE_LOGIN).unwrap();
        let request = Request::from_pack(&pack).unwrap();
        assert_eq!(&with_padding(request.to_pack(), &pack), message, "{name}");
    }
}

#[test]
fn every_answer_is_written_as_it_was_read() {
    for name in names() {
        let stream = Stream::load(name, Side::Server);
        let [hello, answer] = &stream.packs[..] else {
            panic!("{name}: two answers")
        };
        let hello_pack = Pack::decode(hello, &Limits::BEFORE_LOGIN).unwrap();
        let typed = Hello::from_pack(&hello_pack).unwrap();
        assert_eq!(
            (typed.version, typed.build, typed.wants_password),
            (501, 9674, false)
        );
        assert_eq!(&with_padding(typed.to_pack(), &hello_pack), hello, "{name}");

        let pack = Pack::decode(answer, &Limits::REPLY).unwrap();
        let again = if let Some(code) = pack.error() {
            refusal(code)
        } else if pack.contains("session_name") {
            Welcome::from_pack(&pack).unwrap().to_pack()
        } else if pack.contains("direction") {
            Attached::from_pack(&pack).unwrap().to_pack()
        } else {
            assert_eq!(name, ADMIN);
            let mut pack = Pack::new();
            pack.set_bool("empty_password", true);
            pack
        };
        assert_eq!(&with_padding(again, &pack), answer, "{name}");
    }
}

#[test]
fn refusals_carry_their_codes() {
    for (name, code) in [
        ("refused-wrong-password.conn1", ErrorCode::AuthFailed),
        ("refused-no-such-hub.conn1", ErrorCode::HubNotFound),
    ] {
        let answer = Pack::decode(&Stream::load(name, Side::Server).packs[1], &Limits::REPLY).unwrap();
        assert_eq!(Welcome::from_pack(&answer), Err(code));
    }
}

#[test]
fn half_duplex_connections_get_alternating_directions() {
    let direction = |n: u32| {
        let stream = Stream::load(&format!("half-duplex-4conn.conn{n}"), Side::Server);
        Attached::from_pack(&Pack::decode(&stream.packs[1], &Limits::REPLY).unwrap())
            .unwrap()
            .direction
    };
    let directions = [2, 3, 4].map(direction);
    assert_eq!(
        directions,
        [
            Direction::ServerToClient,
            Direction::ServerToClient,
            Direction::ClientToServer
        ]
    );
}

#[test]
fn frames_are_written_as_they_were_read() {
    for (name, expected) in DATA {
        let compressed = name.starts_with("compressed");
        for (side, expected) in [Side::Client, Side::Server].into_iter().zip(expected) {
            let rest = Stream::load(name, side).rest;
            let mut input = BytesMut::from(&rest[..]);
            let mut decoder = BlockDecoder::new(compressed);
            let mut encoder = BlockEncoder::new(compressed);
            let (mut written, mut items) = (BytesMut::new(), Vec::new());
            while !input.is_empty() {
                // One group or keep-alive at a time, so that the groups come out the same.
                let blocks = u32::from_be_bytes(input[..4].try_into().unwrap());
                let frames: Vec<_> = (0..if blocks == u32::MAX { 1 } else { blocks })
                    .map(|_| decoder.decode(&mut input).unwrap().unwrap())
                    .collect();
                match &frames[..] {
                    [Item::KeepAlive(body)] => encode_keepalive(body, &mut written),
                    frames => {
                        let frames = frames.iter().map(|item| match item {
                            Item::Frame(frame) => frame,
                            other => panic!("{name}: {other:?} inside a group"),
                        });
                        encoder.encode_group(frames, &mut written);
                    }
                }
                items.extend(frames);
            }
            let keepalives = items
                .iter()
                .filter(|item| matches!(item, Item::KeepAlive(_)))
                .count();
            assert_eq!(
                (items.len() - keepalives, keepalives),
                expected,
                "{name} {side:?}"
            );
            assert_eq!(decoder.dropped(), Dropped::default());
            if compressed {
                // Another deflate writes other bytes; what they mean is the same.
                let mut decoder = BlockDecoder::new(true);
                let again = std::iter::from_fn(|| decoder.decode(&mut written).unwrap()).collect::<Vec<_>>();
                assert_eq!(again, items, "{name}");
            } else {
                assert_eq!(written, rest, "{name} {side:?}");
            }
        }
    }
}

#[test]
fn administration_records_are_written_as_they_were_read() {
    for (side, count) in [(Side::Client, 4), (Side::Server, 4)] {
        let mut input = BytesMut::from(&Stream::load(ADMIN, side).rest[..]);
        let mut records = 0;
        while let Some(record) = FrameDecoder::new(1 << 20).decode(&mut input).unwrap() {
            assert_eq!(Pack::decode(&record, &Limits::ADMIN).unwrap().encode(), record);
            records += 1;
        }
        assert!(input.is_empty());
        assert_eq!(records, count);
    }
}

/// The server machine hears what the stock client said, with the short signature in place of the picture.
#[test]
fn the_server_understands_the_stock_client() {
    for name in names() {
        let stream = Stream::load(name, Side::Client);
        let recorded = Stream::load(name, Side::Server);
        let hello = Hello::from_pack(&Pack::decode(&recorded.packs[0], &Limits::REPLY).unwrap()).unwrap();
        let answer = Pack::decode(&recorded.packs[1], &Limits::REPLY).unwrap();
        for cut in [1, 19, 100_000] {
            let mut server = ServerHandshake::new(hello.clone(), SystemTime::UNIX_EPOCH);
            for piece in stream.with_short_signature().chunks(cut) {
                server.handle_input(piece).unwrap();
            }
            let pack = Pack::decode(&stream.packs[0], &Limits::BEFORE_LOGIN).unwrap();
            assert_eq!(
                server.poll_request(),
                Some(Request::from_pack(&pack).unwrap()),
                "{name}"
            );
            server.reply(&answer);
            assert_eq!(server.is_established(), answer.error().is_none(), "{name}");
            assert_eq!(server.into_rest(), stream.rest, "{name}");
        }
    }
}

/// The client machine hears what the stock server said, but for the page that answered a probe it does not send.
#[test]
fn the_client_understands_the_stock_server() {
    for name in names() {
        let stream = Stream::load(name, Side::Server);
        for cut in [1, 19, 100_000] {
            let mut client = ClientHandshake::new("10.91.1.1", SystemTime::UNIX_EPOCH);
            client
                .handle_input(&stream.messages[stream.messages.len() - 2])
                .unwrap();
            let Some(ClientEvent::Hello(_)) = client.poll_event() else {
                panic!("{name}: hello")
            };
            client.send(&Request::EnumHub.to_pack());
            let last = [stream.messages.last().unwrap(), &stream.rest[..]].concat();
            last.chunks(cut)
                .for_each(|piece| client.handle_input(piece).unwrap());
            let Some(ClientEvent::Reply(reply)) = client.poll_event() else {
                panic!("{name}: reply")
            };
            assert_eq!(&reply.encode(), &stream.packs[1], "{name}");
            assert_eq!(client.into_rest(), stream.rest, "{name}");
        }
    }
}

/// Our requests and responses have the heads of the stock software, apart from lengths and dates.
#[test]
fn heads_are_written_as_stock_peers_write_them() {
    let date = |head: &str| {
        head.lines()
            .find_map(|line| line.strip_prefix("Date: "))
            .unwrap_or_default()
            .to_owned()
    };
    let client = Stream::load("password-4conn-qos.conn2", Side::Client);
    let [signature, request] = &client.messages[..] else {
        panic!("two requests")
    };
    let head = stream::head(signature);
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("Content-Length: "))
        .unwrap()
        .parse()
        .unwrap();
    let ours = http::signature_request("/vpnsvc/connect.cgi", "10.91.1.1", &vec![0; length]);
    assert_eq!(stream::head(&ours), head);
    let ours = http::pack_request(
        "/vpnsvc/vpn.cgi",
        "10.91.1.1",
        &date(&stream::head(request)),
        &client.packs[0],
    );
    assert_eq!(&ours, request);

    let server = Stream::load("password-4conn-qos.conn2", Side::Server);
    let response = &server.messages[0];
    let ours = http::response(
        "200 OK",
        http::PACK_TYPE,
        &date(&stream::head(response)),
        &server.packs[0],
    );
    assert_eq!(&ours, response);
}

fn login(name: &str) -> (Hello, protocol::handshake::Login) {
    let hello = Pack::decode(&Stream::load(name, Side::Server).packs[0], &Limits::REPLY).unwrap();
    let request = Pack::decode(&Stream::load(name, Side::Client).packs[0], &Limits::BEFORE_LOGIN).unwrap();
    match Request::from_pack(&request).unwrap() {
        Request::Login(login) => (Hello::from_pack(&hello).unwrap(), *login),
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn passwords_prove_what_the_captures_prove() {
    for (name, password) in [
        ("password-1conn.conn1", "microsoft"),
        ("password-4conn-qos.conn1", "microsoft"),
        ("half-duplex-4conn.conn1", "microsoft"),
        ("refused-wrong-password.conn1", "wrong"),
        ("udp-accel-v1.conn1", "microsoft"),
        ("udp-accel-v2.conn1", "microsoft"),
    ] {
        let (hello, login) = login(name);
        let proof = user_hash(password.as_bytes(), &login.user).prove(&hello.random);
        assert!(login.auth == Auth::Challenge(proof), "{name}");
    }
    let (_, login) = login("plain-password.conn1");
    assert!(matches!(login.auth, Auth::Plain(password) if *password == "Secret-123"));
    let stream = Stream::load(ADMIN, Side::Client);
    let Ok(Request::Admin(admin)) =
        Request::from_pack(&Pack::decode(&stream.packs[0], &Limits::BEFORE_LOGIN).unwrap())
    else {
        panic!("an administrator")
    };
    let hello = Pack::decode(&Stream::load(ADMIN, Side::Server).packs[0], &Limits::REPLY).unwrap();
    assert_eq!(
        admin.proof.0,
        admin_hash(b"").prove(&hello.array("random").unwrap())
    );
}

#[test]
fn the_certificate_signature_is_made_and_verified() {
    let (hello, login) = login("certificate.conn1");
    let Auth::Certificate { cert, signature } = login.auth else {
        panic!("a certificate")
    };
    assert_eq!(verify(&cert, &hello.random, &signature), Ok(()));
    assert!(verify(&cert, &[0; 20], &signature).is_err());
    assert!(verify(&cert, &hello.random, &signature[1..]).is_err());
    assert!(verify(&signature, &hello.random, &signature).is_err());

    let pem = String::from_utf8(data("test-client-key.pem")).unwrap();
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let der = base64::engine::general_purpose::STANDARD.decode(body).unwrap();
    let key = SigningKey::from_der(&der).unwrap();
    let mut rng = rand::rngs::StdRng::seed_from_u64(1);
    assert_eq!(key.sign(&hello.random, &mut rng).unwrap(), signature);
    assert!(SigningKey::from_der(&cert).is_err());
}

#[test]
fn udp_acceleration_is_negotiated() {
    let (_, login) = login("udp-accel-v2.conn1");
    let offer = login.options.udp.unwrap();
    assert_eq!(
        (offer.max_version, offer.port, offer.fast_detect),
        (2, 36147, true)
    );
    let answer = Pack::decode(
        &Stream::load("udp-accel-v2.conn1", Side::Server).packs[1],
        &Limits::REPLY,
    )
    .unwrap();
    let grant = Welcome::from_pack(&answer).unwrap().udp.unwrap();
    assert_eq!(
        (grant.version, grant.port, grant.use_encryption),
        (2, 40000, true)
    );
    assert_eq!(grant.ip, "10.91.2.2".parse::<std::net::IpAddr>().unwrap());
}

/// The datagrams of a captured UDP flow, with where they came from.
fn datagrams(name: &str) -> Vec<(std::net::SocketAddr, Vec<u8>)> {
    let capture = data(name);
    let mut rest = &capture[24..];
    let mut found = Vec::new();
    while let Some((head, behind)) = rest.split_first_chunk::<16>() {
        let length = u32::from_le_bytes(head[8..12].try_into().unwrap()) as usize;
        let (packet, behind) = behind.split_at(length);
        rest = behind;
        // Ethernet, IPv4 without options, UDP.
        let source: [u8; 4] = packet[26..30].try_into().unwrap();
        let port = u16::from_be_bytes(packet[34..36].try_into().unwrap());
        found.push((std::net::SocketAddr::from((source, port)), packet[42..].to_vec()));
    }
    found
}

#[test]
fn every_datagram_of_udp_acceleration_is_opened_by_the_other_end() {
    for (name, version) in [("udp-accel-v1", Version::V1), ("udp-accel-v2", Version::V2)] {
        let (_, login) = login(&format!("{name}.conn1"));
        let offer = login.options.udp.unwrap();
        let answer = &Stream::load(&format!("{name}.conn1"), Side::Server).packs[1];
        let grant = Welcome::from_pack(&Pack::decode(answer, &Limits::REPLY).unwrap())
            .unwrap()
            .udp
            .unwrap();
        assert_eq!(grant.version, version.number());
        let client_port = offer.port;
        let as_client = Settings {
            version,
            our_key: Key::new(offer.key, offer.key_v2),
            peer_key: Key::new(grant.key, grant.key_v2),
            our_cookie: grant.client_cookie,
            peer_cookie: grant.server_cookie,
            fast_detect: grant.fast_detect,
            compress: false,
            ours: false,
            peer: (grant.ip, grant.port).into(),
        };
        let as_server = Settings {
            our_key: as_client.peer_key.clone(),
            peer_key: as_client.our_key.clone(),
            our_cookie: grant.server_cookie,
            peer_cookie: grant.client_cookie,
            ..as_client.clone()
        };
        let now = std::time::Instant::now();
        let mut client = Accelerator::new(&as_client, now, [1; 32]).unwrap();
        let mut server = Accelerator::new(&as_server, now, [2; 32]).unwrap();
        let (mut frames, mut keepalives) = ([0, 0], 0);
        for (from, mut datagram) in datagrams(&format!("{name}.udp.pcap")) {
            let upward = from.port() == client_port;
            let end = if upward { &mut server } else { &mut client };
            let frame = end.handle_input(now, from, &mut datagram).unwrap();
            match frame.len() {
                0 => keepalives += 1,
                14..=1514 => frames[usize::from(upward)] += 1,
                other => panic!("a frame of {other} bytes"),
            }
            assert_eq!(end.peer(), from);
        }
        assert!(
            frames.iter().all(|count| *count > 5) && keepalives > 20,
            "{frames:?} {keepalives}"
        );
    }
}
