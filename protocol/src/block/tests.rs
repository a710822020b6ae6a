use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::{
    BlockDecoder, BlockEncoder, BlockError, Dropped, FRAME_BYTES, Item, SUPER_FRAME_BYTES, SuperHeader,
    encode_keepalive,
};

fn all(decoder: &mut BlockDecoder, input: &mut BytesMut) -> Result<Vec<Item>, BlockError> {
    let mut items = Vec::new();
    while let Some(item) = decoder.decode(input)? {
        items.push(item);
    }
    Ok(items)
}

fn frame(len: usize) -> Item {
    Item::Frame(Bytes::from(vec![7; len]))
}

fn group(sizes: &[u32]) -> BytesMut {
    let mut bytes = BytesMut::from(&(sizes.len() as u32).to_be_bytes()[..]);
    for size in sizes {
        bytes.extend_from_slice(&size.to_be_bytes());
        bytes.resize(bytes.len() + *size as usize, 7);
    }
    bytes
}

#[test]
fn limits_are_those_of_the_stock_server() {
    let decode = |sizes: &[u32]| {
        let mut decoder = BlockDecoder::new(false);
        let items = all(&mut decoder, &mut group(sizes));
        (items, decoder.dropped().oversize)
    };
    assert_eq!(decode(&[0]), (Ok(vec![]), 0));
    assert_eq!(decode(&[0, 1, 1600]), (Ok(vec![frame(1), frame(1600)]), 0));
    assert_eq!(decode(&[1601, 3200, 60]), (Ok(vec![frame(60)]), 2));
    assert_eq!(decode(&[3201]), (Err(BlockError::BlockTooLong(3201)), 0));
    assert_eq!(decode(&[]), (Ok(vec![]), 0));
}

#[test]
fn a_keepalive_may_have_512_bytes() {
    for (size, expected) in [
        (0, Ok(1)),
        (512, Ok(1)),
        (513, Err(BlockError::KeepAliveTooLong(513))),
    ] {
        let mut bytes = BytesMut::from(&[0xff; 4][..]);
        bytes.extend_from_slice(&(size as u32).to_be_bytes());
        bytes.resize(bytes.len() + size, 0);
        assert_eq!(
            all(&mut BlockDecoder::new(false), &mut bytes).map(|items| items.len()),
            expected
        );
    }
}

#[test]
fn an_announced_length_takes_no_memory() {
    let mut bytes = BytesMut::from(&[0, 0, 0, 1, 0, 0, 0x0c, 0x80][..]);
    let mut decoder = BlockDecoder::new(false);
    assert_eq!(decoder.decode(&mut bytes), Ok(None));
    assert!(bytes.is_empty(), "a dropped block is skipped as it comes");
}

#[test]
fn frames_are_slices_of_the_read_buffer() {
    let mut bytes = group(&[100, 200]);
    let range = bytes.as_ptr_range();
    for item in all(&mut BlockDecoder::new(false), &mut bytes).unwrap() {
        let Item::Frame(frame) = item else {
            panic!("a frame")
        };
        assert!(range.contains(&frame.as_ptr()));
    }
}

#[test]
fn nothing_is_written_for_no_frame_at_all() {
    let mut out = BytesMut::new();
    assert_eq!(
        BlockEncoder::new(false).encode_group([vec![], vec![0; 1601]], &mut out),
        0
    );
    assert!(out.is_empty());
}

#[test]
fn compressed_blocks_look_like_those_of_stock_peers() {
    let mut out = BytesMut::new();
    assert_eq!(BlockEncoder::new(true).encode_group([[0; 60]], &mut out), 1);
    assert_eq!(out[8..10], [0x78, 0x9c]);
}

#[test]
fn a_compressed_block_that_inflates_too_far_is_dropped() {
    let mut zlib = flate2::Compress::new(flate2::Compression::best(), true);
    let mut bomb = Vec::with_capacity(4096);
    zlib.compress_vec(&vec![0; 1_000_000], &mut bomb, flate2::FlushCompress::Finish)
        .unwrap();
    let mut bytes = BytesMut::from(&[0, 0, 0, 2][..]);
    for block in [&bomb[..], b"no zlib stream"] {
        bytes.extend_from_slice(&(block.len() as u32).to_be_bytes());
        bytes.extend_from_slice(block);
    }
    let mut decoder = BlockDecoder::new(true);
    assert_eq!(all(&mut decoder, &mut bytes), Ok(vec![]));
    assert_eq!(
        decoder.dropped(),
        Dropped {
            oversize: 1,
            undecodable: 1
        }
    );
}

const HEADER: SuperHeader = [1, 1, 66, 0, 0xa8, 0x05, 34, 0, 16, 0];

/// A group of one block that claims to begin with a header.
fn marked(size: u32) -> BytesMut {
    let mut bytes = BytesMut::from(&[0, 0, 0, 1][..]);
    bytes.extend_from_slice(&(0x8000_0000 | size).to_be_bytes());
    bytes
}

#[test]
fn a_super_frame_is_a_marked_size_a_header_and_the_frame() {
    let mut out = BytesMut::new();
    let mut encoder = BlockEncoder::with_super_frames();
    let mut group = encoder.group(&mut out);
    assert!(group.push_super(HEADER, &[7; 3]));
    assert!(group.push(&[7; 2]));
    assert_eq!(group.finish(), 2);
    let mut expected = vec![0, 0, 0, 2, 0x80, 0, 0, 13];
    expected.extend(HEADER);
    expected.extend([7, 7, 7, 0, 0, 0, 2, 7, 7]);
    assert_eq!(
        out, expected,
        "a finished frame costs nothing more than without super-frames"
    );
    let items = all(&mut BlockDecoder::with_super_frames(), &mut out).unwrap();
    let three = Bytes::from_static(&[7; 3]);
    assert_eq!(items, [Item::SuperFrame(HEADER, three), frame(2)]);
}

#[test]
fn a_peer_that_agreed_on_nothing_gets_no_super_frame() {
    for compressed in [false, true] {
        let mut out = BytesMut::new();
        let mut encoder = BlockEncoder::new(compressed);
        let mut group = encoder.group(&mut out);
        assert!(!group.push_super(HEADER, &[7; 60]));
        assert_eq!(group.finish(), 0);
        assert!(out.is_empty());
    }
}

#[test]
fn a_super_frame_from_a_peer_that_agreed_on_nothing_ends_the_connection() {
    for compressed in [false, true] {
        assert_eq!(
            all(&mut BlockDecoder::new(compressed), &mut marked(70)),
            Err(BlockError::BlockTooLong(0x8000_0046))
        );
    }
}

#[test]
fn a_super_frame_has_a_header_and_at_most_64_kib() {
    let longest = 10 + SUPER_FRAME_BYTES as u32;
    for size in [0, 9, 10, longest + 1, 0x7fff_ffff] {
        let mut decoder = BlockDecoder::with_super_frames();
        let error = Err(BlockError::SuperFrameSize(size));
        assert_eq!(all(&mut decoder, &mut marked(size)), error);
    }
    for size in [11, longest] {
        let mut bytes = marked(size);
        let mut decoder = BlockDecoder::with_super_frames();
        assert_eq!(all(&mut decoder, &mut bytes), Ok(vec![]));
        assert!(bytes.capacity() < 64, "an announced length takes no memory");
        bytes.resize(bytes.len() + size as usize, 0);
        assert_eq!(all(&mut decoder, &mut bytes).map(|items| items.len()), Ok(1));
    }
    let mut out = BytesMut::new();
    let mut encoder = BlockEncoder::with_super_frames();
    let mut group = encoder.group(&mut out);
    assert!(!group.push_super(HEADER, &[]));
    assert!(!group.push_super(HEADER, &vec![0; SUPER_FRAME_BYTES + 1]));
    assert!(
        !group.push(&[0; FRAME_BYTES + 1]),
        "without a header the old limit holds"
    );
    drop(group);
    assert!(out.is_empty());
}

proptest! {
    #[test]
    fn super_frames_are_read_however_they_are_cut(
        frames in prop::collection::vec(
            (prop::option::of(any::<SuperHeader>()), 1..=SUPER_FRAME_BYTES, any::<u8>()), 1..8),
        per_group in 1..4_usize,
        cuts in prop::collection::vec(1..90_000_usize, 1..20),
    ) {
        let (mut out, mut expected) = (BytesMut::new(), Vec::new());
        let mut encoder = BlockEncoder::with_super_frames();
        for frames in frames.chunks(per_group) {
            let mut group = encoder.group(&mut out);
            for (header, len, fill) in frames {
                let body = vec![*fill; header.map_or((*len).min(FRAME_BYTES), |_| *len)];
                let pushed = match header {
                    Some(header) => group.push_super(*header, &body),
                    None => group.push(&body),
                };
                prop_assert!(pushed);
                let body = Bytes::from(body);
                expected.push(header.map_or(Item::Frame(body.clone()), |header| Item::SuperFrame(header, body)));
            }
        }
        let (mut decoder, mut input, mut items) = (BlockDecoder::with_super_frames(), BytesMut::new(), Vec::new());
        let mut cuts = cuts.iter().cycle();
        while !out.is_empty() {
            let cut = out.len().min(*cuts.next().unwrap());
            input.extend_from_slice(&out.split_to(cut));
            items.extend(all(&mut decoder, &mut input).unwrap());
        }
        prop_assert!(input.is_empty());
        prop_assert_eq!(items, expected);
    }

    #[test]
    fn random_bytes_with_super_frames_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..4000)) {
        let mut decoder = BlockDecoder::with_super_frames();
        let _ = all(&mut decoder, &mut BytesMut::from(&bytes[..]));
    }

    #[test]
    fn what_is_written_is_read_however_it_is_cut(
        groups in prop::collection::vec(prop::collection::vec(prop::collection::vec(any::<u8>(), 1..1600), 1..6), 1..5),
        keepalive in prop::collection::vec(any::<u8>(), 0..512),
        cuts in prop::collection::vec(1..2000_usize, 1..40),
        compressed: bool,
    ) {
        let mut out = BytesMut::new();
        let mut expected = Vec::new();
        let mut encoder = BlockEncoder::new(compressed);
        for frames in &groups {
            encoder.encode_group(frames, &mut out);
            expected.extend(frames.iter().map(|frame| Item::Frame(Bytes::copy_from_slice(frame))));
            encode_keepalive(&keepalive, &mut out);
            expected.push(Item::KeepAlive(Bytes::copy_from_slice(&keepalive)));
        }
        let (mut decoder, mut input, mut items) = (BlockDecoder::new(compressed), BytesMut::new(), Vec::new());
        let mut cuts = cuts.iter().cycle();
        while !out.is_empty() {
            let cut = out.len().min(*cuts.next().unwrap());
            input.extend_from_slice(&out.split_to(cut));
            items.extend(all(&mut decoder, &mut input).unwrap());
        }
        prop_assert!(input.is_empty());
        prop_assert_eq!(items, expected);
    }

    #[test]
    fn random_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..4000), compressed: bool) {
        let mut decoder = BlockDecoder::new(compressed);
        let _ = all(&mut decoder, &mut BytesMut::from(&bytes[..]));
    }

    #[test]
    fn random_blocks_do_no_harm(
        blocks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..20),
        compressed: bool,
    ) {
        let mut bytes = BytesMut::from(&(blocks.len() as u32).to_be_bytes()[..]);
        for block in &blocks {
            bytes.extend_from_slice(&(block.len() as u32).to_be_bytes());
            bytes.extend_from_slice(block);
        }
        prop_assert!(all(&mut BlockDecoder::new(compressed), &mut bytes).is_ok());
        prop_assert!(bytes.is_empty());
    }
}
