//! Routes reach clients as far as they can take them.

use super::*;
use crate::config::MTU;
use crate::routes::PushRoute;

/// Routes that cannot be merged: 6 bytes each up to a hundred, then 7.
fn apart(count: u32) -> String {
    let route = |i: u32| match i {
        0..100 => format!("{}.0.0.0/8/192.168.30.1", 2 * i + 1),
        _ => format!("10.{}.0.0/16/192.168.30.1", 2 * (i - 100)),
    };
    (0..count).map(route).collect::<Vec<_>>().join(" ")
}

fn pushing(routes: &str) -> SecureNatConfig {
    SecureNatConfig {
        dhcp_push_routes: routes.parse().unwrap(),
        ..config()
    }
}

/// A discovery of a client that asks for these options and says that it takes so much.
fn asking(codes: &[u8], limit: Option<u16>) -> Message {
    let asking = with(message(1, MessageType::Discover), option::PARAMETERS, codes);
    match limit {
        Some(limit) => with(asking, option::MAX_SIZE, &limit.to_be_bytes()),
        None => asking,
    }
}

/// The size of the answer, and the routes in it under each code.
fn answer(config: &SecureNatConfig, request: &Message) -> (usize, Vec<(u8, Vec<PushRoute>)>) {
    let bytes = Lab::new(config).send(request).unwrap().encode();
    let mut options = BTreeMap::new();
    message::tests::collect_all(&bytes, &mut options);
    let routes = [option::CLASSLESS_ROUTES, option::CLASSLESS_ROUTES_MS]
        .into_iter()
        .filter_map(|code| Some((code, decode_classless(options.get(&code)?).unwrap())))
        .collect();
    (bytes.len(), routes)
}

fn pushed(config: &SecureNatConfig) -> usize {
    config.dhcp_push_routes.len() + 1 // and the default route
}

#[test]
fn two_hundred_routes_reach_a_client_that_takes_a_whole_frame() {
    let config = pushing(&apart(200));
    for (limit, why) in [(Some(1500), "as dhcpcd says"), (None, "as dhclient does not say")] {
        let (size, routes) = answer(&config, &asking(&[1, 3, 6, 121], limit));
        assert!(size <= 1472, "{why}: {size}");
        let [(option::CLASSLESS_ROUTES, routes)] = &routes[..] else {
            panic!("{why}: {routes:?}")
        };
        assert_eq!(routes.len(), pushed(&config), "{why}");
    }
}

#[test]
fn what_docs_securenat_says_of_slash_24_fits() {
    let apart = |count: u32| {
        let routes = (0..count).map(|i| format!("10.{}.{}.0/24/192.168.30.1", i / 100, 2 * (i % 100)));
        pushing(&routes.collect::<Vec<_>>().join(" "))
    };
    for (count, limit) in [(165, 1500), (50, 576)] {
        let (_, routes) = answer(&apart(count), &asking(&[121], Some(limit)));
        assert_eq!(routes[0].1.len(), count as usize + 1);
    }
}

#[test]
fn few_routes_do_not_make_a_message_long() {
    let config = pushing(&apart(60));
    let (size, routes) = answer(&config, &asking(&[121], None));
    assert!(size <= 548, "{size}");
    assert_eq!(routes[0].1.len(), pushed(&config));
}

#[test]
fn routes_that_do_not_fit_are_merged_before_they_are_left_out() {
    let neighbours: Vec<_> = (0..200).map(|i| format!("10.0.{i}.0/24/192.168.30.1")).collect();
    let config = pushing(&neighbours.join(","));
    let (size, routes) = answer(&config, &asking(&[121], Some(576)));
    assert!(size <= 548);
    assert_eq!(routes[0].1.len(), 3 + 1);
}

#[test]
fn routes_that_fit_nowhere_are_left_out_as_a_whole_and_told() {
    let mut lab = Lab::new(&pushing(&apart(200)));
    let small = asking(&[121], Some(576));
    let offer = lab.send(&small).unwrap().message;
    assert!(!offer.options.contains_key(&option::CLASSLESS_ROUTES));
    assert_eq!(offer.options[&option::ROUTER], HOST.octets());
    let select = Message {
        kind: MessageType::Request,
        ..with(small, option::REQUESTED_ADDRESS, &offer.yiaddr.octets())
    };
    lab.send(&select).unwrap();
    lab.send(&select).unwrap();
    let told = lab
        .events()
        .into_iter()
        .filter(|event| matches!(event, Event::RoutesLeftOut { limit: 548, .. }));
    assert_eq!(told.count(), 1, "once, and not at each renewal");
}

#[test]
fn a_client_that_asks_for_both_codes_gets_one_when_there_is_no_room_for_two() {
    let config = pushing(&apart(120));
    let (size, routes) = answer(&config, &asking(&[121, 249], Some(1500)));
    assert!(size <= 1472);
    assert_eq!(routes.len(), 1);
    assert_eq!(routes[0].1.len(), pushed(&config));
}

#[test]
fn a_client_that_takes_more_than_a_frame_gets_it() {
    let longest: Vec<_> = (0..200).map(|i| format!("10.{i}.0.1/32/192.168.30.1")).collect();
    let config = pushing(&longest.join(" "));
    let (size, routes) = answer(&config, &asking(&[121], Some(4096)));
    assert!(size > 1472 && size <= 4068);
    assert_eq!(routes[0].1.len(), pushed(&config));
}

#[test]
fn who_does_not_ask_for_anything_gets_no_long_message() {
    let (size, routes) = answer(&pushing(&apart(200)), &message(1, MessageType::Discover));
    assert!(size <= 548 && routes.is_empty());
}

#[test]
fn a_reply_fits_the_least_mtu_as_far_as_dhcp_can() {
    let config = SecureNatConfig {
        mtu: *MTU.start(),
        ..pushing(&apart(2))
    };
    let (size, _) = answer(&config, &asking(&[121], Some(1500)));
    assert!(size <= 548, "it is sent in fragments");
}
