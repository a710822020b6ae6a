//! The access list against a reference that does the obvious: every rule in turn, every condition in turn, nothing compiled
//! and nothing remembered.

use std::net::Ipv4Addr;

use etherparse::PacketBuilder;
use hub_core::access::{AccessList, Addresses, Masked, PortRange, Rule, TcpState};
use hub_core::{DropReason, Frame, MacAddr, PortId};
use proptest::prelude::*;

use crate::support::{Lan, mac};

/// A segment or datagram, as it was made.
#[derive(Clone, Debug)]
struct Packet {
    from: usize,
    source: Ipv4Addr,
    destination: Ipv4Addr,
    ports: (u16, u16),
    /// SYN and ACK of TCP; UDP without.
    tcp: Option<(bool, bool)>,
}

const USERS: [&str; 3] = ["alice", "bob", "carol"];
const GROUPS: [Option<&str>; 3] = [Some("staff"), None, Some("staff")];

fn address() -> impl Strategy<Value = Ipv4Addr> {
    (0_u8..4).prop_map(|host| Ipv4Addr::new(10, 0, host / 2, host))
}

fn masked() -> impl Strategy<Value = Masked<Ipv4Addr>> {
    let mask = prop_oneof![
        Just([0; 4]),
        Just([255; 4]),
        Just([255, 255, 255, 0]),
        Just([0, 0, 0, 1])
    ];
    (address(), mask).prop_map(|(address, mask)| Masked {
        address: if mask == [0; 4] {
            Ipv4Addr::UNSPECIFIED
        } else {
            address
        },
        mask: mask.into(),
    })
}

fn range() -> impl Strategy<Value = PortRange> {
    prop_oneof![
        3 => Just(PortRange::default()),
        1 => (0_u32..4, 0_u32..4).prop_map(|(start, end)| PortRange { start, end }),
    ]
}

fn name() -> impl Strategy<Value = String> {
    const NAMES: [&str; 9] = [
        "",
        "",
        "",
        "Alice",
        "BOB",
        "staff",
        "nobody",
        "include:list",
        "exclude:list",
    ];
    prop::sample::select(&NAMES[..]).prop_map(str::to_owned)
}

fn station() -> impl Strategy<Value = Option<Masked<MacAddr>>> {
    let mask = prop_oneof![Just([0xff; 6]), Just([0xff, 0xff, 0, 0, 0, 0])];
    let some = (0_u32..3, mask).prop_map(|(n, mask)| Masked {
        address: mac(n),
        mask: MacAddr::new(mask),
    });
    prop::option::weighted(0.2, some)
}

fn rule() -> impl Strategy<Value = Rule> {
    let state = prop::option::weighted(
        0.2,
        prop_oneof![Just(TcpState::Established), Just(TcpState::Unestablished)],
    );
    (
        (
            any::<bool>(),
            1_u32..4,
            any::<bool>(),
            prop::sample::select(&[0_u32, 0, 6, 17, 300][..]),
        ),
        (masked(), masked(), range(), range()),
        (name(), name(), station(), station(), state),
    )
        .prop_map(
            |(
                (active, priority, discard, protocol),
                (source, destination, from, to),
                (sender, receiver, source_mac, destination_mac, tcp_state),
            )| Rule {
                active,
                protocol,
                source_ports: from,
                destination_ports: to,
                source_user: sender,
                destination_user: receiver,
                source_mac,
                destination_mac,
                tcp_state,
                ..Rule::new(priority, discard, Addresses::V4 { source, destination })
            },
        )
}

fn packet() -> impl Strategy<Value = Packet> {
    let tcp = prop::option::of((any::<bool>(), any::<bool>()));
    (0_usize..3, address(), address(), (0_u16..5, 0_u16..5), tcp).prop_map(
        |(from, source, destination, ports, tcp)| Packet {
            from,
            source,
            destination,
            ports,
            tcp,
        },
    )
}

impl Packet {
    /// To a station that nobody knows, so that it goes to everybody.
    const TO: u32 = 9;

    fn frame(&self) -> Frame {
        let mut bytes = Vec::new();
        let builder = PacketBuilder::ethernet2(mac(self.from as u32).octets(), mac(Self::TO).octets()).ipv4(
            self.source.octets(),
            self.destination.octets(),
            64,
        );
        let (from, to) = self.ports;
        match self.tcp {
            None => builder.udp(from, to).write(&mut bytes, b"x"),
            Some((syn, ack)) => {
                let mut header = etherparse::TcpHeader::new(from, to, 1, 1);
                (header.syn, header.ack) = (syn, ack);
                builder.tcp_header(header).write(&mut bytes, b"x")
            }
        }
        .unwrap();
        Frame::new(bytes)
    }
}

fn agrees(masked: Masked<Ipv4Addr>, address: Ipv4Addr) -> bool {
    let mask = masked.mask.to_bits();
    masked.address.to_bits() & mask == address.to_bits() & mask
}

fn is_in(range: PortRange, port: u16) -> bool {
    let port = u32::from(port);
    match (range.start, range.end) {
        (0, 0) => true,
        (start, 0) => port == start,
        (start, end) => start <= port && port <= end,
    }
}

fn is_named(name: &str, who: usize) -> bool {
    match name {
        "" => true,
        "include:list" => USERS[who] == "bob",
        "exclude:list" => USERS[who] != "bob",
        name => {
            let name = name.to_lowercase();
            USERS[who] == name || GROUPS[who] == Some(&name)
        }
    }
}

fn is_station(wanted: Option<Masked<MacAddr>>, station: MacAddr) -> bool {
    wanted.is_none_or(|wanted| {
        let bytes = wanted.address.octets().into_iter().zip(wanted.mask.octets());
        bytes
            .zip(station.octets())
            .all(|((a, mask), b)| a & mask == b & mask)
    })
}

fn matches(rule: &Rule, packet: &Packet, to: usize) -> bool {
    let Addresses::V4 { source, destination } = rule.addresses else {
        return false;
    };
    let protocol = if packet.tcp.is_some() { 6 } else { 17 };
    let first = packet.tcp == Some((true, false));
    rule.active
        && agrees(source, packet.source)
        && agrees(destination, packet.destination)
        && (rule.protocol == 0 || rule.protocol == protocol)
        && is_in(rule.source_ports, packet.ports.0)
        && is_in(rule.destination_ports, packet.ports.1)
        && is_named(&rule.source_user, packet.from)
        && is_named(&rule.destination_user, to)
        && is_station(rule.source_mac, mac(packet.from as u32))
        && is_station(rule.destination_mac, mac(Packet::TO))
        && match rule.tcp_state {
            None => true,
            Some(TcpState::Unestablished) => packet.tcp.is_some() && first,
            Some(TcpState::Established) => packet.tcp.is_some() && !first,
        }
}

/// Who gets the packet.
fn expected(rules: &[Rule], packet: &Packet, ports: &[PortId]) -> Vec<PortId> {
    let mut sorted: Vec<&Rule> = rules.iter().collect();
    sorted.sort_by_key(|rule| (rule.priority, rule.discard));
    let passes = |to: &usize| {
        let decisive = sorted.iter().find(|rule| matches(rule, packet, *to));
        !decisive.is_some_and(|rule| rule.discard)
    };
    let others = (0..ports.len()).filter(|to| *to != packet.from);
    others.filter(passes).map(|to| ports[to]).collect()
}

proptest! {
    #[test]
    fn the_first_rule_that_matches_decides_for_every_receiver(
        first in prop::collection::vec(rule(), 0..12),
        second in prop::collection::vec(rule(), 0..12),
        packets in prop::collection::vec(packet(), 1..40),
    ) {
        let mut lan = Lan::new();
        let ports: Vec<PortId> = (0..3)
            .map(|n| lan.port(|port| {
                port.user = Some(USERS[n].to_owned());
                port.group = GROUPS[n].map(str::to_owned);
            }))
            .collect();
        for rules in [first, second] {
            lan.hub.set_access_list(AccessList::compile(&rules, |_| ["bob".to_owned()].into()));
            // Twice: the second time from what is remembered.
            for packet in packets.iter().chain(&packets) {
                let got = lan.send(ports[packet.from], &packet.frame());
                prop_assert_eq!(got, expected(&rules, packet, &ports), "{:?} under {:#?}", packet, rules);
            }
        }
        prop_assert_eq!(lan.hub.counters().dropped.of(DropReason::BrokenPacket), 0);
    }
}
