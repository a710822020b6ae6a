//! Finding the first rule that matches without asking all of them: tuple space search (Srinivasan, Suri and Varghese 1999).
//!
//! Rules that look at the same bits have one [`Shape`], and a list has few of those however many rules it has. Within a shape,
//! rules are found by the value that they want those bits to have. What a shape does not know of (ranges of ports, files of
//! users, the state of a connection) is asked of the rules that are left.

use std::collections::HashMap;

use super::list::{Bits, Compiled, Identity, Packet, Party, Subject};
use crate::frame::Network;
use crate::hash::{SeededState, mix};

/// Rules of a list by what they look at.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    /// By their first rule.
    shapes: Vec<Shaped>,
}

/// The rules of one shape.
#[derive(Clone, Debug)]
struct Shaped {
    shape: Shape,
    /// By key, in the order in which they are tried.
    rules: HashMap<Key, Vec<u32>, SeededState>,
    first: u32,
}

/// Which parts of a frame a rule wants to be something certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shape {
    source_mac: u64,
    destination_mac: u64,
    packet: Option<PacketShape>,
    /// Whether it names a user or group that sends, or that receives.
    names: [bool; 2],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PacketShape {
    v6: bool,
    source: u128,
    destination: u128,
    protocol: bool,
    /// Whether it wants one source or destination port.
    ports: [bool; 2],
}

/// What those parts are: addresses of stations and packets, protocol, ports, and names.
type Key = [u64; 9];

impl Index {
    /// Sorts rules with their numbers, which must rise.
    pub(super) fn of<'a>(rules: impl Iterator<Item = (u32, &'a Compiled)>) -> Self {
        let mut index = Self::default();
        for (number, rule) in rules {
            let (shape, key) = (Shape::of(rule), key_of(rule));
            let known = index.shapes.iter().position(|shaped| shaped.shape == shape);
            let place = known.unwrap_or_else(|| {
                index.shapes.push(Shaped {
                    shape,
                    // The keys in it are an administrator's: nobody else can fill a bucket.
                    rules: HashMap::with_hasher(SeededState::new(0)),
                    first: number,
                });
                index.shapes.len() - 1
            });
            index.shapes[place].rules.entry(key).or_default().push(number);
        }
        index
    }

    /// The lowest number of a rule that `matches`, which is asked of those only that may.
    pub(super) fn first(
        &self,
        subject: &Subject<'_>,
        receiver: Option<Identity<'_>>,
        mut matches: impl FnMut(u32) -> bool,
    ) -> Option<u32> {
        let mut best = None;
        for shaped in &self.shapes {
            if best.is_some_and(|best| best < shaped.first) {
                break;
            }
            shaped.shape.keys(subject, receiver, &mut |key| {
                let rules = shaped.rules.get(&key).map_or(&[][..], Vec::as_slice);
                let better = rules
                    .iter()
                    .copied()
                    .take_while(|rule| best.is_none_or(|best| *rule < best));
                best = better.into_iter().find(|rule| matches(*rule)).or(best);
            });
        }
        best
    }
}

impl Shape {
    fn of(rule: &Compiled) -> Self {
        let mac = |bits: Option<Bits>| bits.map_or(0, |bits| bits.mask as u64);
        Self {
            source_mac: mac(rule.source_mac),
            destination_mac: mac(rule.destination_mac),
            packet: rule.packet.as_ref().map(PacketShape::of),
            names: [&rule.source, &rule.destination].map(|party| matches!(party, Party::Named(_))),
        }
    }

    /// Gives the keys under which rules of this shape stand that may match: one for each name that those who send and receive
    /// have.
    fn keys(&self, subject: &Subject<'_>, receiver: Option<Identity<'_>>, give: &mut dyn FnMut(Key)) {
        let view = subject.view;
        let mut key = [0; 9];
        key[0] = view.source.to_u64() & self.source_mac;
        key[1] = view.destination.to_u64() & self.destination_mac;
        if let Some(packet) = &self.packet
            && !packet.fill(subject, &mut key)
        {
            return;
        }
        let [of_sender, of_receiver] = self.names;
        for sender in names(of_sender, Some(subject.source)).into_iter().flatten() {
            for receiver in names(of_receiver, receiver).into_iter().flatten() {
                key[8] = both(sender, receiver);
                give(key);
            }
        }
    }
}

impl PacketShape {
    fn of(packet: &Packet) -> Self {
        Self {
            v6: packet.v6,
            source: packet.source.mask,
            destination: packet.destination.mask,
            protocol: packet.protocol.is_some(),
            ports: wanted_ports(packet).map(|port| port.is_some()),
        }
    }

    /// Puts what a packet has there into a key; whether it has it.
    fn fill(&self, subject: &Subject<'_>, key: &mut Key) -> bool {
        let (v6, source, destination, protocol): (bool, u128, u128, Option<u8>) = match &subject.view.network
        {
            Network::Ipv4(ip) => (
                false,
                ip.source.to_bits().into(),
                ip.destination.to_bits().into(),
                Some(ip.protocol),
            ),
            Network::Ipv6(ip) => (
                true,
                ip.source.to_bits(),
                ip.destination.to_bits(),
                Some(ip.protocol),
            ),
            Network::Arp(arp) => (
                false,
                arp.sender.to_bits().into(),
                arp.target.to_bits().into(),
                None,
            ),
            Network::Other => return false,
        };
        if v6 != self.v6 {
            return false;
        }
        fill_addresses(key, source & self.source, destination & self.destination);
        if self.protocol {
            let Some(protocol) = protocol else { return false };
            key[6] = protocol.into();
        }
        if self.ports != [false; 2] {
            let Some(ports) = subject.transport.ports() else {
                return false;
            };
            let wanted = |wanted: bool, port: u16| if wanted { u32::from(port) } else { 0 };
            key[7] = both_ports([
                wanted(self.ports[0], ports.source),
                wanted(self.ports[1], ports.destination),
            ]);
        }
        true
    }
}

fn key_of(rule: &Compiled) -> Key {
    let mac = |bits: Option<Bits>| bits.map_or(0, |bits| bits.value as u64);
    let mut key = [0; 9];
    key[0] = mac(rule.source_mac);
    key[1] = mac(rule.destination_mac);
    if let Some(packet) = &rule.packet {
        fill_addresses(&mut key, packet.source.value, packet.destination.value);
        key[6] = packet.protocol.unwrap_or(0).into();
        key[7] = both_ports(wanted_ports(packet).map(|port| port.unwrap_or(0)));
    }
    let name = |party: &Party| match party {
        Party::Named(name) => hash_of(name),
        _ => 0,
    };
    key[8] = both(name(&rule.source), name(&rule.destination));
    key
}

fn fill_addresses(key: &mut Key, source: u128, destination: u128) {
    key[2..6].copy_from_slice(&[
        (source >> 64) as u64,
        source as u64,
        (destination >> 64) as u64,
        destination as u64,
    ]);
}

fn both_ports([source, destination]: [u32; 2]) -> u64 {
    u64::from(source) << 32 | u64::from(destination)
}

/// Source and destination port, where a rule wants one and no other.
fn wanted_ports(packet: &Packet) -> [Option<u32>; 2] {
    packet.ports.map_or([None; 2], |ranges| {
        ranges.map(|range| {
            let single = !range.is_any() && (range.end == 0 || range.end == range.start);
            single.then_some(range.start)
        })
    })
}

/// What stands for the names of somebody, or one that stands for everybody.
fn names(wanted: bool, who: Option<Identity<'_>>) -> [Option<u64>; 2] {
    match who {
        _ if !wanted => [Some(0), None],
        Some(who) => [who.user, who.group].map(|name| name.map(hash_of)),
        None => [None; 2],
    }
}

/// Two names without regard to case are one number (FNV-1a); two that have one number by chance cost a comparison.
fn hash_of(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0000_01b3)
    })
}

fn both(sender: u64, receiver: u64) -> u64 {
    mix(sender).rotate_left(32) ^ receiver
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::super::{AccessList, Addresses, Masked, PortRange, Rule};
    use super::*;
    use crate::Frame;
    use crate::frame::{FrameView, Transport};

    /// A UDP datagram from port 1 to a port of 10.0.0.1.
    fn datagram(to_port: u16) -> Frame {
        let mut bytes = vec![0; 60];
        bytes[..6].copy_from_slice(&[2, 0, 0, 0, 0, 1]);
        bytes[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 2]);
        bytes[12..34].copy_from_slice(&[
            8, 0, 0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 9, 10, 0, 0, 1,
        ]);
        bytes[34..40].copy_from_slice(&[0, 1, (to_port >> 8) as u8, to_port as u8, 0, 26]);
        Frame::new(bytes)
    }

    fn host(number: u32) -> Masked<Ipv4Addr> {
        Masked {
            address: Ipv4Addr::from(0x0a00_0000 + number),
            mask: Ipv4Addr::BROADCAST,
        }
    }

    fn rule(number: u32) -> Rule {
        let any = Masked {
            address: Ipv4Addr::UNSPECIFIED,
            mask: Ipv4Addr::UNSPECIFIED,
        };
        let mut rule = Rule::new(number, false, Addresses::ANY_V4);
        match number % 4 {
            0 => {
                rule.addresses = Addresses::V4 {
                    source: any,
                    destination: host(2 + number),
                }
            }
            1 => {
                rule.protocol = 17;
                rule.destination_ports = PortRange {
                    start: 1000 + number,
                    end: 1000 + number,
                };
            }
            2 => rule.source_user = format!("user{number}"),
            _ => rule.destination_user = format!("User{number}"),
        }
        rule
    }

    /// A frame that is about none of thousands of rules is compared with none of them, and one that is about one with that.
    #[test]
    fn few_rules_are_asked_however_many_there_are() {
        let rules: Vec<_> = (0..4000).map(rule).collect();
        let list = AccessList::compile(&rules, |_| Default::default());
        let index = list.index_of_all();
        let asked = |to_port: u16, user: &str, receiver: &str| {
            let frame = datagram(to_port);
            let view = FrameView::parse(&frame.bytes).unwrap();
            let who = |user| Identity {
                user: Some(user),
                group: Some("staff"),
                internal: false,
            };
            let subject = Subject {
                view: &view,
                transport: Transport::read(&view, &frame.bytes),
                source: who(user),
            };
            let mut asked = 0;
            let found = index.first(&subject, Some(who(receiver)), |rule| {
                asked += 1;
                list.matches(rule, &subject, Some(who(receiver)))
            });
            (found, asked)
        };
        assert_eq!(asked(999, "alice", "bob"), (None, 0));
        assert_eq!(asked(1041, "alice", "bob"), (Some(41), 1));
        assert_eq!(asked(999, "USER402", "bob"), (Some(402), 1));
        assert_eq!(asked(999, "alice", "user403"), (Some(403), 1));
        // The first of two that match counts, in whichever shape it is.
        assert_eq!(asked(1041, "user402", "bob"), (Some(41), 1));
        assert_eq!(asked(1401, "user2", "bob"), (Some(2), 2));
    }
}
