//! IPv6 through the tunnel, of a hub whose SecureNAT advertises it, and a tunnel that itself goes by IPv6.

use std::net::TcpListener;

use anyhow::{Context, Result, ensure};
use hubward_tests::lab::{self, Lab};
use hubward_tests::ours::{Client, HUB, Server, administer};
use hubward_tests::process::{IN_TIME, eventually};
use hubward_tests::site::Site;

use super::desk::{
    clean_up, give_ways, has_address, is_as_before, sees_the_page, state, way, way_of_the_tunnel,
};

const NETWORK: &str = "fd5e:0:1e:7";
const PAGE: &str = "2001:db8:9::26";
const SERVER: &str = "2001:db8:5::1";

/// The site with IPv6 everywhere: the page has an address of it, the user a default route, and the hub a network.
fn site(lab: &Lab) -> Result<(Site, Server)> {
    let (site, server) = Site::with_our_server(lab, &["--nat-mode", "kernel"])?;
    give_ways(&site.user)?;
    site.nat.sh(
        "ip -6 address add 2001:db8:9::1/64 dev lan nodad; ip -6 address add 2001:db8:5::1/64 dev wan nodad",
    )?;
    site.web
        .sh("ip -6 address add 2001:db8:9::26/64 dev eth0 nodad")?;
    site.user.sh(
        "ip -6 address add 2001:db8:5::10/64 dev eth0 nodad; ip -6 route add default via 2001:db8:5::1",
    )?;
    let listener = site.web.within(|| TcpListener::bind((PAGE, 80)))??;
    site.page.serve_on(listener);
    let prefix = format!("SecureNatIPv6Set /PREFIX:{NETWORK}::/64 /DNS:2001:db8:9::53");
    administer(&site.nat, HUB, &[&prefix, "SecureNatIPv6Enable"])?;
    Ok((site, server))
}

fn connect(site: &Site, server: &str, options: &[&str]) -> Result<Client> {
    let client = Client::connect(
        &site.user,
        server,
        &[&["--tap", "lab", "--insecure"], options].concat(),
    )?;
    has_address(&client)?;
    // The first advertisement may be one of a router that does not know yet that it has a way out.
    let takes_all = !options.contains(&"--routes");
    let news = if takes_all {
        "::/0 via fe80::"
    } else {
        "IPv6 through lab by"
    };
    client.daemon().line_with(news, IN_TIME)?;
    eventually(IN_TIME, "an IPv6 address", || {
        let shown = site
            .user
            .sh("ip -6 -o address show dev lab scope global -tentative 2>/dev/null || true")?;
        Ok(shown.contains(NETWORK).then_some(()))
    })
    .with_context(|| client.daemon().log())?;
    Ok(client)
}

#[test]
fn what_a_router_of_the_hub_advertises_takes_all_of_ipv6_through_the_tunnel_and_goes_with_it() {
    lab::run(|lab| {
        let (site, server) = site(lab)?;
        let user = &site.user;
        let before = state(user)?;
        ensure!(way(user, PAGE)? == "eth0");
        let client = connect(&site, "203.0.113.1", &[])?;
        // The local network, too, could advertise a route to the page.
        user.sh(&format!(
            "ip -6 route add {PAGE}/128 via {SERVER} dev eth0 metric 1"
        ))?;
        ensure!(way(user, PAGE)? == "lab" && way(user, "2001:db8:77::9")? == "lab");
        site.page
            .is_seen_from(user, format!("[{PAGE}]:80").parse()?)
            .with_context(|| client.daemon().log())?;
        let names = user.sh("cat /etc/resolv.conf")?;
        ensure!(names.contains("\nnameserver 2001:db8:9::53\n"), "{names}");
        user.sh(&format!("ip -6 route delete {PAGE}/128 dev eth0"))?;
        client.stop()?;
        is_as_before(user, &before)?;

        // A killed one leaves routes without a device: nothing of them.
        let client = connect(&site, "203.0.113.1", &[])?;
        client.kill();
        clean_up(user)?;
        is_as_before(user, &before)?;

        // Nothing but what was pushed, and nothing at all.
        for (options, to_page) in [
            (&["--routes", "split"][..], "eth0"),
            (&["--routes", "none"], "eth0"),
        ] {
            let client = connect(&site, "203.0.113.1", options)?;
            ensure!(way(user, PAGE)? == to_page, "{options:?}");
            ensure!(way(user, &format!("{NETWORK}::77"))? == "lab", "{options:?}");
            client.stop()?;
            is_as_before(user, &before)?;
        }
        server.stop()
    });
}

#[test]
fn what_a_dhcpv6_server_of_the_hub_knows_beside_addresses_is_asked_for_and_set() {
    lab::run(|lab| {
        let (site, server) = site(lab)?;
        // IPv4's DHCP is not asked here.
        let domain = "DhcpSet /START:192.168.30.10 /END:192.168.30.200 /MASK:255.255.255.0 /EXPIRE:7200 /GW:192.168.30.1 \
                      /DNS:192.168.30.1 /DNS2:none /DOMAIN:six.example /LOG:no";
        administer(&site.nat, HUB, &[domain])?;
        let user = &site.user;
        let options = [
            "--tap",
            "lab",
            "--insecure",
            "--no-dhcp",
            "--routes",
            "none",
            "-vv",
        ];
        let before = state(user)?;
        let client = Client::connect(user, "203.0.113.1", &options)?;
        client
            .daemon()
            .line_with("a DHCPv6 server has told what it knows", IN_TIME)?;
        let names = user.sh("cat /etc/resolv.conf")?;
        ensure!(
            names.contains("\nsearch six.example\n") && names.contains("nameserver 2001:db8:9::53\n"),
            "{names}"
        );
        client.stop()?;
        is_as_before(user, &before)?;
        server.stop()
    });
}

#[test]
fn a_tunnel_by_ipv6_stays_outside_of_itself_also_where_a_firewall_is_strict_about_the_way_back() {
    lab::run(|lab| {
        let (site, server) = site(lab)?;
        let user = &site.user;
        // Who comes by IPv6 is told of no default router unless that is allowed.
        let allow = "ExtOptionSet NoIPv6DefaultRouterInRAWhenIPv6 /VALUE:0";
        administer(&site.nat, HUB, &[allow])?;
        for is_strict in [false, true] {
            if is_strict {
                // What distributions' firewalls have in place of the rp_filter that IPv6 does not know.
                user.sh(
                    "nft add table inet strict; nft add chain inet strict in '{ type filter hook prerouting priority -10; }'
                     nft add rule inet strict in icmpv6 type '{' nd-neighbor-solicit, nd-neighbor-advert, nd-router-advert '}' accept
                     nft add rule inet strict in meta nfproto ipv6 fib saddr . mark . iif oif missing drop",
                )?;
            }
            let before = state(user)?;
            let client = connect(&site, &format!("[{SERVER}]:443"), &["--no-udp"])?;
            sees_the_page(&site, &client)?;
            site.page
                .is_seen_from(user, format!("[{PAGE}]:80").parse()?)
                .with_context(|| client.daemon().log())?;
            ensure!(way_of_the_tunnel(user, SERVER)? == "eth0" && way(user, PAGE)? == "lab");
            ensure!(is_strict || way(user, SERVER)? == "lab");
            let log = client.daemon().log();
            ensure!(!log.contains("broke"), "{log}");
            client.stop()?;
            is_as_before(user, &before)?;
        }
        server.stop()
    });
}
