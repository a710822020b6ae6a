use hub_core::frame::Network;
use proptest::prelude::*;

use super::packet::{ALL_DHCP, ALL_ROUTERS, ON_LINK, solicited_node};
use super::*;

const STATION: MacAddr = MacAddr::new([2, 0, 0, 0, 0, 9]);
const PREFIX: &str = "fd12:3456:789a::/64";

fn ip(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

struct Lab {
    router: Router,
    config: SecureNatConfig,
    now: Instant,
}

impl Lab {
    /// A router that is still asking whether it may.
    fn probing() -> Self {
        let mut config = SecureNatConfig::with_random_mac([1, 2, 3, 4, 5]);
        config.ipv6 = Ipv6Config {
            enabled: true,
            ..Ipv6Config::new(PREFIX.parse().unwrap())
        };
        config.dhcp_domain_name = "corp".into();
        let (mut router, now) = (Router::default(), Instant::now());
        router.set_reach(now, Reach::Outside);
        router.apply(now, &config);
        Lab { router, config, now }
    }

    /// A router in operation that has said so.
    fn on() -> Self {
        let mut lab = Lab::probing();
        lab.frames();
        lab.pass(PROBE);
        assert_eq!(lab.told().len(), 1, "the first advertisement");
        lab
    }

    fn change(&mut self, adapt: impl FnOnce(&mut SecureNatConfig)) {
        adapt(&mut self.config);
        self.router.apply(self.now, &self.config);
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.router.handle_timeout(self.now);
    }

    fn frames(&mut self) -> Vec<Frame> {
        std::iter::from_fn(|| self.router.poll_frame()).collect()
    }

    /// The advertisements among the frames.
    fn told(&mut self) -> Vec<Told> {
        self.frames().iter().filter_map(Told::read).collect()
    }

    fn send(&mut self, written: Written, duties: Duties) -> bool {
        let to = self.config.mac_address;
        let frame = written.into_frames(STATION, to, 1500, 0).remove(0);
        let view = FrameView::parse(&frame.bytes).unwrap();
        self.router.handle_frame(self.now, &frame, &view, duties)
    }

    fn solicit(&mut self, from: &str) -> bool {
        let message = vec![133, 0, 0, 0, 0, 0, 0, 0];
        self.send(
            Written::icmp(ip(from), ALL_ROUTERS, ON_LINK, message),
            Duties::Announcing,
        )
    }
}

/// What an advertisement says.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    to: MacAddr,
    router_lifetime: u16,
    /// Networks with their valid and preferred lifetimes.
    prefixes: Vec<(String, u32, u32)>,
    name_servers: Vec<Ipv6Addr>,
}

impl Told {
    fn read(frame: &Frame) -> Option<Self> {
        let view = FrameView::parse(&frame.bytes)?;
        let packet = Packet::read(frame, &view)?;
        if packet.protocol != ICMP || packet.payload[0] != 134 {
            return None;
        }
        let number = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().unwrap());
        let address = |bytes: &[u8]| Ipv6Addr::from(<[u8; 16]>::try_from(bytes).unwrap());
        let mut told = Told {
            to: view.destination,
            router_lifetime: u16::from_be_bytes([packet.payload[6], packet.payload[7]]),
            prefixes: Vec::new(),
            name_servers: Vec::new(),
        };
        let mut options = &packet.payload[16..];
        while let [kind, length, ..] = options {
            let (option, rest) = options.split_at(usize::from(*length) * 8);
            match kind {
                3 => told.prefixes.push((
                    Ipv6Net::new(address(&option[16..32]), option[2]).to_string(),
                    number(&option[4..8]),
                    number(&option[8..12]),
                )),
                25 => told.name_servers.extend(option[8..].chunks(16).map(address)),
                _ => {}
            }
            options = rest;
        }
        Some(told)
    }
}

fn prefix(valid: u32, preferred: u32) -> (String, u32, u32) {
    (PREFIX.to_owned(), valid, preferred)
}

#[test]
fn addresses_are_asked_for_before_they_are_used() {
    let mut lab = Lab::probing();
    let probed: Vec<Ipv6Addr> = lab
        .frames()
        .iter()
        .map(|frame| match FrameView::parse(&frame.bytes).unwrap().network {
            Network::Ipv6(header) if header.source.is_unspecified() => header.destination,
            other => panic!("{other:?}"),
        })
        .collect();
    let own = [ip("fe80::5c01:2ff:fe03:405"), ip("fd12:3456:789a::1")];
    assert_eq!(probed, own.map(solicited_node));
    assert!(!lab.solicit("fe80::9") && lab.frames().is_empty(), "not yet");
    lab.pass(PROBE);
    let told = lab.told().remove(0);
    assert_eq!(
        (told.router_lifetime, told.prefixes),
        (1800, vec![prefix(5400, 2700)])
    );
    assert_eq!(told.name_servers, [ip("fd12:3456:789a::1")]);
}

#[test]
fn an_address_that_somebody_has_is_left_alone_and_tried_again() {
    for taken in ["fd12:3456:789a::1", "fe80::5c01:2ff:fe03:405"] {
        for objection in [
            neighbour::answer(ip(taken), STATION, Ipv6Addr::UNSPECIFIED),
            neighbour::probe(ip(taken)),
        ] {
            let mut lab = Lab::probing();
            lab.frames();
            lab.send(objection, Duties::All);
            lab.pass(PROBE);
            assert!(lab.frames().is_empty(), "{taken} is used all the same");
            lab.pass(TRY_AGAIN);
            assert_eq!(lab.frames().len(), 2, "it asks again");
            lab.pass(PROBE);
            assert_eq!(lab.told().len(), 1);
        }
    }
}

#[test]
fn who_probes_our_address_is_told_that_it_is_ours() {
    let mut lab = Lab::on();
    lab.send(neighbour::probe(ip("fd12:3456:789a::1")), Duties::All);
    let answer = lab.frames().remove(0);
    assert_eq!(answer.bytes[..6], [0x33, 0x33, 0, 0, 0, 1], "everybody hears it");
    assert_eq!((answer.bytes[54], answer.bytes[58]), (136, 0xa0));
    lab.send(neighbour::probe(ip("fd12:3456:789a::2")), Duties::All);
    assert!(lab.frames().is_empty(), "another address is free");
}

#[test]
fn a_kernel_answers_for_the_addresses_that_it_has() {
    let mut lab = Lab::on();
    let taken = lab.send(neighbour::probe(ip("fd12:3456:789a::1")), Duties::Announcing);
    assert!(!taken && lab.frames().is_empty());
    assert!(lab.solicit("fe80::9"), "solicitations are the router's");
}

#[test]
fn a_solicitation_is_answered_at_once_and_to_who_asked() {
    let mut lab = Lab::on();
    lab.solicit("fe80::9");
    lab.solicit("fe80::9");
    let told = lab.told();
    assert_eq!(told.len(), 2);
    assert_eq!((told[0].to, told[0].router_lifetime), (STATION, 1800));
}

#[test]
fn stations_without_an_address_are_told_together_and_with_distance() {
    let mut lab = Lab::on();
    lab.pass(Duration::from_secs(5));
    lab.solicit("::");
    assert_eq!(lab.told().len(), 1);
    for _ in 0..100 {
        lab.solicit("::");
    }
    assert!(lab.told().is_empty(), "three seconds lie between two");
    assert_eq!(lab.router.poll_timeout(), Some(lab.now + Duration::from_secs(3)));
    lab.pass(Duration::from_secs(3));
    assert_eq!(lab.told().len(), 1, "one answer for a hundred");
}

#[test]
fn a_flood_of_solicitations_is_not_answered_one_by_one() {
    let mut lab = Lab::on();
    for _ in 0..10_000 {
        lab.solicit("fe80::9");
    }
    assert_eq!(lab.told().len(), 50);
    lab.pass(Duration::from_secs(3));
    assert_eq!(lab.told()[0].to.octets(), [0x33, 0x33, 0, 0, 0, 1]);
}

#[test]
fn three_advertisements_follow_soon_and_the_others_with_random_pauses() {
    let mut lab = Lab::on();
    let mut pauses = Vec::new();
    for _ in 0..20 {
        let due = lab.router.poll_timeout().unwrap();
        pauses.push((due - lab.now).as_secs());
        lab.pass(due - lab.now);
        assert_eq!(lab.told().len(), 1);
    }
    assert_eq!(pauses[..2], [16, 16]);
    assert!(
        pauses[2..].iter().all(|pause| (200..600).contains(pause)),
        "{pauses:?}"
    );
    assert!(pauses[2..].iter().any(|pause| *pause != pauses[2]), "{pauses:?}");
}

#[test]
fn switched_off_it_takes_back_what_it_said_three_times() {
    let mut lab = Lab::on();
    lab.change(|config| config.ipv6.enabled = false);
    for farewell in 0..3 {
        let told = lab.told();
        assert_eq!(
            (told[0].router_lifetime, &told[0].prefixes),
            (0, &vec![prefix(0, 0)]),
            "{farewell}"
        );
        lab.solicit("fe80::9");
        lab.pass(BETWEEN_FAREWELLS);
    }
    assert!(lab.frames().is_empty() && lab.router.poll_timeout().is_none());
    assert!(!lab.solicit("fe80::9") && lab.frames().is_empty());
}

#[test]
fn a_network_that_changes_is_taken_back_and_stays_so_for_two_hours() {
    let mut lab = Lab::on();
    lab.pass(Duration::from_secs(4));
    lab.change(|config| config.ipv6.prefix = "2001:db8:7::/64".parse().unwrap());
    assert_eq!(lab.told()[0].prefixes, [prefix(0, 0)], "at once");
    lab.pass(PROBE);
    let current = ("2001:db8:7::/64".to_owned(), 5400, 2700);
    let told = lab.told().remove(0);
    assert_eq!(told.prefixes, [current.clone(), prefix(0, 0)]);
    assert_eq!(told.name_servers, [ip("2001:db8:7::1")]);
    lab.pass(RETIREMENT);
    assert_eq!(lab.told()[0].prefixes, [current]);
}

#[test]
fn other_settings_are_told_as_soon_as_may_be() {
    let mut lab = Lab::on();
    lab.pass(Duration::from_secs(4));
    lab.change(|config| config.ipv6.name_servers = "2001:db8::53".parse().unwrap());
    assert_eq!(lab.told()[0].name_servers, [ip("2001:db8::53")]);
    lab.change(|config| config.ipv6.valid = 9000);
    assert!(lab.told().is_empty(), "too soon");
    lab.pass(Duration::from_secs(3));
    assert_eq!(lab.told()[0].prefixes, [prefix(9000, 2700)]);
    lab.change(|_| {});
    assert!(lab.frames().is_empty(), "nothing changed");
}

#[test]
fn who_leads_nowhere_is_no_router_and_who_cannot_promise_is_silent() {
    let mut lab = Lab::on();
    lab.pass(Duration::from_secs(4));
    lab.router.set_reach(lab.now, Reach::Link);
    let told = lab.told().remove(0);
    assert_eq!(
        (told.router_lifetime, told.prefixes),
        (0, vec![prefix(5400, 2700)])
    );
    lab.router.set_reach(lab.now, Reach::Nowhere);
    assert_eq!(lab.told()[0].prefixes, [prefix(0, 0)]);
    assert!(!lab.solicit("fe80::9") && lab.frames().is_empty());
    assert_eq!(lab.router.poll_timeout(), None);
}

#[test]
fn echoes_come_back_from_the_address_that_was_asked() {
    for (from, to, answers) in [
        (
            "fd12:3456:789a::9",
            "fd12:3456:789a::1",
            Some("fd12:3456:789a::1"),
        ),
        (
            "fe80::9",
            "fe80::5c01:2ff:fe03:405",
            Some("fe80::5c01:2ff:fe03:405"),
        ),
        ("fe80::9", "ff02::1", Some("fe80::5c01:2ff:fe03:405")),
        ("fd12:3456:789a::9", "fd12:3456:789a::2", None),
        ("2001:db8::9", "fd12:3456:789a::1", None),
    ] {
        let mut lab = Lab::on();
        let request = vec![128, 0, 0, 0, 0, 7, 0, 1, b'h', b'i'];
        lab.send(Written::icmp(ip(from), ip(to), 64, request), Duties::All);
        let frames = lab.frames();
        let answered = frames.first().map(|frame| {
            let view = FrameView::parse(&frame.bytes).unwrap();
            let packet = Packet::read(frame, &view).unwrap();
            assert_eq!((view.destination, packet.destination), (STATION, ip(from)));
            assert_eq!(
                (packet.payload[0], &packet.payload[4..]),
                (129, &[0, 7, 0, 1, b'h', b'i'][..])
            );
            packet.source
        });
        assert_eq!(answered, answers.map(ip), "{from} to {to}");
    }
}

#[test]
fn questions_for_names_are_handed_on_and_other_ports_refused() {
    let mut lab = Lab::on();
    let client: SocketAddrV6 = "[fd12:3456:789a::9]:5000".parse().unwrap();
    let at = |port| SocketAddrV6::new(ip("fd12:3456:789a::1"), port, 0, 0);
    lab.send(Written::udp(client, at(53), b"who?"), Duties::All);
    let question = lab.router.poll_question().unwrap();
    assert_eq!((question.client, &question.data[..]), (client, &b"who?"[..]));
    lab.router.answer(&question, b"me");
    let answer = lab.frames().remove(0);
    let packet = Packet::read(&answer, &FrameView::parse(&answer.bytes).unwrap()).unwrap();
    assert_eq!(
        (packet.udp(), packet.destination),
        (Some((53, 5000, &b"me"[..])), *client.ip())
    );

    lab.send(Written::udp(client, at(54), b"?"), Duties::All);
    assert_eq!(lab.frames()[0].bytes[54..56], [1, 4], "no such port");
    let elsewhere = SocketAddrV6::new(ip("2001:db8::1"), 80, 0, 0);
    lab.send(Written::udp(client, elsewhere, b"?"), Duties::All);
    assert_eq!(lab.frames()[0].bytes[54..56], [1, 0], "no way out");
}

#[test]
fn dhcp_is_answered_in_either_case() {
    for duties in [Duties::All, Duties::Announcing] {
        let mut lab = Lab::on();
        let from = SocketAddrV6::new(ip("fe80::9"), 546, 0, 0);
        let question = Written::udp(from, SocketAddrV6::new(ALL_DHCP, 547, 0, 0), &[11, 1, 2, 3]);
        assert!(lab.send(question, duties));
        assert_eq!(lab.frames()[0].bytes[62..66], [7, 1, 2, 3]);
    }
}

/// One thing that happens to a router.
#[derive(Clone, Debug)]
enum Step {
    Pass(u16),
    Solicit(bool),
    Bytes(Vec<u8>),
    Enable(bool),
    Prefix(u16),
    Reach(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0u16..5000).prop_map(Step::Pass),
        any::<bool>().prop_map(Step::Solicit),
        prop::collection::vec(any::<u8>(), 0..80).prop_map(Step::Bytes),
        any::<bool>().prop_map(Step::Enable),
        (0u16..3).prop_map(Step::Prefix),
        (0u8..3).prop_map(Step::Reach),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_it_keeps_its_distance_and_says_nothing_when_off(
        steps in prop::collection::vec(step(), 0..60)
    ) {
        let mut lab = Lab::on();
        let mut last = lab.now;
        for step in steps {
            match step {
                // As a shell does: it calls when the router wants to be called.
                Step::Pass(tenths) => {
                    let until = lab.now + Duration::from_millis(u64::from(tenths) * 100);
                    while let Some(due) = lab.router.poll_timeout().filter(|due| *due <= until) {
                        lab.now = lab.now.max(due);
                        lab.router.handle_timeout(lab.now);
                        prop_assert!(lab.router.poll_timeout().is_none_or(|next| next > lab.now), "it would spin");
                        check(&mut lab, &mut last)?;
                    }
                    lab.now = until;
                }
                Step::Solicit(nameless) => {
                    lab.solicit(if nameless { "::" } else { "fe80::9" });
                }
                Step::Bytes(message) => {
                    lab.send(Written::icmp(ip("fe80::9"), ip("fd12:3456:789a::1"), 255, message), Duties::All);
                }
                Step::Enable(on) => lab.change(|config| config.ipv6.enabled = on),
                Step::Prefix(number) => lab.change(|config| {
                    config.ipv6.prefix = Ipv6Net::new(Ipv6Addr::new(0xfd12, number, 0, 0, 0, 0, 0, 0), 64);
                }),
                Step::Reach(number) => {
                    let reach = [Reach::Nowhere, Reach::Link, Reach::Outside][usize::from(number)];
                    lab.router.set_reach(lab.now, reach);
                }
            }
            check(&mut lab, &mut last)?;
        }
    }
}

/// Farewells may come at any time; other words for everybody keep their distance, and promise only what is so.
fn check(lab: &mut Lab, last: &mut Instant) -> Result<(), TestCaseError> {
    for told in lab.told() {
        let alive = told.prefixes.iter().any(|(_, valid, _)| *valid > 0);
        if !alive {
            continue;
        }
        prop_assert!(lab.config.ipv6.enabled && lab.router.state == State::On);
        prop_assert_eq!(&told.prefixes[0].0, &lab.config.ipv6.prefix.to_string());
        prop_assert_eq!(told.router_lifetime > 0, lab.router.reach == Reach::Outside);
        if told.to.is_multicast() {
            prop_assert!(lab.now >= *last + Duration::from_secs(3), "too soon");
            *last = lab.now;
        }
    }
    Ok(())
}
