//! Cutting and joining as they are seen from outside.

use std::ops::ControlFlow;

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::checksum::Sum;
use super::header::{Kind, VnetHeader};
use super::layout::{Layout, TCP, TCP_FLAGS, UDP, set_u16, store_checksum, u16_at};
use super::{Joiner, complete, finish, split};

const ACK: u8 = 0x10;
const PUSH: u8 = 0x08;
const FIN: u8 = 0x01;
const CWR: u8 = 0x80;
const ECE: u8 = 0x40;

/// A flow between two stations, and how its frames look.
#[derive(Debug, Clone)]
struct Flow {
    tags: Vec<u8>,
    v6: bool,
    tcp: bool,
    port: u16,
    /// TCP options, a multiple of four bytes.
    options: Vec<u8>,
    /// TOS or traffic class, and TTL or hop limit.
    tos: u8,
    hops: u8,
}

impl Flow {
    fn tcp() -> Self {
        Self {
            tags: Vec::new(),
            v6: false,
            tcp: true,
            port: 443,
            options: Vec::new(),
            tos: 0,
            hops: 64,
        }
    }

    fn udp() -> Self {
        Self {
            tcp: false,
            ..Self::tcp()
        }
    }

    /// A finished frame; its checksums come from a sum that the code under test has no part in.
    fn frame(&self, id: u16, sequence: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
        let mut transport = Vec::new();
        transport.extend(1000u16.to_be_bytes());
        transport.extend(self.port.to_be_bytes());
        if self.tcp {
            transport.extend(sequence.to_be_bytes());
            transport.extend(77u32.to_be_bytes());
            transport.push((((20 + self.options.len()) / 4) << 4) as u8);
            transport.extend([flags, 1, 2, 0, 0, 0, 0]);
            transport.extend(&self.options);
        } else {
            transport.extend((8 + payload.len() as u16).to_be_bytes());
            transport.extend([0, 0]);
        }
        transport.extend(payload);
        let protocol = if self.tcp { TCP } else { UDP };
        let mut ip = Vec::new();
        let addresses;
        if self.v6 {
            ip.extend([0x60 | self.tos >> 4, self.tos << 4, 0, 0]);
            ip.extend((transport.len() as u16).to_be_bytes());
            ip.extend([protocol, self.hops]);
            addresses = [[0xfd; 16], [0xfe; 16]].concat();
        } else {
            ip.extend([0x45, self.tos]);
            ip.extend((20 + transport.len() as u16).to_be_bytes());
            ip.extend(id.to_be_bytes());
            ip.extend([0x40, 0, self.hops, protocol, 0, 0]);
            addresses = vec![10, 0, 0, 1, 10, 0, 0, 2];
            let sum = !slow_sum(&[&ip[..], &addresses].concat());
            ip[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        ip.extend(&addresses);
        let len = (transport.len() as u32).to_be_bytes();
        let sum = !slow_sum(&[&addresses[..], &len, &[0, protocol], &transport].concat());
        let at = if self.tcp { 16 } else { 6 };
        let sum = if sum == 0 && !self.tcp { 0xffff } else { sum };
        transport[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        let ethertype: [u8; 2] = if self.v6 { [0x86, 0xdd] } else { [8, 0] };
        [&[2; 12][..], &self.tags, &ethertype, &ip, &transport].concat()
    }

    /// Frames that follow each other without a gap.
    fn train(&self, id: u16, sequence: u32, sizes: &[usize]) -> Vec<Vec<u8>> {
        let mut sequence = sequence;
        let frame = |(i, size): (usize, &usize)| {
            let payload: Vec<u8> = (0..*size).map(|n| (n * 7 + i) as u8).collect();
            let frame = self.frame(id.wrapping_add(i as u16), sequence, ACK, &payload);
            sequence = sequence.wrapping_add(*size as u32);
            frame
        };
        sizes.iter().enumerate().map(frame).collect()
    }
}

fn slow_sum(bytes: &[u8]) -> u16 {
    let mut sum = 0u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

type Described = (VnetHeader, Vec<u8>);

/// What the joiner makes of frames.
fn joined(frames: impl IntoIterator<Item = Described>) -> Vec<Described> {
    let mut joiner = Joiner::new(true, true);
    for (header, frame) in frames {
        joiner.push(header, Bytes::from(frame));
    }
    let mut out = Vec::new();
    joiner.drain(|parts| {
        let frame = parts.frame().iter().flat_map(|part| part.to_vec()).collect();
        out.push((parts.header(), frame));
        ControlFlow::Continue(())
    });
    assert!(joiner.is_empty());
    out
}

fn joined_plain(frames: &[Vec<u8>]) -> Vec<Described> {
    joined(frames.iter().map(|frame| (VnetHeader::NONE, frame.clone())))
}

/// What cutting makes of frames.
fn cut(frames: &[Described]) -> Vec<Vec<u8>> {
    let mut room = BytesMut::new();
    let mut out = Vec::new();
    for (header, frame) in frames {
        let count = out.len();
        let pieces = finish(header, Bytes::from(frame.clone()), &mut room, |piece| {
            out.push(piece.to_vec());
        });
        assert_eq!(pieces, out.len() - count);
    }
    out
}

fn lens(frames: &[Described]) -> Vec<usize> {
    frames.iter().map(|(_, frame)| frame.len()).collect()
}

#[test]
fn a_train_of_tcp_segments_becomes_one_super_frame_as_the_kernel_wants_it() {
    let flow = Flow {
        tags: vec![0x81, 0, 0, 5],
        options: vec![1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2],
        ..Flow::tcp()
    };
    let frames = flow.train(0xffff, u32::MAX - 50, &[100, 100, 40]);
    let out = joined_plain(&frames);
    assert_eq!(lens(&out), [18 + 20 + 32 + 240]);
    let (header, frame) = &out[0];
    // Partial checksum, TCP over IPv4, 70 bytes of headers, segments of 100, TCP from byte 38, checksum 16 into it.
    assert_eq!(header.bytes(), [1, 1, 70, 0, 100, 0, 38, 0, 16, 0]);
    assert_eq!(u16_at(frame, 20), Some(20 + 32 + 240));
    assert_eq!(slow_sum(&frame[18..38]), 0xffff, "IP header checksum");
    let pseudo = [&frame[30..38], &[0, TCP], &(32 + 240u16).to_be_bytes()].concat();
    assert_eq!(u16_at(frame, 54), Some(slow_sum(&pseudo)));
    assert_eq!(cut(&out), frames);
}

#[test]
fn push_and_fin_end_a_super_frame_and_stand_in_its_last_piece() {
    for flags in [PUSH, FIN, PUSH | FIN] {
        let mut frames = Flow::tcp().train(1, 1, &[100, 100, 100]);
        frames[1] = Flow::tcp().frame(2, 101, ACK | flags, &frames[1][54..]);
        let out = joined_plain(&frames);
        assert_eq!(lens(&out), [254, 154]);
        assert_eq!(out[0].1[34 + TCP_FLAGS], ACK | flags);
        assert_eq!(cut(&out), frames);
    }
}

#[test]
fn only_the_first_segment_may_answer_congestion() {
    let flow = Flow::tcp();
    let first = flow.frame(1, 0, ACK | CWR, &[1; 50]);
    let second = flow.frame(2, 50, ACK, &[2; 50]);
    let third = flow.frame(3, 100, ACK | CWR, &[3; 50]);
    let frames = [first, second, third];
    let out = joined_plain(&frames);
    assert_eq!(lens(&out), [154, 104]);
    assert_eq!(out[0].0.bytes()[1], 0x81, "an ECN flow");
    assert_eq!(cut(&out), frames);
    // An echo of congestion is in all segments or in none.
    let echo = [
        flow.frame(1, 0, ACK, &[1; 50]),
        flow.frame(2, 50, ACK | ECE, &[2; 50]),
    ];
    assert_eq!(joined_plain(&echo).len(), 2);
}

#[test]
fn what_differs_or_leaves_a_gap_is_not_joined() {
    let flow = Flow::tcp();
    let first = flow.frame(7, 1000, ACK, &[1; 100]);
    let second = |flow: &Flow, id, sequence| flow.frame(id, sequence, ACK, &[2; 100]);
    assert_eq!(joined_plain(&[first.clone(), second(&flow, 8, 1100)]).len(), 1);
    let with = |change: &dyn Fn(&mut Flow)| {
        let mut other = flow.clone();
        change(&mut other);
        second(&other, 8, 1100)
    };
    let mut damaged = second(&flow, 8, 1100);
    damaged[60] ^= 1;
    let mut damaged_ip = second(&flow, 8, 1100);
    damaged_ip[24] ^= 1;
    let mut padded = second(&flow, 8, 1100);
    padded.push(0);
    let mut window = second(&flow, 8, 1100);
    window[49] ^= 1;
    for (what, frame) in [
        ("a gap", second(&flow, 8, 1101)),
        ("a repetition", second(&flow, 8, 1000)),
        ("another IP id", second(&flow, 9, 1100)),
        ("another TTL", with(&|flow| flow.hops = 63)),
        ("another TOS", with(&|flow| flow.tos = 2)),
        ("another VLAN", with(&|flow| flow.tags = vec![0x81, 0, 0, 9])),
        ("other options", with(&|flow| flow.options = vec![1; 4])),
        ("a longer segment", flow.frame(8, 1100, ACK, &[2; 101])),
        ("an acknowledgement", flow.frame(8, 1100, ACK, &[])),
        ("urgent data", flow.frame(8, 1100, ACK | 0x20, &[2; 100])),
        ("a reset", flow.frame(8, 1100, ACK | 0x04, &[2; 100])),
        ("a wrong TCP checksum", damaged),
        ("a wrong IP checksum", damaged_ip),
        ("padding", padded),
        ("another window", window),
    ] {
        let frames = [first.clone(), frame];
        let out = joined_plain(&frames);
        assert_eq!(out.len(), 2, "{what}");
        assert_eq!(cut(&out), frames, "{what}");
    }
}

#[test]
fn a_wrong_first_checksum_is_not_made_right_by_joining() {
    let mut frames = Flow::tcp().train(1, 1, &[100, 100, 100]);
    frames[0][70] ^= 0x10;
    let out = joined_plain(&frames);
    assert_eq!(lens(&out), [154, 254]);
    assert_eq!(cut(&out), frames);
}

#[test]
fn a_verified_checksum_is_not_computed_again() {
    let mut frames = Flow::tcp().train(1, 1, &[100, 100]);
    frames[1][70] ^= 0x10;
    let verified = VnetHeader::from_bytes([2, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let out = joined(frames.into_iter().map(|frame| (verified, frame)));
    assert_eq!(lens(&out), [254]);
}

#[test]
fn frames_of_a_flow_keep_their_order_and_flows_do_not_disturb_each_other() {
    let (a, b) = (
        Flow::tcp(),
        Flow {
            port: 80,
            ..Flow::tcp()
        },
    );
    let (of_a, of_b) = (a.train(1, 1, &[100; 4]), b.train(50, 900, &[60; 3]));
    let ack = b.frame(53, 1080, ACK, &[]);
    let frames = [
        of_a[0].clone(),
        of_b[0].clone(),
        of_a[1].clone(),
        of_b[1].clone(),
        ack.clone(),
        of_b[2].clone(),
        of_a[2].clone(),
        of_a[3].clone(),
    ];
    let out = joined_plain(&frames);
    assert_eq!(lens(&out), [454, 174, 54, 114]);
    let pieces = cut(&out);
    assert_eq!(pieces[..4], of_a);
    assert_eq!(
        pieces[4..],
        [of_b[0].clone(), of_b[1].clone(), ack, of_b[2].clone()]
    );
}

#[test]
fn nothing_overtakes_a_frame_that_could_belong_to_any_flow() {
    let mut frames = Flow::udp().train(1, 0, &[100, 100]);
    let mut fragment = frames[0].clone();
    fragment[20] = 0x20;
    frames.insert(1, fragment);
    let out = joined_plain(&frames);
    assert_eq!(
        out.into_iter().map(|(_, frame)| frame).collect::<Vec<_>>(),
        frames
    );
}

#[test]
fn datagrams_are_joined_where_the_device_takes_them_so() {
    for v6 in [false, true] {
        let flow = Flow { v6, ..Flow::udp() };
        let frames = flow.train(1, 0, &[200, 200, 200, 30]);
        let out = joined_plain(&frames);
        assert_eq!(out.len(), 1);
        assert_eq!(out[0].0.bytes()[1], 5);
        assert_eq!(cut(&out), frames);

        let mut joiner = Joiner::new(true, false);
        for frame in &frames {
            joiner.push(VnetHeader::NONE, Bytes::from(frame.clone()));
        }
        let mut count = 0;
        joiner.drain(|_| {
            count += 1;
            ControlFlow::Continue(())
        });
        assert_eq!(count, 4);
    }
    let mut unchecked = Flow::udp().train(1, 0, &[20, 20]);
    for frame in &mut unchecked {
        set_u16(frame, 40, 0);
    }
    assert_eq!(joined_plain(&unchecked).len(), 2, "datagrams without a checksum");
    assert_eq!(joined_plain(&Flow::udp().train(1, 0, &[20; 65])).len(), 2);
}

#[test]
fn a_super_frame_is_never_longer_than_an_ip_packet_can_be() {
    let frames = Flow::tcp().train(1, 1, &[1460; 60]);
    let out = joined_plain(&frames);
    assert_eq!(out.len(), 2);
    assert!(out[0].1.len() - 14 <= 65_535 && out[0].1.len() > 64_000);
    assert_eq!(cut(&out), frames);
}

#[test]
fn a_device_that_is_full_gets_the_rest_later() {
    let frames: Vec<_> = (0..3)
        .flat_map(|port| {
            let flow = Flow { port, ..Flow::tcp() };
            flow.train(1, 1, &[100, 100])
        })
        .collect();
    let mut joiner = Joiner::new(true, true);
    for frame in &frames {
        joiner.push(VnetHeader::NONE, Bytes::from(frame.clone()));
    }
    let (mut seen, mut calls) = (Vec::new(), 0);
    while !joiner.is_empty() {
        joiner.drain(|parts| {
            calls += 1;
            if calls % 2 == 0 {
                return ControlFlow::Break(());
            }
            seen.push((parts.header(), parts.to_bytes().to_vec()));
            ControlFlow::Continue(())
        });
    }
    assert_eq!((seen.len(), calls), (3, 5));
    assert_eq!(cut(&seen), frames);
}

#[test]
fn super_frames_and_unknown_kinds_pass_as_they_are() {
    let frames = Flow::tcp().train(1, 1, &[100, 100, 100]);
    let whole = joined_plain(&frames[..2]).remove(0);
    let unknown = VnetHeader::from_bytes([0, 3, 0, 0, 10, 0, 0, 0, 0, 0]);
    let out = joined([
        whole.clone(),
        (VnetHeader::NONE, frames[2].clone()),
        (unknown, frames[2].clone()),
    ]);
    assert_eq!(out[0], whole);
    assert_eq!(out.len(), 3);
    assert_eq!(cut(&out[2..]), Vec::<Vec<u8>>::new());
}

#[test]
fn segments_whose_checksum_is_left_to_do_are_joined_among_themselves() {
    let mut frames = Flow::tcp().train(1, 1, &[100, 100]);
    for frame in &mut frames {
        let layout = Layout::of(frame).unwrap();
        let sum = layout.pseudo_sum(frame, frame.len() - layout.transport).fold();
        set_u16(frame, 50, sum);
    }
    let partial = VnetHeader::from_bytes([1, 0, 0, 0, 0, 0, 34, 0, 16, 0]);
    let out = joined(frames.iter().map(|frame| (partial, frame.clone())));
    assert_eq!(cut(&out), Flow::tcp().train(1, 1, &[100, 100]));
    assert_eq!(out.len(), 1);
    let mixed = joined([
        (partial, frames[0].clone()),
        (VnetHeader::NONE, Flow::tcp().train(1, 1, &[100, 100]).remove(1)),
    ]);
    assert_eq!(mixed.len(), 2);
}

#[test]
fn a_frame_that_is_whole_only_gets_its_checksum() {
    let wanted = Flow::udp().frame(1, 0, 0, b"hello");
    let mut frame = wanted.clone();
    let layout = Layout::of(&frame).unwrap();
    let sum = layout.pseudo_sum(&frame, 13).fold();
    set_u16(&mut frame, 40, sum);
    let header = VnetHeader::from_bytes([1, 0, 0, 0, 0, 0, 34, 0, 6, 0]);
    assert!(!header.is_super() && !header.is_finished());
    assert_eq!(cut(&[(header, frame.clone())]), std::slice::from_ref(&wanted));
    assert!(complete(&header, &mut frame));
    assert_eq!(frame, wanted);
    // UDP says "no checksum" by zero, so a sum that comes out as zero is written otherwise.
    let mut field = [0; 2];
    store_checksum(&mut field, 0, 0xffff, true);
    assert_eq!(field, [0xff; 2]);
}

#[test]
fn a_header_that_does_not_fit_its_frame_makes_nothing() {
    let frame = joined_plain(&Flow::tcp().train(1, 1, &[100, 100])).remove(0).1;
    let of = |kind, size, start, at| VnetHeader::segments(kind, false, 54, size, start, at);
    let count = |header: &VnetHeader, frame: &[u8]| split(header, frame, &mut BytesMut::new(), |_| ());
    assert_eq!(count(&of(Kind::Tcp4, 100, 34, 50), &frame), 2);
    assert_eq!(
        count(&of(Kind::Tcp6, 100, 34, 50), &frame),
        0,
        "another IP version"
    );
    assert_eq!(count(&of(Kind::Udp, 100, 34, 40), &frame), 0, "another protocol");
    assert_eq!(count(&of(Kind::Tcp4, 0, 34, 50), &frame), 0, "no size");
    assert_eq!(count(&of(Kind::Tcp4, 100, 38, 54), &frame), 0, "another place");
    assert_eq!(count(&of(Kind::Tcp4, 100, 34, 50), &frame[..54]), 0, "no payload");
    let long = Flow::tcp().frame(1, 1, ACK, &[0; 20_000]);
    assert_eq!(count(&of(Kind::Tcp4, 1, 34, 50), &long), 0, "too many pieces");
}

#[test]
fn ipv6_with_extension_headers_is_cut_and_left_alone_by_the_joiner() {
    let flow = Flow {
        v6: true,
        ..Flow::tcp()
    };
    // A destination options header of eight bytes between IPv6 and TCP.
    let extended = |frame: &Vec<u8>| {
        let mut long = frame.clone();
        long[20] = 60;
        let len = u16_at(&long, 18).unwrap() + 8;
        set_u16(&mut long, 18, len);
        long.splice(54..54, [TCP, 0, 1, 4, 0, 0, 0, 0]);
        long
    };
    let frames: Vec<_> = flow.train(0, 1, &[100, 60]).iter().map(extended).collect();
    assert_eq!(joined_plain(&frames).len(), 2);
    let whole = extended(&flow.frame(0, 1, ACK, &[[0; 100], [1; 100]].concat()));
    let header = VnetHeader::segments(Kind::Tcp6, false, 82, 100, 62, 78);
    let mut pieces = Vec::new();
    split(&header, &whole, &mut BytesMut::new(), |piece| pieces.push(piece));
    assert_eq!(pieces.iter().map(Bytes::len).collect::<Vec<_>>(), [182, 182]);
    let layout = Layout::of(&pieces[1]).unwrap();
    let sum = layout.pseudo_sum(&pieces[1], 120).add(&pieces[1][62..]);
    assert_eq!((layout.transport, sum.fold()), (62, 0xffff));
    assert_eq!(Sum::default().fold(), 0);
}

prop_compose! {
    fn any_flow()(
        tags in prop::sample::select(vec![vec![], vec![0x81, 0, 0, 5], vec![0x88, 0xa8, 0, 7, 0x81, 0, 0, 100]]),
        v6: bool,
        tcp: bool,
        port in 1u16..4,
        options in prop::collection::vec(any::<u8>(), 0..=10),
        tos: u8,
        hops: u8,
    ) -> Flow {
        let options = options.iter().flat_map(|byte| [*byte; 4]).collect();
        Flow { tags, v6, tcp, port, options, tos, hops }
    }
}

prop_compose! {
    fn any_train()(
        flow in any_flow(),
        id: u16,
        sequence: u32,
        size in 1usize..200,
        segments in prop::collection::vec((0usize..12, any::<u8>()), 1..12),
    ) -> Vec<Vec<u8>> {
        let (mut id, mut sequence) = (id, sequence);
        segments.iter().map(|(kind, noise)| {
            // Mostly a segment that fits, now and then one that is shorter, ends a push, or leaves a gap.
            let (len, flags) = match kind {
                0 => (size / 2, ACK),
                1 => (size, ACK | PUSH),
                2 => (size, ACK | (noise & !0x3f)),
                3 => (0, ACK),
                _ => (size, ACK),
            };
            let payload: Vec<u8> = (0..len).map(|n| (n as u8).wrapping_mul(*noise)).collect();
            let frame = flow.frame(id, sequence, flags, &payload);
            id = id.wrapping_add(1 + u16::from(*kind == 11));
            sequence = sequence.wrapping_add(len as u32 + u32::from(*kind == 10));
            frame
        }).collect()
    }
}

proptest! {
    #[test]
    fn cutting_what_was_joined_gives_the_frames_byte_by_byte(
        trains in prop::collection::vec(any_train(), 1..4),
        turns in prop::collection::vec(0usize..4, 0..40),
    ) {
        // The trains take turns as flows do on a wire.
        let mut queues: Vec<_> = trains.iter().map(|train| train.iter()).collect();
        let count = queues.len();
        let mut frames = Vec::new();
        for turn in turns {
            frames.extend(queues[turn % count].next().cloned());
        }
        frames.extend(queues.into_iter().flatten().cloned());

        let out = joined_plain(&frames);
        let pieces = cut(&out);
        let mut sorted = (pieces.clone(), frames.clone());
        sorted.0.sort();
        sorted.1.sort();
        prop_assert_eq!(sorted.0, sorted.1);
        // In order within each flow: the headers up to the addresses and the ports tell flows apart.
        let of_flow = |frames: &[Vec<u8>], of: &[u8]| -> Vec<Vec<u8>> {
            let key = |frame: &[u8]| Layout::of(frame)
                .map(|l| (l.v6, l.tcp, frame[l.transport..l.transport + 4].to_vec()));
            frames.iter().filter(|frame| key(frame) == key(of)).cloned().collect()
        };
        for frame in &frames {
            prop_assert_eq!(of_flow(&pieces, frame), of_flow(&frames, frame));
        }
        for (header, frame) in &out {
            prop_assert!(frame.len() <= 14 + 8 + 65_535);
            prop_assert!(header.is_finished() || header.is_super());
        }
    }

    #[test]
    fn no_header_and_no_frame_make_it_panic(
        bytes: [u8; VnetHeader::LEN],
        kind in prop::sample::select(vec![0u8, 1, 3, 4, 5, 0x81]),
        frame in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..300),
            any_train().prop_map(|train| train.concat()),
        ],
        wild in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
    ) {
        let mut bytes = bytes;
        bytes[1] = kind;
        bytes[5..10].iter_mut().for_each(|b| *b &= 0x3f);
        let header = VnetHeader::from_bytes(bytes);
        let mut frame = frame;
        for (at, byte) in wild {
            if !frame.is_empty() {
                let at = at.index(frame.len());
                frame[at] = byte;
            }
        }
        let emitted: usize = cut(&[(header, frame.clone())]).iter().map(Vec::len).sum();
        prop_assert!(emitted <= (frame.len() + 1) * (frame.len() + 1));
        joined([(header, frame.clone()), (VnetHeader::NONE, frame.clone()), (header, frame)]);
    }
}
