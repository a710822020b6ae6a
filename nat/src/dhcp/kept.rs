//! Leases as they are kept over a restart: with times of the wall clock, which may have jumped meanwhile.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant, SystemTime};

use hub_core::MacAddr;

use super::leases::Binding;

/// A lease as it is kept. One that has ended is kept too, so that its client finds its address again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptLease {
    /// What the client is known by: its identifier, or one made from its hardware address.
    pub client: Vec<u8>,
    /// The client's hardware address.
    pub mac: MacAddr,
    /// The address.
    pub ip: Ipv4Addr,
    /// The user whose session it was behind, in lower case.
    pub user: Option<String>,
    /// What the client calls itself, made harmless; may be empty.
    pub host_name: String,
    /// When it was first given.
    pub since: SystemTime,
    /// When it ends.
    pub until: SystemTime,
}

/// What has become of an address: its lease as it is to be kept, or none any more.
pub type LeaseChange = (Ipv4Addr, Option<KeptLease>);

/// One moment on both clocks. While the server runs only [`Instant`] counts; the wall clock is for what is kept.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// On the clock that never jumps.
    pub now: Instant,
    /// On the wall.
    pub wall: SystemTime,
}

impl Moment {
    /// The present one.
    pub fn present() -> Self {
        Moment {
            now: Instant::now(),
            wall: SystemTime::now(),
        }
    }

    fn on_the_wall(&self, at: Instant) -> SystemTime {
        match at.checked_duration_since(self.now) {
            Some(ahead) => self.wall + ahead,
            None => self.wall - self.now.duration_since(at),
        }
    }

    /// When something that was to end then ends, if it began at most `longest` before. A wall clock that was put back
    /// prolongs nothing beyond that.
    pub(crate) fn end(&self, until: SystemTime, longest: Duration) -> Instant {
        match until.duration_since(self.wall) {
            Ok(left) => self.now + left.min(longest),
            Err(_) => self.now,
        }
    }

    /// When something began then; now, if the clock says that it has not yet. The monotonic clock may have begun later.
    pub(crate) fn beginning(&self, since: SystemTime) -> Instant {
        let ago = self.wall.duration_since(since).unwrap_or_default();
        self.now.checked_sub(ago).unwrap_or(self.now)
    }
}

impl KeptLease {
    pub(crate) fn new(ip: Ipv4Addr, binding: &Binding, moment: Moment) -> Self {
        KeptLease {
            client: binding.client.as_bytes().to_vec(),
            mac: binding.mac,
            ip,
            user: binding.user.clone(),
            host_name: binding.host_name.clone(),
            since: moment.on_the_wall(binding.since),
            until: moment.on_the_wall(binding.until),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_clock_that_was_put_back_prolongs_no_lease_beyond_its_term() {
        let moment = Moment::present();
        assert_eq!(moment.end(moment.wall + HOUR * 24 * 365, HOUR), moment.now + HOUR);
        assert_eq!(moment.end(SystemTime::UNIX_EPOCH, HOUR), moment.now);
        assert_eq!(moment.end(moment.wall + HOUR / 2, HOUR), moment.now + HOUR / 2);
        assert_eq!(moment.beginning(moment.wall + HOUR), moment.now);
        assert!(moment.beginning(SystemTime::UNIX_EPOCH) <= moment.now);
    }
}
