//! The kill switch: what leaves the machine, counted where it leaves.

use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hubward_tests::host::Host;
use hubward_tests::lab;
use hubward_tests::process::IN_TIME;

use super::desk::{clean_up, connect, has_address, is_as_before, sees_the_page, site, state, vpnclient};

/// Counts what leaves by eth0: the tunnel's TCP, what finds neighbours, and everything else.
const COUNTERS: &str = "
table netdev watch {
    counter tunnel {}
    counter leak {}
    chain out {
        type filter hook egress device eth0 priority 0; policy accept;
        ip daddr 203.0.113.1 tcp dport 443 meta mark & 0xffff0000 == 0x48570000 counter name tunnel accept
        ether type arp accept
        icmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert, mld-listener-report, mld2-listener-report } accept
        counter name leak
    }
}
";

/// How many packets a counter has seen.
fn counted(user: &Host, counter: &str) -> Result<u64> {
    let shown = user.sh(&format!("nft list counter netdev watch {counter}"))?;
    let packets = shown
        .split("packets ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    packets
        .context("no packets")?
        .parse()
        .with_context(|| shown.clone())
}

/// Everything that a program could try: names, pages, the server itself, by IPv4 and IPv6, from wherever the socket is bound.
fn try_to_leak(user: &Host) -> Result<()> {
    let targets: [SocketAddr; 5] = [
        "203.0.113.53:53".parse()?,
        "198.18.0.9:443".parse()?,
        "203.0.113.1:443".parse()?,
        "[2001:db8:5::1]:443".parse()?,
        "[2001:db8:77::9]:53".parse()?,
    ];
    user.within(|| {
        for target in targets {
            for own in ["0.0.0.0:0", "203.0.113.10:0", "[::]:0", "[2001:db8:5::10]:0"] {
                // A refusal is what is wanted; who counts is the counter.
                if let Ok(socket) = UdpSocket::bind(own) {
                    let _ = socket.send_to(b"a secret", target);
                }
            }
            let _ = TcpStream::connect_timeout(&target, Duration::from_millis(200));
        }
    })
}

#[test]
fn nothing_but_the_tunnel_leaves_while_it_stands_is_broken_and_is_killed_until_cleanup() {
    lab::run(|lab| {
        let (site, server) = site(lab)?;
        let user = &site.user;
        site.nat.sh("ip -6 address add 2001:db8:5::1/64 dev wan nodad")?;
        user.sh(
            "ip -6 address add 2001:db8:5::10/64 dev eth0 nodad; ip -6 route add default via 2001:db8:5::1
             ip neighbour replace 203.0.113.53 lladdr 02:00:00:00:00:53 dev eth0 nud permanent",
        )?;
        let before = state(user)?;
        std::fs::write("/run/lab/counters.nft", COUNTERS)?;
        user.sh("nft -f /run/lab/counters.nft")?;
        let leaks = |expected: bool, when: &str| -> Result<()> {
            let first = counted(user, "leak")?;
            try_to_leak(user)?;
            let leaked = counted(user, "leak")? - first;
            ensure!((leaked > 0) == expected, "{when}: {leaked} packets");
            Ok(())
        };
        leaks(
            true,
            "without a client, so that it is known what the counter sees",
        )?;

        let first = counted(user, "leak")?;
        let client = connect(user, &["--kill-switch", "--no-udp"])?;
        has_address(&client)?;
        sees_the_page(&site, &client)?;
        leaks(false, "the tunnel stands")?;

        server.kill();
        client.daemon().line_with("the connection broke", IN_TIME)?;
        leaks(false, "the connection broke")?;
        client.daemon().line_with("next try in", IN_TIME)?;
        leaks(false, "the session is over")?;

        client.kill();
        leaks(false, "the client was killed")?;
        ensure!(counted(user, "leak")? == first, "something left in between");
        ensure!(counted(user, "tunnel")? > 0, "the tunnel went another way");

        let shown = vpnclient(user, &["cleanup", "--dry-run"])?.success()?;
        ensure!(shown.contains("left behind: kill switch of lab"), "{shown}");
        leaks(false, "cleanup only looked")?;
        let shown = clean_up(user)?;
        ensure!(shown.contains("removed: kill switch of lab"), "{shown}");
        leaks(true, "after cleanup")?;
        user.sh("nft delete table netdev watch")?;
        is_as_before(user, &before)
    });
}

#[test]
fn a_wanted_end_lifts_the_switch_a_failure_does_not_and_the_next_client_takes_it_over() {
    lab::run(|lab| {
        let (site, server) = site(lab)?;
        let user = &site.user;
        let before = state(user)?;
        let tables = || user.sh("nft list tables");
        let client = connect(user, &["--kill-switch"])?;
        has_address(&client)?;
        ensure!(tables()?.contains("hubward-client-lab"));
        client.stop()?;
        is_as_before(user, &before)?;

        server.kill();
        let (code, said) = connect(user, &["--kill-switch"])?.refused()?;
        ensure!(
            code == 3 && said.contains("the kill switch stays on"),
            "exit {code}: {said}"
        );
        ensure!(tables()?.contains("hubward-client-lab"), "the switch is off");

        let server = hubward_tests::ours::Server::start(&site.nat, &["--nat-mode", "user"])?;
        let client = connect(user, &["--kill-switch"])?;
        has_address(&client)?;
        client.stop()?;
        is_as_before(user, &before)?;
        server.stop()
    });
}
