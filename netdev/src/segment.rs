//! Doing in software what the kernel left to a network card: checksums, and cutting a super-frame into frames.
//!
//! The kernel describes the work in a virtio-net header (virtio 1.2 section 5.1.6). A header comes from the
//! kernel, but the frame it describes may have come from anywhere: nothing in it is believed without a look.

use bytes::BytesMut;

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const ETHERTYPE_VLAN: [u16; 2] = [0x8100, 0x88a8];

const TCP: u8 = 6;
const UDP: u8 = 17;
const TCP_CHECKSUM: usize = 16;
const UDP_CHECKSUM: usize = 6;
const TCP_FIN: u8 = 0x01;
const TCP_PUSH: u8 = 0x08;
const TCP_CWR: u8 = 0x80;

/// What kind of segments a super-frame is to be cut into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Whole,
    Tcp4,
    Tcp6,
    Udp,
}

/// The meaning of a virtio-net header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VnetHeader {
    kind: Kind,
    /// The bytes of payload per segment.
    size: usize,
    /// Where the checksum's range begins and where the checksum lies within it, counted from the frame's start.
    checksum: Option<(usize, usize)>,
}

impl VnetHeader {
    /// The header's length in bytes, without the count of merged buffers.
    pub const LEN: usize = 10;

    /// Reads a header in the machine's byte order; `None` when it asks for a kind of cutting unknown here.
    pub fn parse(bytes: &[u8; Self::LEN]) -> Option<Self> {
        const NEEDS_CHECKSUM: u8 = 1;
        const ECN: u8 = 0x80;
        let field = |at: usize| usize::from(u16::from_ne_bytes([bytes[at], bytes[at + 1]]));
        let kind = match bytes[1] & !ECN {
            0 => Kind::Whole,
            1 => Kind::Tcp4,
            4 => Kind::Tcp6,
            5 => Kind::Udp,
            _ => return None,
        };
        let checksum = (bytes[0] & NEEDS_CHECKSUM != 0).then(|| (field(6), field(6) + field(8)));
        Some(Self {
            kind,
            size: field(4),
            checksum,
        })
    }

    /// Moves what the header points to by `by` bytes: a VLAN tag was put back before it.
    pub(crate) fn shift(&mut self, by: u16) {
        if let Some((start, at)) = &mut self.checksum {
            *start += usize::from(by);
            *at += usize::from(by);
        }
    }

    /// Whether the frame is to be cut into several.
    pub fn is_split(&self) -> bool {
        self.kind != Kind::Whole
    }
}

/// Completes the checksum of a frame that is not to be split. The field holds the pseudo-header's sum already.
pub fn finish(header: &VnetHeader, frame: &mut [u8]) {
    let Some((start, at)) = header.checksum else {
        return;
    };
    if at + 2 > frame.len() || start > at {
        return;
    }
    let sum = fold(add(0, &frame[start..]));
    store_checksum(frame, at, sum, at - start == UDP_CHECKSUM);
}

/// Cuts a super-frame into frames as a card would, each with its own lengths, numbers and checksums.
///
/// Nothing is emitted when the frame is not what the header says.
pub fn split(header: &VnetHeader, frame: &[u8], mut emit: impl FnMut(BytesMut)) {
    let Some(layout) = Layout::of(header, frame) else {
        return;
    };
    let payload = &frame[layout.payload..];
    let count = payload.len().div_ceil(header.size).max(1);
    for i in 0..count {
        let from = i * header.size;
        let part = &payload[from..payload.len().min(from + header.size)];
        let mut out = BytesMut::with_capacity(layout.payload + part.len());
        out.extend_from_slice(&frame[..layout.payload]);
        out.extend_from_slice(part);
        layout.finish_segment(&mut out, i, from, i + 1 == count);
        emit(out);
    }
}

/// Where the headers of a super-frame lie.
struct Layout {
    /// Start of the IP header.
    ip: usize,
    v6: bool,
    /// Start of the TCP or UDP header.
    transport: usize,
    tcp: bool,
    /// End of the headers.
    payload: usize,
}

impl Layout {
    fn of(header: &VnetHeader, frame: &[u8]) -> Option<Self> {
        let (ethertype, ip) = ip_offset(frame)?;
        let v6 = match ethertype {
            ETHERTYPE_IPV4 => false,
            ETHERTYPE_IPV6 => true,
            _ => return None,
        };
        let tcp = match header.kind {
            Kind::Tcp4 if !v6 => true,
            Kind::Tcp6 if v6 => true,
            Kind::Udp => false,
            _ => return None,
        };
        // Where the transport header begins is where its checksum's range begins; that spares a walk through
        // IPv6 extension headers. Without a checksum to complete there is the IPv4 header length.
        let transport = match header.checksum {
            Some((start, _)) => start,
            None if !v6 => ip + usize::from(frame.get(ip)? & 0x0f) * 4,
            None => ip + 40,
        };
        let ip_len = if v6 { 40 } else { 20 };
        let min = if tcp { 20 } else { 8 };
        if header.size == 0 || transport < ip + ip_len || frame.len() < transport + min {
            return None;
        }
        let transport_len = if tcp {
            usize::from(frame[transport + 12] >> 4) * 4
        } else {
            8
        };
        let payload = transport + transport_len;
        (transport_len >= min && payload < frame.len()).then_some(Self {
            ip,
            v6,
            transport,
            tcp,
            payload,
        })
    }

    /// Gives segment `i`, whose payload begins at `offset` of the whole, its own header fields.
    fn finish_segment(&self, frame: &mut [u8], i: usize, offset: usize, last: bool) {
        self.finish_ip(frame, i);
        let transport_len = frame.len() - self.transport;
        if self.tcp {
            let sequence = u32_at(frame, self.transport + 4).wrapping_add(offset as u32);
            frame[self.transport + 4..][..4].copy_from_slice(&sequence.to_be_bytes());
            let flags = &mut frame[self.transport + 13];
            if i > 0 {
                *flags &= !TCP_CWR; // one congestion answer, not one per segment (RFC 3168 section 6.1.2)
            }
            if !last {
                *flags &= !(TCP_FIN | TCP_PUSH);
            }
        } else {
            set_u16(frame, self.transport + 4, transport_len);
        }
        let at = self.transport + if self.tcp { TCP_CHECKSUM } else { UDP_CHECKSUM };
        set_u16(frame, at, 0);
        let addresses = if self.v6 {
            self.ip + 8..self.ip + 40
        } else {
            self.ip + 12..self.ip + 20
        };
        let pseudo = add(
            transport_len as u64 + u64::from(if self.tcp { TCP } else { UDP }),
            &frame[addresses],
        );
        let sum = fold(add(pseudo, &frame[self.transport..]));
        store_checksum(frame, at, sum, !self.tcp);
    }

    fn finish_ip(&self, frame: &mut [u8], i: usize) {
        let len = frame.len() - self.ip;
        if self.v6 {
            set_u16(frame, self.ip + 4, len - 40);
            return;
        }
        set_u16(frame, self.ip + 2, len);
        let id = u16::from_be_bytes([frame[self.ip + 4], frame[self.ip + 5]]).wrapping_add(i as u16);
        set_u16(frame, self.ip + 4, usize::from(id));
        set_u16(frame, self.ip + 10, 0);
        let sum = fold(add(0, &frame[self.ip..self.transport]));
        store_checksum(frame, self.ip + 10, sum, false);
    }
}

/// The ethertype behind up to two VLAN tags, and where what it names begins.
fn ip_offset(frame: &[u8]) -> Option<(u16, usize)> {
    let mut at = 12;
    for _ in 0..3 {
        let ethertype = u16::from_be_bytes([*frame.get(at)?, *frame.get(at + 1)?]);
        at += 2;
        if !ETHERTYPE_VLAN.contains(&ethertype) {
            return Some((ethertype, at));
        }
        at += 2;
    }
    None
}

/// Adds `bytes` as 16-bit numbers to a running sum (RFC 1071).
fn add(sum: u64, bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<4>();
    let mut sum = sum;
    for word in words {
        sum += u64::from(u32::from_be_bytes(*word));
    }
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    sum + u64::from(u32::from_be_bytes(last))
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// Stores the complement of `sum`; UDP says "no checksum" by zero, so there zero is written as all ones (RFC 768).
fn store_checksum(frame: &mut [u8], at: usize, sum: u16, udp: bool) {
    let checksum = match !sum {
        0 if udp => 0xffff,
        checksum => checksum,
    };
    frame[at..][..2].copy_from_slice(&checksum.to_be_bytes());
}

fn set_u16(frame: &mut [u8], at: usize, value: usize) {
    frame[at..][..2].copy_from_slice(&(value as u16).to_be_bytes());
}

fn u32_at(frame: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([frame[at], frame[at + 1], frame[at + 2], frame[at + 3]])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const V4: &[u8] = &[
        0x45, 0, 0, 0, 0x12, 0x34, 0x40, 0, 64, TCP, 0, 0, 10, 0, 0, 1, 10, 0, 0,
        2, // addresses at 12 and 16
    ];
    const V6: &[u8] = &[
        0x60, 0, 0, 0, 0, 0, TCP, 64, //
        0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, //
        0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2,
    ];
    const TCP_HEADER: &[u8] = &[
        0, 80, 0, 81, 0, 0, 0, 100, 0, 0, 0, 0, 0x50, 0x99, 1, 0, 0, 0, 0, 0,
    ];
    const UDP_HEADER: &[u8] = &[0, 80, 0, 81, 0, 0, 0, 0];

    fn ethernet(ethertype: u16, tags: &[u8]) -> Vec<u8> {
        let mut frame = vec![2; 12];
        frame.extend(tags);
        frame.extend(ethertype.to_be_bytes());
        frame
    }

    fn header(kind: u8, size: u16, start: usize, offset: u16) -> VnetHeader {
        let mut bytes = [0; VnetHeader::LEN];
        bytes[0] = 1;
        bytes[1] = kind;
        bytes[4..6].copy_from_slice(&size.to_ne_bytes());
        bytes[6..8].copy_from_slice(&(start as u16).to_ne_bytes());
        bytes[8..10].copy_from_slice(&offset.to_ne_bytes());
        VnetHeader::parse(&bytes).unwrap()
    }

    fn parts(header: &VnetHeader, frame: &[u8]) -> Vec<Vec<u8>> {
        let mut parts = Vec::new();
        split(header, frame, |part| parts.push(part.to_vec()));
        parts
    }

    /// The sum over a range that includes its own checksum is all ones (RFC 1071).
    fn transport_sum(frame: &[u8], ip: usize, v6: bool, protocol: u8) -> u16 {
        let (addresses, transport) = if v6 {
            (ip + 8..ip + 40, ip + 40)
        } else {
            (ip + 12..ip + 20, ip + 20)
        };
        let pseudo = add(
            (frame.len() - transport) as u64 + u64::from(protocol),
            &frame[addresses],
        );
        fold(add(pseudo, &frame[transport..]))
    }

    #[test]
    fn tcp_over_ipv4_is_cut_with_numbers_flags_and_checksums_of_its_own() {
        let payload: Vec<u8> = (0..250).collect();
        let frame = [
            &ethernet(ETHERTYPE_IPV4, &[0x81, 0, 0, 5]),
            V4,
            TCP_HEADER,
            &payload,
        ]
        .concat();
        let parts = parts(&header(1, 100, 38, 16), &frame);

        assert_eq!(
            parts.iter().map(|p| p.len() - 58).collect::<Vec<_>>(),
            [100, 100, 50]
        );
        assert_eq!(
            parts.iter().flat_map(|p| p[58..].to_vec()).collect::<Vec<_>>(),
            payload
        );
        assert_eq!(
            parts.iter().map(|p| u32_at(p, 42)).collect::<Vec<_>>(),
            [100, 200, 300]
        );
        assert_eq!(
            parts.iter().map(|p| p[23]).collect::<Vec<_>>(),
            [0x34, 0x35, 0x36]
        );
        // 0x99 is CWR, ACK, PSH, FIN: CWR goes with the first, PSH and FIN with the last.
        assert_eq!(
            parts.iter().map(|p| p[51]).collect::<Vec<_>>(),
            [0x90, 0x10, 0x19]
        );
        for part in &parts {
            assert_eq!(fold(add(0, &part[18..38])), 0xffff, "IP header checksum");
            assert_eq!(
                usize::from(u16::from_be_bytes([part[20], part[21]])),
                part.len() - 18
            );
            assert_eq!(transport_sum(part, 18, false, TCP), 0xffff, "TCP checksum");
        }
    }

    #[test]
    fn tcp_over_ipv6_and_udp_are_cut_alike() {
        let payload = [7; 90];
        let frame = [&ethernet(ETHERTYPE_IPV6, &[]), V6, TCP_HEADER, &payload].concat();
        let tcp = parts(&header(4, 60, 54, 16), &frame);
        assert_eq!(tcp.len(), 2);
        for part in &tcp {
            assert_eq!(
                usize::from(u16::from_be_bytes([part[18], part[19]])),
                part.len() - 54
            );
            assert_eq!(transport_sum(part, 14, true, TCP), 0xffff);
        }
        let frame = [&ethernet(ETHERTYPE_IPV4, &[]), V4, UDP_HEADER, &payload].concat();
        let udp = parts(&header(5, 60, 34, 6), &frame);
        assert_eq!(
            udp.iter().map(|p| (p.len(), p[39])).collect::<Vec<_>>(),
            [(102, 68), (72, 38)]
        );
        for part in &udp {
            assert_eq!(transport_sum(part, 14, false, UDP), 0xffff);
        }
    }

    #[test]
    fn a_frame_that_is_whole_only_gets_its_checksum() {
        let mut frame = [&ethernet(ETHERTYPE_IPV4, &[]), V4, UDP_HEADER, b"hello"].concat();
        let pseudo = fold(add(13 + u64::from(UDP), &frame[26..34]));
        set_u16(&mut frame, 38, 13);
        set_u16(&mut frame, 40, usize::from(pseudo));
        let header = header(0, 0, 34, 6);
        assert!(!header.is_split());
        finish(&header, &mut frame);
        assert_eq!(transport_sum(&frame, 14, false, UDP), 0xffff);
    }

    #[test]
    fn an_unknown_kind_of_cutting_is_refused() {
        let mut bytes = [0; VnetHeader::LEN];
        bytes[1] = 3;
        assert_eq!(VnetHeader::parse(&bytes), None);
    }

    proptest! {
        #[test]
        fn no_header_and_no_frame_make_it_panic(
            bytes: [u8; VnetHeader::LEN],
            kind in prop::sample::select(vec![0u8, 1, 4, 5]),
            tail in prop::collection::vec(any::<u8>(), 0..300),
            v6: bool,
        ) {
            let mut bytes = bytes;
            bytes[1] = kind;
            bytes[5..10].iter_mut().for_each(|b| *b &= 0x3f);
            let header = VnetHeader::parse(&bytes).unwrap();
            let mut frame = ethernet(if v6 { ETHERTYPE_IPV6 } else { ETHERTYPE_IPV4 }, &[]);
            frame.extend(tail);
            let emitted: usize = parts(&header, &frame).iter().map(Vec::len).sum();
            prop_assert!(emitted <= frame.len() * (frame.len() + 1));
            finish(&header, &mut frame);
        }
    }
}
