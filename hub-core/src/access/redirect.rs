//! The answer to a request that an access rule sends elsewhere (policies §4).

use bytes::BytesMut;

use crate::Frame;
use crate::frame::{FrameView, Network, Transport, checksum, packet_end};

/// TCP flags.
const FIN: u8 = 0x01;
const PUSH: u8 = 0x08;
const ACK: u8 = 0x10;
const TCP_HEADER: usize = 20;
const HOPS: u8 = 64;

/// What a web server that has moved to `url` would say to the segment in `frame`, or to the first piece of it; none if it is no
/// TCP segment with data. Whatever the data is: a flow that is to go elsewhere does not go here.
pub(crate) fn answer(frame: &Frame, view: &FrameView, transport: Transport, url: &str) -> Option<Frame> {
    let Transport::Tcp { ports, flags } = transport else {
        return None;
    };
    let at = usize::from(view.transport_offset()?);
    let header: &[u8; TCP_HEADER] = frame.bytes.get(at..)?.first_chunk()?;
    let data = packet_end(view, &frame.bytes)?.checked_sub(at + usize::from(header[12] >> 4) * 4)?;
    if data == 0 {
        return None;
    }
    let word = |at: usize| -> Option<u32> { Some(u32::from_be_bytes(*header.get(at..)?.first_chunk()?)) };
    let received = word(4)?
        .wrapping_add(u32::try_from(data).ok()?)
        .wrapping_add(u32::from(flags.bits() & FIN));

    let mut segment = BytesMut::with_capacity(TCP_HEADER + 256 + url.len());
    segment.extend_from_slice(&ports.destination.to_be_bytes());
    segment.extend_from_slice(&ports.source.to_be_bytes());
    segment.extend_from_slice(&word(8)?.to_be_bytes());
    segment.extend_from_slice(&received.to_be_bytes());
    segment.extend_from_slice(&[
        (TCP_HEADER as u8 / 4) << 4,
        FIN | PUSH | ACK,
        0xff,
        0xff,
        0,
        0,
        0,
        0,
    ]);
    segment.extend_from_slice(response(url).as_bytes());
    Some(packet(frame, view, segment))
}

/// The address is an administrator's, and still cannot end the line it stands in.
fn response(url: &str) -> String {
    let url: String = url.chars().filter(|letter| !letter.is_control()).collect();
    format!(
        "HTTP/1.1 302 Found\r\nLocation: {url}\r\nCache-Control: no-store\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
}

/// The segment in a packet and frame back to the sender of `frame`.
fn packet(frame: &Frame, view: &FrameView, mut segment: BytesMut) -> Frame {
    const PROTOCOL: u8 = 6;
    let length = (segment.len() as u16).to_be_bytes();
    let (header, pseudo) = match &view.network {
        Network::Ipv6(ip) => {
            let (from, to) = (ip.destination.octets(), ip.source.octets());
            let header = [&[0x60, 0, 0, 0][..], &length, &[PROTOCOL, HOPS], &from, &to].concat();
            let pseudo = [&from[..], &to, &[0, 0], &length, &[0, 0, 0, PROTOCOL]].concat();
            (header, pseudo)
        }
        network => {
            let (from, to) = match network {
                Network::Ipv4(ip) => (ip.destination.octets(), ip.source.octets()),
                _ => ([0; 4], [0; 4]),
            };
            let total = (segment.len() as u16 + 20).to_be_bytes();
            // RFC 6864 §4.1: what must not be fragmented needs no identification.
            let fixed = [0, 0, 0x40, 0, HOPS, PROTOCOL];
            let mut header = [&[0x45, 0][..], &total, &fixed, &[0, 0], &from, &to].concat();
            let sum = checksum(&[&header]);
            header[10..12].copy_from_slice(&sum.to_be_bytes());
            let pseudo = [&from[..], &to, &[0, PROTOCOL], &length].concat();
            (header, pseudo)
        }
    };
    let sum = checksum(&[&pseudo, &segment]);
    segment[16..18].copy_from_slice(&sum.to_be_bytes());
    let link = &frame.bytes[12..usize::from(view.network_offset)];
    let addresses = [view.source.octets(), view.destination.octets()].concat();
    Frame::new([&addresses, link, &header, &segment].concat())
}
