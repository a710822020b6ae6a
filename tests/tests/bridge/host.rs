//! This machine and the segment that it joins to a hub: who sees whom, what is said about it, and interfaces that go and return.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::ensure;
use hubward_tests::lab;
use hubward_tests::ours::{HUB, administer};
use hubward_tests::process::{IN_TIME, eventually};
use hubward_tests::site::Site;

use super::{VISITOR, WEB, bridge_to_lan, exchange, ours};

/// The server's own address in the private network.
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 1);
/// Long enough for a neighbour to answer, were it there.
const BRIEF: Duration = Duration::from_secs(2);

#[test]
fn past_an_interface_the_machine_itself_is_not_seen_and_it_is_said_how_it_would_be() {
    lab::run(|lab| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        let create = format!("BridgeCreate {HUB} /DEVICE:lan /TAP:no");
        let told = administer(&site.nat, "", &[&create])?;
        for words in [
            "10.0.1.1/24",
            "ip link add br0 type bridge",
            "bridge the hub to br0",
        ] {
            ensure!(
                told.contains(words),
                "BridgeCreate does not say {words:?}: {told}"
            );
            ensure!(server.log().contains(words), "the log does not say {words:?}");
        }

        let client = ours(&site, VISITOR, &[])?;
        exchange((&site.user, VISITOR), (&site.web, WEB))?;
        let _listener = site.nat.within(|| TcpListener::bind((SERVER, 5001)))??;
        let there = SocketAddr::from((SERVER, 5001));
        let reached = site.user.within(|| TcpStream::connect_timeout(&there, BRIEF))?;
        ensure!(reached.is_err(), "the advice is out of date: the machine is seen");
        client.stop()?;
        server.stop()
    });
}

#[test]
fn on_a_bridge_of_the_kernel_stations_the_machine_and_its_ports_see_each_other() {
    lab::run(|lab| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        site.nat.sh("ip link add br0 type bridge; ip link set br0 up
             ip address del 10.0.1.1/24 dev lan; ip link set lan master br0; ip address add 10.0.1.1/24 dev br0")?;
        let before = site.nat.sh("ip -brief link")?;
        let mac = || site.nat.sh("cat /sys/class/net/br0/address");
        let kept = mac()?;
        // A port of it is the wrong end.
        let told = administer(
            &site.nat,
            "",
            &[&format!("BridgeCreate {HUB} /DEVICE:lan /TAP:no")],
        )?;
        ensure!(told.contains("bridge the hub to br0 instead"), "{told}");
        administer(&site.nat, "", &[&format!("BridgeDelete {HUB} /DEVICE:lan")])?;

        let told = administer(
            &site.nat,
            "",
            &[&format!("BridgeCreate {HUB} /DEVICE:br0 /TAP:no")],
        )?;
        ensure!(!told.contains("bridge the hub"), "{told}");
        let client = ours(&site, VISITOR, &[])?;
        exchange((&site.user, VISITOR), (&site.web, WEB))?;
        exchange((&site.user, VISITOR), (&site.nat, SERVER))?;
        client.stop()?;
        ensure!(kept == mac()?, "the bridge has another address since");
        let devices = administer(&site.nat, "", &["BridgeDeviceList"])?;
        ensure!(!devices.contains("hwb_"), "our own port is offered: {devices}");
        administer(&site.nat, "", &[&format!("BridgeDelete {HUB} /DEVICE:br0")])?;
        let after = site.nat.sh("ip -brief link")?;
        ensure!(before == after, "before:\n{before}\nafter:\n{after}");
        server.stop()
    });
}

#[test]
fn an_interface_that_vanishes_and_returns_is_picked_up_again() {
    lab::run(|lab| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        bridge_to_lan(&site)?;
        let client = ours(&site, VISITOR, &[])?;
        exchange((&site.user, VISITOR), (&site.web, WEB))?;
        for _ in 0..2 {
            let mark = server.daemon().mark();
            site.nat.sh("ip link del lan")?;
            // Nobody sends a frame meanwhile: that it is gone is news of the kernel.
            server
                .daemon()
                .line_after(mark, IN_TIME, "that lan is gone", |line| {
                    line.contains("cannot start") && line.contains("bridge to lan")
                })?;
            let listed = administer(&site.nat, "", &["BridgeList"])?;
            ensure!(
                listed.contains("Error") && listed.contains("no network device lan"),
                "{listed}"
            );
            lab.cable(
                (&site.nat, "lan", "10.0.1.1/24"),
                (&site.web, "eth0", "10.0.1.26/24"),
            )?;
            server
                .daemon()
                .line_after(mark, IN_TIME, "that lan is back", |line| {
                    line.contains("started") && line.contains("bridge to lan")
                })?;
            site.user.sh("ip neighbour flush all")?;
            eventually(IN_TIME, "bytes past the interface that returned", || {
                Ok(site.page.is_seen_from(&site.user, site.private()).ok())
            })?;
        }
        client.stop()?;
        server.stop()
    });
}

#[test]
fn an_interface_that_was_down_is_read_when_it_is_up_again() {
    lab::run(|lab| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        bridge_to_lan(&site)?;
        let client = ours(&site, VISITOR, &[])?;
        exchange((&site.user, VISITOR), (&site.web, WEB))?;
        site.nat.sh("ip link set lan down")?;
        site.nat.sh("ip link set lan up")?;
        eventually(IN_TIME, "bytes past the interface that was down", || {
            Ok(site.page.is_seen_from(&site.user, site.private()).ok())
        })?;
        client.stop()?;
        server.stop()
    });
}
