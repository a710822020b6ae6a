//! `vpnserver nat-instance` from its start to its end, with the metadata service in every mood; and `vpnserver cleanup`.

mod cleanup;
mod killed;
mod metadata;
mod together;

use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};

use anyhow::{Context, Result, ensure};
use hubward_tests::host::Host;
use hubward_tests::lab::{self, Lab};
use hubward_tests::metadata::Metadata;
use hubward_tests::ours::{Server, program};
use hubward_tests::process::{self, IN_TIME};
use hubward_tests::site::Site;

/// Where the metadata service of the tests is.
const SERVICE: ([u8; 4], u16) = ([127, 0, 0, 1], 8100);
/// A server in the Internet, which knows no way to private networks.
const OUTSIDE: ([u8; 4], u16) = ([203, 0, 113, 10], 7000);

/// A site whose NAT instance has a default route and nothing else, and its metadata service.
fn site(lab: &Lab, networks: &[&str]) -> Result<(Site, Metadata)> {
    let site = Site::new(lab)?;
    site.nat.sh("ip route add default via 203.0.113.10
         echo 0 > /proc/sys/net/ipv4/ip_forward
         for own in all wan lan; do echo 1 > /proc/sys/net/ipv4/conf/$own/send_redirects; done
         nft add table inet theirs")?;
    let metadata = Metadata::serve(&site.nat, SERVICE.into(), networks)?;
    Ok((site, metadata))
}

/// Everything that a stop must leave as it was; but for carriers, of which is known a moment later that they are gone.
fn machine(host: &Host) -> Result<String> {
    host.sh(
        "ls /sys/class/net; ip -4 -oneline address; ip -4 route | sed 's/ linkdown//'; nft list ruleset
         cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/conf/*/send_redirects",
    )
}

/// Compares it with what it was.
fn is_as_before(host: &Host, before: &str) -> Result<()> {
    let after = machine(host)?;
    ensure!(before == after, "before:\n{before}\nafter:\n{after}");
    Ok(())
}

fn start(site: &Site, metadata: &Metadata, options: &[&str]) -> Result<Server> {
    let address = metadata.address();
    let usual = ["--metadata", &address, "--interval", "1"];
    Server::start_other(&site.nat, "nat-instance", &[&usual, options].concat())
}

/// The address under which the private host is seen outside.
fn seen_as(site: &Site) -> Result<IpAddr> {
    let outside: SocketAddr = OUTSIDE.into();
    let listener = site.user.within(|| TcpListener::bind(outside))??;
    let _stream = site
        .web
        .within(|| TcpStream::connect_timeout(&outside, IN_TIME))?
        .context("the private host does not reach the outside")?;
    Ok(listener.accept()?.1.ip())
}

#[test]
fn private_hosts_reach_the_outside_from_the_start_and_a_stop_leaves_nothing() {
    lab::run(|lab| {
        let (site, metadata) = site(lab, &["10.0.0.0/16", "172.20.0.0/16"])?;
        let before = machine(&site.nat)?;
        let instance = start(&site, &metadata, &[])?;
        ensure!(seen_as(&site)? == IpAddr::from([203, 0, 113, 1]));
        let during = machine(&site.nat)?;
        for network in ["10.0.0.0/16", "172.20.0.0/16"] {
            ensure!(during.contains(network), "{network} is not translated:\n{during}");
        }
        for (setting, wanted) in [
            ("ip_forward", "1"),
            ("conf/wan/send_redirects", "0"),
            ("conf/all/send_redirects", "0"),
        ] {
            let value = site.nat.sh(&format!("cat /proc/sys/net/ipv4/{setting}"))?;
            ensure!(value.trim() == wanted, "{setting} is {value}");
        }
        instance.stop()?;
        is_as_before(&site.nat, &before)?;
        Ok(())
    });
}

#[test]
fn a_machine_is_an_instance_once_and_what_is_wrong_with_its_surroundings_is_said() {
    lab::run(|lab| {
        let (site, metadata) = site(lab, &["10.0.0.0/16"])?;
        let before = machine(&site.nat)?;
        let address = metadata.address();
        for (options, said) in [
            (&["--out", "eth7"][..], "eth7"),
            (&["--cidr", "10.0.0.0/99"][..], "10.0.0.0/99"),
            (&["--no-metadata"][..], "--cidr"),
        ] {
            let arguments = [&["nat-instance", "--metadata", &address], options].concat();
            let answer = process::answer(site.nat.command(program("vpnserver")?).args(arguments))?;
            ensure!(answer.code != 0 && answer.stderr.contains(said), "{answer:?}");
        }
        let first = start(&site, &metadata, &[])?;
        let second = start(&site, &metadata, &[]).map(drop);
        let said = format!("{:#}", second.err().context("a second one started")?);
        ensure!(said.contains("NAT instance already"), "{said}");
        first.stop()?;
        is_as_before(&site.nat, &before)?;

        site.nat.sh("ip route del default")?;
        let lost = start(&site, &metadata, &[]).map(drop);
        let said = format!("{:#}", lost.err().context("it started without a way out")?);
        ensure!(said.contains("--out"), "{said}");
        Ok(())
    });
}

#[test]
fn the_default_route_may_move_and_the_public_interface_vanish() {
    lab::run(|lab| {
        let (site, metadata) = site(lab, &["10.0.0.0/16"])?;
        let instance = start(&site, &metadata, &[])?;
        ensure!(seen_as(&site)? == IpAddr::from([203, 0, 113, 1]));
        let moved = |to: &str, mark| {
            instance
                .daemon()
                .line_after(mark, IN_TIME, "another public interface", |line| {
                    line.contains("changed") && line.contains(&format!("out=\"{to}\""))
                })
        };

        let mark = instance.daemon().mark();
        let _neighbour = site.neighbour(lab)?;
        site.nat.sh("echo 1 > /proc/sys/net/ipv4/conf/wan2/send_redirects
             ip route replace default via 198.51.100.10")?;
        moved("wan2", mark)?;
        let redirects = site
            .nat
            .sh("cd /proc/sys/net/ipv4/conf; cat wan/send_redirects wan2/send_redirects")?;
        ensure!(redirects.split_whitespace().eq(["1", "0"]), "{redirects}");

        let mark = instance.daemon().mark();
        site.nat
            .sh("ip link del wan2; ip route add default via 203.0.113.10")?;
        moved("wan", mark)?;
        ensure!(seen_as(&site)? == IpAddr::from([203, 0, 113, 1]));
        instance.stop()?;
        let left = site
            .nat
            .sh("nft list tables; cat /proc/sys/net/ipv4/ip_forward")?;
        ensure!(
            left.split_whitespace().eq(["table", "inet", "theirs", "0"]),
            "{left}"
        );
        Ok(())
    });
}
