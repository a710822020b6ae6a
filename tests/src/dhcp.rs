//! The DHCP clients that Debian has, unpacked and never installed: a lease as other people's software gets it.
//!
//! Each configures its device as it does on a machine of its own, and notes in a file what it was told.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::sys::signal::Signal;

use crate::host::Host;
use crate::ours::administer;
use crate::process::{self, Daemon, IN_TIME, eventually};
use crate::stock::Stock;
use crate::stock::unpack;

/// Where a client notes the variables that its script got.
const NOTE: &str = "/run/hubward/dhcp-note";

/// Sets address and routes as the variables of udhcpc say, and notes them.
const UDHCPC_SCRIPT: &str = r#"#!/bin/sh
case $1 in
deconfig) ip address flush dev "$interface"; ip link set "$interface" up ;;
bound | renew)
    ip address replace "$ip/$mask" dev "$interface"
    set -- $staticroutes
    while [ $# -ge 2 ]; do
        [ "$1" = 0.0.0.0/0 ] || ip route replace "$1" via "$2" dev "$interface"
        shift 2
    done
    env > /run/hubward/dhcp-note
    ;;
esac
"#;

/// Notes the variables of dhcpcd, which configures the device by itself.
const DHCPCD_SCRIPT: &str = r#"#!/bin/sh
[ -z "$new_ip_address" ] || env > /run/hubward/dhcp-note
"#;

/// The same for dhclient, behind what its own script and Debian's hooks have done.
const DHCLIENT_HOOK: &str = r#"
[ -z "$new_ip_address" ] || set > /run/hubward/dhcp-note
"#;

/// Which client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// ISC's, with Debian's script and hooks.
    Dhclient,
    /// busybox'.
    Udhcpc,
    /// Roy Marples'.
    Dhcpcd,
}

/// The unpacked clients.
#[derive(Debug)]
pub struct Clients {
    stock: Stock,
    dhclient: PathBuf,
    dhcpcd: PathBuf,
}

/// A running client on a device of a host.
#[derive(Debug)]
pub struct Client<'a> {
    kind: Kind,
    host: &'a Host,
    device: &'a str,
    daemon: Daemon,
    release: Vec<String>,
}

impl Clients {
    /// Unpacks them, once.
    pub fn unpacked() -> Result<Self> {
        Ok(Self {
            stock: Stock::unpacked()?,
            dhclient: unpack::unpacked(&unpack::DHCLIENT)?,
            dhcpcd: unpack::unpacked(&unpack::DHCPCD)?,
        })
    }

    /// Starts one.
    pub fn start<'a>(&self, kind: Kind, host: &'a Host, device: &'a str) -> Result<Client<'a>> {
        host.sh(&format!("rm -f {NOTE}; ip link set {device} up"))?;
        let words = match kind {
            Kind::Dhclient => self.dhclient(host, device)?,
            Kind::Udhcpc => self.udhcpc(host, device)?,
            Kind::Dhcpcd => self.dhcpcd(host, device)?,
        };
        let mut command = host.command(&words[0]);
        command.args(&words[1..]);
        let mut release = Vec::new();
        match kind {
            Kind::Dhclient => {
                release = words.clone();
                release[1] = "-r".into();
            }
            Kind::Udhcpc => {}
            Kind::Dhcpcd => {
                command.env("LD_LIBRARY_PATH", unpack::library_path(&self.dhcpcd));
            }
        }
        let daemon = Daemon::start(&words[0], &mut command)?;
        Ok(Client {
            kind,
            host,
            device,
            daemon,
            release,
        })
    }

    fn dhclient(&self, host: &Host, device: &str) -> Result<Vec<String>> {
        // The hooks have their place in /etc, which every host has for itself.
        let etc = self.dhclient.join("etc/dhcp");
        host.sh(&format!(
            "mkdir -p /etc/dhcp; cp -r {}/. /etc/dhcp/; cat > /etc/dhcp/dhclient-exit-hooks.d/zz-note <<'END'{DHCLIENT_HOOK}END",
            etc.display()
        ))?;
        let program = unpack::place(&self.dhclient, "sbin/dhclient")?;
        let script = unpack::place(&self.dhclient, "sbin/dhclient-script")?;
        Ok(words(&[
            &program.to_string_lossy(),
            "-d",
            "-v",
            "-cf",
            "/etc/dhcp/dhclient.conf",
            "-sf",
            &script.to_string_lossy(),
            "-lf",
            "/run/hubward/dhclient.leases",
            "-pf",
            "/run/hubward/dhclient.pid",
            device,
        ]))
    }

    fn udhcpc(&self, host: &Host, device: &str) -> Result<Vec<String>> {
        let script = script(host, "udhcpc", UDHCPC_SCRIPT)?;
        let busybox = self.stock.busybox()?;
        Ok(words(&[
            &busybox.to_string_lossy(),
            "udhcpc",
            "-f",
            "-i",
            device,
            "-s",
            &script,
            "-O",
            "staticroutes",
        ]))
    }

    fn dhcpcd(&self, host: &Host, device: &str) -> Result<Vec<String>> {
        host.sh("mkdir -p /run/dhcpcd /var/lib/dhcpcd")?;
        let program = unpack::place(&self.dhcpcd, "sbin/dhcpcd")?;
        let configuration = self.dhcpcd.join("etc/dhcpcd.conf");
        Ok(words(&[
            &program.to_string_lossy(),
            "--nobackground",
            "--ipv4only",
            "--noipv4ll",
            "--debug",
            "--script",
            &script(host, "dhcpcd", DHCPCD_SCRIPT)?,
            "--config",
            &configuration.to_string_lossy(),
            device,
        ]))
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn script(host: &Host, name: &str, text: &str) -> Result<String> {
    let path = format!("/run/lab/{name}.sh");
    if !Path::new(&path).exists() {
        std::fs::write(&path, text)?;
        host.sh(&format!("chmod 755 {path}"))?;
    }
    Ok(path)
}

impl Client<'_> {
    /// What it has said.
    pub fn log(&self) -> String {
        self.daemon.log()
    }

    /// The address of its device and what it was told, once it has set them up.
    pub fn bound(&self) -> Result<(Ipv4Addr, String)> {
        let what = format!("a lease by {:?}", self.kind);
        eventually(IN_TIME, &what, || {
            let note = self.host.sh(&format!("cat {NOTE} 2>/dev/null || true"))?;
            let shown = format!("ip -4 -brief address show dev {}", self.device);
            let shown = self.host.sh(&shown)?;
            let address = shown
                .split_whitespace()
                .nth(2)
                .and_then(|word| word.split('/').next());
            let address = address.and_then(|text| text.parse().ok());
            Ok(address
                .filter(|_| !note.is_empty())
                .map(|address| (address, note)))
        })
        .with_context(|| self.log())
    }

    /// How many routes lead into its device by a gateway.
    pub fn routes(&self) -> Result<usize> {
        let shown = format!("ip -4 route show dev {}", self.device);
        Ok(self
            .host
            .sh(&shown)?
            .lines()
            .filter(|line| line.contains(" via "))
            .count())
    }

    /// Has it give its address back.
    pub fn release(&self) -> Result<()> {
        match self.kind {
            Kind::Dhclient => {
                let mut command = self.host.command(&self.release[0]);
                process::run(command.args(&self.release[1..])).map(drop)
            }
            Kind::Udhcpc => {
                self.find_server()?;
                self.daemon.signal(Signal::SIGUSR2)
            }
            Kind::Dhcpcd => self.daemon.signal(Signal::SIGALRM),
        }
    }

    /// Has the host find the server's hardware address: udhcpc takes its own address away right behind the release, and a
    /// release that waits for an answer to that question would never leave.
    fn find_server(&self) -> Result<()> {
        let (_, note) = self.bound()?;
        let server = note.lines().find_map(|line| line.strip_prefix("serverid="));
        let server: Ipv4Addr = server.context("udhcpc was not told its server")?.parse()?;
        eventually(IN_TIME, "the server's hardware address", || {
            // Whatever is sent asks for it.
            self.host
                .within(|| UdpSocket::bind("0.0.0.0:0")?.send_to(b"x", (server, 9)))??;
            let known = self.host.sh(&format!("ip neighbour show to {server}"))?;
            Ok(known.contains("lladdr").then_some(()))
        })
    }

    /// `kill -9`: the server hears nothing.
    pub fn kill(self) {
        self.daemon.kill();
    }
}

/// The leases of a hub: address, and until when, in the words of the table.
pub fn leases(server: &Host, hub: &str) -> Result<BTreeMap<Ipv4Addr, String>> {
    let table = administer(server, hub, &["DhcpTable"])?;
    let mut leases = BTreeMap::new();
    let mut expires = "";
    for line in table.lines() {
        match line.split_once('|') {
            Some((name, value)) if name.trim() == "Expires at" => expires = value.trim(),
            Some((name, value)) if name.trim() == "Allocated IP" => {
                leases.insert(value.trim().parse()?, expires.to_owned());
            }
            _ => {}
        }
    }
    Ok(leases)
}
