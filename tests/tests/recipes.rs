//! The recipes of docs/client.md, command by command as they stand there.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use hubward_tests::host::Host;
use hubward_tests::lab::{self, Lab};
use hubward_tests::ours::{self, Server, administer};
use hubward_tests::page;
use hubward_tests::process::{self, Daemon, IN_TIME, eventually};
use hubward_tests::site::Site;
use hubward_tests::sources::top;

const HUB: &str = "lab";
const USER: &str = "alice";

/// The blocks of commands under a heading that begins so.
fn recipe(heading: &str) -> Result<Vec<String>> {
    let page = fs::read_to_string(top().join("docs/client.md"))?;
    let section = page
        .split("\n## ")
        .find(|section| section.starts_with(heading))
        .with_context(|| format!("no section {heading:?}"))?;
    let blocks = section.split("```").skip(1).step_by(2);
    let commands = blocks.filter_map(|block| Some(block.strip_prefix("sh\n")?.trim().to_owned()));
    Ok(commands.collect())
}

/// The place of the recipes: the site with a hub and a user of their names, a name for the server, and the password's file.
struct Place {
    site: Site,
    server: Server,
    pin: String,
}

impl Place {
    fn new(lab: &Lab) -> Result<Self> {
        let site = Site::new(lab)?;
        let server = Server::start(&site.nat, &[])?;
        administer(&site.nat, "", &[&format!("HubCreate {HUB} /PASSWORD:none")])?;
        let create = format!("UserCreate {USER} /GROUP:none /REALNAME:none /NOTE:none");
        let password = format!("UserPasswordSet {USER} /PASSWORD:{}", ours::PASSWORD);
        administer(&site.nat, HUB, &[&create, &password])?;
        let log = server.log();
        let at = log.find("sha256:").context("the server shows no fingerprint")?;
        let pin = log[at..]
            .split(|c: char| !c.is_ascii_alphanumeric() && c != ':')
            .next()
            .unwrap_or_default()
            .to_owned();
        let place = Self { site, server, pin };
        place.prepare(&place.site.user, "203.0.113.1")?;
        Ok(place)
    }

    /// What the page takes for granted on a client's machine.
    fn prepare(&self, host: &Host, address: &str) -> Result<()> {
        host.sh(&format!("echo '{address} vpn.example.org' >> /etc/hosts"))?;
        let preface = recipe("# Recipes")?;
        let preface = preface.first().context("the password's file")?;
        ensure!(preface.contains(ours::PASSWORD), "{preface}");
        host.sh(&format!("cd /run/hubward/home; {preface}")).map(drop)
    }

    /// A command of the page, on a host whose programs are ours.
    fn command(&self, host: &Host, line: &str) -> Result<Command> {
        let programs = ours::program("vpnclient")?;
        let folder = programs.parent().context("a program has a folder")?.display();
        let line = line.replace("sha256:HEX", &self.pin);
        let mut command = host.command("sh");
        command.args([
            "-euc",
            &format!("cd /run/hubward/home; export PATH={folder}:$PATH; exec {line}"),
        ]);
        Ok(command)
    }

    fn daemon(&self, host: &Host, line: &str) -> Result<Daemon> {
        Daemon::start("vpnclient", &mut self.command(host, line)?)
    }

    fn end(self, client: Daemon) -> Result<()> {
        stop(client)?;
        self.server.stop()
    }
}

fn stop(client: Daemon) -> Result<()> {
    let log = client.log();
    let code = client.stop(IN_TIME)?;
    ensure!(code == 0, "vpnclient ended with {code}:\n{log}");
    Ok(())
}

fn sees_the_page(place: &Place, client: &Daemon) -> Result<()> {
    eventually(IN_TIME, "the private page", || {
        Ok(place.site.user_sees_the_private_page().ok())
    })
    .with_context(|| client.log())
}

#[test]
fn a_laptop() {
    lab::run(|lab| {
        let place = Place::new(lab)?;
        administer(&place.site.nat, HUB, &["SecureNatEnable"])?;
        let lines = recipe("A laptop")?;
        ensure!(lines.len() == 2, "{lines:?}");
        let before = place
            .site
            .user
            .sh("ip -brief address; ip route; ip rule; cat /etc/resolv.conf")?;
        for line in &lines {
            let client = place.daemon(&place.site.user, line)?;
            client
                .line_with("address 192.168.30.", IN_TIME)
                .with_context(|| client.log())?;
            if !line.contains("split") {
                sees_the_page(&place, &client)?;
            }
            stop(client)?;
            let after = place
                .site
                .user
                .sh("ip -brief address; ip route; ip rule; cat /etc/resolv.conf")?;
            ensure!(before == after, "before:\n{before}\nafter:\n{after}");
        }
        place.server.stop()
    });
}

#[test]
fn a_server_at_boot() {
    lab::run(|lab| {
        let place = Place::new(lab)?;
        administer(&place.site.nat, HUB, &["SecureNatEnable"])?;
        let page = fs::read_to_string(top().join("docs/client.md"))?;
        let line = page
            .lines()
            .find_map(|line| line.strip_prefix("ExecStart=/usr/bin/"))
            .context("no ExecStart")?;
        // What systemd makes of LoadCredential=, and a network that comes late.
        place.site.user.sh("mkdir -m 700 /run/hubward/credentials
             cp /run/hubward/home/alice.password /run/hubward/credentials/vpn-password
             ip link set eth0 down")?;
        let mut command = place.command(&place.site.user, line)?;
        command.env("CREDENTIALS_DIRECTORY", "/run/hubward/credentials");
        let client = Daemon::start("vpnclient", &mut command)?;
        client
            .line_with("next try in", IN_TIME)
            .with_context(|| client.log())?;
        place.site.user.sh("ip link set eth0 up")?;
        sees_the_page(&place, &client)?;
        place.end(client)
    });
}

#[test]
fn a_way_to_a_bastion_for_ssh() {
    lab::run(|lab| {
        let place = Place::new(lab)?;
        administer(&place.site.nat, HUB, &["SecureNatEnable"])?;
        let lines = recipe("A way to a bastion")?;
        let client = place.daemon(&place.site.user, &lines[0])?;
        client
            .line_with("on rootless", IN_TIME)
            .with_context(|| client.log())?;
        // Whoever listens at that port says something first, as sshd does.
        let listener = place
            .site
            .web
            .within(|| std::net::TcpListener::bind("10.0.1.26:22"))??;
        std::thread::spawn(move || {
            for mut visitor in listener.incoming().flatten() {
                let _ = std::io::Write::write_all(&mut visitor, b"SSH-2.0-the bastion\r\n");
            }
        });
        let said = process::answer(&mut place.command(&place.site.user, &lines[1])?)?;
        ensure!(said.stdout.contains("the bastion"), "{said:?}\n{}", client.log());
        place.end(client)
    });
}

#[test]
fn a_container() {
    lab::run(|lab| {
        let place = Place::new(lab)?;
        administer(&place.site.nat, HUB, &["SecureNatEnable"])?;
        let lines = recipe("A container")?;
        let without = "setpriv --inh-caps=-all --bounding-set=-all --ambient-caps=-all";
        let client = place.daemon(&place.site.user, &format!("{without} {}", lines[0]))?;
        client
            .line_with("on rootless", IN_TIME)
            .with_context(|| client.log())?;
        for line in &lines[1..] {
            let page = process::run(&mut place.command(&place.site.user, line)?)?;
            ensure!(page.contains("the private page"), "{line} brought {page:?}");
        }
        place.end(client)
    });
}

#[test]
fn a_site_that_cannot_be_reached_from_outside() {
    lab::run(|lab| {
        let place = Place::new(lab)?;
        let gate = place.site.neighbour(lab)?;
        let desk = lab.host("desk")?;
        lab.cable((&gate, "lan", "10.9.0.9/24"), (&desk, "eth0", "10.9.0.20/24"))?;
        let own = page::Page::new("a page of the site");
        own.serve(&desk)?;
        place.prepare(&gate, "198.51.100.1")?;
        let lines = recipe("A site that cannot")?;
        let bridge = place.daemon(&gate, &lines[0])?;
        bridge
            .line_with("connected: session", IN_TIME)
            .with_context(|| bridge.log())?;
        let laptop = recipe("A laptop")?;
        let client = place.daemon(&place.site.user, &format!("{} --no-dhcp", laptop[0]))?;
        client
            .line_with("connected: session", IN_TIME)
            .with_context(|| client.log())?;
        place
            .site
            .user
            .sh("ip link set hubward0 up; ip address add 10.9.0.2/24 dev hubward0")?;
        eventually(IN_TIME, "the page of the site", || {
            Ok(own
                .is_seen_from(&place.site.user, ([10, 9, 0, 20], 80).into())
                .ok())
        })?;
        stop(bridge)?;
        place.end(client)
    });
}
