//! A site that cannot be reached from outside calls out: its whole segment joins the hub through a client in bridge mode.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::BytesMut;
use hubward_tests::bench::ping;
use hubward_tests::host::Host;
use hubward_tests::lab::{self, Lab};
use hubward_tests::ours::{self, Client, HUB, USER, administer};
use hubward_tests::process::{self, IN_TIME, eventually};
use hubward_tests::site::{BESIDE, OUTSIDE, Site};
use hubward_tests::stock::Stock;
use hubward_tests::transfer::equal_at_both_ends;
use netdev::{PacketSocket, VnetHeader};
use tokio::runtime::Builder;

/// Enough for a few thousand super-frames.
const BYTES: u64 = 48 << 20;

/// The remote user's address on the segment, the gate's own, and that of a host on it.
const REMOTE: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);
const GATE: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 9);
const DESK: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 20);

/// A site behind a gate that calls out: the gate has a cable to the server's machine and one to a desk.
struct Branch {
    gate: Host,
    desk: Host,
}

impl Branch {
    fn new(lab: &Lab, site: &Site) -> Result<Self> {
        let (gate, desk) = (lab.host("gate")?, lab.host("desk")?);
        lab.cable(
            (&site.nat, "wan2", "198.51.100.1/24"),
            (&gate, "eth0", "198.51.100.10/24"),
        )?;
        cable_to_the_desk(lab, &gate, &desk)?;
        Ok(Self { gate, desk })
    }
}

fn cable_to_the_desk(lab: &Lab, gate: &Host, desk: &Host) -> Result<()> {
    lab.cable((gate, "lan", "10.9.0.9/24"), (desk, "eth0", "10.9.0.20/24"))
}

/// The client of a gate, in a session that stands.
fn bridge(gate: &Host, server: &str, interface: &str) -> Result<Client> {
    let client = Client::connect(gate, server, &["--insecure", "--bridge", interface])?;
    client.daemon().line_with("connected: session", IN_TIME)?;
    Ok(client)
}

/// The remote user, with an address of the segment.
fn remote(site: &Site) -> Result<Client> {
    let client = Client::connect(&site.user, OUTSIDE, &["--insecure", "--tap", "lab", "--no-dhcp"])?;
    client.daemon().line_with("connected: session", IN_TIME)?;
    site.user.sh(&format!(
        "ip link set lab up; ip address replace {REMOTE}/24 dev lab"
    ))?;
    Ok(client)
}

fn answers(from: &Host, to: Ipv4Addr) -> Result<()> {
    ping::is_answered(from, to, IN_TIME)
}

/// Bytes both ways between the remote user and the desk, in frames as long as they come.
fn exchange(site: &Site, desk: &Host) -> Result<()> {
    answers(&site.user, DESK)?;
    equal_at_both_ends(&site.user, desk, (DESK, 5001).into(), BYTES, 1).context("to the desk")?;
    equal_at_both_ends(desk, &site.user, (REMOTE, 5002).into(), BYTES, 2).context("from the desk")?;
    Ok(())
}

/// Frames of a VLAN get from the remote user to the desk and back, with their tags.
fn vlan(site: &Site, desk: &Host) -> Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    // Not every kernel has devices for VLANs; tags it has.
    let open = |host: &Host, device: &str| -> Result<PacketSocket> {
        let opened = host.within(|| runtime.block_on(async { PacketSocket::open(device) }))?;
        opened.with_context(|| format!("{device} of {}", host.name()))
    };
    let ends = [open(&site.user, "lab")?, open(desk, "eth0")?];
    for (from, to) in [(&ends[0], &ends[1]), (&ends[1], &ends[0])] {
        let frame = tagged(from.index());
        runtime
            .block_on(async {
                let hears = async {
                    let mut heard = BytesMut::new();
                    while heard != frame[..] {
                        heard.clear();
                        to.recv(&mut heard).await?;
                    }
                    std::io::Result::Ok(())
                };
                let sends = async {
                    loop {
                        from.send(&VnetHeader::NONE, &frame).await?;
                        tokio::time::sleep(Duration::from_millis(200)).await;
                    }
                };
                tokio::select! {
                    heard = hears => heard,
                    failed = sends => failed,
                    () = tokio::time::sleep(IN_TIME) => Err(std::io::ErrorKind::TimedOut.into()),
                }
            })
            .with_context(|| format!("a tagged frame sent on {}", from.name()))?;
    }
    Ok(())
}

/// A frame to everybody in VLAN 7, of a priority, and of a type that nobody uses.
fn tagged(number: u32) -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend([2, 0, 0, 0, 7]);
    frame.push(number as u8);
    frame.extend([0x81, 0, 0x60, 7, 0x88, 0xb6]);
    frame.extend([7; 100]);
    frame
}

/// What is behind the gate and what is on the hub are one Ethernet: for TCP, in VLANs, and for DHCP.
fn is_one_segment(site: &Site, branch: &Branch, stock: &Stock) -> Result<()> {
    exchange(site, &branch.desk)?;
    vlan(site, &branch.desk)?;
    let lease = stock.lease(&branch.desk, "eth0")?;
    ensure!(
        lease.address.octets()[..3] == [192, 168, 30],
        "the hub's DHCP server gave {lease:?}"
    );
    Ok(())
}

/// What can be seen of a gate's interfaces.
fn interfaces(gate: &Host) -> Result<String> {
    gate.sh("ip -brief address; ip route; ip -d link | grep -o 'promiscuity [0-9]*'")
}

#[test]
fn hosts_of_a_segment_behind_a_client_that_calls_out_are_reached_by_tcp_in_vlans_and_by_dhcp() {
    lab::run_with_stock(|lab, stock| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        let branch = Branch::new(lab, &site)?;
        let before = interfaces(&branch.gate)?;
        let gate = bridge(&branch.gate, BESIDE, "lan")?;
        let log = gate.daemon().log();
        ensure!(
            log.contains("10.9.0.9/24") && log.contains("br0"),
            "it does not say that the gate itself stays outside: {log}"
        );
        let user = remote(&site)?;
        is_one_segment(&site, &branch, stock).with_context(|| gate.daemon().log())?;
        user.stop()?;
        gate.stop()?;
        let after = interfaces(&branch.gate)?;
        ensure!(before == after, "before:\n{before}\nafter:\n{after}");
        server.stop()
    });
}

#[test]
fn a_segment_joins_a_hub_of_the_stock_server_just_so() {
    lab::run_with_stock(|lab, stock| {
        let (site, _server) = Site::with_stock_server(lab, stock)?;
        let branch = Branch::new(lab, &site)?;
        let gate = bridge(&branch.gate, BESIDE, "lan")?;
        let user = remote(&site)?;
        is_one_segment(&site, &branch, stock).with_context(|| gate.daemon().log())?;
        user.stop()?;
        gate.stop()
    });
}

#[test]
fn an_interface_that_vanishes_and_returns_carries_the_segment_again_in_the_same_session() {
    lab::run(|lab| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        let branch = Branch::new(lab, &site)?;
        let gate = bridge(&branch.gate, BESIDE, "lan")?;
        let user = remote(&site)?;
        answers(&site.user, DESK)?;
        for _ in 0..2 {
            let mark = gate.daemon().mark();
            branch.gate.sh("ip link del lan")?;
            gate.daemon()
                .line_after(mark, IN_TIME, "that lan is gone", |line| {
                    line.contains("interface is gone")
                })?;
            cable_to_the_desk(lab, &branch.gate, &branch.desk)?;
            gate.daemon()
                .line_after(mark, IN_TIME, "that lan is back", |line| {
                    line.contains("there again")
                })?;
            site.user.sh("ip neighbour flush all")?;
            answers(&site.user, DESK)?;
        }
        branch.gate.sh("ip link set lan down")?;
        branch.gate.sh("ip link set lan up")?;
        answers(&site.user, DESK)?;
        let sessions = server
            .log()
            .lines()
            .filter(|line| line.contains("session opened") && line.contains("198.51.100.10"))
            .count();
        ensure!(sessions == 1, "{}", server.log());
        user.stop()?;
        gate.stop()?;
        server.stop()
    });
}

#[test]
fn through_a_bridge_of_the_kernel_the_gate_itself_is_in_the_segment_as_well() {
    lab::run(|lab| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        let branch = Branch::new(lab, &site)?;
        branch.gate.sh(
            "ip link add br0 type bridge; ip link set br0 up; ip address del 10.9.0.9/24 dev lan
             ip link set lan master br0; ip address add 10.9.0.9/24 dev br0",
        )?;
        let before = branch.gate.sh("ip -brief link; ip route")?;
        let gate = bridge(&branch.gate, BESIDE, "br0")?;
        let user = remote(&site)?;
        exchange(&site, &branch.desk).with_context(|| gate.daemon().log())?;
        answers(&site.user, GATE)?;
        user.stop()?;
        gate.stop()?;
        let after = branch.gate.sh("ip -brief link; ip route")?;
        ensure!(before == after, "before:\n{before}\nafter:\n{after}");
        server.stop()
    });
}

/// The gate has one cable, to a switch that leads to the server and to the desk: what it bridges carries the tunnel.
fn one_armed(lab: &Lab, site: &Site) -> Result<(Host, Branch)> {
    let switch = lab.host("switch")?;
    let branch = Branch {
        gate: lab.host("gate")?,
        desk: lab.host("desk")?,
    };
    switch.sh("ip link add br0 type bridge; ip link set br0 up")?;
    for (port, host, device, address) in [
        ("port1", &site.nat, "wan2", "10.9.0.1/24"),
        ("port2", &branch.gate, "eth0", "10.9.0.9/24"),
        ("port3", &branch.desk, "eth0", "10.9.0.20/24"),
    ] {
        lab.cable((&switch, port, "192.0.2.254/32"), (host, device, address))?;
        switch.sh(&format!("ip link set {port} master br0"))?;
    }
    Ok((switch, branch))
}

#[test]
fn the_tunnels_own_packets_stay_out_of_the_tunnel_that_their_interface_is_bridged_by() {
    lab::run(|lab| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        let (_switch, branch) = one_armed(lab, &site)?;
        let user = remote(&site)?;
        for interface in ["eth0", "br1"] {
            if interface == "br1" {
                branch.gate.sh(
                    "ip link add br1 type bridge; ip link set br1 up; ip address del 10.9.0.9/24 dev eth0
                     ip link set eth0 master br1; ip address add 10.9.0.9/24 dev br1",
                )?;
                answers(&branch.gate, Ipv4Addr::new(10, 9, 0, 1))?;
            }
            let gate = bridge(&branch.gate, "10.9.0.1", interface)?;
            exchange(&site, &branch.desk).with_context(|| format!("{interface}: {}", gate.daemon().log()))?;
            // A tunnel that swallowed itself would never be quiet again.
            let sent = || -> Result<u64> {
                let packets = branch.gate.sh("cat /sys/class/net/eth0/statistics/tx_packets")?;
                Ok(packets.trim().parse()?)
            };
            eventually(IN_TIME, "silence", || {
                // What is measured is a rate: packets of one second.
                let before = sent()?;
                std::thread::sleep(Duration::from_secs(1));
                Ok((sent()? < before + 200).then_some(()))
            })?;
            gate.stop()?;
        }
        user.stop()?;
        server.stop()
    });
}

#[test]
fn a_segment_that_the_server_bridges_as_well_is_noticed_before_frames_go_in_circles() {
    lab::run(|lab| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        let create = format!("BridgeCreate {HUB} /DEVICE:lan /TAP:no");
        administer(&site.nat, "", &[&create])?;
        let client = Client::connect(&site.web, "10.0.1.1", &["--insecure", "--bridge", "eth0"])?;
        let (code, said) = client.refused()?;
        ensure!(
            code == 4 && said.contains("joined to the hub by another way"),
            "exit {code}: {said}"
        );
        site.page.is_seen_from(&site.nat, site.private())?;
        server.stop()
    });
}

#[test]
fn who_may_not_bridge_is_told_so_and_what_would_mend_it() {
    lab::run(|lab| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        let branch = Branch::new(lab, &site)?;
        administer(
            &site.nat,
            HUB,
            &[&format!("UserPolicySet {USER} /NAME:NoBridge /VALUE:yes")],
        )?;
        for options in [&["--bridge", "lan"][..], &["--router", "--tap", "lab"]] {
            let client = Client::connect(&branch.gate, BESIDE, &[&["--insecure"], options].concat())?;
            let (code, said) = client.refused()?;
            ensure!(
                code == 3 && said.contains("NoBridge"),
                "{options:?}: exit {code}: {said}"
            );
        }
        server.stop()
    });
}

#[test]
fn what_is_no_ethernet_interface_is_refused_before_the_server_hears_of_it() {
    lab::run(|lab| {
        let host = lab.host("gate")?;
        let password = ours::password_file(ours::PASSWORD)?;
        for (interface, code) in [("lo", 2), ("nowhere", 4)] {
            let mut command = host.command(ours::program("vpnclient")?);
            command
                .args(["connect", "192.0.2.1", "--insecure", "--hub", HUB, "--user", USER])
                .args(["--bridge", interface, "--password-file"])
                .arg(&password);
            let answer = process::answer(&mut command)?;
            ensure!(
                answer.code == code && answer.stderr.contains(interface),
                "{interface}: {answer:?}"
            );
        }
        Ok(())
    });
}

#[test]
fn a_session_that_asks_to_route_forwards_for_the_hosts_behind_it() {
    lab::run(|lab| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        let branch = Branch::new(lab, &site)?;
        let router = Client::connect(
            &branch.gate,
            BESIDE,
            &["--insecure", "--router", "--tap", "vpn", "--no-dhcp"],
        )?;
        router.daemon().line_with("connected: session", IN_TIME)?;
        branch.gate.sh(
            "ip link set vpn up; ip address add 10.8.0.9/24 dev vpn; echo 1 > /proc/sys/net/ipv4/ip_forward",
        )?;
        branch.desk.sh("ip route add 10.8.0.0/24 via 10.9.0.9")?;
        let user = Client::connect(&site.user, OUTSIDE, &["--insecure", "--tap", "lab", "--no-dhcp"])?;
        user.daemon().line_with("connected: session", IN_TIME)?;
        site.user.sh(
            "ip link set lab up; ip address add 10.8.0.2/24 dev lab; ip route add 10.9.0.0/24 via 10.8.0.9",
        )?;
        // More addresses than a session without this right may have (docs/policies.md).
        for host in 20..30 {
            let address = format!("10.9.0.{host}");
            branch
                .desk
                .sh(&format!("ip address replace {address}/24 dev eth0"))?;
            answers(&site.user, address.parse()?)?;
        }
        user.stop()?;
        router.stop()?;
        server.stop()
    });
}
