//! Reserved addresses go to their holders and to nobody else.

use super::*;

fn reserving(reservations: &[(u8, Holder)], pool: std::ops::RangeInclusive<u8>) -> SecureNatConfig {
    let mut config = config_with_pool(pool);
    for (last, holder) in reservations {
        let holder = holder.clone();
        config
            .reserve(Reservation {
                ip: ip(*last),
                holder,
            })
            .unwrap();
    }
    config
}

fn user(name: &str) -> Holder {
    Holder::User(name.to_owned())
}

#[test]
fn a_reserved_address_goes_to_its_mac_and_to_nobody_else() {
    let mut lab = Lab::new(&reserving(&[(11, Holder::Mac(mac(7)))], 10..=12));
    let others: HashSet<_> = (1..=2).map(|client| lab.lease(client)).collect();
    assert_eq!(others, HashSet::from([ip(10), ip(12)]));
    assert_eq!(
        lab.offer(3),
        None,
        "the pool is used up, and the reserved address is not of it"
    );
    assert_eq!(lab.select(3, ip(11)).message.kind, MessageType::Nak);
    assert_eq!(lab.lease(7), ip(11));
}

#[test]
fn a_reserved_address_may_lie_outside_of_the_pool() {
    let mut lab = Lab::new(&reserving(&[(240, Holder::Mac(mac(7)))], 10..=12));
    assert_eq!(lab.lease(7), ip(240));
    assert_eq!(lab.renew(7, ip(240)).unwrap().message.kind, MessageType::Ack);
    let pool = lab.server.pool_use();
    assert_eq!(
        (pool.addresses, pool.available, pool.leased, pool.reserved),
        (3, 3, 1, 1)
    );
}

#[test]
fn a_reservation_holds_whatever_identifier_the_client_uses() {
    let mut lab = Lab::new(&reserving(&[(11, Holder::Mac(mac(7)))], 10..=12));
    assert_eq!(lab.lease(7), ip(11));
    let other_system = with(
        message(7, MessageType::Discover),
        option::CLIENT_ID,
        b"\xff other",
    );
    assert_eq!(lab.send(&other_system).unwrap().message.yiaddr, ip(11));
}

#[test]
fn a_user_finds_the_reserved_address_with_another_device_once_the_first_is_gone() {
    let mut lab = Lab::new(&reserving(&[(50, user("Alice"))], 10..=12));
    lab.join(1, "ALICE");
    lab.join(2, "alice");
    lab.join(3, "bob");
    assert_eq!(lab.lease(1), ip(50));
    assert_ne!(lab.lease(2), ip(50), "one station at a time");
    assert_ne!(lab.lease(3), ip(50));
    lab.leave(1);
    lab.join(4, "alice");
    assert_eq!(
        lab.lease(4),
        ip(50),
        "the lease of the station that left does not stand in the way"
    );
    assert_eq!(lab.renew(1, ip(50)).unwrap().message.kind, MessageType::Nak);
}

#[test]
fn a_silent_station_that_answers_after_all_keeps_the_reserved_address() {
    let mut lab = Lab::new(&reserving(&[(50, user("alice"))], 10..=12));
    lab.join(1, "alice");
    lab.join(2, "alice");
    assert_eq!(lab.lease(1), ip(50));
    lab.leave(1);
    lab.ask(&message(2, MessageType::Discover), Ipv4Addr::BROADCAST);
    assert_eq!(lab.server.poll_question(), Some(ip(50)));
    // Its answer is a frame, by which the hub knows it again.
    lab.wire.owners.insert(ip(50), mac(1));
    lab.join(1, "alice");
    lab.pass(Duration::from_millis(300));
    assert_ne!(
        lab.wait_for(&message(2, MessageType::Discover))
            .unwrap()
            .message
            .yiaddr,
        ip(50)
    );
    assert_eq!(lab.renew(1, ip(50)).unwrap().message.kind, MessageType::Ack);
}

#[test]
fn a_new_reservation_is_in_force_at_the_next_request() {
    let mut lab = Lab::new(&config_with_pool(10..=12));
    let before = lab.lease(7);
    lab.server
        .set_config(&reserving(&[(50, Holder::Mac(mac(7)))], 10..=12));
    assert_eq!(lab.renew(7, before).unwrap().message.kind, MessageType::Nak);
    assert_eq!(lab.lease(7), ip(50));
    assert_eq!(lab.server.leases().len(), 1);
}

#[test]
fn an_address_that_becomes_reserved_is_not_renewed_for_another() {
    let mut lab = Lab::new(&config_with_pool(10..=12));
    lab.join(1, "bob");
    let address = lab.lease(1);
    let [.., last] = address.octets();
    lab.server
        .set_config(&reserving(&[(last, Holder::Mac(mac(7)))], 10..=12));
    assert_ne!(lab.offer(7), Some(address), "it is leased still");
    assert_eq!(lab.renew(1, address).unwrap().message.kind, MessageType::Nak);
    lab.pass(LEASE);
    assert_eq!(lab.lease(7), address);
}

#[test]
fn a_user_gets_the_address_of_an_ended_lease_again_with_another_device() {
    let mut lab = Lab::new(&config());
    lab.join(1, "alice");
    let address = lab.lease(1);
    lab.send(&Message {
        ciaddr: address,
        ..message(1, MessageType::Release)
    });
    lab.leave(1);
    lab.join(2, "bob");
    lab.join(3, "alice");
    assert_ne!(lab.lease(2), address);
    assert_eq!(lab.lease(3), address);
}

#[test]
fn reservations_without_a_place_in_the_network_are_not_in_force() {
    let mut config = reserving(&[(50, user("alice"))], 10..=12);
    config.dhcp_gateway_address = ip(50);
    assert_eq!(config.validate(), Ok(()));
    let mut lab = Lab::new(&config);
    lab.join(1, "alice");
    assert_ne!(lab.lease(1), ip(50));
    assert_eq!(lab.server.pool_use().reserved, 0);
    for (last, why) in [
        (50, "a name server"),
        (1, "the virtual host"),
        (255, "no host address"),
    ] {
        let refused = config.check_reservation(ip(last)).unwrap_err();
        assert!(refused.to_string().contains(why), "{refused}");
    }
}
