//! Leases are kept over a restart, and acknowledged when they are.

use std::time::SystemTime;

use super::*;

impl Lab {
    fn moment(&self) -> Moment {
        Moment {
            now: self.now,
            wall: SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000),
        }
    }

    fn take(&mut self) -> Changes {
        let moment = self.moment();
        self.server.take_changes(moment)
    }

    /// A server that begins with what another one has kept.
    fn restarted(kept: Vec<KeptLease>) -> Lab {
        let mut lab = Lab::new(&config());
        let moment = lab.moment();
        lab.server.restore(kept, moment);
        lab
    }
}

fn rows(changes: Changes) -> Vec<KeptLease> {
    changes.rows.into_iter().filter_map(|(_, kept)| kept).collect()
}

fn select(client: u32, ip: Ipv4Addr) -> Message {
    let request = with(
        message(client, MessageType::Request),
        option::SERVER_ID,
        &HOST.octets(),
    );
    with(request, option::REQUESTED_ADDRESS, &ip.octets())
}

#[test]
fn leases_survive_a_restart_with_their_terms() {
    let mut before = Lab::new(&config());
    before.join(1, "alice");
    // In an order in which the pool's own choice would give other addresses.
    let addresses: Vec<_> = (1..=150)
        .rev()
        .map(|client| (client, before.lease(client)))
        .collect();
    before.pass(LEASE / 4);
    let kept = rows(before.take());
    assert_eq!(kept.len(), 150);
    let mut after = Lab::restarted(kept);
    let leases = after.server.leases();
    assert_eq!(leases.len(), 150);
    // The first of them was given some time before the last.
    let left = after.now + LEASE / 2..=after.now + LEASE * 3 / 4;
    assert!(leases.iter().all(|lease| left.contains(&lease.until)));
    for (client, address) in addresses {
        let offer = after.ask(&message(client, MessageType::Discover), Ipv4Addr::BROADCAST);
        assert_eq!(offer.unwrap().message.yiaddr, address, "at once");
    }
}

#[test]
fn a_lease_that_ended_while_the_server_was_down_is_remembered() {
    let mut before = Lab::new(&config());
    let address = before.lease(1);
    let kept = rows(before.take());
    let mut after = Lab::new(&config());
    let moment = after.moment();
    let later = Moment {
        wall: moment.wall + LEASE * 10,
        ..moment
    };
    after.server.restore(kept, later);
    assert!(after.server.leases().is_empty());
    for other in 2..100 {
        assert_ne!(after.lease(other), address);
    }
    assert_eq!(after.lease(1), address);
}

#[test]
fn a_wall_clock_that_was_put_back_prolongs_nothing_beyond_the_term() {
    let mut before = Lab::new(&config());
    let address = before.lease(1);
    let kept = rows(before.take());
    let mut after = Lab::new(&config());
    let moment = Moment {
        now: after.now,
        wall: SystemTime::UNIX_EPOCH,
    };
    after.server.restore(kept, moment);
    let lease = &after.server.leases()[0];
    assert_eq!((lease.ip, lease.until), (address, after.now + LEASE));
    assert!(lease.since <= after.now);
}

#[test]
fn what_no_longer_has_a_place_is_not_restored() {
    let mut before = Lab::new(&config());
    for client in 1..=50 {
        before.lease(client);
    }
    let mut after = Lab::new(&config_with_pool(10..=100));
    let moment = after.moment();
    after.server.restore(rows(before.take()), moment);
    let leases = after.server.leases();
    assert!(!leases.is_empty() && leases.len() < 50);
    assert!(leases.iter().all(|lease| lease.ip <= ip(100)));
}

#[test]
fn a_new_lease_is_acknowledged_when_it_is_kept() {
    let mut lab = Lab::new(&config());
    lab.server.expect_keeping();
    let address = lab.offer(1).unwrap();
    assert_eq!(lab.ask(&select(1, address), Ipv4Addr::BROADCAST), None);
    assert_eq!(lab.server.has_changes(), Some(true), "a client waits");
    let changes = lab.take();
    // A client that asks again meanwhile waits like the first time.
    let again = Message {
        xid: 9,
        ..select(1, address)
    };
    assert_eq!(lab.ask(&again, Ipv4Addr::BROADCAST), None);
    lab.server.have_kept(lab.now, &changes);
    let reply = lab.server.poll_reply().unwrap();
    assert_eq!((reply.message.kind, reply.message.xid), (MessageType::Ack, 9));
    assert_eq!(lab.server.poll_reply(), None);
    let renewed = lab.renew(1, address).unwrap();
    assert_eq!(
        renewed.message.kind,
        MessageType::Ack,
        "a renewal waits for nothing"
    );
    assert_eq!(lab.server.has_changes(), Some(false));
}

#[test]
fn nobody_waits_longer_than_a_second_for_the_disk() {
    let mut lab = Lab::new(&config());
    lab.server.expect_keeping();
    let address = lab.offer(1).unwrap();
    assert_eq!(lab.ask(&select(1, address), Ipv4Addr::BROADCAST), None);
    let due = lab.server.poll_timeout().unwrap();
    assert!(due <= lab.now + Duration::from_secs(1));
    lab.pass(due - lab.now);
    assert_eq!(lab.server.poll_reply().unwrap().message.kind, MessageType::Ack);
}

#[test]
fn leases_go_on_while_they_cannot_be_kept_and_are_kept_later() {
    let mut lab = Lab::new(&config());
    lab.server.expect_keeping();
    let first = lab.offer(1).unwrap();
    assert_eq!(lab.ask(&select(1, first), Ipv4Addr::BROADCAST), None);
    let lost = lab.take();
    lab.server.have_not_kept(lab.now, &lost);
    assert_eq!(lab.server.poll_reply().unwrap().message.kind, MessageType::Ack);
    let second = lab.lease(2);
    let changes = lab.take();
    let kept: Vec<_> = changes.rows.iter().map(|(ip, _)| *ip).collect();
    assert_eq!(kept.len(), 2);
    assert!(kept.contains(&first) && kept.contains(&second));
    lab.server.have_kept(lab.now, &changes);
    let third = lab.offer(3).unwrap();
    assert_eq!(
        lab.ask(&select(3, third), Ipv4Addr::BROADCAST),
        None,
        "it is waited for again"
    );
}

#[test]
fn what_a_client_leaves_is_struck_off() {
    let mut lab = Lab::new(&config());
    let former = lab.lease(1);
    lab.take();
    let mut config = config();
    let holder = Holder::Mac(mac(1));
    config.reserve(Reservation { ip: ip(250), holder }).unwrap();
    lab.server.set_config(&config);
    assert_eq!(lab.lease(1), ip(250));
    let rows = lab.take().rows;
    assert_eq!(rows.iter().find(|(ip, _)| *ip == former), Some(&(former, None)));
    assert!(rows.iter().any(|(at, kept)| *at == ip(250) && kept.is_some()));
}
