//! Acknowledgements that wait until their lease is kept: what a client was promised is known after a `kill -9`.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use super::Reply;

/// How long an acknowledgement waits for the disk. Clients ask again after 1 to 4 s, so it goes out before that.
const PATIENCE: Duration = Duration::from_secs(1);
/// Acknowledgements that wait at one time; one more goes out at once.
const MAX_HELD: usize = 1024;

#[derive(Debug)]
struct Held {
    /// The change that has to be kept first.
    change: u64,
    until: Instant,
    reply: Reply,
}

/// The acknowledgements that wait, in the order of their changes.
#[derive(Debug, Default)]
pub(crate) struct Hold(VecDeque<Held>);

impl Hold {
    /// Has a reply wait for a change to be kept; gives it back when there is no room.
    pub(crate) fn take(&mut self, now: Instant, change: u64, reply: Reply) -> Option<Reply> {
        if self.0.len() >= MAX_HELD {
            return Some(reply);
        }
        self.0.push_back(Held {
            change,
            until: now + PATIENCE,
            reply,
        });
        None
    }

    /// Puts an answer to a repeated question in the place of the one that waits; gives it back when none does.
    pub(crate) fn replace(&mut self, ip: Ipv4Addr, reply: Reply) -> Option<Reply> {
        match self.0.iter_mut().find(|held| held.reply.message.yiaddr == ip) {
            Some(held) => {
                held.reply = reply;
                None
            }
            None => Some(reply),
        }
    }

    /// Those that need not wait any longer: their change is kept, or their time is up.
    pub(crate) fn release(&mut self, now: Instant, kept: u64) -> impl Iterator<Item = Reply> {
        let due = self
            .0
            .iter()
            .take_while(|held| held.change <= kept || held.until <= now)
            .count();
        self.0.drain(..due).map(|held| held.reply)
    }

    /// When the next one's time is up.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.0.front().map(|held| held.until)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
