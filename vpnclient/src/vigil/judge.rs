//! What a change of the network, or of the clock, means for a connection: decided without looking at either.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

/// A clock that stood still for less than this was only read late.
const NAP: Duration = Duration::from_secs(3);

/// How the network looks from here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outlook {
    /// How packets get to the server, if they do and the device on the way can carry them.
    pub way: Option<Way>,
    /// The addresses of this machine.
    pub addresses: BTreeSet<IpAddr>,
}

/// How packets leave this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    /// The number of the device.
    pub device: u32,
    /// The next router.
    pub gateway: Option<IpAddr>,
    /// The source address that they get.
    pub source: Option<IpAddr>,
}

/// How far the client is when something changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// In a session that has connections.
    Connected,
    /// In a session without any, which can be resumed.
    Interrupted,
    /// Without a session: between two tries, or in one.
    Apart,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Go on.
    Wait,
    /// Ask by a new connection whether the server is there; it replaces those that may be dead.
    Probe,
    /// Give up the connections, which are dead, and resume the session by new ones.
    Abandon,
    /// Try at once to resume the session.
    Resume,
    /// Log in, at once: there is no session, or the server has forgotten it.
    Reconnect,
}

/// Remembers how things were, to tell what a change is.
#[derive(Debug, Default)]
pub struct Judge {
    network: Option<Outlook>,
    clock: Option<Duration>,
    /// Our end of the connections.
    own: Option<IpAddr>,
    /// How long the server keeps a session of which it hears nothing.
    grace: Duration,
}

impl Judge {
    /// There is a session, which connections from `own` belong to; the server keeps it for `grace` without them.
    pub fn follow(&mut self, own: IpAddr, grace: Duration) {
        self.own = Some(own);
        self.grace = grace;
    }

    /// A new connection was made from `own`.
    pub fn joined(&mut self, own: IpAddr) {
        self.own = Some(own);
    }

    /// The server is another one; what was known of the way to the last says nothing.
    pub fn forget_way(&mut self) {
        self.network = None;
    }

    /// The network looks like this now.
    pub fn network(&mut self, phase: Phase, now: Outlook) -> Step {
        let Some(before) = self.network.replace(now) else {
            return Step::Wait;
        };
        let Some(now) = &self.network else {
            return Step::Wait;
        };
        let moved = now.way.is_some() && now.way != before.way;
        let lost_own = self.own.is_some_and(|own| !now.addresses.contains(&own));
        match phase {
            // The kernel keeps such connections, and would send from an address that leads back to nobody.
            Phase::Connected if lost_own => Step::Abandon,
            Phase::Connected if moved => Step::Probe,
            Phase::Interrupted if moved => Step::Resume,
            Phase::Apart if moved => Step::Reconnect,
            // Before anything is known of the server, any way out may be the one.
            Phase::Apart if self.own.is_none() && !now.addresses.is_subset(&before.addresses) => {
                Step::Reconnect
            }
            _ => Step::Wait,
        }
    }

    /// The clock that goes on while the machine is suspended shows `now`; it was to be read `interval` after the last time.
    pub fn clock(&mut self, phase: Phase, now: Duration, interval: Duration) -> Step {
        let Some(before) = self.clock.replace(now) else {
            return Step::Wait;
        };
        let slept = now.saturating_sub(before).saturating_sub(interval);
        match phase {
            _ if slept < NAP => Step::Wait,
            Phase::Apart => Step::Reconnect,
            _ if slept >= self.grace => Step::Reconnect,
            Phase::Connected => Step::Probe,
            Phase::Interrupted => Step::Resume,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: [u8; 4] = [192, 0, 2, 10];
    const OTHER: [u8; 4] = [198, 51, 100, 10];
    const GRACE: Duration = Duration::from_secs(20);
    const TICK: Duration = Duration::from_secs(1);

    fn outlook(way: Option<(u32, [u8; 4])>, addresses: &[[u8; 4]]) -> Outlook {
        Outlook {
            way: way.map(|(device, source)| Way {
                device,
                gateway: None,
                source: Some(source.into()),
            }),
            addresses: addresses.iter().map(|address| (*address).into()).collect(),
        }
    }

    fn home() -> Outlook {
        outlook(Some((2, OWN)), &[OWN])
    }

    fn at_home() -> Judge {
        let mut judge = Judge::default();
        judge.follow(OWN.into(), GRACE);
        assert_eq!(judge.network(Phase::Connected, home()), Step::Wait);
        judge
    }

    #[test]
    fn what_does_not_concern_the_way_to_the_server_is_let_go() {
        let mut judge = at_home();
        // The VPN's own address, a container's bridge, the same again.
        for addresses in [&[OWN, [10, 0, 0, 1]][..], &[OWN, OTHER], &[OWN]] {
            let step = judge.network(Phase::Connected, outlook(Some((2, OWN)), addresses));
            assert_eq!(step, Step::Wait, "{addresses:?}");
        }
    }

    #[test]
    fn a_network_that_goes_is_waited_for_and_one_that_comes_back_is_asked() {
        let mut judge = at_home();
        assert_eq!(judge.network(Phase::Connected, outlook(None, &[OWN])), Step::Wait);
        assert_eq!(judge.network(Phase::Connected, home()), Step::Probe);
        for (phase, step) in [
            (Phase::Interrupted, Step::Resume),
            (Phase::Apart, Step::Reconnect),
        ] {
            assert_eq!(judge.network(phase, outlook(None, &[OWN])), Step::Wait);
            assert_eq!(judge.network(phase, home()), step, "{phase:?}");
        }
    }

    #[test]
    fn another_way_is_tried_beside_the_connections_that_may_still_work() {
        let mut judge = at_home();
        let roamed = outlook(Some((3, OTHER)), &[OWN, OTHER]);
        assert_eq!(judge.network(Phase::Connected, roamed.clone()), Step::Probe);
        assert_eq!(judge.network(Phase::Connected, roamed), Step::Wait);
    }

    #[test]
    fn connections_from_an_address_that_is_gone_are_given_up_at_once() {
        let mut judge = at_home();
        let roamed = outlook(Some((3, OTHER)), &[OTHER]);
        assert_eq!(judge.network(Phase::Connected, roamed.clone()), Step::Abandon);
        // From here on the new address counts.
        judge.joined(OTHER.into());
        assert_eq!(judge.network(Phase::Connected, roamed), Step::Wait);
        // Also when there is no other yet.
        assert_eq!(judge.network(Phase::Connected, outlook(None, &[])), Step::Abandon);
        assert_eq!(judge.network(Phase::Interrupted, home()), Step::Resume);
    }

    #[test]
    fn before_the_first_session_any_new_address_ends_the_pause() {
        let mut judge = Judge::default();
        assert_eq!(judge.network(Phase::Apart, outlook(None, &[])), Step::Wait);
        assert_eq!(
            judge.network(Phase::Apart, outlook(None, &[OWN])),
            Step::Reconnect
        );
        assert_eq!(judge.network(Phase::Apart, outlook(None, &[])), Step::Wait);
    }

    #[test]
    fn a_short_sleep_is_followed_by_a_question_and_a_long_one_by_a_login() {
        for (phase, slept, step) in [
            (Phase::Connected, 0, Step::Wait),
            (Phase::Connected, 2, Step::Wait),
            (Phase::Connected, 5, Step::Probe),
            (Phase::Connected, 20, Step::Reconnect),
            (Phase::Interrupted, 5, Step::Resume),
            (Phase::Interrupted, 3600, Step::Reconnect),
            (Phase::Apart, 2, Step::Wait),
            (Phase::Apart, 5, Step::Reconnect),
        ] {
            let mut judge = at_home();
            let began = Duration::from_secs(1000);
            assert_eq!(judge.clock(phase, began, TICK), Step::Wait);
            let awake = began + TICK + Duration::from_secs(slept);
            assert_eq!(judge.clock(phase, awake, TICK), step, "{phase:?} {slept}");
            assert_eq!(
                judge.clock(phase, awake + TICK, TICK),
                Step::Wait,
                "it is told once"
            );
        }
    }

    #[test]
    fn a_clock_that_is_set_back_says_nothing() {
        let mut judge = at_home();
        judge.clock(Phase::Connected, Duration::from_secs(100), TICK);
        assert_eq!(
            judge.clock(Phase::Connected, Duration::from_secs(50), TICK),
            Step::Wait
        );
    }
}
