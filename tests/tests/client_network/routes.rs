//! Which way packets go with each mode, and with a local network that lies.

use anyhow::{Result, ensure};
use hubward_tests::lab;
use hubward_tests::ours::{HUB, administer};
use hubward_tests::process::Daemon;

use super::desk::{
    NAME_SERVER, connect, give_ways, has_address, is_as_before, sees_the_page, site, state, way,
    way_of_the_tunnel,
};

const PRIVATE: &str = "10.0.1.26";
const ELSEWHERE: &str = "198.18.0.9";
const SERVER: &str = "203.0.113.1";

/// A mode, what the client says of it, and where it leads.
struct Case {
    mode: &'static str,
    pushed: bool,
    says: &'static [&'static str],
    private: &'static str,
    elsewhere: &'static str,
}

#[test]
fn every_mode_of_routes_leads_where_it_says_and_is_taken_back() {
    let cases = [
        Case {
            mode: "full",
            pushed: false,
            says: &[
                "everything goes through lab (table 72",
                "went via 203.0.113.1 on eth0 before",
            ],
            private: "lab",
            elsewhere: "lab",
        },
        Case {
            mode: "full",
            pushed: true,
            says: &["everything goes through lab (table 72"],
            private: "lab",
            elsewhere: "lab",
        },
        Case {
            mode: "split",
            pushed: true,
            says: &["10.0.1.0/24 via 192.168.30.1; all else goes via 203.0.113.1 on eth0 as before"],
            private: "lab",
            elsewhere: "eth0",
        },
        Case {
            mode: "none",
            pushed: true,
            says: &[],
            private: "eth0",
            elsewhere: "eth0",
        },
    ];
    lab::run(|lab| {
        let (site, server) = site(lab)?;
        let user = &site.user;
        let before = state(user)?;
        for case in cases {
            let pushed = if case.pushed {
                "10.0.1.0/255.255.255.0/192.168.30.1"
            } else {
                "none"
            };
            push(&site.nat, pushed)?;
            let client = connect(user, &["--routes", case.mode])?;
            has_address(&client)?;
            let what = case.mode;
            let ways = [
                (way(user, PRIVATE)?, case.private),
                (way(user, ELSEWHERE)?, case.elsewhere),
                (way(user, SERVER)?, case.elsewhere),
                (way(user, "192.168.30.77")?, "lab"),
                (way_of_the_tunnel(user, SERVER)?, "eth0"),
                (way_of_the_tunnel(user, PRIVATE)?, "eth0"),
            ];
            for (is, should) in &ways {
                ensure!(is == should, "{what}: {ways:?}");
            }
            if case.private == "lab" {
                sees_the_page(&site, &client)?;
            }
            for says in case.says {
                client.daemon().line_with(says, hubward_tests::process::IN_TIME)?;
            }
            let names = user.sh("grep ^nameserver /etc/resolv.conf")?;
            let old = format!("nameserver {NAME_SERVER}\n");
            ensure!(
                names.starts_with("nameserver 192.168.30.1\n")
                    && names.contains(&old) == (case.mode != "full"),
                "{what}: {names}"
            );
            let main = user.sh("ip -4 route")?;
            ensure!(
                !main.contains("lab"),
                "{what}: the main table has changed:\n{main}"
            );
            client.stop()?;
            is_as_before(user, &before)?;
        }
        server.stop()
    });
}

/// Has the hub push these routes to clients, beside its router.
fn push(nat: &hubward_tests::host::Host, routes: &str) -> Result<()> {
    let settings = format!(
        "DhcpSet /START:192.168.30.10 /END:192.168.30.200 /MASK:255.255.255.0 /EXPIRE:7200 /GW:192.168.30.1 \
         /DNS:192.168.30.1 /DNS2:none /DOMAIN:none /LOG:no /PUSHROUTE:{routes}"
    );
    administer(nat, HUB, &[&settings]).map(drop)
}

/// A DHCP server as a stranger's café may have it (CVE-2024-3661): it takes everything, and the private page above all.
const ROGUE: &str = "start 192.168.5.50
end 192.168.5.60
interface port
lease_file /run/lab/rogue.leases
pidfile /run/lab/rogue.pid
option subnet 255.255.255.0
option router 192.168.5.1
option staticroutes 0.0.0.0/1 192.168.5.1, 128.0.0.0/1 192.168.5.1, 10.0.1.26/32 192.168.5.1, 192.168.30.1/32 192.168.5.1
";

#[test]
fn option_121_of_a_rogue_dhcp_server_in_the_local_network_takes_nothing_out_of_the_tunnel() {
    lab::run_with_stock(|lab, stock| {
        let (site, server) = site(lab)?;
        let user = &site.user;
        let rogue = lab.host("rogue")?;
        lab.cable(
            (&rogue, "port", "192.168.5.1/24"),
            (user, "wlan0", "192.0.2.9/32"),
        )?;
        rogue.sh(
            "nft add table inet seen; nft add chain inet seen in '{ type filter hook prerouting priority -300; }'
             nft add rule inet seen in iifname port ip daddr != 192.168.5.1 ip daddr != 255.255.255.255 ip daddr != 224.0.0.0/4 \
             counter comment caught",
        )?;
        std::fs::write("/run/lab/rogue.conf", ROGUE)?;
        rogue.sh("touch /run/lab/rogue.leases")?;
        let mut command = rogue.command(stock.busybox()?);
        let _rogue = Daemon::start("udhcpd", command.args(["udhcpd", "-f", "/run/lab/rogue.conf"]))?;

        for options in [&["--routes", "full"][..], &["--routes", "split"]] {
            push(
                &site.nat,
                if options[1] == "split" {
                    "10.0.1.0/255.255.255.0/192.168.30.1"
                } else {
                    "none"
                },
            )?;
            let client = connect(user, options)?;
            has_address(&client)?;
            stock.lease(user, "wlan0")?;
            let main = user.sh("ip route show 10.0.1.26/32")?;
            ensure!(
                main.contains("via 192.168.5.1 dev wlan0"),
                "no rogue route: {main:?}"
            );
            ensure!(way(user, PRIVATE)? == "lab" && way(user, "192.168.30.1")? == "lab");
            ensure!(way_of_the_tunnel(user, SERVER)? == "eth0");
            sees_the_page(&site, &client)?;
            let caught = rogue.sh("nft list chain inet seen in")?;
            ensure!(caught.contains("counter packets 0 "), "{caught}");
            client.stop()?;
            ensure!(
                way(user, PRIVATE)? == "wlan0",
                "the rogue would not have caught it anyway"
            );
            user.sh(
                "ip address flush dev wlan0; ip route flush dev wlan0; ip address add 192.0.2.9/32 dev wlan0",
            )?;
            give_ways(user).ok();
        }
        server.stop()
    });
}
