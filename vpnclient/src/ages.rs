//! How old the connections of a session are, where they are to be replaced after a while.

use std::time::{Duration, Instant};

use protocol::tunnel::ConnectionId;

/// The connections that there are, by when they were first seen.
#[derive(Debug)]
pub(crate) struct Ages {
    /// How old one may become; `None` is as old as it likes.
    lifetime: Option<Duration>,
    seen: Vec<(ConnectionId, Instant)>,
}

impl Ages {
    pub(crate) fn new(lifetime: Option<Duration>) -> Self {
        Self {
            lifetime: lifetime.filter(|lifetime| !lifetime.is_zero()),
            seen: Vec::new(),
        }
    }

    /// Takes note of the connections of this moment, oldest first.
    pub(crate) fn see(&mut self, now: Instant, connections: &[ConnectionId]) {
        if self.lifetime.is_none() {
            return;
        }
        self.seen.retain(|(id, _)| connections.contains(id));
        for id in connections {
            if !self.seen.iter().any(|(seen, _)| seen == id) {
                self.seen.push((*id, now));
            }
        }
    }

    /// When the oldest has to go.
    pub(crate) fn next_end(&self) -> Option<Instant> {
        let (_, since) = self.seen.first()?;
        Some(*since + self.lifetime?)
    }

    /// The oldest, if it has to go.
    pub(crate) fn expired(&self, now: Instant) -> Option<ConnectionId> {
        let (id, _) = self.seen.first()?;
        self.next_end().filter(|end| *end <= now).map(|_| *id)
    }
}

#[cfg(test)]
mod tests {
    use protocol::tunnel::{Direction, Side, Tunnel};

    use super::*;

    fn connections(now: Instant) -> [ConnectionId; 3] {
        let mut tunnel = Tunnel::new(Side::Client, Duration::from_secs(20), 8, false, false, now, 1);
        [0; 3].map(|_| tunnel.add(now, Direction::Both))
    }

    #[test]
    fn the_oldest_goes_first_and_its_successor_begins_anew() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let [first, second, third] = connections(start);
        let mut ages = Ages::new(Some(Duration::from_secs(10)));
        assert_eq!(ages.next_end(), None);
        ages.see(at(0), &[first]);
        ages.see(at(4), &[first, second]);
        assert_eq!((ages.next_end(), ages.expired(at(9))), (Some(at(10)), None));
        assert_eq!(ages.expired(at(10)), Some(first));
        ages.see(at(11), &[second, third]);
        assert_eq!((ages.next_end(), ages.expired(at(13))), (Some(at(14)), None));
        ages.see(at(15), &[third]);
        assert_eq!(ages.next_end(), Some(at(21)));
    }

    #[test]
    fn without_a_lifetime_none_has_to_go() {
        let now = Instant::now();
        for lifetime in [None, Some(Duration::ZERO)] {
            let mut ages = Ages::new(lifetime);
            ages.see(now, &connections(now));
            assert_eq!((ages.next_end(), ages.expired(now)), (None, None));
        }
    }
}
