//! The client against servers, good and bad, in virtual time.

use dhcproto::v4::{DhcpOption, Message, MessageType, Opcode, OptionCode, UnknownOption};
use dhcproto::{Decodable, Decoder, Encodable};
use proptest::prelude::*;

use super::*;

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const SERVER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 9];
const SERVER: Ipv4Addr = Ipv4Addr::new(192, 168, 30, 1);
const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 168, 30, 10);

fn client(now: Instant) -> Client {
    let mut client = Client::new(MAC, Some("laptop".to_owned()), 1);
    client.start(now);
    client
}

/// The next message of the client: where its frame goes, and what it says.
fn sent(client: &mut Client) -> ([u8; 6], Message) {
    let frame = client.poll_output().expect("the client says nothing");
    let mut to = [0; 6];
    to.copy_from_slice(&frame[..6]);
    (to, Message::decode(&mut Decoder::new(&frame[42..])).unwrap())
}

fn says(client: &mut Client, kind: MessageType) -> Message {
    let (_, message) = sent(client);
    assert_eq!(message.opts().msg_type(), Some(kind));
    message
}

fn option_ip(message: &Message, code: OptionCode) -> Option<Ipv4Addr> {
    match message.opts().get(code)? {
        DhcpOption::RequestedIpAddress(ip) | DhcpOption::ServerIdentifier(ip) => Some(*ip),
        _ => None,
    }
}

/// A server's answer to `to` with the usual options and those given.
fn answer(to: &Message, kind: MessageType, options: Vec<DhcpOption>) -> Vec<u8> {
    let none = Ipv4Addr::UNSPECIFIED;
    let mut message = Message::new_with_id(to.xid(), none, ADDRESS, none, none, &MAC);
    message.set_opcode(Opcode::BootReply);
    let usual = vec![
        DhcpOption::MessageType(kind),
        DhcpOption::ServerIdentifier(SERVER),
        DhcpOption::SubnetMask(Ipv4Addr::new(255, 255, 255, 0)),
        DhcpOption::AddressLeaseTime(7200),
    ];
    for option in usual.into_iter().chain(options) {
        message.opts_mut().insert(option);
    }
    message.to_vec().unwrap()
}

fn deliver(client: &mut Client, now: Instant, message: &[u8]) {
    assert!(client.handle_input(now, &frame::from_server(SERVER_MAC, SERVER, MAC, message)));
}

/// Takes a client from its discovery to a lease with these options.
fn lease_with(client: &mut Client, now: Instant, options: Vec<DhcpOption>) -> Lease {
    let discover = says(client, MessageType::Discover);
    deliver(
        client,
        now,
        &answer(&discover, MessageType::Offer, options.clone()),
    );
    let request = says(client, MessageType::Request);
    deliver(client, now, &answer(&request, MessageType::Ack, options));
    nobody_has_the_address(client);
    match client.poll_event() {
        Some(Event::Leased(lease)) => *lease,
        other => panic!("no lease but {other:?}"),
    }
}

/// Nobody answers the questions whether the address is in use.
fn nobody_has_the_address(client: &mut Client) {
    for _ in 0..PROBES {
        let probe = client.poll_output().expect("no probe");
        assert_eq!(
            (&probe[12..14], &probe[28..32], &probe[38..42]),
            (&[8, 6][..], &[0; 4][..], &ADDRESS.octets()[..])
        );
        assert!(client.poll_event().is_none() && client.lease().is_none());
        step(client);
    }
}

fn bound(now: Instant) -> Client {
    let mut client = client(now);
    lease_with(&mut client, now, Vec::new());
    client
}

/// Goes to the next time-out and handles it.
fn step(client: &mut Client) -> Instant {
    let at = client.poll_timeout().expect("no time-out");
    client.handle_timeout(at);
    at
}

#[test]
fn discover_offer_request_ack_gives_the_lease() {
    let now = Instant::now();
    let mut client = client(now);
    let discover = says(&mut client, MessageType::Discover);
    assert_eq!(discover.chaddr(), MAC);
    assert!(
        matches!(discover.opts().get(OptionCode::Hostname), Some(DhcpOption::Hostname(name)) if name == "laptop")
    );

    deliver(
        &mut client,
        now,
        &answer(&discover, MessageType::Offer, Vec::new()),
    );
    let request = says(&mut client, MessageType::Request);
    assert_eq!(request.xid(), discover.xid());
    assert_eq!(option_ip(&request, OptionCode::RequestedIpAddress), Some(ADDRESS));
    assert_eq!(option_ip(&request, OptionCode::ServerIdentifier), Some(SERVER));

    deliver(&mut client, now, &answer(&request, MessageType::Ack, Vec::new()));
    nobody_has_the_address(&mut client);
    let lease = client.lease().unwrap();
    assert_eq!((lease.address, lease.prefix, lease.server), (ADDRESS, 24, SERVER));
    assert_eq!(
        (lease.term, lease.renew),
        (Some(Duration::from_secs(7200)), Duration::from_secs(3600))
    );
    assert_eq!(client.poll_timeout(), Some(now + Duration::from_secs(3600)));
}

#[test]
fn the_other_options_are_read() {
    let now = Instant::now();
    let mut client = client(now);
    let lease = lease_with(
        &mut client,
        now,
        vec![
            DhcpOption::Router(vec![SERVER]),
            DhcpOption::DomainNameServer(vec![SERVER, Ipv4Addr::UNSPECIFIED]),
            DhcpOption::DomainName("Corp.Example\0".to_owned()),
            DhcpOption::InterfaceMtu(1400),
            DhcpOption::Renewal(1000),
            DhcpOption::Rebinding(2000),
        ],
    );
    assert_eq!(lease.router, Some(SERVER));
    assert_eq!(lease.dns, [SERVER]);
    assert_eq!(lease.domain.as_deref(), Some("corp.example"));
    assert_eq!(lease.mtu, Some(1400));
    assert_eq!(
        (lease.renew, lease.rebind),
        (Duration::from_secs(1000), Duration::from_secs(2000))
    );
}

#[test]
fn classless_routes_take_the_place_of_the_router() {
    // RFC 3442: 10.0.1.0/24 by way of the server, 10.17.0.0/16 on the link.
    let bytes = vec![24, 10, 0, 1, 192, 168, 30, 1, 16, 10, 17, 0, 0, 0, 0];
    for code in [121, 249] {
        let now = Instant::now();
        let mut client = client(now);
        let routes = DhcpOption::Unknown(UnknownOption::new(OptionCode::from(code), bytes.clone()));
        let lease = lease_with(&mut client, now, vec![routes, DhcpOption::Router(vec![SERVER])]);
        assert_eq!((lease.router, lease.way_out()), (Some(SERVER), None));
        assert_eq!(
            lease.routes,
            [
                ClasslessRoute {
                    network: Ipv4Addr::new(10, 0, 1, 0),
                    prefix: 24,
                    router: Some(SERVER)
                },
                ClasslessRoute {
                    network: Ipv4Addr::new(10, 17, 0, 0),
                    prefix: 16,
                    router: None
                },
            ]
        );
    }
}

#[test]
fn an_option_in_pieces_and_in_the_name_fields_is_joined() {
    let now = Instant::now();
    let mut client = client(now);
    let discover = says(&mut client, MessageType::Discover);
    let mut offer = answer(&discover, MessageType::Offer, vec![DhcpOption::OptionOverload(3)]);
    // One route in two pieces, not next to each other, the second in the server name (RFC 2131, RFC 3396).
    offer[108..116].copy_from_slice(&[121, 4, 24, 10, 0, 1, 255, 0]);
    offer[44..51].copy_from_slice(&[121, 4, 192, 168, 30, 1, 255]);
    let xid = discover.xid();
    let Some(Reply::Offer(lease)) = message::parse(&offer, xid, MAC) else {
        panic!("no offer")
    };
    assert_eq!(
        lease.routes,
        [ClasslessRoute {
            network: Ipv4Addr::new(10, 0, 1, 0),
            prefix: 24,
            router: Some(SERVER)
        }]
    );
}

#[test]
fn questions_are_repeated_with_growing_pauses() {
    let now = Instant::now();
    let mut client = client(now);
    let first = says(&mut client, MessageType::Discover);
    let mut before = now;
    for whole in [4.0, 8.0, 16.0, 32.0, 64.0, 64.0] {
        let at = step(&mut client);
        let pause = (at - before).as_secs_f64();
        assert!(
            (whole - 1.0..=whole + 1.0).contains(&pause),
            "{pause} instead of {whole}"
        );
        let again = says(&mut client, MessageType::Discover);
        assert_eq!(again.xid(), first.xid());
        assert_eq!(u64::from(again.secs()), (at - now).as_secs());
        before = at;
    }
    assert_eq!(client.poll_event(), Some(Event::NoAnswer));
}

#[test]
fn answers_that_are_not_ours_or_make_no_sense_change_nothing() {
    let now = Instant::now();
    let mut client = client(now);
    let discover = says(&mut client, MessageType::Discover);
    let good = answer(&discover, MessageType::Offer, Vec::new());
    let with = |at: usize, bytes: &[u8]| {
        let mut bad = good.clone();
        bad[at..at + bytes.len()].copy_from_slice(bytes);
        bad
    };
    let bad = [
        with(4, &[0xde, 0xad]),                          // another transaction
        with(28, &[9; 6]),                               // another client
        with(0, &[1]),                                   // a request
        with(236, &[0; 4]),                              // no DHCP
        with(16, &[127, 0, 0, 1]),                       // no host's address
        with(16, &[0; 4]),                               // none at all
        answer(&discover, MessageType::Ack, Vec::new()), // out of turn
        answer(
            &discover,
            MessageType::Offer,
            vec![DhcpOption::SubnetMask(Ipv4Addr::new(255, 0, 255, 0))],
        ),
        answer(
            &discover,
            MessageType::Offer,
            vec![DhcpOption::ServerIdentifier(Ipv4Addr::UNSPECIFIED)],
        ),
    ];
    for message in bad {
        deliver(&mut client, now, &message);
        assert!(
            client.poll_output().is_none() && client.poll_event().is_none(),
            "{message:?}"
        );
    }
    deliver(&mut client, now, &good);
    says(&mut client, MessageType::Request);
}

#[test]
fn a_refused_request_starts_over_after_a_pause() {
    let now = Instant::now();
    let mut client = client(now);
    let discover = says(&mut client, MessageType::Discover);
    deliver(
        &mut client,
        now,
        &answer(&discover, MessageType::Offer, Vec::new()),
    );
    let request = says(&mut client, MessageType::Request);
    deliver(&mut client, now, &answer(&request, MessageType::Nak, Vec::new()));
    assert!(client.poll_output().is_none());
    assert_eq!(step(&mut client), now + AFTER_NAK);
    assert_ne!(says(&mut client, MessageType::Discover).xid(), discover.xid());
}

#[test]
fn a_lease_is_renewed_at_its_server_without_a_word_to_the_user() {
    let now = Instant::now();
    let mut client = bound(now);
    let at = step(&mut client);
    let (to, request) = sent(&mut client);
    assert_eq!(to, SERVER_MAC);
    assert_eq!(request.ciaddr(), ADDRESS);
    assert_eq!(option_ip(&request, OptionCode::RequestedIpAddress), None);
    deliver(&mut client, at, &answer(&request, MessageType::Ack, Vec::new()));
    assert_eq!(client.poll_event(), Some(Event::Renewed));
    assert_eq!(client.poll_timeout(), Some(at + Duration::from_secs(3600)));
}

#[test]
fn a_renewal_that_changes_something_is_told() {
    let now = Instant::now();
    let mut client = bound(now);
    let at = step(&mut client);
    let (_, request) = sent(&mut client);
    let routed = answer(&request, MessageType::Ack, vec![DhcpOption::Router(vec![SERVER])]);
    deliver(&mut client, at, &routed);
    assert!(matches!(client.poll_event(), Some(Event::Leased(lease)) if lease.router == Some(SERVER)));
}

#[test]
fn a_lease_nobody_prolongs_is_asked_of_everyone_and_then_lost() {
    let now = Instant::now();
    let mut client = bound(now);
    let (mut directly, mut to_all) = (0, 0);
    let mut at = now;
    while client.lease().is_some() {
        at = step(&mut client);
        while let Some(frame) = client.poll_output() {
            let message = Message::decode(&mut Decoder::new(&frame[42..])).unwrap();
            match message.opts().msg_type() {
                Some(MessageType::Request) if frame[..6] == SERVER_MAC => directly += 1,
                Some(MessageType::Request) => {
                    assert!(at >= now + Duration::from_secs(6300), "to all before its time");
                    to_all += 1;
                }
                other => assert_eq!(
                    (other, at),
                    (Some(MessageType::Discover), now + Duration::from_secs(7200))
                ),
            }
        }
    }
    assert_eq!(at, now + Duration::from_secs(7200));
    assert!(
        (2..20).contains(&directly) && (2..20).contains(&to_all),
        "{directly} and {to_all}"
    );
    assert_eq!(client.poll_event(), Some(Event::Lost(Loss::Expired)));
}

#[test]
fn after_the_link_was_down_the_address_is_confirmed() {
    let now = Instant::now();
    let mut client = bound(now);
    client.stop();
    client.start(now);
    let (to, request) = sent(&mut client);
    assert_eq!(to, frame::BROADCAST);
    assert_eq!(request.ciaddr(), Ipv4Addr::UNSPECIFIED);
    assert_eq!(option_ip(&request, OptionCode::RequestedIpAddress), Some(ADDRESS));
    assert_eq!(option_ip(&request, OptionCode::ServerIdentifier), None);
    deliver(&mut client, now, &answer(&request, MessageType::Ack, Vec::new()));
    assert_eq!(client.poll_event(), Some(Event::Renewed));
}

#[test]
fn an_address_refused_after_the_link_was_down_is_lost_at_once() {
    let now = Instant::now();
    let mut client = bound(now);
    client.stop();
    client.start(now);
    let (_, request) = sent(&mut client);
    let reason = DhcpOption::Message("wrong network".to_owned());
    deliver(
        &mut client,
        now,
        &answer(&request, MessageType::Nak, vec![reason]),
    );
    assert_eq!(
        client.poll_event(),
        Some(Event::Lost(Loss::Refused("wrong network".to_owned())))
    );
    assert!(client.lease().is_none());
    step(&mut client);
    says(&mut client, MessageType::Discover);
}

#[test]
fn a_lease_that_ended_while_the_link_was_down_is_lost() {
    let now = Instant::now();
    let mut client = bound(now);
    client.stop();
    client.start(now + Duration::from_secs(8000));
    assert_eq!(client.poll_event(), Some(Event::Lost(Loss::Expired)));
    says(&mut client, MessageType::Discover);
}

#[test]
fn silence_after_the_link_was_down_leaves_the_lease_to_its_end() {
    let now = Instant::now();
    let mut client = bound(now);
    client.stop();
    client.start(now);
    while client
        .poll_timeout()
        .is_some_and(|at| at < now + Duration::from_secs(3600))
    {
        step(&mut client);
    }
    assert!(client.lease().is_some() && client.poll_event().is_none());
}

#[test]
fn a_lease_for_ever_needs_no_clock() {
    let now = Instant::now();
    let mut client = client(now);
    lease_with(&mut client, now, vec![DhcpOption::AddressLeaseTime(u32::MAX)]);
    assert_eq!(client.poll_timeout(), None);
}

#[test]
fn an_address_that_somebody_has_is_declined_and_another_one_asked_for_later() {
    const SOMEBODY: [u8; 6] = [2, 0, 0, 0, 0, 7];
    let now = Instant::now();
    let mut client = client(now);
    let mut asked = now;
    for pause in [10, 20, 40] {
        let discover = says(&mut client, MessageType::Discover);
        assert_eq!(option_ip(&discover, OptionCode::RequestedIpAddress), None);
        deliver(
            &mut client,
            asked,
            &answer(&discover, MessageType::Offer, Vec::new()),
        );
        let request = says(&mut client, MessageType::Request);
        deliver(
            &mut client,
            asked,
            &answer(&request, MessageType::Ack, Vec::new()),
        );
        client.poll_output().expect("no probe");
        // Others' addresses, and our own frames that come back, say nothing.
        assert!(client.handle_input(asked, &arp::answer(SOMEBODY, SERVER, MAC)));
        assert!(client.handle_input(asked, &arp::answer(MAC, ADDRESS, MAC)));
        assert!(client.poll_output().is_none());

        assert!(client.handle_input(asked, &arp::answer(SOMEBODY, ADDRESS, MAC)));
        let decline = says(&mut client, MessageType::Decline);
        assert_eq!(option_ip(&decline, OptionCode::RequestedIpAddress), Some(ADDRESS));
        assert_eq!(option_ip(&decline, OptionCode::ServerIdentifier), Some(SERVER));
        assert_eq!(client.poll_event(), Some(Event::Taken(ADDRESS, SOMEBODY)));
        assert!(client.lease().is_none());
        let next = step(&mut client);
        assert_eq!(next, asked + Duration::from_secs(pause));
        asked = next;
    }
}

#[test]
fn a_kept_address_is_not_probed_again() {
    let now = Instant::now();
    let mut client = bound(now);
    client.stop();
    client.start(now);
    let reboot = says(&mut client, MessageType::Request);
    deliver(&mut client, now, &answer(&reboot, MessageType::Ack, Vec::new()));
    assert_eq!(
        (client.poll_event(), client.poll_output()),
        (Some(Event::Renewed), None)
    );
}

#[test]
fn a_server_hears_how_long_its_messages_may_be_and_what_we_want_to_know() {
    let mut client = client(Instant::now());
    let discover = says(&mut client, MessageType::Discover);
    let size = discover.opts().get(OptionCode::MaxMessageSize);
    assert!(matches!(size, Some(DhcpOption::MaxMessageSize(1500))), "{size:?}");
    let Some(DhcpOption::ParameterRequestList(wanted)) =
        discover.opts().get(OptionCode::ParameterRequestList)
    else {
        panic!("nothing is asked for")
    };
    let wanted: Vec<u8> = wanted.iter().copied().map(u8::from).collect();
    for code in [1, 3, 6, 15, 26, 51, 58, 59, 119, 121, 249] {
        assert!(wanted.contains(&code), "{code} is not asked for");
    }
}

#[test]
fn routes_longer_than_an_option_arrive_whole() {
    let now = Instant::now();
    let mut client = client(now);
    let discover = says(&mut client, MessageType::Discover);
    let mut offer = answer(&discover, MessageType::Offer, Vec::new());
    offer.pop(); // the end mark
    let routes: Vec<u8> = (0..100).flat_map(|n| [24, 10, 0, n, 192, 168, 30, 1]).collect();
    for piece in routes.chunks(255) {
        offer.extend([121, piece.len() as u8]);
        offer.extend(piece);
    }
    offer.push(255);
    let Some(Reply::Offer(lease)) = message::parse(&offer, discover.xid(), MAC) else {
        panic!("no offer")
    };
    assert_eq!(lease.routes.len(), 100);
    assert_eq!(lease.routes[99].network, Ipv4Addr::new(10, 0, 99, 0));
}

#[test]
fn an_address_is_given_back_to_its_server() {
    let mut client = bound(Instant::now());
    client.release();
    let (to, release) = sent(&mut client);
    assert_eq!(to, SERVER_MAC);
    assert_eq!(release.opts().msg_type(), Some(MessageType::Release));
    assert_eq!(
        (
            release.ciaddr(),
            option_ip(&release, OptionCode::ServerIdentifier)
        ),
        (ADDRESS, Some(SERVER))
    );
    assert_eq!((client.poll_timeout(), client.lease()), (None, None));
}

#[test]
fn messages_are_as_long_as_old_relays_want_them() {
    let mut client = client(Instant::now());
    assert!(client.poll_output().unwrap().len() >= 42 + 300);
}

/// What a wild server and a wild network do to a client.
#[derive(Debug, Clone)]
enum Wild {
    /// An answer of this kind to the last question, with these options spliced in raw.
    Answer(u8, [u8; 4], Vec<u8>),
    /// Bytes in place of a message.
    Noise(Vec<u8>),
    /// Time passes up to the next time-out.
    Wait,
    /// The link goes down for so many seconds.
    Down(u32),
}

fn wild() -> impl Strategy<Value = Wild> {
    let bytes = prop::collection::vec(any::<u8>(), 0..400);
    prop_oneof![
        4 => (0u8..9, any::<[u8; 4]>(), bytes.clone()).prop_map(|(k, a, o)| Wild::Answer(k, a, o)),
        1 => bytes.prop_map(Wild::Noise),
        3 => Just(Wild::Wait),
        1 => (0u32..100_000).prop_map(Wild::Down),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Whatever servers say: no panic, no time-out that repeats without end, no flood, no address a host cannot have.
    #[test]
    fn no_server_confuses_the_client(seed: u64, events in prop::collection::vec(wild(), 1..60)) {
        let mut now = Instant::now();
        let mut client = Client::new(MAC, None, seed);
        client.start(now);
        let mut xid = 0;
        for event in events {
            match event {
                Wild::Answer(kind, address, raw) => {
                    let none = Ipv4Addr::UNSPECIFIED;
                    let question = Message::new_with_id(xid, none, none, none, none, &MAC);
                    let mut message = answer(&question, MessageType::from(kind), Vec::new());
                    message[16..20].copy_from_slice(&address);
                    message.pop(); // the end mark
                    message.extend(raw);
                    let _ = client.handle_input(now, &frame::from_server(SERVER_MAC, SERVER, MAC, &message));
                }
                Wild::Noise(bytes) => {
                    let _ = client.handle_input(now, &bytes);
                    let _ = client.handle_input(now, &frame::from_server(SERVER_MAC, SERVER, MAC, &bytes));
                }
                Wild::Wait => {
                    now = client.poll_timeout().unwrap_or(now).max(now);
                    client.handle_timeout(now);
                }
                Wild::Down(seconds) => {
                    client.stop();
                    now += Duration::from_secs(seconds.into());
                    client.start(now);
                }
            }
            let mut rounds = 0;
            while client.poll_timeout().is_some_and(|at| at <= now) {
                client.handle_timeout(now);
                rounds += 1;
                prop_assert!(rounds < 4, "the time-out does not move on");
            }
            let mut frames = 0;
            while let Some(frame) = client.poll_output() {
                if let Some(number) = frame.get(46..50) {
                    xid = u32::from_be_bytes([number[0], number[1], number[2], number[3]]);
                }
                frames += 1;
            }
            prop_assert!(frames < 6, "{frames} frames at once");
            if let Some(lease) = client.lease() {
                prop_assert!((1..=32).contains(&lease.prefix));
                prop_assert!(!lease.address.is_unspecified() && !lease.address.is_loopback());
                prop_assert!(!lease.address.is_multicast() && !lease.address.is_broadcast());
                prop_assert!(lease.term.is_none_or(|term| lease.renew <= lease.rebind && lease.rebind < term));
            }
            while client.poll_event().is_some() {}
        }
    }
}
