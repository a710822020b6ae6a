//! A long line between two hosts: it has a rate, a queue before it that drops what finds no room, a delay, and losses.
//!
//! The hosts' network cards are TAP devices, whose frames a task of this process carries from one to the other. What is
//! lost, each host drops at random of the segments and datagrams that arrive.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use bytes::{Bytes, BytesMut};
use netdev::{Tap, TapOptions, VnetHeader};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use crate::host::Host;

/// What a line is like, each way.
#[derive(Debug, Clone, Copy)]
pub struct Line {
    /// How long a frame is under way.
    pub one_way: Duration,
    /// Megabits a second.
    pub megabits: u32,
    /// How much may wait before it, as the time that it takes to send it.
    pub queue: Duration,
    /// Of how many segments and datagrams one is lost.
    pub one_lost_of: u32,
}

/// The network card that each host is given.
const CARD: &str = "eth0";

/// Frames that are under way or wait, at most: far more than any line here holds.
const UNDER_WAY: usize = 100_000;

impl Line {
    /// Lays it between two hosts, each with its address and prefix. It lives as long as the runtime.
    pub fn lay(self, runtime: &Runtime, a: (&Host, &str), b: (&Host, &str)) -> Result<()> {
        let mut taps = Vec::new();
        for (host, address) in [a, b] {
            let tap = host.within(|| {
                let _entered = runtime.enter();
                Tap::create(&TapOptions {
                    offload: false,
                    ..TapOptions::new(CARD)
                })
            })??;
            host.sh(&format!(
                "ip address add {address} dev {CARD}; ip link set {CARD} up"
            ))?;
            host.sh(&format!(
                "nft 'table inet loss {{ chain arrives {{ type filter hook prerouting priority -400; \
                 iifname {CARD} meta l4proto {{ tcp, udp }} numgen random mod {} < 1 drop; }}; }}'",
                self.one_lost_of
            ))?;
            taps.push(Arc::new(tap));
        }
        let (one, other) = (taps[0].clone(), taps[1].clone());
        runtime.spawn(self.carry(one.clone(), other.clone()));
        runtime.spawn(self.carry(other, one));
        Ok(())
    }

    /// Carries frames one way.
    async fn carry(self, from: Arc<Tap>, to: Arc<Tap>) {
        let (line, mut end) = mpsc::channel::<(Instant, VnetHeader, Bytes)>(UNDER_WAY);
        let arrive = async {
            while let Some((due, header, frame)) = end.recv().await {
                tokio::time::sleep_until(due.into()).await;
                let _ = to.send(&header, &frame).await;
            }
        };
        let depart = async {
            let mut bottleneck = Bottleneck::new(self, Instant::now());
            let mut buffer = BytesMut::new();
            loop {
                buffer.reserve(64 * 1024);
                if let Ok((header, len)) = from.recv(&mut buffer).await {
                    let frame = buffer.split().freeze();
                    if let Some(through) = bottleneck.through(Instant::now(), len) {
                        let _ = line.try_send((through + self.one_way, header, frame));
                    }
                }
            }
        };
        tokio::select! {
            () = arrive => {}
            () = depart => {}
        }
    }
}

/// The narrowest place of a line, and the queue before it: first come, first served, and who finds it full is dropped.
struct Bottleneck {
    seconds_per_byte: f64,
    queue: Duration,
    free_at: Instant,
}

impl Bottleneck {
    fn new(line: Line, now: Instant) -> Self {
        Self {
            seconds_per_byte: 8e-6 / f64::from(line.megabits),
            queue: line.queue,
            free_at: now,
        }
    }

    /// When the last of `bytes` that come now is through; `None` if there is no room for them to wait.
    fn through(&mut self, now: Instant, bytes: usize) -> Option<Instant> {
        let begins = self.free_at.max(now);
        let ends = begins + Duration::from_secs_f64(self.seconds_per_byte * bytes as f64);
        if ends - now > self.queue {
            return None;
        }
        self.free_at = ends;
        Some(ends)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bottleneck_keeps_its_rate_and_drops_what_finds_its_queue_full() {
        let line = Line {
            one_way: Duration::ZERO,
            megabits: 8,
            queue: Duration::from_millis(10),
            one_lost_of: 100,
        };
        let begun = Instant::now();
        let mut bottleneck = Bottleneck::new(line, begun);
        // A thousand bytes take a millisecond.
        for n in 1..=10 {
            let through = bottleneck.through(begun, 1000);
            assert_eq!(through, Some(begun + Duration::from_millis(n)));
        }
        assert_eq!(bottleneck.through(begun, 1000), None);
        let later = begun + Duration::from_millis(1);
        assert!(bottleneck.through(later, 1000).is_some(), "one is through");
        let idle = begun + Duration::from_secs(1);
        assert_eq!(
            bottleneck.through(idle, 1000),
            Some(idle + Duration::from_millis(1)),
            "what was not sent while nothing came is not made up for"
        );
    }
}
