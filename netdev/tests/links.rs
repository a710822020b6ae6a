//! Links, addresses and routes in a network namespace.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod namespace;

use std::net::IpAddr;
use std::process::Command;

use namespace::in_namespace;
use netdev::{Address, Error, Links, News, Route, Tap, TapOptions, capability, sysctl};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A TAP device that is up with this address.
async fn device(links: &Links, name: &str, address: &str, prefix: u8) -> Tap {
    let tap = Tap::create(&TapOptions::new(name)).unwrap();
    links.add_address(name, ip(address), prefix).await.unwrap();
    links.set_up(name).await.unwrap();
    tap
}

#[test]
fn a_link_is_described_and_changed() {
    in_namespace(|| async {
        let links = Links::new().unwrap();
        let tap = Tap::create(&TapOptions::new("tap0")).unwrap();
        let before = links.link("tap0").await.unwrap();
        assert_eq!(
            (before.index, before.mac, before.mtu, before.up),
            (tap.index(), Some(tap.mac()), 1500, false)
        );

        let mac = [2, 0, 0, 0, 0, 7];
        links.set_mac("tap0", mac).await.unwrap();
        links.set_mtu("tap0", 1400).await.unwrap();
        links.set_up("tap0").await.unwrap();

        let after = links.link("tap0").await.unwrap();
        assert_eq!((after.mac, after.mtu, after.up), (Some(mac), 1400, true));
        links.set_down("tap0").await.unwrap();
        assert!(!links.link("tap0").await.unwrap().up);

        let names: Vec<_> = links
            .list()
            .await
            .unwrap()
            .into_iter()
            .map(|link| (link.name, link.loopback))
            .collect();
        assert_eq!(names, [("lo".to_owned(), true), ("tap0".to_owned(), false)]);

        links.delete_link("tap0").await.unwrap();
        assert!(!links.exists("tap0").await.unwrap());
    });
}

#[test]
fn an_unknown_device_is_named() {
    in_namespace(|| async {
        let links = Links::new().unwrap();
        let error = links.set_up("nosuch0").await.unwrap_err();
        assert!(matches!(error, Error::NoDevice { .. }), "{error:?}");
        assert!(error.is_absent());
        assert!(error.to_string().contains("nosuch0"));
        assert!(matches!(
            links.index("bad name").await,
            Err(Error::BadName { .. })
        ));
    });
}

#[test]
fn addresses_come_and_go() {
    in_namespace(|| async {
        let links = Links::new().unwrap();
        let _tap = Tap::create(&TapOptions::new("tap0")).unwrap();
        sysctl::write("net.ipv6.conf.tap0.addr_gen_mode", "1").unwrap(); // no link-local address of its own
        links.add_address("tap0", ip("10.1.0.1"), 24).await.unwrap();
        links.add_address("tap0", ip("fd00::1"), 64).await.unwrap();
        let expected = [
            Address {
                ip: ip("10.1.0.1"),
                prefix: 24,
            },
            Address {
                ip: ip("fd00::1"),
                prefix: 64,
            },
        ];
        assert_eq!(links.addresses("tap0").await.unwrap(), expected);

        let again = links.add_address("tap0", ip("10.1.0.1"), 24).await.unwrap_err();
        assert!(again.is_exists(), "{again}");

        links.remove_address("tap0", ip("10.1.0.1"), 24).await.unwrap();
        assert_eq!(links.addresses("tap0").await.unwrap(), expected[1..]);
        assert!(
            links
                .remove_address("tap0", ip("10.1.0.1"), 24)
                .await
                .unwrap_err()
                .is_absent()
        );
    });
}

#[test]
fn the_kernel_follows_the_routes_that_were_set() {
    in_namespace(|| async {
        let links = Links::new().unwrap();
        let tap = device(&links, "tap0", "10.1.0.2", 24).await;
        let other = device(&links, "tap1", "10.2.0.2", 24).await;
        let private = Route::to(ip("10.9.0.0"), 16).via(ip("10.1.0.1"));
        links.add_route(&private).await.unwrap();
        links
            .add_route(&Route::to(ip("0.0.0.0"), 0).via(ip("10.2.0.1")).dev(other.index()))
            .await
            .unwrap();
        links
            .add_route(&Route::to_host(ip("10.9.0.9")).dev(tap.index()))
            .await
            .unwrap();

        let to = links.route_to(ip("10.9.1.1")).await.unwrap();
        assert_eq!(
            (to.gateway, to.device, to.source),
            (Some(ip("10.1.0.1")), Some(tap.index()), Some(ip("10.1.0.2")))
        );
        let direct = links.route_to(ip("10.9.0.9")).await.unwrap();
        assert_eq!((direct.gateway, direct.device), (None, Some(tap.index())));
        let away = links.route_to(ip("198.51.100.1")).await.unwrap();
        assert_eq!(
            (away.gateway, away.device),
            (Some(ip("10.2.0.1")), Some(other.index()))
        );

        assert!(links.add_route(&private).await.unwrap_err().is_exists());
        links
            .replace_route(&Route::to(ip("10.9.0.0"), 16).via(ip("10.2.0.9")))
            .await
            .unwrap();
        assert_eq!(
            links.route_to(ip("10.9.1.1")).await.unwrap().gateway,
            Some(ip("10.2.0.9"))
        );

        let listed = links.routes().await.unwrap();
        assert!(
            listed.iter().any(|r| r.to_string() == "10.9.0.0/16 via 10.2.0.9"),
            "{listed:?}"
        );
        assert!(
            listed.iter().any(|r| r.to_string() == "0.0.0.0/0 via 10.2.0.1"),
            "{listed:?}"
        );
    });
}

#[test]
fn a_deleted_route_is_followed_no_more() {
    in_namespace(|| async {
        let links = Links::new().unwrap();
        let tap = device(&links, "tap0", "10.1.0.2", 24).await;
        for route in [
            Route::to(ip("10.9.0.0"), 16).via(ip("10.1.0.1")),
            Route::to_host(ip("10.8.0.1")).dev(tap.index()),
            Route::to(ip("0.0.0.0"), 0)
                .via(ip("10.1.0.1"))
                .dev(tap.index())
                .metric(7),
        ] {
            links.add_route(&route).await.unwrap();
            links.delete_route(&route).await.unwrap();
            assert!(links.delete_route(&route).await.unwrap_err().is_absent());
        }
        let error = links.route_to(ip("198.51.100.1")).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no route to 198.51.100.1; check the address and the default route"
        );
    });
}

#[test]
fn a_router_outside_the_network_needs_onlink() {
    in_namespace(|| async {
        let links = Links::new().unwrap();
        let tap = device(&links, "tap0", "10.1.0.2", 32).await;
        let route = Route::to(ip("10.9.0.0"), 16)
            .via(ip("172.16.0.1"))
            .dev(tap.index());
        assert!(links.add_route(&route).await.is_err());
        links.add_route(&route.onlink()).await.unwrap();
        assert_eq!(
            links.route_to(ip("10.9.0.1")).await.unwrap().gateway,
            Some(ip("172.16.0.1"))
        );
        links.delete_route(&route.onlink()).await.unwrap();
    });
}

#[test]
fn ipv6_routes_work_alike() {
    in_namespace(|| async {
        let links = Links::new().unwrap();
        let tap = device(&links, "tap0", "fd01::2", 64).await;
        let route = Route::to(ip("fd09::"), 16).via(ip("fd01::1")).dev(tap.index());
        links.add_route(&route).await.unwrap();
        assert_eq!(
            links.route_to(ip("fd09::5")).await.unwrap().gateway,
            Some(ip("fd01::1"))
        );
        links.delete_route(&route).await.unwrap();
        assert!(matches!(
            links.route_to(ip("fd09::5")).await,
            Err(Error::NoRoute { .. })
        ));
    });
}

#[test]
fn settings_of_a_device_are_read_and_written() {
    in_namespace(|| async {
        let _tap = Tap::create(&TapOptions::new("tap.7")).unwrap();
        let key = "net.ipv4.conf.tap/7.send_redirects";
        sysctl::write(key, "0").unwrap();
        assert_eq!(sysctl::read(key).unwrap(), "0");
        assert_eq!(sysctl::swap(key, "1").unwrap().as_deref(), Some("0"));
        assert_eq!(sysctl::swap(key, "1").unwrap(), None);
    });
}

#[test]
fn inside_the_namespace_everything_is_allowed() {
    in_namespace(|| async {
        let found = capability::probe();
        assert!(found.net_admin);
        found.require_tap().unwrap();
    });
}

#[test]
fn a_bridge_of_the_kernel_and_its_ports_are_told_apart_from_others() {
    in_namespace(|| async {
        let links = Links::new().unwrap();
        let made = Command::new("ip")
            .args(["link", "add", "br0", "type", "bridge"])
            .status();
        assert!(made.unwrap().success());
        let tap = Tap::create(&TapOptions::new("tap0")).unwrap();
        let bridge = links.link("br0").await.unwrap();
        assert!(bridge.is_bridge);
        let before = links.link("tap0").await.unwrap();
        assert_eq!((before.is_bridge, before.master), (false, None));
        links.set_master("tap0", bridge.index).await.unwrap();
        assert_eq!(links.link("tap0").await.unwrap().master, Some(bridge.index));
        drop(tap);
    });
}

#[test]
fn news_come_when_a_device_comes_changes_and_goes() {
    in_namespace(|| async {
        let mut news = News::listen().unwrap();
        let tap = Tap::create(&TapOptions::new("tap0")).unwrap();
        assert!(news.changed().await);
        let links = Links::new().unwrap();
        links.set_up("tap0").await.unwrap();
        assert!(news.changed().await);
        links.add_address("tap0", ip("10.1.0.1"), 24).await.unwrap();
        assert!(news.changed().await);
        drop(tap);
        assert!(news.changed().await);
    });
}
