//! Round-trip times: ICMP echoes at a steady pace, whether or not the ones before were answered.

use std::io::{ErrorKind, IoSliceMut};
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockProtocol, SockType, recvmsg, setsockopt,
    socket, sockopt,
};

use crate::host::Host;
use crate::process::eventually;

/// The pace.
const INTERVAL: Duration = Duration::from_millis(10);

/// How long the last echoes may take.
const GRACE: Duration = Duration::from_millis(500);

/// ICMP types (RFC 792).
const ECHO: u8 = 8;
const REPLY: u8 = 0;

/// The 56 bytes of data that ping(8) sends, of which the first eight tell when.
const DATA: usize = 56;

/// Round-trip times of one measure.
#[derive(Debug, Clone)]
pub struct RoundTrips {
    /// Sorted.
    times: Vec<Duration>,
    /// How many echoes were sent.
    pub sent: usize,
}

impl RoundTrips {
    /// Those of one measure.
    pub fn new(mut times: Vec<Duration>, sent: usize) -> Self {
        times.sort_unstable();
        Self { times, sent }
    }

    /// Those of several measures.
    pub fn together(measures: Vec<Self>) -> Self {
        let sent = measures.iter().map(|measure| measure.sent).sum();
        let times = measures.into_iter().flat_map(|measure| measure.times).collect();
        Self::new(times, sent)
    }

    /// The time that `percent` of all answered echoes did not exceed.
    pub fn percentile(&self, percent: usize) -> Duration {
        let place = (self.times.len() * percent).div_ceil(100).max(1) - 1;
        self.times[place]
    }

    /// How many echoes were not answered in time.
    pub fn lost(&self) -> usize {
        self.sent.saturating_sub(self.times.len())
    }
}

/// Whether one echo is answered within a fifth of a second.
pub fn answers(from: &Host, to: Ipv4Addr) -> Result<bool> {
    let socket = icmp(from, to)?;
    socket.set_read_timeout(Some(Duration::from_millis(200)))?;
    if socket.send(&echo(1, now())).is_err() {
        // The neighbour did not answer, or there is no route yet.
        return Ok(false);
    }
    Ok(reply(&socket)?.is_some())
}

/// Waits until an echo is answered. What fails meanwhile, for want of an address or a route, is no answer.
pub fn is_answered(from: &Host, to: Ipv4Addr, within: Duration) -> Result<()> {
    eventually(within, &format!("an answer of {to} to {}", from.name()), || {
        Ok(answers(from, to).unwrap_or(false).then_some(()))
    })
}

/// Sends echoes for `window`.
pub fn round_trips(from: &Host, to: Ipv4Addr, window: Duration) -> Result<RoundTrips> {
    let socket = icmp(from, to)?;
    socket.set_read_timeout(Some(Duration::from_millis(50)))?;
    let done = AtomicBool::new(false);
    let (sent, times) = std::thread::scope(|scope| -> Result<_> {
        let listener = scope.spawn(|| -> Result<Vec<Duration>> {
            let mut times = Vec::new();
            while !done.load(Ordering::Relaxed) {
                times.extend(reply(&socket)?);
            }
            Ok(times)
        });
        let begun = Instant::now();
        let mut sent = 0_u16;
        while begun.elapsed() < window {
            // A full queue loses the echo, which counts as lost.
            let _ = socket.send(&echo(sent, now()));
            sent += 1;
            std::thread::sleep((INTERVAL * u32::from(sent)).saturating_sub(begun.elapsed()));
        }
        std::thread::sleep(GRACE);
        done.store(true, Ordering::Relaxed);
        let times = listener
            .join()
            .map_err(|_| anyhow::anyhow!("the listener panicked"))??;
        Ok((usize::from(sent), times))
    })?;
    ensure!(!times.is_empty(), "none of {sent} echoes was answered");
    Ok(RoundTrips::new(times, sent))
}

/// A raw socket, in the clothes of a connected datagram socket. The kernel stamps what arrives, so that a busy machine which lets
/// this process wait is not counted as a slow tunnel.
fn icmp(from: &Host, to: Ipv4Addr) -> Result<UdpSocket> {
    let socket = from.within(|| {
        socket(
            AddressFamily::Inet,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::Icmp,
        )
    })?;
    let socket = UdpSocket::from(socket.context("a raw socket for ICMP")?);
    setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
    socket.connect((to, 0))?;
    Ok(socket)
}

/// Time since 1970, as the kernel stamps it.
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn echo(sequence: u16, at: Duration) -> [u8; 8 + DATA] {
    let mut packet = [0; 8 + DATA];
    packet[0] = ECHO;
    packet[4..6].copy_from_slice(&identifier().to_be_bytes());
    packet[6..8].copy_from_slice(&sequence.to_be_bytes());
    packet[8..16].copy_from_slice(&nanoseconds(at).to_be_bytes());
    let sum = checksum(&packet);
    packet[2..4].copy_from_slice(&sum.to_be_bytes());
    packet
}

fn nanoseconds(at: Duration) -> u64 {
    u64::try_from(at.as_nanos()).unwrap_or(u64::MAX)
}

fn identifier() -> u16 {
    (std::process::id() & 0xffff) as u16
}

/// The checksum of RFC 1071 over an even number of bytes.
fn checksum(packet: &[u8]) -> u16 {
    let mut sum = packet
        .chunks_exact(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
        .sum::<u32>();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// Waits for the next packet: how long it was on its way, if it is an answer to an echo of ours.
fn reply(socket: &UdpSocket) -> Result<Option<Duration>> {
    let mut packet = [0; 256];
    let mut parts = [IoSliceMut::new(&mut packet)];
    let mut room = nix::cmsg_space!(nix::sys::time::TimeSpec);
    let (length, stamp) =
        match recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut room), MsgFlags::empty()) {
            Ok(message) => {
                let stamp = message.cmsgs()?.find_map(|control| match control {
                    ControlMessageOwned::ScmTimestampns(stamp) => Some(Duration::from(stamp)),
                    _ => None,
                });
                (message.bytes, stamp.unwrap_or_else(now))
            }
            Err(error) => {
                let error = std::io::Error::from(error);
                return match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => Ok(None),
                    // What the network said of an echo: it is lost.
                    ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => Ok(None),
                    _ => Err(error.into()),
                };
            }
        };
    Ok(sent_at(&packet[..length]).map(|sent| stamp.saturating_sub(sent)))
}

/// When the echo was sent that this IPv4 packet answers, if it answers one of ours.
fn sent_at(packet: &[u8]) -> Option<Duration> {
    let header = usize::from(packet.first()? & 0x0f) * 4;
    let icmp = packet.get(header..)?;
    if *icmp.first()? != REPLY || icmp.get(4..6)? != identifier().to_be_bytes() {
        return None;
    }
    let stamp = icmp.get(8..16)?.try_into().ok()?;
    Some(Duration::from_nanos(u64::from_be_bytes(stamp)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_to_our_echo_tells_when_it_was_sent() {
        let at = Duration::new(1_795_406_311, 331);
        let mut packet = vec![0x45; 20];
        packet.extend(echo(7, at));
        assert_eq!(sent_at(&packet), None, "this is the echo itself");
        packet[20] = REPLY;
        assert_eq!(sent_at(&packet), Some(at));
        packet[24] ^= 1;
        assert_eq!(sent_at(&packet), None, "somebody else's");
        for length in 0..36 {
            assert_eq!(sent_at(&packet[..length]), None, "{length} bytes");
        }
    }

    #[test]
    fn checksum_over_a_packet_with_its_checksum_is_zero() {
        assert_eq!(checksum(&echo(513, Duration::from_nanos(0xffff_ffff_1234))), 0);
    }

    #[test]
    fn percentiles_are_those_of_the_nearest_rank() {
        let times: Vec<Duration> = (1..=200).map(Duration::from_millis).collect();
        let trips = RoundTrips::new(times, 210);
        assert_eq!(trips.percentile(50), Duration::from_millis(100));
        assert_eq!(trips.percentile(99), Duration::from_millis(198));
        assert_eq!(trips.lost(), 10);
        let one = RoundTrips::new(vec![Duration::from_millis(3)], 1);
        assert_eq!(one.percentile(99), Duration::from_millis(3));
        let both = RoundTrips::together(vec![trips, one]);
        assert_eq!(
            (both.percentile(1), both.sent),
            (Duration::from_millis(3), 210 + 1)
        );
    }
}
