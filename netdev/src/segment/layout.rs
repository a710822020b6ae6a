//! Where the headers of an Ethernet frame with TCP or UDP lie, and the fields that cutting and joining touch.

use super::checksum::Sum;

pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;

/// Places in the IP, TCP and UDP headers, in bytes from their beginning.
pub(super) const IP_TOTAL: usize = 2;
pub(super) const IP_ID: usize = 4;
pub(super) const IP_CHECKSUM: usize = 10;
pub(super) const IP6_LENGTH: usize = 4;
pub(super) const TCP_SEQUENCE: usize = 4;
pub(super) const TCP_FLAGS: usize = 13;
pub(super) const TCP_CHECKSUM: usize = 16;
pub(super) const UDP_LENGTH: usize = 4;
pub(super) const UDP_CHECKSUM: usize = 6;

pub(super) const TCP_FIN: u8 = 0x01;
pub(super) const TCP_PUSH: u8 = 0x08;
pub(super) const TCP_ACK: u8 = 0x10;
pub(super) const TCP_ECE: u8 = 0x40;
pub(super) const TCP_CWR: u8 = 0x80;

pub(super) const IPV4_HEADER: usize = 20;
pub(super) const IPV6_HEADER: usize = 40;

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const ETHERTYPE_VLAN: [u16; 2] = [0x8100, 0x88a8];
/// Extension headers that may stand before TCP or UDP of a whole packet (RFC 8200 section 4.1).
const EXTENSIONS: [u8; 3] = [0, 43, 60];
const MAX_EXTENSIONS: usize = 8;

/// Where the headers of a TCP or UDP frame lie, in bytes from its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    /// Start of the IP header.
    pub(super) ip: usize,
    pub(super) v6: bool,
    /// Start of the TCP or UDP header.
    pub(super) transport: usize,
    pub(super) tcp: bool,
    /// End of the headers.
    pub(super) payload: usize,
}

impl Layout {
    /// Finds the headers. All of them lie inside the frame; fragments, and what hides its transport header, have none.
    pub(super) fn of(frame: &[u8]) -> Option<Self> {
        let (ethertype, ip) = ip_offset(frame)?;
        let (v6, protocol, transport) = match ethertype {
            ETHERTYPE_IPV4 => {
                let (protocol, transport) = behind_ipv4(frame, ip)?;
                (false, protocol, transport)
            }
            ETHERTYPE_IPV6 => {
                let (protocol, transport) = behind_ipv6(frame, ip)?;
                (true, protocol, transport)
            }
            _ => return None,
        };
        let tcp = match protocol {
            TCP => true,
            UDP => false,
            _ => return None,
        };
        let length = if tcp {
            let length = usize::from(*frame.get(transport + 12)? >> 4) * 4;
            (length >= 20).then_some(length)?
        } else {
            8
        };
        let payload = transport + length;
        (payload <= frame.len()).then_some(Self {
            ip,
            v6,
            transport,
            tcp,
            payload,
        })
    }

    /// Where the transport checksum lies.
    pub(super) fn checksum_at(&self) -> usize {
        self.transport + if self.tcp { TCP_CHECKSUM } else { UDP_CHECKSUM }
    }

    /// The sum over the pseudo-header of a packet whose transport header and payload are `len` bytes long.
    pub(super) fn pseudo_sum(&self, frame: &[u8], len: usize) -> Sum {
        let addresses = if self.v6 {
            self.ip + 8..self.ip + 40
        } else {
            self.ip + 12..self.ip + 20
        };
        let protocol = if self.tcp { TCP } else { UDP };
        Sum::of_number(len as u32 + u32::from(protocol)).add(&frame[addresses])
    }

    /// Writes the lengths of the IP and, in a datagram, the UDP header for a packet that is `len` bytes from the IP header
    /// to its end, and the IPv4 header's checksum.
    pub(super) fn set_length(&self, frame: &mut [u8], len: usize) {
        if !self.tcp {
            let datagram = len - (self.transport - self.ip);
            set_u16(frame, self.transport + UDP_LENGTH, datagram as u16);
        }
        if self.v6 {
            set_u16(frame, self.ip + IP6_LENGTH, (len - IPV6_HEADER) as u16);
            return;
        }
        set_u16(frame, self.ip + IP_TOTAL, len as u16);
        set_u16(frame, self.ip + IP_CHECKSUM, 0);
        let sum = Sum::default().add(&frame[self.ip..self.transport]).fold();
        set_u16(frame, self.ip + IP_CHECKSUM, !sum);
    }
}

/// The ethertype behind up to two VLAN tags, and where what it names begins.
fn ip_offset(frame: &[u8]) -> Option<(u16, usize)> {
    let mut at = 12;
    for _ in 0..3 {
        let ethertype = u16_at(frame, at)?;
        at += 2;
        if !ETHERTYPE_VLAN.contains(&ethertype) {
            return Some((ethertype, at));
        }
        at += 2;
    }
    None
}

/// The protocol of a whole IPv4 packet and where its header begins.
fn behind_ipv4(frame: &[u8], ip: usize) -> Option<(u8, usize)> {
    const FRAGMENT: u16 = 0x3fff;
    let first = *frame.get(ip)?;
    let length = usize::from(first & 0x0f) * 4;
    let whole = u16_at(frame, ip + 6)? & FRAGMENT == 0;
    let transport = ip + length;
    (first >> 4 == 4 && length >= IPV4_HEADER && whole && transport <= frame.len())
        .then(|| (frame[ip + 9], transport))
}

/// The protocol of a whole IPv6 packet and where its header begins.
fn behind_ipv6(frame: &[u8], ip: usize) -> Option<(u8, usize)> {
    if *frame.get(ip)? >> 4 != 6 {
        return None;
    }
    let mut next = *frame.get(ip + 6)?;
    let mut at = ip + IPV6_HEADER;
    for _ in 0..MAX_EXTENSIONS {
        if !EXTENSIONS.contains(&next) {
            return (at <= frame.len()).then_some((next, at));
        }
        next = *frame.get(at)?;
        at += (usize::from(*frame.get(at + 1)?) + 1) * 8;
    }
    None
}

pub(super) fn u16_at(frame: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*frame.get(at)?, *frame.get(at + 1)?]))
}

pub(super) fn set_u16(frame: &mut [u8], at: usize, value: u16) {
    frame[at..][..2].copy_from_slice(&value.to_be_bytes());
}

/// Stores the complement of `sum`; UDP says "no checksum" by zero, so there zero is written as all ones (RFC 768).
pub(super) fn store_checksum(frame: &mut [u8], at: usize, sum: u16, udp: bool) {
    let checksum = match !sum {
        0 if udp => 0xffff,
        checksum => checksum,
    };
    set_u16(frame, at, checksum);
}
