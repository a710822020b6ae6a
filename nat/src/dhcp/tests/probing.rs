//! Addresses are asked for before they are offered.

use super::*;

const WAIT: Duration = Duration::from_millis(300);

fn discover(client: u32) -> Message {
    message(client, MessageType::Discover)
}

impl Lab {
    fn discover(&mut self, client: u32) -> Option<Reply> {
        self.ask(&discover(client), Ipv4Addr::BROADCAST)
    }
}

#[test]
fn a_new_address_is_offered_when_nobody_has_answered_for_it_in_time() {
    let mut lab = Lab::new(&config());
    assert_eq!(lab.discover(1), None);
    let asked = lab.server.poll_question().unwrap();
    lab.pass(WAIT - Duration::from_millis(1));
    assert_eq!(lab.server.poll_reply(), None);
    assert_eq!(
        lab.server.poll_timeout(),
        Some(lab.now + Duration::from_millis(1))
    );
    lab.pass(Duration::from_millis(1));
    let offer = lab.server.poll_reply().unwrap();
    assert_eq!(
        (offer.message.kind, offer.message.yiaddr),
        (MessageType::Offer, asked)
    );
}

#[test]
fn an_address_that_somebody_answers_for_is_set_aside_and_another_one_offered() {
    let mut lab = Lab::new(&config());
    lab.discover(1);
    let taken = lab.server.poll_question().unwrap();
    lab.wire.owners.insert(taken, mac(99));
    lab.pass(WAIT);
    let other = lab.server.poll_question().unwrap();
    assert_ne!(other, taken);
    lab.pass(WAIT);
    assert_eq!(lab.server.poll_reply().unwrap().message.yiaddr, other);
    assert_eq!(
        lab.events(),
        [Event::AddressInUse {
            mac: mac(99),
            ip: taken
        }]
    );
    assert_eq!(lab.server.pool_use().set_aside, 1);
}

#[test]
fn who_answers_for_the_address_may_be_the_client_itself() {
    let mut lab = Lab::new(&config());
    lab.discover(1);
    let asked = lab.server.poll_question().unwrap();
    lab.wire.owners.insert(asked, mac(1));
    lab.pass(WAIT);
    assert_eq!(lab.server.poll_reply().unwrap().message.yiaddr, asked);
}

#[test]
fn a_client_with_a_lease_never_waits() {
    let mut lab = Lab::new(&config());
    let address = lab.lease(1);
    lab.wire.owners.insert(address, mac(99)); // a liar changes nothing
    let again = lab.discover(1).unwrap();
    assert_eq!(again.message.yiaddr, address);
    assert_eq!(lab.renew(1, address).unwrap().message.kind, MessageType::Ack);
    let reboot = with(
        message(1, MessageType::Request),
        option::REQUESTED_ADDRESS,
        &address.octets(),
    );
    assert_eq!(
        lab.ask(&reboot, Ipv4Addr::BROADCAST).unwrap().message.kind,
        MessageType::Ack
    );
    assert_eq!(lab.server.poll_question(), None);
}

#[test]
fn a_question_that_is_repeated_meanwhile_is_answered_once_as_it_was_put_last() {
    let mut lab = Lab::new(&config());
    lab.discover(1);
    lab.pass(WAIT / 2);
    let again = Message {
        xid: 77,
        ..discover(1)
    };
    assert_eq!(lab.ask(&again, Ipv4Addr::BROADCAST), None);
    lab.pass(WAIT / 2);
    assert_eq!(lab.server.poll_reply().unwrap().message.xid, 77);
    assert_eq!(lab.server.poll_reply(), None);
}

#[test]
fn a_flood_of_discoveries_is_bounded_and_answered() {
    let mut lab = Lab::new(&config_with_pool(10..=250));
    let big = SecureNatConfig {
        mask: Ipv4Addr::new(255, 255, 0, 0),
        dhcp_subnet_mask: Ipv4Addr::new(255, 255, 0, 0),
        dhcp_lease_ip_end: Ipv4Addr::new(192, 168, 60, 200),
        ..config()
    };
    lab.server.set_config(&big);
    let at_once = (1..=1000)
        .filter(|client| lab.discover(*client).is_some())
        .count();
    assert_eq!(at_once, 1000 - 256);
    lab.pass(WAIT);
    assert_eq!(std::iter::from_fn(|| lab.server.poll_reply()).count(), 256);
}
