//! The server's address on a TAP device: there when the command returns, changed in place, and gone without a trace.

use anyhow::{Context, Result, ensure};
use hubward_tests::host::Host;
use hubward_tests::lab;
use hubward_tests::ours::{HUB, Server, administer, program};
use hubward_tests::process::{self, IN_TIME};
use hubward_tests::site::Site;
use hubward_tests::trap;

use super::{SERVER, STATION, exchange, ours};

fn machine(host: &Host) -> Result<String> {
    host.sh("ip -brief link; ip -brief address; ip -4 route; nft list ruleset
         cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/conf/*/send_redirects")
}

/// A site whose server machine does not route yet.
fn site(lab: &lab::Lab) -> Result<(Site, Server)> {
    let (site, server) = Site::with_our_server(lab, &[])?;
    administer(&site.nat, HUB, &["SecureNatDisable"])?;
    site.nat.sh("echo 0 > /proc/sys/net/ipv4/ip_forward
         echo 1 > /proc/sys/net/ipv4/conf/all/send_redirects")?;
    Ok((site, server))
}

fn create(host: &Host, ip: &str) -> Result<String> {
    administer(
        host,
        "",
        &[&format!("BridgeCreate {HUB} /DEVICE:lab /TAP:yes /IP:{ip}")],
    )
}

fn set(host: &Host, ip: &str) -> Result<String> {
    administer(host, "", &[&format!("BridgeSet {HUB} /DEVICE:lab /IP:{ip}")])
}

fn list(host: &Host) -> Result<String> {
    administer(host, "", &["BridgeList"])
}

fn delete(host: &Host) -> Result<String> {
    administer(host, "", &[&format!("BridgeDelete {HUB} /DEVICE:lab")])
}

fn addresses(host: &Host) -> Result<String> {
    host.sh("ip -brief address show dev tap_lab")
}

#[test]
fn it_is_there_at_once_routes_for_stations_and_goes_with_the_bridge() {
    lab::run(|lab| {
        let (site, server) = site(lab)?;
        let before = machine(&site.nat)?;
        create(&site.nat, "10.9.0.1/24")?;
        let now = addresses(&site.nat)?;
        ensure!(now.contains("10.9.0.1/24") && !now.contains("fe80"), "{now}");
        let settings = site.nat.sh(
            "cd /proc/sys/net; cat ipv4/ip_forward ipv4/conf/all/send_redirects \
             ipv4/conf/tap_lab/send_redirects ipv4/conf/tap_lab/accept_redirects ipv6/conf/tap_lab/accept_ra",
        )?;
        ensure!(
            settings.split_whitespace().eq(["1", "0", "0", "0", "0"]),
            "{settings}"
        );
        ensure!(list(&site.nat)?.contains("10.9.0.1/24"));

        let client = ours(&site, STATION, &[])?;
        exchange((&site.user, STATION), (&site.nat, SERVER))?;
        // The private host is reached by way of the server, whose network it is on.
        site.user.sh("ip route add 10.0.1.0/24 via 10.9.0.1")?;
        site.page.is_seen_from(&site.user, site.private())?;
        client.stop()?;

        delete(&site.nat)?;
        let after = machine(&site.nat)?;
        ensure!(before == after, "before:\n{before}\nafter:\n{after}");
        server.stop()
    });
}

#[test]
fn it_changes_in_place_and_is_there_after_a_restart_and_after_kill_9() {
    lab::run(|lab| {
        let (site, server) = site(lab)?;
        let before = machine(&site.nat)?;
        create(&site.nat, "10.9.0.1/24")?;
        let index = || site.nat.sh("cat /sys/class/net/tap_lab/ifindex");
        let device = index()?;
        set(&site.nat, "10.9.0.7/16")?;
        let now = addresses(&site.nat)?;
        ensure!(now.contains("10.9.0.7/16") && !now.contains("10.9.0.1"), "{now}");
        ensure!(device == index()?, "the device was made anew");
        set(&site.nat, "none")?;
        ensure!(!addresses(&site.nat)?.contains("10.9"));
        ensure!(site.nat.sh("cat /proc/sys/net/ipv4/ip_forward")?.trim() == "0");
        set(&site.nat, "10.9.0.1/24")?;

        server.stop()?;
        let after = machine(&site.nat)?;
        ensure!(before == after, "before:\n{before}\nafter:\n{after}");
        let server = Server::start(&site.nat, &[])?;
        ensure!(addresses(&site.nat)?.contains("10.9.0.1/24"));
        server.kill();
        let server = Server::start(&site.nat, &[])?;
        ensure!(addresses(&site.nat)?.contains("10.9.0.1/24"));
        server.stop()?;
        let after = machine(&site.nat)?;
        ensure!(before == after, "before:\n{before}\nafter:\n{after}");
        Ok(())
    });
}

#[test]
fn one_that_is_in_use_or_overlaps_a_route_is_refused_by_name_and_frames_go_on() {
    lab::run(|lab| {
        let (site, server) = site(lab)?;
        site.nat.sh("ip route add 10.50.7.0/24 via 10.0.1.26")?;
        let routes = site.nat.sh("ip -4 route; ip -4 -brief address show dev lan")?;
        for (ip, said) in [
            ("10.0.1.1/24", "in use by the device lan"),
            ("10.0.1.77/24", "10.0.1.0/24 by way of lan"),
            ("10.50.0.1/16", "10.50.7.0/24 by way of lan"),
        ] {
            let told = create(&site.nat, ip)?;
            ensure!(told.contains(said), "{ip}: {told}");
            let listed = list(&site.nat)?;
            ensure!(
                listed.contains("Operating") && listed.contains(said),
                "{ip}: {listed}"
            );
            ensure!(server.log().contains(said), "{ip}: {}", server.log());
            delete(&site.nat)?;
            ensure!(routes == site.nat.sh("ip -4 route; ip -4 -brief address show dev lan")?);
        }
        // A smaller part of what is reached elsewhere may be taken out of it.
        site.nat.sh("ip route add 10.0.0.0/8 via 10.0.1.26")?;
        create(&site.nat, "10.0.1.99/24")?;
        let told = set(&site.nat, "10.9.0.1/24")?;
        ensure!(!told.contains("not in force"), "{told}");
        let client = ours(&site, STATION, &[])?;
        exchange((&site.user, STATION), (&site.nat, SERVER))?;
        let told = set(&site.nat, &format!("{STATION}/24"))?;
        ensure!(told.contains("of this hub has that address"), "{told}");
        client.stop()?;
        server.stop()
    });
}

#[test]
fn a_text_that_is_no_address_and_an_interface_are_refused() {
    lab::run(|lab| {
        let (site, server) = site(lab)?;
        for bad in ["10.9.0.1", "10.9.0.0/24", "10.9.0.1/33", "fd00::1/64", "x"] {
            ensure!(create(&site.nat, bad).is_err(), "{bad}");
        }
        let interface = format!("BridgeCreate {HUB} /DEVICE:lan /TAP:no /IP:10.9.0.1/24");
        let error = administer(&site.nat, "", &[&interface]).map(drop).err();
        let error = format!("{:#}", error.context("an interface got an address")?);
        ensure!(error.contains("/TAP:yes"), "{error}");
        server.stop()
    });
}

#[test]
fn a_device_that_was_there_before_stays_without_our_address() {
    lab::run(|lab| {
        let (site, server) = site(lab)?;
        site.nat
            .sh("ip tuntap add tap_lab mode tap; ip link set tap_lab up
             echo 1 > /proc/sys/net/ipv4/conf/tap_lab/send_redirects")?;
        // Whether it has a carrier, and what follows from that, is not ours.
        let settled = || {
            site.nat.sh(
                "cat /sys/class/net/tap_lab/address; ip -4 -oneline address; ip -4 route; nft list ruleset
                 cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/conf/*/send_redirects
                 cat /proc/sys/net/ipv6/conf/tap_lab/accept_ra /proc/sys/net/ipv6/conf/tap_lab/addr_gen_mode",
            )
        };
        let before = settled()?;
        create(&site.nat, "10.9.0.1/24")?;
        ensure!(addresses(&site.nat)?.contains("10.9.0.1/24"));
        let redirects = "cat /proc/sys/net/ipv4/conf/tap_lab/send_redirects";
        ensure!(site.nat.sh(redirects)?.trim() == "0");
        server.stop()?;
        let after = settled()?;
        ensure!(before == after, "before:\n{before}\nafter:\n{after}");
        Ok(())
    });
}

#[test]
fn without_nft_the_bridge_works_and_the_missing_address_is_explained() {
    lab::run(|lab| {
        let site = Site::new(lab)?;
        site.nat.sh("echo 0 > /proc/sys/net/ipv4/ip_forward")?;
        let before = machine(&site.nat)?;
        let mut command = trap::command(&site.nat, &program("vpnserver")?, Some("/nowhere"));
        let server = Server::start_command(command.args(["run", "--nat-mode", "user"]))?;
        hubward_tests::ours::set_up(&site.nat)?;
        let told = create(&site.nat, "10.9.0.1/24")?;
        ensure!(told.contains("package `nftables`"), "{told}");
        let log = server.log();
        ensure!(log.contains("address of tap_lab"), "{log}");
        ensure!(list(&site.nat)?.contains("Operating"));
        server.stop()?;
        let after = machine(&site.nat)?;
        ensure!(before == after, "before:\n{before}\nafter:\n{after}");
        Ok(())
    });
}

#[test]
fn a_tap_that_somebody_deletes_is_back_with_its_address() {
    lab::run(|lab| {
        let (site, server) = site(lab)?;
        create(&site.nat, "10.9.0.1/24")?;
        let mark = server.daemon().mark();
        process::run(site.nat.command("ip").args(["link", "del", "tap_lab"]))?;
        server
            .daemon()
            .line_after(mark, IN_TIME, "the address once more", |line| {
                line.contains("started") && line.contains("address of tap_lab")
            })?;
        ensure!(addresses(&site.nat)?.contains("10.9.0.1/24"));
        let client = ours(&site, STATION, &[])?;
        exchange((&site.user, STATION), (&site.nat, SERVER))?;
        client.stop()?;
        server.stop()
    });
}
