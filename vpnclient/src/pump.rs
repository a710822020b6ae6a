//! Frames between the TAP device and the tunnel.

use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use hub_core::frame::Frame;
use netdev::Tap;
use tokio::sync::mpsc;
use transport::tunnel::{Inbound, Tunnel};

/// What is taken from the device before it is handed on: enough to fill TLS records, not so much that it waits.
const BATCH_FRAMES: usize = 128;
const BATCH_BYTES: usize = 64 * 1024;

/// Carries what the host sends into the tunnel, until the device fails.
pub async fn outbound(tap: Arc<Tap>, tunnel: Tunnel) -> io::Error {
    let mut buf = BytesMut::with_capacity(BATCH_BYTES);
    let mut frames = Vec::with_capacity(BATCH_FRAMES);
    loop {
        match tap.recv(&mut buf).await {
            Ok(len) => frames.push(Frame::new(buf.split_to(len))),
            Err(error) => return error,
        }
        let mut bytes = frames.first().map_or(0, Frame::len);
        while frames.len() < BATCH_FRAMES && bytes < BATCH_BYTES {
            // An error that stays is met by the next `recv`.
            let Ok(len) = tap.try_recv(&mut buf) else { break };
            frames.push(Frame::new(buf.split_to(len)));
            bytes += len;
        }
        tunnel.send(&mut frames.drain(..));
    }
}

/// Takes what arrives through the tunnel: DHCP answers go to `dhcp`, where there is a client for them, and all else to
/// the host at once. A frame that the host cannot take is lost, as on any Ethernet.
pub fn inbound(tap: Arc<Tap>, dhcp: Option<mpsc::Sender<Bytes>>) -> Inbound {
    Arc::new(move |frames: &mut Vec<Frame>| {
        for frame in frames.drain(..) {
            match &dhcp {
                // A full channel means a flood; a lost answer is asked for again.
                Some(dhcp) if is_to_dhcp_client(&frame.bytes) => drop(dhcp.try_send(frame.bytes)),
                _ => drop(tap.try_send(&frame.bytes)),
            }
        }
    })
}

/// Whether a frame may be for a DHCP client (UDP over IPv4 to port 68). The client looks more closely.
fn is_to_dhcp_client(frame: &[u8]) -> bool {
    const MIN_FRAME: usize = 14 + 20 + 8;
    if frame.len() < MIN_FRAME || frame[12..14] != [0x08, 0x00] || frame[23] != 17 {
        return false;
    }
    let udp = 14 + usize::from(frame[14] & 0x0f) * 4;
    frame.get(udp + 2..udp + 4) == Some(&[0, 68])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn udp_to(port: u16, header_words: u8) -> Vec<u8> {
        let mut frame = vec![0; 14 + usize::from(header_words) * 4 + 8];
        frame[12..14].copy_from_slice(&[8, 0]);
        frame[14] = 0x40 | header_words;
        frame[23] = 17;
        let at = 14 + usize::from(header_words) * 4 + 2;
        frame[at..at + 2].copy_from_slice(&port.to_be_bytes());
        frame
    }

    #[test]
    fn dhcp_answers_are_told_from_everything_else() {
        assert!(is_to_dhcp_client(&udp_to(68, 5)));
        assert!(is_to_dhcp_client(&udp_to(68, 6)), "with an IP option");
        assert!(!is_to_dhcp_client(&udp_to(67, 5)));
        assert!(!is_to_dhcp_client(&udp_to(68, 5)[..41]));
        let mut tcp = udp_to(68, 5);
        tcp[23] = 6;
        assert!(!is_to_dhcp_client(&tcp));
        let mut cut = udp_to(68, 5);
        cut[14] = 0x4f;
        assert!(!is_to_dhcp_client(&cut));
    }
}
