//! The view of a frame, held against etherparse.

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use etherparse::{
    EtherType, IpNumber, Ipv6Extensions, Ipv6FragmentHeader, Ipv6Header, Ipv6RawExtHeader, LinkExtSlice,
    LinkSlice, NetSlice, PacketBuilder, SingleVlanHeader, SlicedPacket, TransportSlice, VlanId,
};
use hub_core::frame::{DhcpAck, Network, Ports};
use hub_core::{FrameView, MacAddr};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::support::{arp, dhcp_reply, frame, mac, tagged, udp4, udp6};

fn view(bytes: &[u8]) -> FrameView {
    FrameView::parse(bytes).unwrap()
}

/// Whatever etherparse accepts, the view reads the same way.
fn agrees_with_etherparse(bytes: &[u8]) {
    let Ok(packet) = SlicedPacket::from_ethernet(bytes) else {
        return;
    };
    let Some(LinkSlice::Ethernet2(link)) = &packet.link else {
        panic!("no Ethernet header")
    };
    let view = view(bytes);
    assert_eq!(view.destination.octets(), link.destination());
    assert_eq!(view.source.octets(), link.source());
    assert_eq!(view.length as usize, bytes.len());

    let tags: Vec<_> = packet
        .link_exts
        .iter()
        .map_while(|ext| {
            if let LinkExtSlice::Vlan(tag) = ext {
                Some(tag)
            } else {
                None
            }
        })
        .collect();
    assert_eq!(
        view.vlan.map(|tag| tag.id()),
        tags.first().map(|tag| tag.vlan_identifier().value())
    );
    assert_eq!(
        view.vlan.map(|tag| tag.priority()),
        tags.first().map(|tag| tag.priority_code_point().value())
    );
    if tags.len() != packet.link_exts.len() || tags.len() > 2 {
        return; // deeper than a hub looks
    }
    let ethertype = tags.last().map_or(link.ether_type(), |tag| tag.ether_type());
    assert_eq!(EtherType(view.ethertype), ethertype);
    let ports = packet.transport.as_ref().and_then(ports);
    match (&packet.net, view.network) {
        (Some(NetSlice::Ipv4(theirs)), Network::Ipv4(ours)) => {
            let header = theirs.header();
            assert_eq!(ours.source, header.source_addr());
            assert_eq!(ours.destination, header.destination_addr());
            assert_eq!(IpNumber(ours.protocol), header.protocol());
            assert_eq!(ours.tos, header.dcp().value() << 2 | header.ecn().value());
            assert_eq!(ours.fragment, header.is_fragmenting_payload());
            if header.protocol() != IpNumber::AUTHENTICATION_HEADER {
                let payload = theirs.payload().payload.as_ptr() as usize - bytes.as_ptr() as usize;
                assert_eq!(usize::from(ours.transport_offset), payload);
                assert!(
                    ports.is_none() || ours.ports == ports,
                    "{:?} is not {ports:?}",
                    ours.ports
                );
            }
        }
        (Some(NetSlice::Ipv6(theirs)), Network::Ipv6(ours)) => {
            assert_eq!(ours.source, theirs.header().source_addr());
            assert_eq!(ours.destination, theirs.header().destination_addr());
            // A payload length of 0 means "none" to us, and "unknown" to etherparse.
            if theirs.header().payload_length() > 0 && !theirs.payload().fragmented {
                assert_eq!(IpNumber(ours.protocol), theirs.payload().ip_number);
                assert!(
                    ports.is_none() || ours.ports == ports,
                    "{:?} is not {ports:?}",
                    ours.ports
                );
                let payload = theirs.payload().payload.as_ptr() as usize - bytes.as_ptr() as usize;
                assert_eq!(usize::from(ours.transport_offset), payload);
            }
            assert!(!theirs.payload().fragmented || ours.fragment);
        }
        (Some(NetSlice::Arp(theirs)), Network::Arp(ours)) => {
            assert_eq!(ours.operation, theirs.operation().0);
            assert_eq!(ours.sender_mac.octets(), theirs.sender_hw_addr());
            assert_eq!(ours.sender.octets(), theirs.sender_protocol_addr());
            assert_eq!(ours.target.octets(), theirs.target_protocol_addr());
        }
        // ARP for other protocols than IPv4 over Ethernet.
        (Some(NetSlice::Arp(_)) | None, Network::Other) => {}
        (theirs, ours) => panic!("{ours:?} is not {theirs:?}"),
    }
}

fn ports(transport: &TransportSlice<'_>) -> Option<Ports> {
    match transport {
        TransportSlice::Udp(udp) => Some(Ports {
            source: udp.source_port(),
            destination: udp.destination_port(),
        }),
        TransportSlice::Tcp(tcp) => Some(Ports {
            source: tcp.source_port(),
            destination: tcp.destination_port(),
        }),
        _ => None,
    }
}

/// What to write behind the Ethernet header.
#[derive(Clone, Debug)]
struct Recipe {
    tags: Vec<u16>,
    v6: bool,
    tcp: bool,
    tos: u8,
    addresses: [u8; 32],
    ports: [u16; 2],
    payload: Vec<u8>,
}

fn recipe() -> impl Strategy<Value = Recipe> {
    let payload = vec(any::<u8>(), 0..64);
    (
        vec(0u16..4096, 0..3),
        any::<(bool, bool, u8, [u8; 32], [u16; 2])>(),
        payload,
    )
        .prop_map(|(tags, (v6, tcp, tos, addresses, ports), payload)| Recipe {
            tags,
            v6,
            tcp,
            tos,
            addresses,
            ports,
            payload,
        })
}

impl Recipe {
    fn write(&self) -> Vec<u8> {
        let link = PacketBuilder::ethernet2(mac(1).octets(), mac(2).octets());
        let [a @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = self.addresses;
        let [_, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, b @ ..] = self.addresses;
        let ip = if self.v6 {
            link.ipv6(a, b, 64)
        } else {
            let short = |long: [u8; 16]| [long[0], long[1], long[2], long[3]];
            link.ipv4(short(a), short(b), 64)
        };
        let [source, destination] = self.ports;
        let mut bytes = Vec::new();
        if self.tcp {
            ip.tcp(source, destination, 1, 1024)
                .write(&mut bytes, &self.payload)
                .unwrap();
        } else {
            ip.udp(source, destination)
                .write(&mut bytes, &self.payload)
                .unwrap();
        }
        if !self.v6 {
            bytes[15] = self.tos;
        }
        for tag in self.tags.iter().rev() {
            let ether_type = EtherType(u16::from_be_bytes([bytes[12], bytes[13]]));
            let vlan_id = VlanId::try_new(*tag).unwrap();
            let header = SingleVlanHeader {
                vlan_id,
                ether_type,
                ..SingleVlanHeader::default()
            };
            bytes.splice(12..14, [&[0x81, 0x00][..], &header.to_bytes()].concat());
        }
        bytes
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whole_packets_are_read_as_etherparse_reads_them(recipe in recipe()) {
        let bytes = recipe.write();
        prop_assert!(SlicedPacket::from_ethernet(&bytes).is_ok());
        prop_assert!(view(&bytes).network != Network::Other);
        agrees_with_etherparse(&bytes);
    }

    #[test]
    fn damaged_packets_are_read_as_etherparse_reads_them_if_it_does(
        recipe in recipe(),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        kept in 0.0..1.3,
    ) {
        let mut bytes = recipe.write();
        for (at, byte) in damage {
            // Mostly in the headers.
            let at = at.index(bytes.len().min(64));
            bytes[at] = byte;
        }
        bytes.resize((bytes.len() as f64 * kept) as usize, 0);
        agrees_with_etherparse(&bytes);
    }

    #[test]
    fn no_bytes_make_the_view_panic(bytes in vec(any::<u8>(), 0..200), ethertype in 0usize..6) {
        let mut bytes = bytes;
        if bytes.len() >= 14 {
            let ethertypes = [0x0800u16, 0x86dd, 0x0806, 0x8100, 0x88a8, 0x05dc];
            bytes[12..14].copy_from_slice(&ethertypes[ethertype].to_be_bytes());
        }
        prop_assert_eq!(FrameView::parse(&bytes).is_some(), bytes.len() >= 14);
        if let Some(view) = FrameView::parse(&bytes) {
            view.flow_hash();
            view.is_priority();
            view.dhcp_ack(&bytes);
        }
        agrees_with_etherparse(&bytes);
    }

    #[test]
    fn no_dhcp_message_makes_the_view_panic(
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let whole = dhcp_reply(5, mac(9), mac(1), Ipv4Addr::new(10, 0, 0, 9));
        let mut bytes = whole.bytes.to_vec();
        for (at, byte) in damage {
            let at = 42 + at.index(bytes.len() - 42);
            bytes[at] = byte;
        }
        bytes.truncate(42 + cut.index(bytes.len() - 42));
        // The view of the whole frame, so that the message is looked at and not the lengths before it.
        view(&whole.bytes).dhcp_ack(&bytes);
    }
}

#[test]
fn arp_is_read_as_etherparse_reads_it() {
    let request = arp(
        mac(1),
        mac(9),
        Ipv4Addr::new(10, 0, 0, 1),
        Ipv4Addr::new(10, 0, 0, 2),
    );
    agrees_with_etherparse(&request.bytes);
    assert!(matches!(view(&request.bytes).network, Network::Arp(arp) if arp.sender_mac == mac(9)));
}

#[test]
fn extension_headers_are_read_through() {
    let options = Ipv6RawExtHeader::new_raw(IpNumber::UDP, &[0; 14]).unwrap();
    let extensions = Ipv6Extensions {
        hop_by_hop_options: Some(options.clone()),
        destination_options: Some(options),
        fragment: Some(Ipv6FragmentHeader::new(
            IpNumber::UDP,
            0.try_into().unwrap(),
            true,
            7,
        )),
        ..Ipv6Extensions::default()
    };
    let ip = etherparse::IpHeaders::Ipv6(
        Ipv6Header {
            source: [1; 16],
            destination: [2; 16],
            ..Ipv6Header::default()
        },
        extensions,
    );
    let mut bytes = Vec::new();
    PacketBuilder::ethernet2(mac(1).octets(), mac(2).octets())
        .ip(ip)
        .udp(53, 40_000)
        .write(&mut bytes, b"answer")
        .unwrap();
    agrees_with_etherparse(&bytes);
    let Network::Ipv6(first) = view(&bytes).network else {
        panic!("not IPv6")
    };
    assert_eq!((first.protocol, first.fragment), (17, true));
    assert_eq!(
        first.ports,
        Some(Ports {
            source: 53,
            destination: 40_000
        })
    );
    assert_eq!(
        usize::from(first.transport_offset),
        bytes.len() - b"answer".len() - 8
    );

    // The same packet as a later fragment: what follows are not ports.
    let fragment_header = usize::from(first.transport_offset) - 8;
    bytes[fragment_header + 3] = 1 << 3;
    let Network::Ipv6(later) = view(&bytes).network else {
        panic!("not IPv6")
    };
    assert_eq!((later.protocol, later.fragment, later.ports), (17, true, None));
}

#[test]
fn later_fragments_have_no_ports() {
    let mut bytes = udp4(mac(1), Ipv4Addr::new(10, 0, 0, 1)).bytes.to_vec();
    bytes[20..22].copy_from_slice(&[0x20, 0x10]);
    let Network::Ipv4(ip) = view(&bytes).network else {
        panic!("not IPv4")
    };
    assert_eq!((ip.fragment, ip.ports), (true, None));
    bytes[20..22].copy_from_slice(&[0x20, 0x00]);
    let Network::Ipv4(ip) = view(&bytes).network else {
        panic!("not IPv4")
    };
    assert!(ip.fragment && ip.ports.is_some());
}

#[test]
fn padding_behind_a_packet_is_not_part_of_it() {
    let mut bytes = udp4(mac(1), Ipv4Addr::new(10, 0, 0, 1)).bytes.to_vec();
    bytes[16..18].copy_from_slice(&22u16.to_be_bytes());
    let Network::Ipv4(ip) = view(&bytes).network else {
        panic!("not IPv4")
    };
    assert_eq!(
        ip.ports, None,
        "a datagram of two bytes has no ports, whatever comes behind"
    );
}

#[test]
fn a_header_that_claims_too_much_is_other() {
    let whole = udp4(mac(1), Ipv4Addr::new(10, 0, 0, 1));
    let cut = view(&whole.bytes[..whole.len() - 1]);
    assert_eq!((cut.network, cut.ethertype), (Network::Other, 0x0800));
    let whole = udp6(mac(1), "fe80::1".parse().unwrap());
    let cut = view(&whole.bytes[..whole.len() - 1]);
    assert_eq!((cut.network, cut.ethertype), (Network::Other, 0x86dd));
}

#[test]
fn a_tag_without_what_it_tags_is_not_a_tag() {
    let whole = tagged(mac(1), mac(2), 0xe00a, b"");
    assert_eq!(
        view(&whole.bytes).vlan.map(|tag| (tag.id(), tag.priority())),
        Some((10, 7))
    );
    let cut = view(&whole.bytes[..17]);
    assert_eq!(
        (cut.vlan, cut.ethertype, cut.network),
        (None, 0x8100, Network::Other)
    );
}

#[test]
fn the_view_fits_in_a_cache_line_and_a_bit() {
    assert!(size_of::<FrameView>() <= 72, "{} bytes", size_of::<FrameView>());
}

#[test]
fn frames_of_one_flow_hash_alike_and_flows_spread() {
    let flow = |source: u16, payload: &[u8], v6: bool| {
        let mut bytes = Vec::new();
        let link = PacketBuilder::ethernet2(mac(1).octets(), mac(2).octets());
        let ip = if v6 {
            link.ipv6([1; 16], [2; 16], 64)
        } else {
            link.ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
        };
        ip.udp(source, 443).write(&mut bytes, payload).unwrap();
        view(&bytes).flow_hash()
    };
    for v6 in [false, true] {
        assert_eq!(flow(1000, b"one", v6), flow(1000, b"another", v6));
        let hashes: Vec<u32> = (0..1024).map(|port| flow(port, b"", v6)).collect();
        assert_eq!(hashes.iter().collect::<HashSet<_>>().len(), hashes.len());
        for connections in [2, 3, 8, 32] {
            let mut load = vec![0; connections as usize];
            hashes
                .iter()
                .for_each(|hash| load[(hash % connections) as usize] += 1);
            let fair = 1024 / connections;
            assert!(
                load.iter().all(|n| (fair / 2..fair * 2).contains(n)),
                "{connections}: {load:?}"
            );
        }
    }
}

#[test]
fn all_fragments_of_a_packet_are_one_flow() {
    let mut first = udp4(mac(1), Ipv4Addr::new(10, 0, 0, 1)).bytes.to_vec();
    let mut later = first.clone();
    first[20..22].copy_from_slice(&[0x20, 0x00]);
    later[20..22].copy_from_slice(&[0x00, 0x10]);
    later[34] ^= 0xff;
    assert_eq!(view(&first).flow_hash(), view(&later).flow_hash());
}

#[test]
fn other_protocols_flow_by_ethernet_addresses() {
    let hash = |source, destination| view(&frame(mac(source), mac(destination), b"").bytes).flow_hash();
    assert_eq!(hash(1, 2), hash(1, 2));
    let hashes: HashSet<u32> = (1..100)
        .map(|n| hash(n, 200))
        .chain((1..100).map(|n| hash(200, n)))
        .collect();
    assert_eq!(hashes.len(), 198);
}

#[test]
fn marked_packets_and_short_pings_have_priority() {
    let tos = |tos| {
        let mut bytes = udp4(mac(1), Ipv4Addr::new(10, 0, 0, 1)).bytes.to_vec();
        bytes[15] = tos;
        view(&bytes).is_priority()
    };
    assert_eq!(
        [0x00, 0x08, 0x10, 0xb8, 0x01].map(tos),
        [false, false, true, true, true]
    );

    let ping = |len: usize| {
        let mut bytes = Vec::new();
        PacketBuilder::ethernet2(mac(1).octets(), mac(2).octets())
            .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
            .icmpv4_echo_request(1, 1)
            .write(&mut bytes, &vec![0; len - 42])
            .unwrap();
        assert_eq!(bytes.len(), len);
        view(&bytes).is_priority()
    };
    assert_eq!(
        [42, 98, 128, 129, 1514].map(ping),
        [true, true, true, false, false]
    );
    assert!(!view(&udp6(mac(1), "fe80::1".parse().unwrap()).bytes).is_priority());
    assert!(!view(&frame(mac(1), mac(2), &[0xff; 60]).bytes).is_priority());
}

#[test]
fn a_dhcp_acknowledgement_is_recognised() {
    let address = Ipv4Addr::new(192, 168, 30, 10);
    let expected = DhcpAck {
        client: mac(1),
        address,
        server: Some(Ipv4Addr::new(10, 0, 0, 1)),
        lease_time: Some(Duration::from_secs(7200)),
    };
    let ack = dhcp_reply(5, mac(9), mac(1), address);
    assert_eq!(view(&ack.bytes).dhcp_ack(&ack.bytes), Some(expected));

    let [offer, nak] = [2, 6].map(|kind| dhcp_reply(kind, mac(9), mac(1), address));
    let informed = dhcp_reply(5, mac(9), mac(1), Ipv4Addr::UNSPECIFIED);
    let nobody = dhcp_reply(5, mac(9), MacAddr::BROADCAST, address);
    for other in [offer, nak, informed, nobody, udp4(mac(1), address)] {
        assert_eq!(view(&other.bytes).dhcp_ack(&other.bytes), None);
    }
    let mut from_elsewhere = ack.bytes.to_vec();
    from_elsewhere[34..36].copy_from_slice(&68u16.to_be_bytes());
    assert_eq!(view(&from_elsewhere).dhcp_ack(&from_elsewhere), None);
}
