//! Joining the segments of a flow into super-frames, by the rules of Linux' generic receive offload.

use std::io::IoSlice;
use std::ops::{ControlFlow, Range};

use bytes::{Bytes, BytesMut};

use super::checksum::Sum;
use super::header::{Checksum, Kind, VnetHeader};
use super::layout::{
    IP_CHECKSUM, IP_ID, IP_TOTAL, IP6_LENGTH, IPV4_HEADER, IPV6_HEADER, Layout, TCP_ACK, TCP_CHECKSUM,
    TCP_CWR, TCP_ECE, TCP_FIN, TCP_FLAGS, TCP_PUSH, TCP_SEQUENCE, UDP_LENGTH, set_u16, u16_at,
};

/// Flows that are joined side by side in one batch.
const OPEN_FLOWS: usize = 16;
/// Segments of one super-frame at most; with its headers they stay well below the parts that one writev takes (1,024).
const MAX_SEGMENTS: usize = 256;
/// Datagrams of one super-frame at most: what the kernel joins, and half of what it cuts.
const MAX_DATAGRAMS: usize = 64;
/// Bytes of an IP packet at most.
const MAX_PACKET: usize = 65_535;
/// No segment that follows.
const NONE: u32 = u32::MAX;

/// Joins the frames of one batch.
///
/// Frames are pushed in the order in which they came, and drained once. Frames of one flow leave in that order; flows may
/// change places among each other. A frame joins the one before it in its flow when nothing is lost by it, that is
/// when cutting the super-frame gives the same frames again, byte by byte: same headers but for what counts on, right
/// checksums, no gap, equal sizes but for the last, nothing urgent, no end of a push before the last.
///
/// Nothing is copied but headers: a super-frame is handed out as parts, for a device that takes them by one writev.
#[derive(Debug)]
pub struct Joiner {
    tcp: bool,
    udp: bool,
    segments: Vec<Segment>,
    items: Vec<Item>,
    open: Vec<Open>,
    /// The headers of super-frames, while they are drained.
    heads: Vec<u8>,
}

/// One frame that was pushed.
#[derive(Debug)]
struct Segment {
    frame: Bytes,
    /// The next one of the same super-frame.
    next: u32,
}

/// What leaves as one frame, in the order of its first segment.
#[derive(Debug)]
struct Item {
    header: VnetHeader,
    first: u32,
    last: u32,
    /// What it was joined by, if it has several segments.
    joined: Option<Joined>,
}

/// What a super-frame gets for headers.
#[derive(Debug, Clone)]
struct Joined {
    layout: Layout,
    /// Bytes of payload in every segment but the last.
    size: usize,
    /// Bytes of payload in all.
    payload: usize,
    /// TCP flags of the last segment that only it may have.
    flags: u8,
    /// Its headers within [`Joiner::heads`].
    head: Range<usize>,
}

/// An item that may still grow.
#[derive(Debug)]
struct Open {
    item: usize,
    flow: u64,
    first: Candidate,
    /// Whether the first segment's checksums were found right.
    verified: bool,
    segments: usize,
    payload: usize,
}

/// What is known of a frame of TCP or UDP.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    layout: Layout,
    checksum: Checksum,
    /// Bytes of payload.
    payload: usize,
    /// TCP flags; a datagram counts as an ordinary segment.
    flags: u8,
    sequence: u32,
    id: u16,
}

impl Joiner {
    /// Joins segments of TCP, and datagrams of UDP, where the device takes those joined.
    #[must_use]
    pub fn new(tcp: bool, udp: bool) -> Self {
        Self {
            tcp,
            udp,
            segments: Vec::new(),
            items: Vec::new(),
            open: Vec::new(),
            heads: Vec::new(),
        }
    }

    /// Takes the next frame of the batch.
    pub fn push(&mut self, header: VnetHeader, frame: Bytes) {
        let place = self.segments.len() as u32;
        self.segments.push(Segment { frame, next: NONE });
        let frame = &self.segments[place as usize].frame;
        let Some((layout, flow)) = flow_of(frame) else {
            // It may belong to any flow, as fragments do: nothing that comes later may overtake it.
            self.open.clear();
            self.add(header, place);
            return;
        };
        let at = self.open.iter().position(|open| open.flow == flow);
        let wanted = if layout.tcp { self.tcp } else { self.udp };
        let candidate = if wanted {
            Candidate::of(header, layout, frame)
        } else {
            None
        };
        let Some(candidate) = candidate else {
            at.map(|at| self.open.swap_remove(at));
            self.add(header, place);
            return;
        };
        if let Some(at) = at {
            if self.open[at].takes(&candidate, &self.segments, &self.items) {
                if self.extend(at, &candidate, place) {
                    self.open.swap_remove(at);
                }
                return;
            }
            self.open.swap_remove(at);
        }
        let item = self.add(header, place);
        if candidate.may_be_followed() {
            if self.open.len() == OPEN_FLOWS {
                self.open.remove(0);
            }
            self.open.push(Open {
                item,
                flow,
                first: candidate,
                verified: candidate.checksum != Checksum::Complete,
                segments: 1,
                payload: candidate.payload,
            });
        }
    }

    fn add(&mut self, header: VnetHeader, place: u32) -> usize {
        self.items.push(Item {
            header,
            first: place,
            last: place,
            joined: None,
        });
        self.items.len() - 1
    }

    /// Appends a segment to an open item; whether it is the last one.
    fn extend(&mut self, at: usize, candidate: &Candidate, place: u32) -> bool {
        let open = &mut self.open[at];
        open.verified = true;
        open.segments += 1;
        open.payload += candidate.payload;
        let item = &mut self.items[open.item];
        self.segments[item.last as usize].next = place;
        item.last = place;
        let size = open.first.payload;
        let joined = item.joined.get_or_insert(Joined {
            layout: open.first.layout,
            size,
            payload: 0,
            flags: 0,
            head: 0..0,
        });
        joined.payload = open.payload;
        joined.flags = candidate.flags & (TCP_FIN | TCP_PUSH);
        candidate.payload < size || joined.flags != 0
    }

    /// Hands out what was pushed, and forgets it. When `emit` breaks off, what it was given last is handed out again by the
    /// next call, and the rest after it.
    pub fn drain(&mut self, mut emit: impl FnMut(&Parts<'_>) -> ControlFlow<()>) {
        self.open.clear();
        self.heads.clear();
        for item in &mut self.items {
            if let Some(joined) = &mut item.joined {
                let frame = &self.segments[item.first as usize].frame;
                joined.head = self.heads.len()..self.heads.len() + joined.layout.payload;
                self.heads.extend_from_slice(&frame[..joined.layout.payload]);
                item.header = joined.finish(&mut self.heads[joined.head.clone()]);
            }
        }
        let mut done = 0;
        let headers: Vec<_> = self.items.iter().map(|item| item.header.to_kernel()).collect();
        let mut parts = Vec::with_capacity(64);
        for (item, header) in self.items.iter().zip(&headers) {
            parts.clear();
            parts.push(IoSlice::new(header));
            let mut behind = 0;
            if let Some(joined) = &item.joined {
                parts.push(IoSlice::new(&self.heads[joined.head.clone()]));
                behind = joined.layout.payload;
            }
            let mut next = item.first;
            while let Some(segment) = self.segments.get(next as usize) {
                parts.push(IoSlice::new(&segment.frame[behind..]));
                next = segment.next;
            }
            let whole = Parts {
                header: item.header,
                parts: &parts,
            };
            if emit(&whole).is_break() {
                break;
            }
            done += 1;
        }
        self.items.drain(..done);
        if self.items.is_empty() {
            self.segments.clear();
        }
    }

    /// Whether nothing was pushed since it was drained.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

/// A frame in parts.
#[derive(Debug)]
pub struct Parts<'a> {
    header: VnetHeader,
    /// The header as the kernel takes it, then the frame.
    parts: &'a [IoSlice<'a>],
}

impl<'a> Parts<'a> {
    /// What is left to do in the frame.
    #[must_use]
    pub fn header(&self) -> VnetHeader {
        self.header
    }

    /// The frame's bytes, in order.
    #[must_use]
    pub fn frame(&self) -> &'a [IoSlice<'a>] {
        &self.parts[1..]
    }

    /// The frame's bytes in one piece.
    pub(crate) fn to_bytes(&self) -> Bytes {
        let mut bytes = BytesMut::new();
        for part in self.frame() {
            bytes.extend_from_slice(part);
        }
        bytes.freeze()
    }

    /// Header and frame, for one writev.
    pub(crate) fn with_header(&self) -> &'a [IoSlice<'a>] {
        self.parts
    }
}

impl Joined {
    /// Makes the first segment's headers those of the super-frame; returns what is left to do in it.
    fn finish(&self, head: &mut [u8]) -> VnetHeader {
        let layout = &self.layout;
        let len = layout.payload + self.payload;
        layout.set_length(head, len - layout.ip);
        let (kind, ecn) = match (layout.tcp, layout.v6) {
            (true, v6) => {
                let flags = &mut head[layout.transport + TCP_FLAGS];
                *flags |= self.flags;
                let kind = if v6 { Kind::Tcp6 } else { Kind::Tcp4 };
                (kind, *flags & TCP_CWR != 0)
            }
            (false, _) => (Kind::Udp, false),
        };
        let at = layout.checksum_at();
        let sum = layout.pseudo_sum(head, len - layout.transport).fold();
        set_u16(head, at, sum);
        VnetHeader::segments(kind, ecn, layout.payload, self.size, layout.transport, at)
    }
}

impl Open {
    /// Whether `next`, the last of `segments`, goes on where this item ends.
    fn takes(&mut self, next: &Candidate, segments: &[Segment], items: &[Item]) -> bool {
        let first = &self.first;
        let layout = &first.layout;
        let most = if layout.tcp { MAX_SEGMENTS } else { MAX_DATAGRAMS };
        let before_payload = layout.payload - layout.ip;
        let goes_on = next.layout == *layout
            && next.payload <= first.payload
            && self.segments < most
            && before_payload + self.payload + next.payload <= MAX_PACKET
            && (!layout.tcp || next.sequence == first.sequence.wrapping_add(self.payload as u32))
            && (layout.v6 || next.id == first.id.wrapping_add(self.segments as u16))
            && next.flags & TCP_CWR == 0
            // A checksum that is to be computed and one that is there are not joined: no header says both.
            && matches!(first.checksum, Checksum::Partial { .. }) == matches!(next.checksum, Checksum::Partial { .. });
        if !goes_on {
            return false;
        }
        let Some(next_segment) = segments.last() else {
            return false;
        };
        let first_frame = &segments[items[self.item].first as usize].frame;
        let (a, b) = (
            &first_frame[..layout.payload],
            &next_segment.frame[..layout.payload],
        );
        same_headers(layout, a, b)
            && (self.verified || first.is_right(first_frame))
            && (next.checksum != Checksum::Complete || next.is_right(&next_segment.frame))
    }
}

impl Candidate {
    /// What there is to know of a frame that might be joined with others; `None` if nothing may be joined to it.
    fn of(header: VnetHeader, layout: Layout, frame: &[u8]) -> Option<Self> {
        let work = header.work()?;
        let checksum_fits = match work.checksum {
            Checksum::Partial { start, at } => start == layout.transport && at == layout.checksum_at(),
            Checksum::Complete | Checksum::Verified => true,
        };
        let payload = frame.len() - layout.payload;
        if work.kind != Kind::Whole || !checksum_fits || payload == 0 || !has_plain_lengths(&layout, frame) {
            return None;
        }
        let (flags, sequence) = if layout.tcp {
            let tcp = &frame[layout.transport..];
            (
                tcp[TCP_FLAGS],
                u32::from_be_bytes([tcp[4], tcp[5], tcp[6], tcp[7]]),
            )
        } else {
            (TCP_ACK, 0)
        };
        let ordinary = TCP_CWR | TCP_ECE | TCP_ACK | TCP_PUSH | TCP_FIN;
        if flags & !ordinary != 0 || flags & TCP_ACK == 0 {
            return None;
        }
        Some(Self {
            layout,
            checksum: work.checksum,
            payload,
            flags,
            sequence,
            id: if layout.v6 {
                0
            } else {
                u16_at(frame, layout.ip + IP_ID)?
            },
        })
    }

    /// Whether another segment may come behind this one.
    fn may_be_followed(&self) -> bool {
        self.flags & (TCP_PUSH | TCP_FIN) == 0
    }

    /// Whether IP and transport checksum are right, and as cutting would write them.
    fn is_right(&self, frame: &[u8]) -> bool {
        let layout = &self.layout;
        let stored = |at: usize| u16_at(frame, at).unwrap_or_default();
        let ip_is_right = layout.v6 || {
            let sum = Sum::default().add(&frame[layout.ip..layout.transport]).fold();
            sum == 0xffff && stored(layout.ip + IP_CHECKSUM) != 0xffff
        };
        let unusual = if layout.tcp { 0xffff } else { 0 };
        ip_is_right && stored(layout.checksum_at()) != unusual && {
            let pseudo = layout.pseudo_sum(frame, frame.len() - layout.transport);
            pseudo.add(&frame[layout.transport..]).fold() == 0xffff
        }
    }
}

/// The frame's headers and a number that frames of its flow have in common; frames of another one hardly ever do.
fn flow_of(frame: &[u8]) -> Option<(Layout, u64)> {
    let layout = Layout::of(frame)?;
    let addresses = if layout.v6 {
        &frame[layout.ip + 8..layout.ip + 40]
    } else {
        &frame[layout.ip + 12..layout.ip + 20]
    };
    let ports = &frame[layout.transport..layout.transport + 4];
    let (words, _) = addresses.as_chunks::<4>();
    let mix = |hash: u64, word: u32| {
        (hash ^ u64::from(word))
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(29)
    };
    let mut flow = u64::from(layout.tcp);
    for word in words {
        flow = mix(flow, u32::from_ne_bytes(*word));
    }
    let ports = u32::from_ne_bytes([ports[0], ports[1], ports[2], ports[3]]);
    Some((layout, mix(flow, ports)))
}

/// Whether there are no IP options or extension headers, and the packet ends where the frame does, by all its lengths.
fn has_plain_lengths(layout: &Layout, frame: &[u8]) -> bool {
    let len = frame.len() - layout.ip;
    let header = layout.transport - layout.ip;
    let ip_fits = if layout.v6 {
        header == IPV6_HEADER
            && u16_at(frame, layout.ip + IP6_LENGTH).map(usize::from) == Some(len - IPV6_HEADER)
    } else {
        header == IPV4_HEADER && u16_at(frame, layout.ip + IP_TOTAL).map(usize::from) == Some(len)
    };
    let datagram = u16_at(frame, layout.transport + UDP_LENGTH).map(usize::from);
    ip_fits && (layout.tcp || datagram == Some(len - header))
}

/// Whether two segments' headers are the same but for lengths, the numbers that count on, and checksums.
fn same_headers(layout: &Layout, a: &[u8], b: &[u8]) -> bool {
    let same = |range: Range<usize>| a[range.clone()] == b[range];
    let (ip, transport) = (layout.ip, layout.transport);
    let same_ip = if layout.v6 {
        same(0..ip + IP6_LENGTH) && same(ip + 6..transport)
    } else {
        same(0..ip + IP_TOTAL) && same(ip + 6..ip + IP_CHECKSUM) && same(ip + 12..transport)
    };
    // Ports, then for TCP: acknowledgement and offset, flags, window, urgent pointer and options.
    let ends = TCP_FIN | TCP_PUSH | TCP_CWR;
    same_ip
        && same(transport..transport + TCP_SEQUENCE)
        && (!layout.tcp
            || same(transport + 8..transport + TCP_FLAGS)
                && (a[transport + TCP_FLAGS] ^ b[transport + TCP_FLAGS]) & !ends == 0
                && same(transport + TCP_FLAGS + 1..transport + TCP_CHECKSUM)
                && same(transport + TCP_CHECKSUM + 2..layout.payload))
}
