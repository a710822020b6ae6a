//! Frames between the TAP device and the tunnel.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use hub_core::frame::Frame;
use nat::device::{self, Finisher, Reader, header_of};
use netdev::Tap;
use netdev::segment::{self, Joiner};
use tokio::sync::mpsc;
use transport::tunnel::{Inbound, Tunnel};

use super::held::Held;
use crate::dhcp::is_arp_reply;
use crate::dhcp6;
use crate::network::advertisement::is_advertisement;

/// Carries what the host sends into the tunnel, until the device fails.
pub(super) async fn outbound(tap: Arc<Held<Tap>>, tunnel: Tunnel) -> io::Error {
    let (mut reader, mut frames) = (Reader::default(), Vec::new());
    let mut finisher = Finisher::default();
    loop {
        let read = match tap.readable().await {
            Ok(()) => reader.read(&**tap, &mut frames),
            failed => failed,
        };
        if let Err(error) = read {
            return error;
        }
        if frames.is_empty() {
            continue;
        }
        // A stock server, and a datagram, knows frames of ordinary length only.
        if !tunnel.takes_super_frames() {
            finisher.finish(&mut frames);
        }
        tunnel.send(&mut frames.drain(..));
    }
}

/// Takes what arrives through the tunnel: DHCP answers go to `dhcp`, where there is a client for them, router advertisements
/// to `routers` as well, and all else to the host at once, joined where it came segment by segment. A frame that the host cannot
/// take is lost, as on any Ethernet.
pub(super) fn inbound(
    tap: Arc<Held<Tap>>,
    dhcp: Option<mpsc::Sender<Bytes>>,
    routers: Arc<Routers>,
) -> Inbound {
    // One for each connection that delivers at this moment.
    let joiners = Mutex::new(Vec::new());
    Arc::new(move |frames: &mut Vec<Frame>| {
        let resting =
            |joiners: &Mutex<Vec<Joiner>>| joiners.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut joiner = resting(&joiners).unwrap_or_else(|| tap.joiner());
        split_dhcp(frames, dhcp.as_ref());
        routers.hear(frames);
        device::join(&mut joiner, frames.drain(..));
        drop(tap.try_send_joined(&mut joiner));
        joiners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(joiner);
    })
}

/// Who hears the hub's routers.
#[derive(Debug)]
pub(super) struct Routers {
    /// Whether the kernel may hear them.
    pub(super) kernel: AtomicBool,
    /// Who reads what they say of routes and name servers. What does not fit comes again.
    pub(super) reader: mpsc::Sender<Bytes>,
}

impl Routers {
    fn hear(&self, frames: &mut Vec<Frame>) {
        let is_theirs = |frame: &Frame| is_advertisement(&frame.bytes) || dhcp6::is_to_client(&frame.bytes);
        if !frames.iter().any(is_theirs) {
            return;
        }
        let kernel = self.kernel.load(Ordering::Relaxed);
        frames.retain(|frame| {
            if dhcp6::is_to_client(&frame.bytes) {
                // Whoever reads it gives back what is not for them. A full channel means a flood.
                if kernel {
                    let take = |answer| drop(self.reader.try_send(answer));
                    segment::finish(&header_of(frame), frame.bytes.clone(), &mut BytesMut::new(), take);
                }
                return !kernel;
            }
            let said = is_advertisement(&frame.bytes);
            if said && kernel {
                drop(self.reader.try_send(frame.bytes.clone()));
            }
            !said || kernel
        });
    }
}

/// Gives answers for a DHCP client to `dhcp`, where there is one, and leaves all other frames.
pub(crate) fn split_dhcp(frames: &mut Vec<Frame>, dhcp: Option<&mpsc::Sender<Bytes>>) {
    let Some(dhcp) = dhcp else { return };
    // Whoever says that an address is theirs says it to the client, too: it may be about to take it.
    for frame in frames.iter().filter(|frame| is_arp_reply(&frame.bytes)) {
        drop(dhcp.try_send(frame.bytes.clone()));
    }
    if !frames.iter().any(|frame| is_to_dhcp_client(&frame.bytes)) {
        return;
    }
    frames.retain(|frame| {
        let theirs = is_to_dhcp_client(&frame.bytes);
        if theirs {
            // A full channel means a flood; a lost answer is asked for again.
            segment::finish(
                &header_of(frame),
                frame.bytes.clone(),
                &mut BytesMut::new(),
                |answer| {
                    drop(dhcp.try_send(answer));
                },
            );
        }
        !theirs
    });
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
