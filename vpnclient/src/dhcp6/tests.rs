use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const DUID: [u8; 10] = [0, 3, 0, 1, 2, 0, 0, 0, 0, 1];
const SERVER: &[u8] = &[0, 3, 0, 1, 2, 0, 0, 0, 0, 9];
const OTHER: &[u8] = &[0, 3, 0, 1, 2, 0, 0, 0, 0, 8];

fn from() -> Ipv6Addr {
    "fe80::1".parse().unwrap()
}

fn address() -> Ipv6Addr {
    "2001:db8::77".parse().unwrap()
}

/// The kind and number of the next message, and all of it.
fn sent(client: &mut Client) -> Option<(u8, [u8; 3], Vec<u8>)> {
    let frame = client.poll_output(from())?;
    let message = frame[62..].to_vec();
    Some((message[0], [message[1], message[2], message[3]], message))
}

/// Goes to when something is due, and does it.
fn pass(client: &mut Client, now: &mut Instant) {
    *now = client.poll_timeout().expect("something is due");
    client.handle_timeout(*now);
}

fn option(code: u16, content: &[u8]) -> Vec<u8> {
    [
        &code.to_be_bytes()[..],
        &(content.len() as u16).to_be_bytes(),
        content,
    ]
    .concat()
}

fn association(times: [u32; 2], inner: &[u8]) -> Vec<u8> {
    let mut content = vec![0, 0, 0, 1];
    content.extend(times.iter().flat_map(|time| time.to_be_bytes()));
    content.extend(inner);
    option(3, &content)
}

fn granted(address: Ipv6Addr, preferred: u32, valid: u32) -> Vec<u8> {
    let mut content = address.octets().to_vec();
    content.extend(preferred.to_be_bytes());
    content.extend(valid.to_be_bytes());
    option(5, &content)
}

fn says(kind: u8, xid: [u8; 3], server: &[u8], options: &[Vec<u8>]) -> Vec<u8> {
    let mut message = vec![kind];
    message.extend(xid);
    message.extend(option(1, &DUID));
    message.extend(option(2, server));
    message.extend(options.concat());
    frame::from_server(&message)
}

fn names() -> Vec<u8> {
    let server: Ipv6Addr = "2001:db8::53".parse().unwrap();
    [
        option(23, &server.octets()),
        option(24, b"\x04corp\x07example\x00"),
    ]
    .concat()
}

fn information() -> Information {
    Information {
        dns: vec!["2001:db8::53".parse().unwrap()],
        search: vec!["corp.example".to_owned()],
    }
}

/// A client that has its address since the returned time.
fn bound(times: [u32; 2], preferred: u32, valid: u32) -> (Client, Instant) {
    let mut now = Instant::now();
    let mut client = Client::new(MAC, 7);
    client.advised(now, true, true);
    pass(&mut client, &mut now);
    let (kind, xid, _) = sent(&mut client).unwrap();
    assert_eq!(kind, 1, "a solicitation");
    let grant = association(times, &granted(address(), preferred, valid));
    assert!(client.handle_input(now, &says(2, xid, SERVER, &[grant.clone(), option(7, &[255])])));
    let (kind, xid, message) = sent(&mut client).unwrap();
    assert_eq!(kind, 3, "a request, at once");
    assert!(message.windows(SERVER.len()).any(|window| window == SERVER));
    assert!(message.windows(16).any(|window| window == address().octets()));
    assert!(client.handle_input(now, &says(7, xid, SERVER, &[grant, names()])));
    let lease = Lease {
        address: address(),
        preferred,
        valid,
        information: information(),
    };
    assert_eq!(client.poll_event(), Some(Event::Leased(lease)));
    (client, now)
}

#[test]
fn nothing_is_asked_unless_a_router_advises_it() {
    let now = Instant::now();
    let mut client = Client::new(MAC, 7);
    client.advised(now, false, false);
    assert_eq!(client.poll_timeout(), None);
}

#[test]
fn information_is_asked_for_once_and_again_when_it_is_old() {
    let mut now = Instant::now();
    let mut client = Client::new(MAC, 7);
    client.advised(now, false, true);
    pass(&mut client, &mut now);
    let (kind, xid, message) = sent(&mut client).unwrap();
    assert_eq!(kind, 11);
    assert!(
        !message.windows(4).any(|window| window == [0, 3, 0, 12]),
        "no address is asked for"
    );
    let answer = says(7, xid, SERVER, &[names(), option(32, &1800_u32.to_be_bytes())]);
    assert!(client.handle_input(now, &answer));
    assert_eq!(client.poll_event(), Some(Event::Informed(information())));
    assert!(!client.handle_input(now, &answer), "it was answered before");
    client.advised(now, false, true);
    assert_eq!(client.poll_timeout(), Some(now + Duration::from_secs(1800)));
    pass(&mut client, &mut now);
    pass(&mut client, &mut now);
    assert_eq!(sent(&mut client).unwrap().0, 11);
}

#[test]
fn who_gets_no_answer_asks_after_pauses_that_grow() {
    let mut now = Instant::now();
    let mut client = Client::new(MAC, 7);
    client.advised(now, false, true);
    pass(&mut client, &mut now);
    let mut pauses = Vec::new();
    for _ in 0..16 {
        let (before, xid) = (now, sent(&mut client).unwrap().1);
        pass(&mut client, &mut now);
        pauses.push((now - before).as_secs_f64());
        assert_eq!(client.output.front().map(|m| [m[1], m[2], m[3]]), Some(xid));
    }
    assert!((0.9..=1.1).contains(&pauses[0]), "{pauses:?}");
    for pair in pauses[..10].windows(2) {
        assert!((1.85..=2.15).contains(&(pair[1] / pair[0])), "{pauses:?}");
    }
    assert!(pauses[15] <= 3960.0, "{pauses:?}");
}

#[test]
fn the_offer_with_the_highest_preference_is_taken() {
    let mut now = Instant::now();
    let mut client = Client::new(MAC, 7);
    client.advised(now, true, false);
    pass(&mut client, &mut now);
    let (_, xid, _) = sent(&mut client).unwrap();
    let grant = || association([0, 0], &granted(address(), 600, 900));
    let none = association([0, 0], &option(13, &[0, 2]));
    client.handle_input(now, &says(2, xid, b"nothing to give", &[none, option(7, &[255])]));
    client.handle_input(now, &says(2, xid, OTHER, &[grant(), option(7, &[3])]));
    client.handle_input(now, &says(2, xid, SERVER, &[grant(), option(7, &[200])]));
    assert!(!client.has_output(), "it waits for more");
    pass(&mut client, &mut now);
    let (kind, _, message) = sent(&mut client).unwrap();
    assert_eq!(kind, 3);
    assert!(message.windows(SERVER.len()).any(|window| window == SERVER));
}

#[test]
fn a_lease_is_renewed_then_rebound_and_lost_when_nobody_answers() {
    let (mut client, since) = bound([100, 160], 200, 300);
    let mut now = since;
    pass(&mut client, &mut now);
    assert_eq!(now, since + Duration::from_secs(100));
    let (kind, xid, _) = sent(&mut client).unwrap();
    assert_eq!(kind, 5, "a renewal");
    let grant = association([100, 160], &granted(address(), 200, 300));
    client.handle_input(now, &says(7, xid, SERVER, &[grant, names()]));
    assert!(matches!(client.poll_event(), Some(Event::Leased(_))));

    let (renewed, mut kinds) = (now, Vec::new());
    while client.poll_event().is_none() {
        pass(&mut client, &mut now);
        kinds.extend(std::iter::from_fn(|| sent(&mut client)).map(|(kind, _, _)| kind));
        assert!(now <= renewed + Duration::from_secs(300));
    }
    assert_eq!(now, renewed + Duration::from_secs(300), "it ends when it has to");
    kinds.dedup();
    assert_eq!(kinds, [5, 6]);
    pass(&mut client, &mut now);
    assert_eq!(sent(&mut client).unwrap().0, 1, "and another one is looked for");
}

#[test]
fn a_server_that_promises_and_refuses_is_asked_less_and_less_often() {
    let mut now = Instant::now();
    let mut client = Client::new(MAC, 7);
    client.advised(now, true, false);
    let mut pauses = Vec::new();
    for _ in 0..9 {
        let refused = now;
        pass(&mut client, &mut now);
        pauses.push((now - refused).as_secs());
        let (_, xid, _) = sent(&mut client).unwrap();
        let grant = association([0, 0], &granted(address(), 60, 60));
        assert!(client.handle_input(now, &says(2, xid, SERVER, &[grant, option(7, &[255])])));
        let (_, xid, _) = sent(&mut client).unwrap();
        let nothing_left = option(13, &2_u16.to_be_bytes());
        assert!(client.handle_input(now, &says(7, xid, SERVER, &[association([0, 0], &nothing_left)])));
    }
    assert_eq!(pauses, [0, 10, 20, 40, 80, 160, 320, 600, 600]);
}

#[test]
fn an_address_that_the_server_takes_away_is_lost() {
    for answer in [
        association([0, 0], &option(13, &[0, 3])),
        association([0, 0], &granted(address(), 0, 0)),
    ] {
        let (mut client, mut now) = bound([100, 160], 200, 300);
        pass(&mut client, &mut now);
        let (_, xid, _) = sent(&mut client).unwrap();
        client.handle_input(now, &says(7, xid, SERVER, &[answer]));
        assert_eq!(client.poll_event(), Some(Event::Lost(address())));
    }
}

#[test]
fn another_address_takes_the_place_of_the_first() {
    let (mut client, mut now) = bound([100, 160], 200, 300);
    pass(&mut client, &mut now);
    let (_, xid, _) = sent(&mut client).unwrap();
    let other: Ipv6Addr = "2001:db8::78".parse().unwrap();
    let grant = association([0, 0], &granted(other, 200, 300));
    client.handle_input(now, &says(7, xid, SERVER, &[grant]));
    assert_eq!(client.poll_event(), Some(Event::Lost(address())));
    assert!(matches!(client.poll_event(), Some(Event::Leased(lease)) if lease.address == other));
    // Half of the time for which it is preferred, where the server leaves it to us.
    assert_eq!(client.poll_timeout(), Some(now + Duration::from_secs(100)));
}

#[test]
fn an_address_for_ever_is_never_asked_about_and_given_back_at_the_end() {
    let (mut client, _) = bound([0, 0], u32::MAX, u32::MAX);
    assert_eq!(client.poll_timeout(), None);
    client.release();
    let (kind, _, message) = sent(&mut client).unwrap();
    assert_eq!(kind, 8);
    assert!(message.windows(16).any(|window| window == address().octets()));
    assert_eq!(client.poll_timeout(), None);
    client.release();
    assert!(!client.has_output());
}

#[test]
fn what_is_for_another_client_or_makes_no_sense_is_not_taken() {
    let mut now = Instant::now();
    let mut client = Client::new(MAC, 7);
    client.advised(now, true, false);
    pass(&mut client, &mut now);
    let (_, xid, _) = sent(&mut client).unwrap();
    let grant = association([0, 0], &granted(address(), 600, 900));
    let other_number = [xid[0], xid[1], xid[2] ^ 1];
    let grant = std::slice::from_ref(&grant);
    let mut to_another = says(2, xid, SERVER, grant);
    to_another[62 + 4 + 4 + 9] ^= 1;
    for message in [
        says(2, other_number, SERVER, grant),
        says(2, xid, &[], grant),
        to_another,
    ] {
        assert!(!client.handle_input(now, &message));
    }
    for grant in [
        association([0, 0], &granted("fe80::77".parse().unwrap(), 600, 900)),
        association([0, 0], &granted("ff02::1".parse().unwrap(), 600, 900)),
        association([0, 0], &granted(address(), 900, 600)),
        association([0, 0], &granted(address(), 0, 0)),
        // Of another association.
        option(
            3,
            &[
                &[0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0][..],
                &granted(address(), 600, 900),
            ]
            .concat(),
        ),
    ] {
        client.handle_input(now, &says(2, xid, SERVER, &[grant, option(7, &[255])]));
        assert!(!client.has_output());
    }
}

proptest! {
    #[test]
    fn no_answer_confuses(tail: Vec<u8>, kind in prop_oneof![Just(2_u8), Just(7)], managed: bool, steps in 1_usize..6) {
        let mut now = Instant::now();
        let mut client = Client::new(MAC, 7);
        client.advised(now, managed, true);
        for _ in 0..steps {
            let Some(due) = client.poll_timeout() else { break };
            now = due;
            client.handle_timeout(now);
            if let Some((_, xid, _)) = sent(&mut client) {
                client.handle_input(now, &says(kind, xid, SERVER, std::slice::from_ref(&tail)));
            }
        }
        if let Some(due) = client.poll_timeout() {
            prop_assert!(due >= now);
        }
    }
}
