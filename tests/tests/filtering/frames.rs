//! Frames, byte by byte: what is compared must be exact.

/// An Ethernet address of the laboratory: the session's letter, then a number.
pub(crate) fn mac(letter: char, number: u32) -> [u8; 6] {
    let [a, b, c, d] = number.to_be_bytes();
    [0x02, letter as u8, a, b, c, d]
}

pub(crate) const EVERYBODY: [u8; 6] = [0xff; 6];
pub(crate) const ALL_NODES: [u8; 6] = [0x33, 0x33, 0, 0, 0, 1];

pub(crate) fn ethernet(source: [u8; 6], destination: [u8; 6], kind: u16, payload: &[u8]) -> Vec<u8> {
    [&destination[..], &source, &kind.to_be_bytes(), payload].concat()
}

/// A frame between two stations, and of it all that comes after the Ethernet header.
#[derive(Clone, Copy)]
pub(crate) struct Way {
    pub(crate) source: [u8; 6],
    pub(crate) destination: [u8; 6],
}

impl Way {
    pub(crate) fn ethernet(self, kind: u16, payload: &[u8]) -> Vec<u8> {
        ethernet(self.source, self.destination, kind, payload)
    }

    pub(crate) fn ipv4(self, source: [u8; 4], destination: [u8; 4], protocol: u8, payload: &[u8]) -> Vec<u8> {
        self.ipv4_piece(source, destination, protocol, 0, payload)
    }

    /// With the fragment field of the header as given.
    pub(crate) fn ipv4_piece(
        self,
        source: [u8; 4],
        destination: [u8; 4],
        protocol: u8,
        fragment: u16,
        payload: &[u8],
    ) -> Vec<u8> {
        let length = (20 + payload.len()) as u16;
        let mut header = [
            &[0x45, 0][..],
            &length.to_be_bytes(),
            &[0, 1],
            &fragment.to_be_bytes(),
            &[64, protocol, 0, 0],
            &source,
            &destination,
        ]
        .concat();
        let sum = checksum(&[&header]);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        self.ethernet(0x0800, &[&header, payload].concat())
    }

    pub(crate) fn ipv6(self, source: [u8; 16], destination: [u8; 16], next: u8, payload: &[u8]) -> Vec<u8> {
        let header = [
            &[0x60, 0, 0, 0][..],
            &(payload.len() as u16).to_be_bytes(),
            &[next, 255],
            &source,
            &destination,
        ]
        .concat();
        self.ethernet(0x86dd, &[&header, payload].concat())
    }

    pub(crate) fn udp4(
        self,
        source: [u8; 4],
        destination: [u8; 4],
        ports: (u16, u16),
        payload: &[u8],
    ) -> Vec<u8> {
        let pseudo = [&source[..], &destination, &[0, 17]].concat();
        self.ipv4(source, destination, 17, &udp(&pseudo, ports, payload))
    }

    pub(crate) fn udp6(
        self,
        source: [u8; 16],
        destination: [u8; 16],
        ports: (u16, u16),
        payload: &[u8],
    ) -> Vec<u8> {
        let pseudo = [&source[..], &destination, &[0, 17]].concat();
        self.ipv6(source, destination, 17, &udp(&pseudo, ports, payload))
    }

    pub(crate) fn tcp4(
        self,
        source: [u8; 4],
        destination: [u8; 4],
        ports: (u16, u16),
        flags: u8,
        payload: &[u8],
    ) -> Vec<u8> {
        let pseudo = [&source[..], &destination, &[0, 6]].concat();
        self.ipv4(source, destination, 6, &tcp(&pseudo, ports, flags, &[], payload))
    }

    pub(crate) fn tcp6(
        self,
        source: [u8; 16],
        destination: [u8; 16],
        ports: (u16, u16),
        flags: u8,
        payload: &[u8],
    ) -> Vec<u8> {
        let pseudo = [&source[..], &destination, &[0, 6]].concat();
        self.ipv6(source, destination, 6, &tcp(&pseudo, ports, flags, &[], payload))
    }

    /// The first segment of a connection that offers this segment size.
    pub(crate) fn syn_with_mss(self, source: [u8; 4], destination: [u8; 4], mss: u16) -> Vec<u8> {
        let pseudo = [&source[..], &destination, &[0, 6]].concat();
        let [high, low] = mss.to_be_bytes();
        self.ipv4(
            source,
            destination,
            6,
            &tcp(&pseudo, (5000, 80), SYN, &[2, 4, high, low], &[]),
        )
    }

    pub(crate) fn icmpv6(self, source: [u8; 16], destination: [u8; 16], message: &[u8]) -> Vec<u8> {
        self.ipv6(source, destination, 58, &icmpv6(source, destination, message))
    }

    /// A router advertisement with this router lifetime.
    pub(crate) fn router_advertisement(
        self,
        source: [u8; 16],
        destination: [u8; 16],
        lifetime: u16,
    ) -> Vec<u8> {
        let [high, low] = lifetime.to_be_bytes();
        let message = [134, 0, 0, 0, 64, 0, high, low, 0, 0, 0, 0, 0, 0, 0, 0];
        self.icmpv6(source, destination, &message)
    }

    pub(crate) fn arp(self, operation: u8, sender: [u8; 4], target: [u8; 4]) -> Vec<u8> {
        self.arp_by(operation, self.source, sender, target)
    }

    /// In the name of another station.
    pub(crate) fn arp_by(self, operation: u8, claimed: [u8; 6], sender: [u8; 4], target: [u8; 4]) -> Vec<u8> {
        let message = [
            &[0, 1, 8, 0, 6, 4, 0, operation][..],
            &claimed,
            &sender,
            &[0; 6],
            &target,
        ]
        .concat();
        self.ethernet(0x0806, &message)
    }

    /// A DHCP message of a client.
    pub(crate) fn dhcp_request(self, kind: u8) -> Vec<u8> {
        let message = dhcp(1, kind, self.source, [0; 4]);
        self.udp4([0; 4], [255; 4], (68, 67), &message)
    }

    /// A DHCP message of a server to `client`.
    pub(crate) fn dhcp_reply(self, kind: u8, client: [u8; 6], server: [u8; 4], address: [u8; 4]) -> Vec<u8> {
        let message = dhcp(2, kind, client, address);
        self.udp4(server, address, (67, 68), &message)
    }
}

pub(crate) const SYN: u8 = 0x02;
pub(crate) const ACK: u8 = 0x10;
pub(crate) const PUSH: u8 = 0x08;

fn udp(pseudo: &[u8], (source, destination): (u16, u16), payload: &[u8]) -> Vec<u8> {
    let length = (8 + payload.len()) as u16;
    let mut datagram = [
        &source.to_be_bytes()[..],
        &destination.to_be_bytes(),
        &length.to_be_bytes(),
        &[0, 0],
        payload,
    ]
    .concat();
    let sum = checksum(&[pseudo, &length.to_be_bytes(), &datagram]);
    datagram[6..8].copy_from_slice(&sum.to_be_bytes());
    datagram
}

fn tcp(
    pseudo: &[u8],
    (source, destination): (u16, u16),
    flags: u8,
    options: &[u8],
    payload: &[u8],
) -> Vec<u8> {
    let words = (20 + options.len()) as u8 / 4;
    let mut segment = [
        &source.to_be_bytes()[..],
        &destination.to_be_bytes(),
        &1000_u32.to_be_bytes(),
        &2000_u32.to_be_bytes(),
        &[words << 4, flags, 0x20, 0, 0, 0, 0, 0],
        options,
        payload,
    ]
    .concat();
    let length = segment.len() as u16;
    let sum = checksum(&[pseudo, &length.to_be_bytes(), &segment]);
    segment[16..18].copy_from_slice(&sum.to_be_bytes());
    segment
}

pub(crate) fn icmpv6(source: [u8; 16], destination: [u8; 16], message: &[u8]) -> Vec<u8> {
    let mut message = message.to_vec();
    let pseudo = [
        &source[..],
        &destination,
        &(message.len() as u32).to_be_bytes(),
        &[0, 0, 0, 58],
    ]
    .concat();
    let sum = checksum(&[&pseudo, &message]);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    message
}

fn dhcp(operation: u8, kind: u8, client: [u8; 6], address: [u8; 4]) -> Vec<u8> {
    let mut message = vec![0; 240];
    message[..3].copy_from_slice(&[operation, 1, 6]);
    message[4..8].copy_from_slice(&[1, 2, 3, 4]);
    message[16..20].copy_from_slice(&address);
    message[28..34].copy_from_slice(&client);
    message[236..].copy_from_slice(&[0x63, 0x82, 0x53, 0x63]);
    message.extend_from_slice(&[53, 1, kind]);
    if operation == 2 {
        message.extend_from_slice(&[
            54, 4, 10, 7, 0, 1, 51, 4, 0, 0, 0x1c, 0x20, 1, 4, 255, 255, 255, 0,
        ]);
    }
    message.extend_from_slice(&[255, 0]);
    message.resize(300, 0);
    message
}

/// The Internet checksum over `parts`, each of even length but the last.
fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum: u32 = 0;
    for pair in parts.iter().flat_map(|part| part.chunks(2)) {
        sum += u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
