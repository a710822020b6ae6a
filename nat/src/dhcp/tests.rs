use std::collections::{HashMap, HashSet};
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::routes::decode_classless;

const HOST: Ipv4Addr = Ipv4Addr::new(192, 168, 30, 1);

fn config() -> SecureNatConfig {
    SecureNatConfig::with_random_mac([0; 5])
}

fn config_with_pool(last_octets: std::ops::RangeInclusive<u8>) -> SecureNatConfig {
    SecureNatConfig {
        dhcp_lease_ip_start: Ipv4Addr::new(192, 168, 30, *last_octets.start()),
        dhcp_lease_ip_end: Ipv4Addr::new(192, 168, 30, *last_octets.end()),
        ..config()
    }
}

fn mac(n: u32) -> MacAddr {
    let [a, b, c, d] = n.to_be_bytes();
    MacAddr::new([2, 0, a, b, c, d])
}

fn ip(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 168, 30, last)
}

fn message(client: u32, kind: MessageType) -> Message {
    Message {
        op: Op::Request,
        kind,
        xid: client,
        broadcast: false,
        ciaddr: Ipv4Addr::UNSPECIFIED,
        yiaddr: Ipv4Addr::UNSPECIFIED,
        chaddr: mac(client),
        options: BTreeMap::new(),
    }
}

fn with(mut message: Message, code: u8, value: &[u8]) -> Message {
    message.options.insert(code, value.to_vec());
    message
}

/// A link: who answers for which address, and whose stations are there.
#[derive(Default)]
struct Wire {
    owners: HashMap<Ipv4Addr, MacAddr>,
    stations: HashMap<MacAddr, Station>,
}

impl Link for Wire {
    fn owner(&self, ip: Ipv4Addr, _: Option<Instant>) -> Option<MacAddr> {
        self.owners.get(&ip).copied()
    }

    fn station(&self, mac: MacAddr) -> Option<Station> {
        self.stations.get(&mac).cloned()
    }
}

/// A server, its clock, and a link on which nobody is heard at first.
struct Lab {
    server: Server,
    now: Instant,
    wire: Wire,
}

impl Lab {
    fn new(config: &SecureNatConfig) -> Self {
        Lab {
            server: Server::new(config),
            now: Instant::now(),
            wire: Wire::default(),
        }
    }

    /// Puts a client on the link, behind a session of this user.
    fn join(&mut self, client: u32, user: &str) {
        let user = Some(user.to_owned());
        self.wire.stations.insert(mac(client), Station { user });
    }

    fn leave(&mut self, client: u32) {
        self.wire.stations.remove(&mac(client));
    }

    /// What the server answers at once.
    fn ask(&mut self, message: &Message, to: Ipv4Addr) -> Option<Reply> {
        let source = message.chaddr;
        let arrival = Arrival { to, source };
        self.server.handle_message(self.now, message, arrival, &self.wire);
        self.reply_to(message)
    }

    /// What it answers after it has asked the link, if it does.
    fn send(&mut self, message: &Message) -> Option<Reply> {
        let at_once = self.ask(message, Ipv4Addr::BROADCAST);
        at_once.or_else(|| self.wait_for(message))
    }

    /// What the server says when the link has had its time to answer, as often as it asks.
    fn wait_for(&mut self, message: &Message) -> Option<Reply> {
        while self.server.poll_question().is_some() {
            self.pass(Duration::from_millis(300));
            if let Some(reply) = self.reply_to(message) {
                return Some(reply);
            }
        }
        None
    }

    /// The next answer to this question; those to others are lost.
    fn reply_to(&mut self, message: &Message) -> Option<Reply> {
        let mut replies = std::iter::from_fn(|| self.server.poll_reply());
        replies.find(|reply| reply.message.xid == message.xid)
    }

    fn offer(&mut self, client: u32) -> Option<Ipv4Addr> {
        let reply = self.send(&message(client, MessageType::Discover))?;
        assert_eq!(reply.message.kind, MessageType::Offer);
        Some(reply.message.yiaddr)
    }

    fn select(&mut self, client: u32, ip: Ipv4Addr) -> Reply {
        let request = with(
            message(client, MessageType::Request),
            option::SERVER_ID,
            &HOST.octets(),
        );
        self.send(&with(request, option::REQUESTED_ADDRESS, &ip.octets()))
            .unwrap()
    }

    fn lease(&mut self, client: u32) -> Ipv4Addr {
        let ip = self.offer(client).unwrap();
        assert_eq!(self.select(client, ip).message.kind, MessageType::Ack);
        ip
    }

    fn renew(&mut self, client: u32, ip: Ipv4Addr) -> Option<Reply> {
        let request = Message {
            ciaddr: ip,
            ..message(client, MessageType::Request)
        };
        self.ask(&request, HOST)
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.server.handle_timeout(self.now, &self.wire);
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.server.poll_event()).collect()
    }
}

const LEASE: Duration = Duration::from_secs(7200);

#[test]
fn a_client_is_offered_an_address_and_gets_it() {
    let mut lab = Lab::new(&config());
    let offered = lab.offer(1).unwrap();
    assert!((ip(10)..=ip(200)).contains(&offered));
    let named = with(
        message(1, MessageType::Request),
        option::HOST_NAME,
        b"lap top\x1b[31m",
    );
    let reply = lab
        .send(&with(named, option::REQUESTED_ADDRESS, &offered.octets()))
        .unwrap();
    assert_eq!(
        (reply.message.kind, reply.message.yiaddr),
        (MessageType::Ack, offered)
    );
    let host_name = "laptop31m".to_owned();
    assert_eq!(
        lab.events(),
        [Event::LeaseGiven {
            mac: mac(1),
            ip: offered,
            host_name: host_name.clone()
        }]
    );
    let lease = &lab.server.leases()[0];
    assert_eq!(
        (lease.ip, lease.mac, lease.until),
        (offered, mac(1), lab.now + LEASE)
    );
    assert_eq!(lease.host_name, host_name);
}

#[test]
fn a_reply_carries_every_setting() {
    let config = SecureNatConfig {
        dhcp_dns_server_address2: Ipv4Addr::new(9, 9, 9, 9),
        dhcp_domain_name: "example.org".into(),
        ..config()
    };
    let reply = Lab::new(&config)
        .send(&message(1, MessageType::Discover))
        .unwrap();
    let options = &reply.message.options;
    assert_eq!(options[&option::SUBNET_MASK], [255, 255, 255, 0]);
    assert_eq!(options[&option::ROUTER], [192, 168, 30, 1]);
    assert_eq!(options[&option::DNS_SERVERS], [192, 168, 30, 1, 9, 9, 9, 9]);
    assert_eq!(options[&option::DOMAIN_NAME], b"example.org");
    assert_eq!(options[&option::LEASE_TIME], 7200u32.to_be_bytes());
    assert_eq!(options[&option::SERVER_ID], HOST.octets());
    assert_eq!(options[&option::RENEWAL_TIME], 3600u32.to_be_bytes());
    assert_eq!(options[&option::REBINDING_TIME], 6300u32.to_be_bytes());
    assert!(!options.contains_key(&option::CLASSLESS_ROUTES));
}

#[test]
fn a_reply_goes_where_the_client_can_hear_it() {
    let mut lab = Lab::new(&config());
    let quiet = lab.send(&message(1, MessageType::Discover)).unwrap();
    assert_eq!((quiet.to_ip, quiet.to_mac), (quiet.message.yiaddr, mac(1)));
    let deaf = lab
        .send(&Message {
            broadcast: true,
            ..message(1, MessageType::Discover)
        })
        .unwrap();
    assert_eq!(
        (deaf.to_ip, deaf.to_mac),
        (Ipv4Addr::BROADCAST, MacAddr::BROADCAST)
    );
    let leased = lab.lease(1);
    let renewed = lab.renew(1, leased).unwrap();
    assert_eq!(
        (renewed.to_ip, renewed.to_mac, renewed.message.ciaddr),
        (leased, mac(1), leased)
    );
}

#[test]
fn the_same_client_gets_its_address_again_even_after_the_lease_ended() {
    let mut lab = Lab::new(&config());
    let address = lab.lease(1);
    lab.pass(LEASE * 3);
    assert!(lab.server.leases().is_empty());
    for other in 2..100 {
        assert_ne!(lab.lease(other), address);
    }
    assert_eq!(lab.lease(1), address);
    assert!(lab.events().contains(&Event::LeaseExpired {
        mac: mac(1),
        ip: address
    }));
}

#[test]
fn the_same_client_gets_its_address_from_a_restarted_server() {
    let mut before = Lab::new(&config());
    let address = before.lease(1);
    assert_eq!(Lab::new(&config()).lease(1), address, "by discovery");
    let reply = Lab::new(&config()).renew(1, address).unwrap();
    assert_eq!(
        (reply.message.kind, reply.message.yiaddr),
        (MessageType::Ack, address),
        "by renewal"
    );
}

#[test]
fn a_client_identifier_counts_more_than_the_hardware_address() {
    let mut lab = Lab::new(&config());
    let as_client = |n: u32| {
        with(
            message(n, MessageType::Discover),
            option::CLIENT_ID,
            b"\0same machine",
        )
    };
    let first = lab.send(&as_client(1)).unwrap().message.yiaddr;
    assert_eq!(lab.send(&as_client(2)).unwrap().message.yiaddr, first);
}

#[test]
fn a_renewal_prolongs_the_lease_and_keeps_its_beginning() {
    let mut lab = Lab::new(&config());
    let address = lab.lease(1);
    let begun = lab.now;
    lab.pass(LEASE / 2);
    assert_eq!(lab.renew(1, address).unwrap().message.kind, MessageType::Ack);
    let lease = &lab.server.leases()[0];
    assert_eq!((lease.since, lease.until), (begun, lab.now + LEASE));
    assert_eq!(
        lab.events().last(),
        Some(&Event::LeaseRenewed {
            mac: mac(1),
            ip: address
        })
    );
}

#[test]
fn a_released_address_is_free_and_its_client_comes_back_to_it() {
    let mut lab = Lab::new(&config_with_pool(10..=10));
    let address = lab.lease(1);
    assert_eq!(lab.offer(2), None);
    lab.send(&Message {
        ciaddr: address,
        ..message(2, MessageType::Release)
    });
    assert_eq!(lab.server.leases().len(), 1, "a stranger cannot release it");
    lab.send(&Message {
        ciaddr: address,
        ..message(1, MessageType::Release)
    });
    assert!(lab.server.leases().is_empty());
    assert_eq!(lab.lease(1), address);
    lab.send(&Message {
        ciaddr: address,
        ..message(1, MessageType::Release)
    });
    assert_eq!(lab.lease(2), address);
}

#[test]
fn a_declined_address_is_set_aside_for_a_time() {
    let mut lab = Lab::new(&config_with_pool(10..=10));
    let address = lab.lease(1);
    let decline = |client| {
        with(
            message(client, MessageType::Decline),
            option::REQUESTED_ADDRESS,
            &address.octets(),
        )
    };
    lab.send(&decline(2));
    assert_eq!(lab.server.leases().len(), 1, "a stranger cannot decline it");
    lab.send(&decline(1));
    assert_eq!(lab.offer(1), None);
    lab.pass(Duration::from_secs(301));
    assert_eq!(lab.offer(1), Some(address));
}

#[test]
fn a_wrong_request_is_refused_aloud() {
    let mut lab = Lab::new(&config());
    let taken = lab.lease(1);
    for wrong in [taken, ip(5), Ipv4Addr::new(10, 0, 0, 1)] {
        let reply = lab.select(2, wrong);
        assert_eq!(reply.message.kind, MessageType::Nak, "{wrong}");
        assert_eq!(reply.to_mac, MacAddr::BROADCAST);
        assert_eq!(reply.message.yiaddr, Ipv4Addr::UNSPECIFIED);
    }
    let own = ip(1);
    assert_eq!(
        lab.select(2, own).message.kind,
        MessageType::Nak,
        "the virtual host's own address"
    );
}

#[test]
fn what_is_meant_for_another_server_is_left_to_it() {
    let mut lab = Lab::new(&config());
    let request = with(
        message(1, MessageType::Request),
        option::SERVER_ID,
        &[192, 168, 30, 2],
    );
    assert_eq!(
        lab.send(&with(request, option::REQUESTED_ADDRESS, &ip(20).octets())),
        None
    );
    let elsewhere = Message {
        ciaddr: Ipv4Addr::new(10, 0, 0, 1),
        ..message(1, MessageType::Request)
    };
    assert_eq!(
        lab.send(&elsewhere),
        None,
        "a broadcast renewal of a foreign address"
    );
    assert_eq!(
        lab.send(&Message {
            op: Op::Reply,
            ..message(1, MessageType::Discover)
        }),
        None
    );
}

#[test]
fn an_address_that_somebody_is_heard_to_use_is_not_leased() {
    let mut lab = Lab::new(&config_with_pool(10..=11));
    lab.wire.owners.insert(ip(10), mac(99));
    for client in 1..=2 {
        if let Some(offered) = lab.offer(client) {
            assert_eq!(offered, ip(11));
        }
    }
}

#[test]
fn an_informed_client_gets_settings_but_no_lease() {
    let mut lab = Lab::new(&config());
    let own = Message {
        ciaddr: ip(250),
        ..message(1, MessageType::Inform)
    };
    let reply = lab.send(&own).unwrap();
    assert_eq!(
        (reply.message.kind, reply.message.yiaddr, reply.to_ip),
        (MessageType::Ack, Ipv4Addr::UNSPECIFIED, ip(250))
    );
    assert!(!reply.message.options.contains_key(&option::LEASE_TIME));
    assert!(lab.server.leases().is_empty());
}

#[test]
fn an_exhausted_pool_is_one_event_until_an_address_is_free() {
    let mut lab = Lab::new(&config_with_pool(10..=12));
    for client in 1..=3 {
        lab.lease(client);
    }
    lab.events();
    for client in 4..=20 {
        assert_eq!(lab.offer(client), None);
    }
    let pool = PoolUse {
        addresses: 3,
        leased: 3,
        ..PoolUse::default()
    };
    let told = Event::PoolExhausted { mac: mac(4), pool };
    assert_eq!(lab.events(), [told]);
    assert_eq!(lab.server.turned_away(), 17);
    assert!(lab.offer(1).is_some());
    assert!(
        lab.events().is_empty(),
        "a client that has an address changes nothing"
    );
    lab.pass(LEASE);
    assert!(lab.offer(4).is_some());
    assert!(lab.events().contains(&Event::PoolAvailable { turned_away: 17 }));
    assert_eq!(lab.server.turned_away(), 0);
}

#[test]
fn a_flood_of_discoveries_does_not_lock_the_pool() {
    let mut lab = Lab::new(&config_with_pool(10..=20));
    for stranger in 1000..20_000 {
        lab.ask(&message(stranger, MessageType::Discover), Ipv4Addr::BROADCAST);
    }
    let address = lab.lease(1);
    for stranger in 1000..20_000 {
        assert_ne!(lab.offer(stranger), Some(address));
    }
}

#[test]
fn routes_come_with_a_default_route_under_the_code_asked_for() {
    let config = SecureNatConfig {
        dhcp_push_routes: "10.0.0.0/8/192.168.30.2".parse().unwrap(),
        ..config()
    };
    let mut lab = Lab::new(&config);
    let asking = |codes: &[u8]| with(message(1, MessageType::Discover), option::PARAMETERS, codes);
    let options = lab.send(&asking(&[1, 3, 249])).unwrap().message.options;
    assert!(!options.contains_key(&option::CLASSLESS_ROUTES));
    let routes = decode_classless(&options[&option::CLASSLESS_ROUTES_MS]).unwrap();
    assert_eq!(routes[0].to_string(), "10.0.0.0/255.0.0.0/192.168.30.2");
    assert_eq!(routes[1].to_string(), "0.0.0.0/0.0.0.0/192.168.30.1");
    let both = lab
        .send(&message(1, MessageType::Discover))
        .unwrap()
        .message
        .options;
    assert_eq!(
        both[&option::CLASSLESS_ROUTES],
        both[&option::CLASSLESS_ROUTES_MS]
    );
}

#[test]
fn another_implementation_reads_the_same() {
    use dhcproto::v4::{Decodable, Decoder, DhcpOption, OptionCode};
    let config = SecureNatConfig {
        dhcp_push_routes: "10.0.0.0/8/192.168.30.2".parse().unwrap(),
        dhcp_domain_name: "example.org".into(),
        ..config()
    };
    let reply = Lab::new(&config)
        .send(&message(1, MessageType::Discover))
        .unwrap();
    let bytes = reply.encode();
    let seen = dhcproto::v4::Message::decode(&mut Decoder::new(&bytes)).unwrap();
    assert_eq!((seen.yiaddr(), seen.xid()), (reply.message.yiaddr, 1));
    assert_eq!(seen.chaddr(), mac(1).octets());
    let option = |code| seen.opts().get(code).unwrap().clone();
    assert_eq!(
        option(OptionCode::MessageType),
        DhcpOption::MessageType(dhcproto::v4::MessageType::Offer)
    );
    assert_eq!(
        option(OptionCode::SubnetMask),
        DhcpOption::SubnetMask(Ipv4Addr::new(255, 255, 255, 0))
    );
    assert_eq!(option(OptionCode::Router), DhcpOption::Router(vec![HOST]));
    assert_eq!(
        option(OptionCode::DomainNameServer),
        DhcpOption::DomainNameServer(vec![HOST])
    );
    assert_eq!(
        option(OptionCode::DomainName),
        DhcpOption::DomainName("example.org".into())
    );
    assert_eq!(
        option(OptionCode::AddressLeaseTime),
        DhcpOption::AddressLeaseTime(7200)
    );
    assert_eq!(option(OptionCode::Renewal), DhcpOption::Renewal(3600));
    assert_eq!(option(OptionCode::Rebinding), DhcpOption::Rebinding(6300));
    assert_eq!(
        option(OptionCode::ServerIdentifier),
        DhcpOption::ServerIdentifier(HOST)
    );
    let DhcpOption::ClasslessStaticRoute(routes) = option(OptionCode::ClasslessStaticRoute) else {
        panic!("no routes")
    };
    let routes: Vec<String> = routes
        .iter()
        .map(|(net, gateway)| format!("{net} {gateway}"))
        .collect();
    assert_eq!(routes, ["10.0.0.0/8 192.168.30.2", "0.0.0.0/0 192.168.30.1"]);
}

#[test]
fn leases_survive_a_change_of_settings_that_keeps_their_address() {
    let mut lab = Lab::new(&config());
    let addresses: Vec<Ipv4Addr> = (1..=50).map(|client| lab.lease(client)).collect();
    lab.server.set_config(&config_with_pool(10..=100));
    let kept = addresses.iter().filter(|address| **address <= ip(100)).count();
    assert_eq!(lab.server.leases().len(), kept);
    assert!(kept > 0 && kept < 50);
}

mod keeping;
mod probing;
mod reservations;
mod routes;

fn step() -> impl Strategy<Value = (u32, u8, u8, u16)> {
    (1u32..12, 0u8..7, 8u8..20, 0u16..4000)
}

proptest! {
    /// Whatever clients do, no two of them hold one address at one time, and the pool is never left.
    #[test]
    fn no_address_is_leased_twice(steps in prop::collection::vec(step(), 1..120)) {
        let config = config_with_pool(10..=17);
        let mut lab = Lab::new(&config);
        for (client, action, last, seconds) in steps {
            lab.pass(Duration::from_secs(seconds.into()));
            let before: Vec<Lease> = lab.server.leases();
            let reply = match action {
                0 => lab.send(&message(client, MessageType::Discover)),
                1 => lab.send(&with(message(client, MessageType::Discover), option::REQUESTED_ADDRESS, &ip(last).octets())),
                2 => Some(lab.select(client, ip(last))),
                3 => lab.renew(client, ip(last)),
                4 => lab.send(&Message { ciaddr: ip(last), ..message(client, MessageType::Release) }),
                5 => lab.send(&with(message(client, MessageType::Decline), option::REQUESTED_ADDRESS, &ip(last).octets())),
                _ => lab.offer(client).map(|offered| lab.select(client, offered)),
            };
            if let Some(reply) = reply.filter(|r| r.message.kind != MessageType::Nak) {
                let given = reply.message.yiaddr;
                prop_assert!((ip(10)..=ip(17)).contains(&given));
                let others = before.iter().filter(|lease| lease.ip == given && lease.mac != mac(client));
                prop_assert_eq!(others.count(), 0, "{} was given while leased", given);
            }
            let leases = lab.server.leases();
            let distinct: HashSet<MacAddr> = leases.iter().map(|lease| lease.mac).collect();
            prop_assert_eq!(distinct.len(), leases.len());
            prop_assert!(leases.len() <= 8);
        }
    }

    #[test]
    fn hostile_messages_never_break_the_server(
        options in prop::collection::btree_map(any::<u8>(), prop::collection::vec(any::<u8>(), 0..300), 0..8),
        kind in 0usize..8, ciaddr: u32, client in 0u32..4,
    ) {
        use MessageType::{Ack, Decline, Discover, Inform, Nak, Offer, Release, Request};
        let kind = [Discover, Offer, Request, Decline, Ack, Nak, Release, Inform][kind];
        let hostile = Message { ciaddr: Ipv4Addr::from_bits(ciaddr), options, ..message(client, kind) };
        let mut lab = Lab::new(&config());
        if let Some(reply) = lab.send(&hostile) {
            prop_assert!(reply.encode().len() <= 4068);
        }
        prop_assert!(lab.offer(100).is_some());
    }
}
