//! UDP acceleration: Ethernet frames as datagrams beside a session's TCP connections (protocol §8).
//!
//! An [`Accelerator`] is one end. It seals frames and opens datagrams, sends keep-alives, finds out where the peer is, and
//! says whether frames may go this way at the moment. It has no socket and no clock: what it wants sent comes out of
//! [`Accelerator::poll_output`], and [`Accelerator::seal`] makes the datagrams that go to [`Accelerator::peer`].

mod cipher;
mod deflate;
mod message;
mod rc4;
mod replay;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

pub use self::cipher::Key;
use self::cipher::{Opener, Sealer};
use self::deflate::Zlib;
use self::message::Header;
use self::replay::Replay;
use crate::block::FRAME_BYTES;

/// What a link on the way is taken to carry (protocol §8.6).
const LINK_BYTES: usize = 1454;
/// Heads of IPv4, IPv6 and UDP.
const IPV4_BYTES: usize = 20;
const IPV6_BYTES: usize = 40;
const UDP_BYTES: usize = 8;
/// Keep-alives get this much padding at most (protocol §8.3).
const PADDING_BYTES: usize = 32;
/// A tick that is older than the newest one by more is refused, and an echo that is older does not count (protocol §8.5).
const TICK_WINDOW: u64 = 30_000;
/// How long a path must have worked before frames go this way (protocol §8.5), and how long when both ends are ours.
const STEADY: Duration = Duration::from_secs(10);
const STEADY_OF_OURS: Duration = Duration::from_secs(2);

/// The version of the datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// RC4 and twenty zeros.
    V1,
    /// ChaCha20-Poly1305.
    V2,
}

impl Version {
    /// The number in login and welcome.
    #[must_use]
    pub fn number(self) -> u32 {
        match self {
            Self::V1 => 1,
            Self::V2 => 2,
        }
    }

    /// The best that a peer that speaks versions up to `highest` understands.
    #[must_use]
    pub fn up_to(highest: u32) -> Self {
        if highest >= 2 { Self::V2 } else { Self::V1 }
    }
}

/// What login and welcome agreed on.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Of the datagrams.
    pub version: Version,
    /// Of what we send.
    pub our_key: Key,
    /// Of what the peer sends.
    pub peer_key: Key,
    /// In what the peer sends.
    pub our_cookie: u32,
    /// In what we send.
    pub peer_cookie: u32,
    /// The short timers.
    pub fast_detect: bool,
    /// Every payload is a zlib stream.
    pub compress: bool,
    /// The peer is one of ours: its datagrams are counted, so that a repeated one is refused, and it need not wait as long
    /// before it is trusted to be there.
    pub ours: bool,
    /// Where the peer probably is.
    pub peer: SocketAddr,
}

/// The largest TCP segment whose frame fits a datagram on the usual link, whatever the version (protocol §8.6).
#[must_use]
pub fn tcp_mss(peer: SocketAddr) -> u16 {
    /// Ethernet, IPv4 and TCP.
    const INNER_BYTES: usize = 14 + 20 + 20;
    /// Version 1 has the larger one.
    const OVERHEAD: usize = message::HEADER_BYTES + 40;
    u16::try_from(max_datagram(peer) - OVERHEAD - INNER_BYTES).unwrap_or(u16::MAX)
}

/// The longest datagram that is not cut on the usual link.
fn max_datagram(peer: SocketAddr) -> usize {
    LINK_BYTES - UDP_BYTES - if peer.is_ipv4() { IPV4_BYTES } else { IPV6_BYTES }
}

/// A datagram to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// To where.
    pub to: SocketAddr,
    /// Its bytes.
    pub datagram: Vec<u8>,
}

/// Why a datagram was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Not sealed with the peer's key, or too short.
    #[error("it is not from the peer")]
    Forged,
    /// For another session.
    #[error("its cookie is another")]
    Cookie,
    /// More payload is announced than there is, or than a frame has.
    #[error("its size is wrong")]
    Size,
    /// Its tick is 0 or long past.
    #[error("it is too old")]
    TooOld,
    /// It has come before.
    #[error("it came twice")]
    Replayed,
    /// The payload is no zlib stream of a frame.
    #[error("its payload cannot be decompressed")]
    Undecodable,
}

/// One end of an accelerated session.
pub struct Accelerator {
    sealer: Sealer,
    opener: Opener,
    zlib: Zlib,
    compress: bool,
    our_cookie: u32,
    peer_cookie: u32,
    replay: Option<Replay>,
    timers: Timers,
    rng: StdRng,
    /// When our clock showed tick 1.
    began: Instant,
    /// The newest tick of the peer; 0 is none.
    peer_tick: u64,
    /// The newest tick of ours that the peer has echoed; 0 is none.
    echo: u64,
    /// When the peer was last heard, and known to hear us.
    alive_at: Option<Instant>,
    /// Since when that has not stopped.
    steady_since: Option<Instant>,
    /// Where the peer was at first thought to be.
    presumed: SocketAddr,
    /// Where it last spoke from.
    found: Option<SocketAddr>,
    keepalive_at: Instant,
    output: VecDeque<Transmit>,
}

/// The times of protocol §8.5.
#[derive(Clone, Copy, Debug)]
struct Timers {
    keepalive_ms: (u64, u64),
    /// Silence after which the path is dead.
    silence: Duration,
    steady: Duration,
}

impl Timers {
    fn new(fast: bool, ours: bool) -> Self {
        let (keepalive_ms, silence) = if fast {
            ((500, 1000), Duration::from_millis(2100))
        } else {
            ((1000, 3000), Duration::from_millis(9000))
        };
        let steady = if ours { STEADY_OF_OURS } else { STEADY };
        Self {
            keepalive_ms,
            silence,
            steady,
        }
    }

    /// How old the newest echo may be: the peer echoes with its next keep-alive what came with our last one, and either may
    /// have been lost. A path that has died one way only is noticed by this; stock peers look at [`TICK_WINDOW`] alone.
    fn echo_age(&self) -> Duration {
        self.silence * 2
    }
}

impl Accelerator {
    /// An end that has heard nothing yet. `seed` decides the first nonce, the intervals and the padding. `None` when the
    /// cipher is not to be had, which does not happen.
    #[must_use]
    pub fn new(settings: &Settings, now: Instant, seed: [u8; 32]) -> Option<Self> {
        let mut rng = StdRng::from_seed(seed);
        let mut start = [0; 20];
        rng.fill(&mut start);
        let counts = settings.ours && settings.version == Version::V2;
        Some(Self {
            sealer: Sealer::new(settings.version, &settings.our_key, start)?,
            opener: Opener::new(settings.version, &settings.peer_key)?,
            zlib: Zlib::default(),
            compress: settings.compress,
            our_cookie: settings.our_cookie,
            peer_cookie: settings.peer_cookie,
            replay: counts.then(Replay::new),
            timers: Timers::new(settings.fast_detect, settings.ours),
            rng,
            began: now,
            peer_tick: 0,
            echo: 0,
            alive_at: None,
            steady_since: None,
            presumed: settings.peer,
            found: None,
            keepalive_at: now,
            output: VecDeque::new(),
        })
    }

    /// Opens a datagram in place. What comes back is the frame in it; a keep-alive is an empty one.
    ///
    /// # Errors
    /// Why it is as if it had not come. Nothing is answered, and nothing is remembered of it.
    pub fn handle_input<'a>(
        &'a mut self,
        now: Instant,
        from: SocketAddr,
        datagram: &'a mut [u8],
    ) -> Result<&'a [u8], Refused> {
        let opened = self.opener.open(datagram).ok_or(Refused::Forged)?;
        let (header, rest) = Header::read(&datagram[opened.inner]).ok_or(Refused::Size)?;
        if header.cookie != self.our_cookie {
            return Err(Refused::Cookie);
        }
        let payload = rest.get(..usize::from(header.size)).ok_or(Refused::Size)?;
        if header.tick == 0 || header.tick.saturating_add(TICK_WINDOW) < self.peer_tick {
            return Err(Refused::TooOld);
        }
        if let Some(replay) = &mut self.replay
            && !replay.is_new(opened.count)
        {
            return Err(Refused::Replayed);
        }
        self.note(now, from, &header);
        let frame = if header.compressed && !payload.is_empty() {
            self.zlib.inflate(payload).ok_or(Refused::Undecodable)?
        } else {
            payload
        };
        if frame.len() > FRAME_BYTES {
            return Err(Refused::Size);
        }
        Ok(frame)
    }

    /// Books what a datagram of the peer says about the path.
    fn note(&mut self, now: Instant, from: SocketAddr, header: &Header) {
        // A datagram that was held back, or repeated by somebody else, does not move the peer (protocol §8.5).
        if header.tick > self.peer_tick || self.found.is_none() {
            self.found = Some(from);
        }
        self.peer_tick = self.peer_tick.max(header.tick);
        let tick = self.tick(now);
        // An echo from the future is none.
        if header.echo <= tick {
            self.echo = self.echo.max(header.echo);
        }
        if self.echo == 0 || self.echo + TICK_WINDOW < tick {
            return;
        }
        self.lapse(now);
        self.alive_at = Some(now);
        if self.is_alive(now) {
            self.steady_since.get_or_insert(now);
        }
    }

    /// Does what is due by now.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.lapse(now);
        if self.keepalive_at > now {
            return;
        }
        let (least, most) = self.timers.keepalive_ms;
        self.keepalive_at = now + Duration::from_millis(self.rng.random_range(least..=most));
        let padding = self.rng.random_range(0..PADDING_BYTES);
        let header = self.header(now, 0);
        let mut datagram = Vec::new();
        self.sealer.seal(&header, &[], padding, &mut datagram);
        // Until the peer is known to be where it last spoke from, it is looked for where it should be as well.
        if let Some(found) = self.found
            && found != self.presumed
            && self.steady_since.is_none()
        {
            self.output.push_back(Transmit {
                to: found,
                datagram: datagram.clone(),
            });
            self.output.push_back(Transmit {
                to: self.presumed,
                datagram,
            });
        } else {
            let to = self.peer();
            self.output.push_back(Transmit { to, datagram });
        }
    }

    /// When [`Accelerator::handle_timeout`] is next needed.
    #[must_use]
    pub fn poll_timeout(&self) -> Instant {
        // A lapse shows by the second, so that frames do not wait for the next keep-alive to find out.
        let lapse = self
            .lapses_at()
            .map_or(self.keepalive_at, |at| at + Duration::from_millis(1));
        self.keepalive_at.min(lapse)
    }

    /// The next datagram to send, keep-alives that is.
    pub fn poll_output(&mut self) -> Option<Transmit> {
        self.output.pop_front()
    }

    /// Whether frames may go this way: both ends hear each other, and have done so for a while.
    #[must_use]
    pub fn is_usable(&self, now: Instant) -> bool {
        self.is_alive(now)
            && self
                .steady_since
                .is_some_and(|since| now.saturating_duration_since(since) >= self.timers.steady)
    }

    /// Appends the datagram with this frame to `out`. `false`: the frame is one that no peer takes.
    #[must_use]
    pub fn seal(&mut self, now: Instant, frame: &[u8], out: &mut Vec<u8>) -> bool {
        if frame.is_empty() || frame.len() > FRAME_BYTES {
            return false;
        }
        let header = self.header(now, 0);
        // Without padding: equal frames make equal datagrams, which the kernel then takes and sends many at a time.
        if self.compress {
            let Some(payload) = self.zlib.deflate(frame) else {
                return false;
            };
            let Ok(size) = u16::try_from(payload.len()) else {
                return false;
            };
            let header = Header {
                size,
                compressed: true,
                ..header
            };
            self.sealer.seal(&header, payload, 0, out);
        } else {
            let size = frame.len() as u16;
            self.sealer.seal(&Header { size, ..header }, frame, 0, out);
        }
        true
    }

    /// How long the datagram of a frame will be when it is not compressed.
    #[must_use]
    pub fn sealed_len(&self, frame: usize) -> usize {
        frame + self.sealer.overhead()
    }

    /// Where the peer is, as far as is known.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.found.unwrap_or(self.presumed)
    }

    /// A datagram could not be sent: the path is as good as dead until the peer has been heard for a while again.
    pub fn send_failed(&mut self) {
        self.steady_since = None;
        self.alive_at = None;
    }

    fn header(&self, now: Instant, size: u16) -> Header {
        Header {
            cookie: self.peer_cookie,
            tick: self.tick(now),
            echo: self.peer_tick,
            size,
            compressed: false,
        }
    }

    /// Our clock: milliseconds, never 0.
    fn tick(&self, now: Instant) -> u64 {
        let passed = now.saturating_duration_since(self.began).as_millis();
        u64::try_from(passed).unwrap_or(u64::MAX - 1) + 1
    }

    fn is_alive(&self, now: Instant) -> bool {
        self.lapses_at().is_some_and(|at| now <= at)
    }

    /// Until when the path lives if nothing more comes.
    fn lapses_at(&self) -> Option<Instant> {
        let silence = self.alive_at? + self.timers.silence;
        let echo = self.began + Duration::from_millis(self.echo) + self.timers.echo_age();
        Some(silence.min(echo))
    }

    /// A path that was dead for a moment must be steady anew. A peer that may still hear us would go on sending here, stock ones for
    /// [`TICK_WINDOW`] (protocol §8.5); it is told by keeping silent for as long as makes it give the path up.
    fn lapse(&mut self, now: Instant) {
        if !self.is_alive(now) {
            let silent = self.alive_at.is_some_and(|at| at + self.timers.silence < now);
            if silent && self.steady_since.is_some() {
                self.keepalive_at = now + self.timers.silence + Duration::from_secs(1);
            }
            self.steady_since = None;
            self.alive_at = None;
        }
    }
}

/// Without the keys.
impl std::fmt::Debug for Accelerator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Accelerator")
            .field("peer", &self.peer())
            .field("alive_at", &self.alive_at)
            .field("steady_since", &self.steady_since)
            .finish_non_exhaustive()
    }
}
