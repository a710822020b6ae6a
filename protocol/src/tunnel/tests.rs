use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::{ConnectionId, Direction, Side, Tunnel, TunnelEvent};

const TIMEOUT: Duration = Duration::from_secs(20);

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn tunnel(side: Side, max: u32, half: bool, qos: bool, now: Instant) -> Tunnel {
    Tunnel::new(side, TIMEOUT, max, half, qos, now, 1)
}

fn events(tunnel: &mut Tunnel) -> Vec<TunnelEvent> {
    std::iter::from_fn(|| tunnel.poll_event()).collect()
}

/// Lets time pass until `end`, calling at each timeout, and returns what happened when.
fn run(tunnel: &mut Tunnel, end: Instant) -> Vec<(Instant, TunnelEvent)> {
    let mut seen = Vec::new();
    while let Some(now) = tunnel.poll_timeout().filter(|now| *now <= end) {
        tunnel.handle_timeout(now);
        seen.extend(events(tunnel).into_iter().map(|event| (now, event)));
    }
    seen
}

#[test]
fn a_new_connection_gets_a_keepalive_at_once() {
    let now = Instant::now();
    let mut tunnel = tunnel(Side::Client, 1, false, false, now);
    let id = tunnel.add(now, Direction::Both);
    assert_eq!(events(&mut tunnel), [TunnelEvent::KeepAlive(id)]);
}

#[test]
fn keepalives_go_only_where_one_may_send() {
    let now = Instant::now();
    for (side, direction) in [
        (Side::Server, Direction::ClientToServer),
        (Side::Client, Direction::ServerToClient),
    ] {
        let mut tunnel = tunnel(side, 2, true, false, now);
        let id = tunnel.add(now, direction);
        assert_eq!(events(&mut tunnel), []);
        assert_eq!(
            run(&mut tunnel, now + TIMEOUT),
            [(now + TIMEOUT, TunnelEvent::Lost(id))]
        );
    }
}

#[test]
fn keepalives_come_between_a_fifth_and_a_half_of_the_timeout() {
    let start = Instant::now();
    let mut tunnel = tunnel(Side::Client, 1, false, false, start);
    let id = tunnel.add(start, Direction::Both);
    let (mut last, mut shortest, mut longest) = (start, TIMEOUT, Duration::ZERO);
    events(&mut tunnel);
    for _ in 0..2000 {
        let now = tunnel.poll_timeout().unwrap();
        tunnel.handle_timeout(now);
        assert_eq!(events(&mut tunnel), [TunnelEvent::KeepAlive(id)]);
        tunnel.sent(now, id);
        tunnel.received(now, id);
        (shortest, longest) = (shortest.min(now - last), longest.max(now - last));
        last = now;
    }
    assert_eq!(shortest, seconds(4.0));
    assert!(longest > seconds(9.9) && longest <= seconds(10.0), "{longest:?}");
}

#[test]
fn sending_puts_the_keepalive_off() {
    let now = Instant::now();
    let mut tunnel = tunnel(Side::Client, 1, false, false, now);
    let id = tunnel.add(now, Direction::Both);
    events(&mut tunnel);
    for second in 1..=15 {
        let now = now + seconds(f64::from(second));
        tunnel.handle_timeout(now);
        assert_eq!(events(&mut tunnel), [], "{second}");
        tunnel.sent(now, id);
    }
}

#[test]
fn a_silent_connection_is_lost_and_the_session_waits_for_another() {
    let start = Instant::now();
    let mut tunnel = tunnel(Side::Server, 1, false, false, start);
    let id = tunnel.add(start, Direction::Both);
    let heard = start + seconds(3.0);
    tunnel.received(heard, id);
    let seen = run(&mut tunnel, start + seconds(100.0));
    let seen = seen
        .iter()
        .filter(|(_, e)| !matches!(e, TunnelEvent::KeepAlive(_)))
        .collect::<Vec<_>>();
    let lost = heard + TIMEOUT;
    assert_eq!(
        seen,
        [
            &(lost, TunnelEvent::Lost(id)),
            &(lost + TIMEOUT, TunnelEvent::Over)
        ]
    );
    assert_eq!(tunnel.poll_timeout(), None);
}

#[test]
fn a_session_is_resumed_within_the_timeout_after_its_last_connection() {
    let start = Instant::now();
    for (pause, over) in [(8.0, false), (19.9, false), (24.0, true)] {
        let mut tunnel = tunnel(Side::Server, 1, false, false, start);
        let id = tunnel.add(start, Direction::Both);
        let gone = start + seconds(5.0);
        tunnel.remove(gone, id);
        let back = gone + seconds(pause);
        tunnel.handle_timeout(back);
        assert_eq!(tunnel.is_over(), over, "{pause}");
        if !over {
            tunnel.add(back, Direction::Both);
            tunnel.handle_timeout(back + seconds(19.0));
            assert!(!tunnel.is_over());
        }
    }
}

#[test]
fn a_half_duplex_client_without_any_way_back_gives_up() {
    // It cannot hear silence, and its socket takes nothing more.
    let start = Instant::now();
    let mut tunnel = tunnel(Side::Client, 2, true, false, start);
    tunnel.add(start, tunnel.first_direction());
    let seen = run(&mut tunnel, start + seconds(60.0));
    assert_eq!(seen.last(), Some(&(start + TIMEOUT, TunnelEvent::Over)));
}

#[test]
fn half_duplex_directions_are_those_of_the_capture() {
    let now = Instant::now();
    let mut tunnel = tunnel(Side::Server, 4, true, false, now);
    let mut codes = vec![tunnel.first_direction().code()];
    tunnel.add(now, tunnel.first_direction());
    for _ in 0..3 {
        let direction = tunnel.next_direction(&[]);
        codes.push(direction.code());
        tunnel.add(now, direction);
    }
    assert_eq!(codes, [2, 1, 1, 2]);
    assert_eq!(
        self::tunnel(Side::Server, 4, false, false, now).next_direction(&[]),
        Direction::Both
    );
}

#[test]
fn the_way_of_a_half_duplex_connection_is_chosen_without_those_that_are_dead() {
    let now = Instant::now();
    let mut tunnel = tunnel(Side::Server, 4, true, false, now);
    let there = tunnel.add(now, Direction::ClientToServer);
    let back = [(); 2].map(|()| tunnel.add(now, Direction::ServerToClient));
    assert_eq!(tunnel.next_direction(&[]), Direction::ClientToServer);
    assert_eq!(tunnel.next_direction(&back), Direction::ServerToClient);
    assert_eq!(
        tunnel.next_direction(&[there, back[0]]),
        Direction::ClientToServer
    );
}

#[test]
fn a_lopsided_half_duplex_client_gives_up_its_newest_connection() {
    let now = Instant::now();
    let mut tunnel = tunnel(Side::Client, 2, true, false, now);
    tunnel.add(now, Direction::ClientToServer);
    events(&mut tunnel);
    let newest = tunnel.add(now, Direction::ClientToServer);
    assert_eq!(events(&mut tunnel), [TunnelEvent::Lost(newest)]);
    assert!(tunnel.wants_more());
    tunnel.add(now, Direction::ServerToClient);
    assert_eq!(events(&mut tunnel), []);
    assert!(!tunnel.wants_more());
}

#[test]
fn one_connection_more_than_granted_is_tolerated() {
    let now = Instant::now();
    let mut tunnel = tunnel(Side::Server, 2, false, false, now);
    for full in [false, false, false, true] {
        assert_eq!(tunnel.is_full(), full);
        tunnel.add(now, Direction::Both);
    }
}

#[test]
fn the_newest_connection_is_for_priority_frames() {
    let now = Instant::now();
    let mut tunnel = tunnel(Side::Client, 4, false, true, now);
    let only = tunnel.add(now, Direction::Both);
    assert_eq!(
        (tunnel.choose(false, 1), tunnel.choose(true, 1)),
        (Some(only), Some(only))
    );
    let ids = [0; 3].map(|_| tunnel.add(now, Direction::Both));
    for flow in 0..1000 {
        assert_eq!(tunnel.choose(true, flow), Some(ids[2]));
        assert_ne!(tunnel.choose(false, flow), Some(ids[2]));
    }
}

#[test]
fn flows_spread_evenly_over_connections() {
    let now = Instant::now();
    let mut tunnel = tunnel(Side::Client, 8, false, false, now);
    for _ in 0..8 {
        tunnel.add(now, Direction::Both);
    }
    let mut flows = HashMap::<_, u32>::new();
    for flow in 0..8000 {
        *flows.entry(tunnel.choose(false, flow).unwrap()).or_default() += 1;
    }
    assert_eq!(flows.len(), 8);
    assert!(
        flows.values().all(|count| (800..1200).contains(count)),
        "{flows:?}"
    );
}

#[test]
fn nothing_can_be_sent_without_a_way() {
    let now = Instant::now();
    let mut tunnel = tunnel(Side::Server, 4, true, false, now);
    assert_eq!(tunnel.choose(false, 0), None);
    tunnel.add(now, Direction::ClientToServer);
    assert_eq!(tunnel.choose(false, 0), None);
    let back = tunnel.add(now, Direction::ServerToClient);
    assert_eq!(tunnel.choose(false, 0), Some(back));
}

#[derive(Clone, Debug)]
enum Step {
    Pass(u64),
    Add(u32),
    Remove(usize),
    Received(usize),
    Sent(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..12_000_u64).prop_map(Step::Pass),
        (0..3_u32).prop_map(Step::Add),
        (0..40_usize).prop_map(Step::Remove),
        (0..40_usize).prop_map(Step::Received),
        (0..40_usize).prop_map(Step::Sent),
    ]
}

/// What the tunnel must know, kept in the plainest way: when each connection was last heard of.
#[derive(Default)]
struct Model {
    connections: Vec<(ConnectionId, Direction, Instant)>,
}

impl Model {
    fn id(&self, i: usize) -> Option<ConnectionId> {
        self.connections
            .get(i % self.connections.len().max(1))
            .map(|(id, ..)| *id)
    }

    fn lost(&mut self, side: Side, now: Instant) -> HashSet<ConnectionId> {
        let silent = |(_, direction, heard): &(ConnectionId, Direction, Instant)| {
            direction.receives(side) && now >= *heard + TIMEOUT
        };
        let lost = self
            .connections
            .iter()
            .filter(|c| silent(c))
            .map(|(id, ..)| *id)
            .collect();
        self.connections.retain(|c| !silent(c));
        lost
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn connections_are_lost_by_silence_alone(
        server: bool, qos: bool, seed: u64, steps in prop::collection::vec(step(), 0..120),
    ) {
        let side = if server { Side::Server } else { Side::Client };
        let mut now = Instant::now();
        let mut tunnel = Tunnel::new(side, TIMEOUT, 32, false, qos, now, seed);
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Pass(millis) => {
                    let end = now + Duration::from_millis(millis);
                    while let Some(at) = tunnel.poll_timeout().filter(|at| *at <= end) {
                        prop_assert!(at >= now, "a timeout in the past");
                        now = at;
                        tunnel.handle_timeout(now);
                        let lost = model.lost(side, now);
                        let mut seen = HashSet::new();
                        for event in events(&mut tunnel) {
                            match event {
                                TunnelEvent::Lost(id) => drop(seen.insert(id)),
                                TunnelEvent::KeepAlive(id) => {
                                    let known = model.connections.iter().find(|(known, ..)| *known == id);
                                    prop_assert!(known.is_some_and(|(_, way, _)| way.sends(side)));
                                }
                                TunnelEvent::Over => model.connections.clear(),
                            }
                        }
                        prop_assert_eq!(seen, lost);
                    }
                    now = end;
                }
                Step::Add(code) if !tunnel.is_over() => {
                    let direction = Direction::from_code(code).unwrap();
                    let id = tunnel.add(now, direction);
                    model.connections.push((id, direction, now));
                    events(&mut tunnel);
                }
                Step::Add(_) => {}
                Step::Remove(i) => {
                    if let Some(id) = model.id(i) {
                        tunnel.remove(now, id);
                        tunnel.remove(now, id);
                        model.connections.retain(|(known, ..)| *known != id);
                    }
                }
                Step::Received(i) => {
                    if let Some(id) = model.id(i) {
                        tunnel.received(now, id);
                        model.connections.iter_mut().filter(|c| c.0 == id).for_each(|c| c.2 = now);
                    }
                }
                Step::Sent(i) => {
                    if let Some(id) = model.id(i) {
                        tunnel.sent(now, id);
                    }
                }
            }
            prop_assert_eq!(tunnel.count(), model.connections.len());
            let senders = model.connections.iter().filter(|(_, way, _)| way.sends(side)).count();
            prop_assert_eq!(tunnel.choose(false, 7).is_some(), senders > 0);
        }
    }

    #[test]
    fn a_flow_moves_only_when_it_must(
        qos: bool, flow: u32, moves in prop::collection::vec((any::<bool>(), 0..8_usize), 1..60),
    ) {
        let now = Instant::now();
        let mut tunnel = tunnel(Side::Client, 32, false, qos, now);
        let mut ids = vec![tunnel.add(now, Direction::Both)];
        for (add, i) in moves {
            let before = tunnel.choose(false, flow);
            let reserved = if qos { ids.last().copied() } else { None };
            if add && ids.len() < 8 {
                ids.push(tunnel.add(now, Direction::Both));
                let after = tunnel.choose(false, flow);
                // With QoS a new connection frees the one that was reserved before.
                let gained = if qos { reserved } else { ids.last().copied() };
                prop_assert!(after == before || after == gained);
            } else if ids.len() > 1 {
                let gone = ids.remove(i % ids.len());
                tunnel.remove(now, gone);
                let after = tunnel.choose(false, flow);
                let newly_reserved = if qos { ids.last().copied() } else { None };
                prop_assert!(after == before || before == Some(gone) || before == newly_reserved);
            }
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_session(seed: u64) {
        let now = Instant::now();
        let history = |_: ()| {
            let mut tunnel = Tunnel::new(Side::Server, TIMEOUT, 4, false, false, now, seed);
            let id = tunnel.add(now, Direction::Both);
            let mut all = Vec::new();
            for _ in 0..20 {
                let at = tunnel.poll_timeout().unwrap();
                tunnel.received(at, id);
                tunnel.handle_timeout(at);
                all.push((at, events(&mut tunnel)));
            }
            all
        };
        prop_assert_eq!(history(()), history(()));
    }
}
