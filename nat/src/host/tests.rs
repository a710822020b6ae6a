use std::collections::BTreeMap;

use etherparse::PacketBuilder;
use proptest::prelude::*;

use super::*;
use crate::dhcp::message::{MessageType, Op, option};
use crate::packet::tests::{STATION, frame};

const HOST: Ipv4Addr = Ipv4Addr::new(192, 168, 30, 1);
const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 168, 30, 9);

struct Lab {
    host: VirtualHost,
    now: Instant,
}

impl Lab {
    fn new(adapt: impl FnOnce(&mut SecureNatConfig)) -> Self {
        let mut config = SecureNatConfig::with_random_mac([1, 2, 3, 4, 5]);
        adapt(&mut config);
        Lab {
            host: VirtualHost::new(&config, Stations::unknown()),
            now: Instant::now(),
        }
    }

    fn mac(&self) -> [u8; 6] {
        self.host.config.mac_address.octets()
    }

    fn send(&mut self, frame: &Frame) -> Option<Packet> {
        self.host.handle_frame(self.now, frame).map(|(packet, _)| packet)
    }

    /// Lets the time pass in which stations answer for an address.
    fn pass_probe(&mut self) {
        self.now = self.host.poll_timeout().unwrap();
        self.host.handle_timeout(self.now);
    }

    fn frames(&mut self) -> Vec<Frame> {
        std::iter::from_fn(|| self.host.poll_frame()).collect()
    }

    fn ping(&self, to: Ipv4Addr, hops: u8) -> Frame {
        let builder =
            PacketBuilder::ethernet2(STATION.octets(), self.mac()).ipv4(CLIENT.octets(), to.octets(), hops);
        frame(|out| builder.icmpv4_echo_request(7, 1).write(out, b"ping").unwrap())
    }

    fn udp(&self, from: Ipv4Addr, to: &str, data: &[u8]) -> Frame {
        let to: SocketAddrV4 = to.parse().unwrap();
        let builder =
            PacketBuilder::ethernet2(STATION.octets(), self.mac()).ipv4(from.octets(), to.ip().octets(), 64);
        frame(|out| builder.udp(5000, to.port()).write(out, data).unwrap())
    }
}

fn arp(operation: u16, sender: Ipv4Addr, target: Ipv4Addr) -> Frame {
    let mut bytes = [[0xff; 6], STATION.octets()].concat();
    bytes.extend_from_slice(&[0x08, 0x06, 0, 1, 8, 0, 6, 4]);
    bytes.extend_from_slice(&operation.to_be_bytes());
    bytes.extend_from_slice(&STATION.octets());
    bytes.extend_from_slice(&sender.octets());
    bytes.extend_from_slice(&[0; 6]);
    bytes.extend_from_slice(&target.octets());
    Frame::new(bytes)
}

fn arp_of(frame: &Frame) -> Arp {
    match FrameView::parse(&frame.bytes).unwrap().network {
        Network::Arp(arp) => arp,
        other => panic!("no ARP: {other:?}"),
    }
}

#[test]
fn the_host_says_once_who_it_is() {
    let mut lab = Lab::new(|_| {});
    lab.host.announce();
    let frames = lab.frames();
    let announcement = arp_of(&frames[0]);
    assert_eq!((announcement.sender, announcement.target), (HOST, HOST));
    assert!(
        frames.len() == 1 && lab.host.poll_timeout().is_none(),
        "and does not repeat it"
    );
}

#[test]
fn a_question_for_the_host_is_answered_and_others_are_not() {
    let mut lab = Lab::new(|_| {});
    lab.send(&arp(ARP_REQUEST, CLIENT, HOST));
    let frames = lab.frames();
    let answer = arp_of(&frames[0]);
    assert_eq!(
        (answer.operation, answer.sender, answer.target),
        (ARP_REPLY, HOST, CLIENT)
    );
    assert_eq!(answer.sender_mac, lab.host.config.mac_address);
    lab.send(&arp(ARP_REQUEST, CLIENT, Ipv4Addr::new(192, 168, 30, 2)));
    assert!(lab.frames().is_empty());
}

#[test]
fn the_host_answers_a_ping_and_passes_others_on() {
    let mut lab = Lab::new(|_| {});
    assert_eq!(lab.send(&lab.ping(HOST, 64)), None);
    let frames = lab.frames();
    assert_eq!(frames[0].bytes[14 + 20], 0, "an echo reply");
    assert_eq!(frames[0].bytes[..6], STATION.octets());
    let elsewhere = lab.send(&lab.ping(Ipv4Addr::new(1, 1, 1, 1), 64)).unwrap();
    assert_eq!(elsewhere.echo_request().unwrap().data, b"ping");
}

#[test]
fn a_packet_at_the_end_of_its_life_names_the_host_as_a_hop() {
    let mut lab = Lab::new(|_| {});
    assert_eq!(lab.send(&lab.ping(Ipv4Addr::new(1, 1, 1, 1), 1)), None);
    assert_eq!(lab.frames()[0].bytes[14 + 20], 11, "time exceeded");
}

#[test]
fn sources_outside_the_network_are_refused_and_counted() {
    let mut lab = Lab::new(|_| {});
    for liar in [
        "10.0.0.1",
        "192.168.30.0",
        "192.168.30.255",
        "192.168.30.1",
        "127.0.0.1",
        "0.0.0.0",
    ] {
        let frame = lab.udp(liar.parse().unwrap(), "1.1.1.1:53", b"x");
        assert_eq!(lab.send(&frame), None, "{liar}");
    }
    assert_eq!(lab.host.foreign_sources(), 6);
}

#[test]
fn stations_of_the_hub_are_not_reached_through_the_host() {
    let mut lab = Lab::new(|_| {});
    for to in [
        "192.168.30.10:1",
        "192.168.30.255:1",
        "255.255.255.255:1",
        "224.0.0.251:5353",
    ] {
        assert_eq!(lab.send(&lab.udp(CLIENT, to, b"x")), None, "{to}");
    }
    assert!(
        lab.send(&lab.udp(CLIENT, "192.168.30.1:53", b"x")).is_some(),
        "the host itself is"
    );
}

#[test]
fn without_nat_nothing_leaves_and_ping_still_works() {
    let mut lab = Lab::new(|config| config.use_nat = false);
    assert_eq!(lab.send(&lab.udp(CLIENT, "1.1.1.1:53", b"x")), None);
    assert_eq!(lab.send(&lab.udp(CLIENT, "192.168.30.1:53", b"x")), None);
    lab.send(&lab.ping(HOST, 64));
    assert_eq!(lab.frames().len(), 1);
}

#[test]
fn answers_wait_for_the_stations_address_and_are_cut_to_the_mtu() {
    let mut lab = Lab::new(|config| config.mtu = 600);
    let to = SocketAddrV4::new(CLIENT, 5000);
    lab.host.send_packet(
        lab.now,
        Outgoing::udp(SocketAddrV4::new(HOST, 53), to, &[0; 1000]),
    );
    let frames = lab.frames();
    let question = arp_of(&frames[0]);
    assert_eq!((frames.len(), question.target), (1, CLIENT));
    lab.send(&arp(ARP_REPLY, CLIENT, HOST));
    let frames = lab.frames();
    assert_eq!(frames.len(), 2);
    assert!(
        frames
            .iter()
            .all(|frame| frame.bytes[..6] == STATION.octets() && frame.len() <= 614)
    );
}

fn discover() -> Message {
    Message {
        op: Op::Request,
        kind: MessageType::Discover,
        xid: 5,
        broadcast: true,
        ciaddr: Ipv4Addr::UNSPECIFIED,
        yiaddr: Ipv4Addr::UNSPECIFIED,
        chaddr: STATION,
        options: BTreeMap::from([(option::HOST_NAME, b"pc".to_vec())]),
    }
}

fn dhcp_frame(message: &Message) -> Frame {
    let builder = PacketBuilder::ethernet2(STATION.octets(), [0xff; 6]).ipv4([0; 4], [255; 4], 64);
    frame(|out| builder.udp(68, 67).write(out, &message.encode()).unwrap())
}

#[test]
fn dhcp_is_served_to_clients_without_an_address() {
    let mut lab = Lab::new(|_| {});
    lab.send(&dhcp_frame(&discover()));
    let question = arp_of(&lab.frames()[0]);
    assert_eq!(
        (question.operation, question.sender),
        (ARP_REQUEST, Ipv4Addr::UNSPECIFIED)
    );
    lab.pass_probe();
    let frames = lab.frames();
    let view = FrameView::parse(&frames[0].bytes).unwrap();
    let packet = Packet::from_frame(&frames[0], &view).unwrap();
    let offer = Message::decode(packet.udp(Checksum::Complete).unwrap()).unwrap();
    assert_eq!(
        (offer.kind, packet.target()),
        (MessageType::Offer, "255.255.255.255:68".parse().unwrap())
    );
    assert_eq!(offer.yiaddr, question.target);
    assert!(view.destination.is_broadcast());
}

#[test]
fn an_address_that_a_station_answers_for_is_not_offered() {
    let mut lab = Lab::new(|_| {});
    lab.send(&dhcp_frame(&discover()));
    let first = arp_of(&lab.frames()[0]).target;
    let squatter = MacAddr::new([2, 0, 0, 0, 9, 9]);
    let mut answer = arp(ARP_REPLY, first, HOST).bytes.to_vec();
    answer[6..12].copy_from_slice(&squatter.octets());
    answer[22..28].copy_from_slice(&squatter.octets());
    lab.send(&Frame::new(answer));
    lab.pass_probe();
    let second = arp_of(&lab.frames()[0]).target;
    assert_ne!(second, first);
    let told = lab.host.poll_event();
    let ip = first;
    assert_eq!(told, Some(Event::AddressInUse { mac: squatter, ip }));
}

#[test]
fn a_long_answer_is_sent_in_pieces_to_who_says_that_it_takes_them() {
    let routes: Vec<_> = (0..200).map(|i| format!("10.{i}.0.1/32/192.168.30.1")).collect();
    let mut lab = Lab::new(|config| config.dhcp_push_routes = routes.join(" ").parse().unwrap());
    let mut discover = discover();
    discover.options.insert(option::PARAMETERS, vec![121]);
    discover
        .options
        .insert(option::MAX_SIZE, 4096u16.to_be_bytes().to_vec());
    lab.send(&dhcp_frame(&discover));
    lab.frames();
    lab.pass_probe();
    let frames = lab.frames();
    assert!(frames.len() > 1 && frames.iter().all(|frame| frame.bytes.len() <= 1514));
}

#[test]
fn with_dhcp_off_nobody_answers() {
    let mut lab = Lab::new(|config| config.use_dhcp = false);
    lab.send(&dhcp_frame(&discover()));
    assert!(lab.frames().is_empty());
    assert!(!lab.host.handle_dhcp_frame(lab.now, &dhcp_frame(&discover())));
}

#[test]
fn in_kernel_mode_only_dhcp_is_taken() {
    let mut lab = Lab::new(|_| {});
    assert!(lab.host.handle_dhcp_frame(lab.now, &dhcp_frame(&discover())));
    assert_eq!(lab.frames().len(), 1, "the question for the address");
    for other in [arp(ARP_REQUEST, CLIENT, HOST), lab.ping(HOST, 64)] {
        assert!(!lab.host.handle_dhcp_frame(lab.now, &other));
    }
    assert!(lab.frames().is_empty());
}

#[test]
fn another_address_of_the_host_is_announced() {
    let mut lab = Lab::new(|_| {});
    let moved = SecureNatConfig {
        ip: Ipv4Addr::new(192, 168, 30, 254),
        ..lab.host.config.clone()
    };
    lab.host.set_config(&moved);
    assert_eq!(arp_of(&lab.frames()[0]).sender, moved.ip);
}

proptest! {
    #[test]
    fn hostile_frames_never_break_the_host(
        bytes in prop::collection::vec(any::<u8>(), 0..200), kind in 0usize..3, at in any::<prop::sample::Index>()
    ) {
        let mut lab = Lab::new(|_| {});
        let mut good = [dhcp_frame(&discover()), lab.ping(HOST, 64), arp(ARP_REQUEST, CLIENT, HOST)][kind].bytes.to_vec();
        let at = at.index(good.len());
        for (place, byte) in good[at..].iter_mut().zip(&bytes) {
            *place = *byte;
        }
        lab.send(&Frame::new(good.clone()));
        good.truncate(at);
        lab.send(&Frame::new(good));
        lab.send(&Frame::new(bytes));
        prop_assert!(lab.frames().len() <= 3);
    }
}
