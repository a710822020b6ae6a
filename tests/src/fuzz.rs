//! The bodies of the fuzz targets: plain functions, which `cargo fuzz` feeds with what it invents and the replay test
//! with the committed corpora. A body may panic for one reason only: a claim about the code under test broke.

use std::ops::ControlFlow;
use std::time::{Duration, Instant, SystemTime};

use bytes::{Bytes, BytesMut};
use netdev::VnetHeader;
use netdev::segment::{self, Joiner};
use protocol::acceleration::{Accelerator, Key, Settings, Version};
use protocol::block::{BLOCK_BYTES, BlockDecoder, BlockEncoder, FRAME_BYTES, Item};
use protocol::config::Folder;
use protocol::error::ErrorCode;
use protocol::handshake::{ClientEvent, ClientHandshake, Hello, Redirect, Request, ServerHandshake, Welcome};
use protocol::http::HeadReader;
use protocol::pack::{Limits, Pack};
use transport::proxy::Conversation;

/// A fuzz target: its name, which is also the name of its corpus folder, and its body.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[
    ("pack", pack),
    ("messages", messages),
    ("http_head", http_head),
    ("blocks", blocks),
    ("server_handshake", server_handshake),
    ("client_handshake", client_handshake),
    ("config", config),
    ("split", split),
    ("join", join),
    ("acceleration", acceleration),
    ("proxy", proxy),
];

/// What a proxy says: the first byte chooses the kind of proxy and how the rest arrives. However it comes in parts, the outcome
/// is the same; and once the proxy has said yes, not a byte of its own goes on to the server's TLS.
pub fn proxy(input: &[u8]) {
    let Some((choice, said)) = input.split_first() else {
        return;
    };
    let text = [
        "http://a:b@proxy",
        "socks5://a:b@proxy",
        "socks4://a@proxy",
        "socks5://proxy",
    ][usize::from(choice % 4)];
    let (Ok(proxy), Ok(target)) = (text.parse(), "vpn.example.org:443".parse()) else {
        unreachable!("these are no places");
    };
    let outcome = |part: usize| {
        let Ok(mut conversation) = Conversation::new(&proxy, &target) else {
            unreachable!("this can be said");
        };
        for bytes in said.chunks(part) {
            while conversation.poll_output().is_some() {}
            if conversation.handle_input(bytes).is_err() {
                assert!(!conversation.is_open(), "open after a refusal");
                return false;
            }
        }
        conversation.is_open()
    };
    let part = usize::from(choice / 4) + 1;
    assert_eq!(
        outcome(part),
        outcome(said.len().max(1)),
        "it depends on how the bytes arrive"
    );
}

/// Whatever decodes, encodes to bytes that decode to the same value.
pub fn pack(input: &[u8]) {
    for limits in [&Limits::BEFORE_LOGIN, &Limits::ADMIN] {
        let Ok(decoded) = Pack::decode(input, limits) else {
            continue;
        };
        assert!(
            input.len() <= limits.bytes,
            "a PACK above the limit of {} bytes was read",
            limits.bytes
        );
        let encoded = decoded.encode();
        assert_eq!(
            encoded.len(),
            decoded.encoded_len(),
            "the announced length is another"
        );
        let again = Pack::decode(&encoded, limits);
        assert_eq!(
            again.as_ref().ok(),
            Some(&decoded),
            "what was written does not read back"
        );
    }
}

/// Datagrams of strangers, and of a peer that seals whatever it likes, in both versions: what comes out is a frame, and a
/// stranger's never does. The first byte chooses the version and who sends; then lengths and datagrams.
pub fn acceleration(input: &[u8]) {
    let Some((&kind, mut rest)) = input.split_first() else {
        return;
    };
    let version = if kind & 1 == 0 { Version::V1 } else { Version::V2 };
    let key = Key::new([7; 20], [7; 128]);
    let settings = Settings {
        version,
        our_key: key.clone(),
        peer_key: key,
        our_cookie: 1,
        peer_cookie: 1,
        fast_detect: kind & 2 == 0,
        compress: kind & 4 == 0,
        ours: kind & 8 == 0,
        peer: ([192, 0, 2, 1], 9).into(),
    };
    let mut now = Instant::now();
    let (Some(mut end), Some(mut peer)) = (
        Accelerator::new(&settings, now, [1; 32]),
        Accelerator::new(&settings, now, [2; 32]),
    ) else {
        return;
    };
    while let Some((&length, behind)) = rest.split_first() {
        let (part, behind) = behind.split_at(usize::from(length).min(behind.len()));
        rest = behind;
        let mut stranger = part.to_vec();
        let taken = end.handle_input(now, settings.peer, &mut stranger).is_ok();
        // Twenty zeros at the end come out by chance once in 2^160.
        assert!(!taken, "a stranger's datagram was taken");
        let mut sealed = Vec::new();
        if peer.seal(now, part, &mut sealed) {
            let opened = end.handle_input(now, settings.peer, &mut sealed).ok();
            assert_eq!(opened, Some(part), "a frame came out as another");
        }
        now += Duration::from_millis(u64::from(length) * 10);
        end.handle_timeout(now);
        assert!(end.poll_timeout() > now, "the clock does not go on");
        while let Some(mut sent) = end.poll_output() {
            let heard = peer
                .handle_input(now, settings.peer, &mut sent.datagram)
                .map(<[u8]>::len);
            assert_eq!(heard.ok(), Some(0), "a keep-alive is not understood");
        }
    }
}

/// A configuration file that was understood is written in a form that reads back as the same tree.
pub fn config(input: &[u8]) {
    let Ok(read) = Folder::parse(input) else { return };
    let written = read.to_text("# head");
    let again = Folder::parse(written.as_bytes());
    assert!(again.as_ref() == Ok(&read), "what was written does not read back");
}

/// A message that was understood is understood the same way after being written again.
pub fn messages(input: &[u8]) {
    let Ok(pack) = Pack::decode(input, &Limits::REPLY) else {
        return;
    };
    settles(&pack, Request::from_pack, Request::to_pack);
    settles(&pack, Hello::from_pack, Hello::to_pack);
    settles(&pack, Welcome::from_pack, Welcome::to_pack);
    settles(&pack, Redirect::from_pack, Redirect::to_pack);
}

fn settles<M>(pack: &Pack, read: fn(&Pack) -> Result<M, ErrorCode>, write: fn(&M) -> Pack) {
    let Ok(message) = read(pack) else { return };
    let written = write(&message);
    let again = read(&written).map(|message| write(&message));
    assert_eq!(
        again.as_ref(),
        Ok(&written),
        "a message changes when it is read again"
    );
}

/// A head is found at the same place with the same content, however the bytes arrive.
pub fn http_head(input: &[u8]) {
    let mut whole = BytesMut::from(input);
    let at_once = HeadReader::new().read(&mut whole);
    let mut reader = HeadReader::new();
    let mut arriving = BytesMut::new();
    for (index, byte) in input.iter().enumerate() {
        arriving.extend_from_slice(&[*byte]);
        match reader.read(&mut arriving) {
            Ok(None) => continue,
            Ok(Some(head)) => {
                let Ok(Some(expected)) = &at_once else {
                    panic!("found only when it comes byte by byte")
                };
                assert_eq!(format!("{head:?}"), format!("{expected:?}"));
                assert_eq!(
                    whole.len(),
                    input.len() - index - 1,
                    "the head ends somewhere else"
                );
                // What the callers ask of a head.
                let _ = (
                    head.content_length(),
                    head.request().is_ok(),
                    head.status(),
                    head.is_pack(),
                );
            }
            Err(_) => assert!(at_once.is_err(), "an error only when it comes byte by byte"),
        }
        return;
    }
    assert!(
        !matches!(at_once, Ok(Some(_))),
        "found only when it comes at once"
    );
}

/// The first byte says whether blocks are compressed and how the stream is cut; the frames do not depend on the cut,
/// the buffer stays small, and what is encoded again decodes to the same frames.
pub fn blocks(input: &[u8]) {
    let Some((mode, stream)) = input.split_first() else {
        return;
    };
    let compressed = mode & 1 == 1;
    let whole = frames(stream, compressed, stream.len());
    let parts = frames(stream, compressed, usize::from(mode >> 1) + 1);
    assert_eq!(whole, parts, "the cut of the stream changes what is read");
    assert!(whole.iter().all(|frame| (1..=FRAME_BYTES).contains(&frame.len())));

    let mut encoded = BytesMut::new();
    BlockEncoder::new(compressed).encode_group(&whole, &mut encoded);
    assert_eq!(
        frames(&encoded, compressed, encoded.len()),
        whole,
        "what was written does not read back"
    );
}

fn frames(stream: &[u8], compressed: bool, cut: usize) -> Vec<Vec<u8>> {
    let mut decoder = BlockDecoder::new(compressed);
    let mut buffer = BytesMut::new();
    let mut frames = Vec::new();
    for part in stream.chunks(cut.max(1)) {
        buffer.extend_from_slice(part);
        loop {
            match decoder.decode(&mut buffer) {
                Ok(Some(Item::Frame(frame))) => frames.push(frame.to_vec()),
                Ok(Some(Item::KeepAlive(_))) => {}
                Ok(Some(Item::SuperFrame(..))) => panic!("nobody agreed on super-frames"),
                Ok(None) => break,
                Err(_) => return frames,
            }
        }
        assert!(
            buffer.len() < BLOCK_BYTES + 8,
            "{} bytes are held back for one block",
            buffer.len()
        );
    }
    frames
}

/// The first byte says how a stranger's bytes are cut. Whatever they are, the server asks the same of its caller and
/// answers the same, and holds no more than it may.
pub fn server_handshake(input: &[u8]) {
    const HELD_BYTES: usize = 64 * 1024;
    let Some((cut, stream)) = input.split_first() else {
        return;
    };
    let whole = serve(stream, stream.len());
    // Beyond this an answer that comes early makes room that one that comes late does not.
    if stream.len() < HELD_BYTES {
        let parts = serve(stream, usize::from(*cut) + 1);
        assert!(whole == parts, "the cut of the stream changes the negotiation");
    }
}

/// What a server asked its caller, and what it sent.
fn serve(stream: &[u8], cut: usize) -> (Vec<Vec<u8>>, Vec<u8>) {
    let mut server = ServerHandshake::new(hello(), SystemTime::UNIX_EPOCH);
    let mut requests = Vec::new();
    let mut sent = Vec::new();
    for part in stream.chunks(cut.max(1)) {
        let failed = server.handle_input(part).is_err();
        while let Some(request) = server.poll_request() {
            requests.push(request.to_pack().encode());
            server.refuse(ErrorCode::AuthFailed);
        }
        while let Some(output) = server.poll_output() {
            sent.extend(output);
        }
        if failed || server.is_closing() {
            break;
        }
    }
    assert!(
        sent.len() <= 64 * 1024 + 4 * stream.len(),
        "{} bytes answer {} bytes",
        sent.len(),
        stream.len()
    );
    (requests, sent)
}

fn hello() -> Hello {
    Hello {
        product: "Hubward".into(),
        version: 501,
        build: 9674,
        random: [7; 20],
        wants_password: true,
    }
}

/// The first byte says how a false server's bytes are cut; the client sees the same events however they come.
pub fn client_handshake(input: &[u8]) {
    let Some((cut, stream)) = input.split_first() else {
        return;
    };
    let whole = ask(stream, stream.len());
    let parts = ask(stream, usize::from(*cut) + 1);
    assert_eq!(whole, parts, "the cut of the stream changes the negotiation");
}

fn ask(stream: &[u8], cut: usize) -> Vec<String> {
    let mut client = ClientHandshake::new("vpn.example.org", SystemTime::UNIX_EPOCH);
    let mut seen = Vec::new();
    for part in stream.chunks(cut.max(1)) {
        let mut failed = client.handle_input(part).is_err();
        while let Some(event) = client.poll_event() {
            if let ClientEvent::Reply(pack) = &event {
                let _ = (
                    Welcome::from_pack(pack).is_ok(),
                    Redirect::from_pack(pack).is_ok(),
                    pack.error(),
                );
            }
            seen.push(format!("{event:?}"));
            client.send(&Request::EnumHub.to_pack());
            // An answer that came before it was asked for is read now.
            failed = failed || client.handle_input(&[]).is_err();
        }
        if failed {
            break;
        }
    }
    seen
}

/// The first ten bytes are a virtio-net header, the rest is its frame. What is cut needs nothing more, and there is not much
/// more of it than there was.
pub fn split(input: &[u8]) {
    let Some((header, frame)) = input.split_first_chunk() else {
        return;
    };
    let header = VnetHeader::from_bytes(*header);
    let mut room = BytesMut::new();
    let (mut pieces, mut bytes) = (0, 0);
    let count = segment::finish(&header, Bytes::copy_from_slice(frame), &mut room, |piece| {
        pieces += 1;
        bytes += piece.len();
    });
    assert_eq!(count, pieces, "the announced number is another");
    assert!(
        bytes <= frame.len().max(1 << 20),
        "{bytes} bytes are made of {}",
        frame.len()
    );
}

/// Frames, each after its length in two bytes. Whatever was joined, cutting gives the same frames; only flows may have changed
/// places.
pub fn join(input: &[u8]) {
    let mut joiner = Joiner::new(true, true);
    let mut frames = Vec::new();
    let mut rest = input;
    while let Some((length, behind)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes(*length)).min(behind.len());
        let (frame, behind) = behind.split_at(length);
        rest = behind;
        joiner.push(VnetHeader::NONE, Bytes::copy_from_slice(frame));
        frames.push(frame.to_vec());
    }
    let mut cut = Vec::new();
    let mut room = BytesMut::new();
    joiner.drain(|parts| {
        let whole: Vec<u8> = parts.frame().iter().flat_map(|part| part.to_vec()).collect();
        segment::finish(&parts.header(), whole.into(), &mut room, |piece| {
            cut.push(piece.to_vec());
        });
        ControlFlow::Continue(())
    });
    frames.sort();
    cut.sort();
    assert_eq!(frames, cut, "joining and cutting changes frames");
}
