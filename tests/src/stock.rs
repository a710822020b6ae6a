//! The stock SoftEther software, unpacked from the distribution's packages and never installed.
//!
//! Its daemons keep state in fixed folders, which every [`Host`] has for itself, so instances on different hosts do
//! not meet. All of it is driven the way its users do, with its own `vpncmd`.

pub(crate) mod unpack;

pub use unpack::fresh_system;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::host::Host;
use crate::ours::{HUB, PASSWORD, USER};
use crate::process::{self, Answer, Daemon, IN_TIME, eventually};

/// The unpacked software.
#[derive(Debug, Clone)]
pub struct Stock {
    root: PathBuf,
}

impl Stock {
    /// Unpacks the packages below cargo's target folder, once; needs no privilege. Called inside a laboratory it can
    /// only find what was unpacked before, since there is no way out of there.
    pub fn unpacked() -> Result<Self> {
        Ok(Self {
            root: unpack::root()?,
        })
    }

    /// Where one of its programs lies.
    pub fn program(&self, name: &str) -> PathBuf {
        self.root.join("usr/libexec/softether").join(name).join(name)
    }

    fn command(&self, host: &Host, program: &Path) -> Command {
        let mut command = host.command(program);
        command.env("LD_LIBRARY_PATH", unpack::library_path(&self.root));
        command
    }

    /// Starts the stock server on `host`: ports 443, 992, 1194 and 5555, no administrator password.
    pub fn server(&self, host: &Host) -> Result<Daemon> {
        let program = self.program("vpnserver");
        let daemon = Daemon::start("stock vpnserver", self.command(host, &program).arg("execsvc"))?;
        host.listens(5555, IN_TIME)?;
        host.listens(443, IN_TIME)?;
        Ok(daemon)
    }

    /// Starts the stock client service on `host`.
    pub fn client(&self, host: &Host) -> Result<Client> {
        const ADMINISTRATION: u16 = 9931;
        let program = self.program("vpnclient");
        let daemon = Daemon::start("stock vpnclient", self.command(host, &program).arg("execsvc"))?;
        host.listens(ADMINISTRATION, IN_TIME)?;
        Ok(Client {
            stock: self.clone(),
            daemon,
        })
    }

    /// Runs the stock `vpncmd` on `host`; the last argument after `/CMD` is one line of its language.
    pub fn vpncmd(&self, host: &Host, arguments: &[&str]) -> Result<Answer> {
        process::answer(self.command(host, &self.program("vpncmd")).args(arguments))
    }

    /// The stock `vpncmd` on `host`, started in `folder` and ended after `patience` seconds.
    pub fn command_in(&self, host: &Host, folder: &Path, patience: &str) -> Command {
        let mut command = self.command(host, Path::new("timeout"));
        command.arg(patience).arg("env").arg("-C").arg(folder);
        command.arg(self.program("vpncmd"));
        command
    }

    /// Runs one administration command of the server reachable at `server` from `host`.
    pub fn administer(&self, host: &Host, server: &str, options: &[&str], command: &str) -> Result<Answer> {
        let mut arguments = vec![server, "/SERVER"];
        arguments.extend(options);
        arguments.push("/CMD");
        // The stock tool takes the rest of its command line apart at the blanks, as its users type it.
        arguments.extend(command.split_whitespace());
        self.vpncmd(host, &arguments)
    }

    /// Runs administration commands on the server's own host. An empty `hub` means none. The first command that fails is an
    /// error.
    pub fn shape(&self, host: &Host, hub: &str, commands: &[&str]) -> Result<()> {
        let admin_hub = format!("/ADMINHUB:{hub}");
        let options = [admin_hub.as_str()];
        let options = if hub.is_empty() { &[][..] } else { &options };
        for command in commands {
            self.administer(host, "localhost", options, command)?
                .success()
                .with_context(|| format!("stock vpncmd {command}"))?;
        }
        Ok(())
    }

    /// Makes the hub, the user with a password, and SecureNAT, as [`crate::ours::set_up`] does.
    pub fn set_up(&self, host: &Host) -> Result<()> {
        self.shape(host, "", &[&format!("HubCreate {HUB} /PASSWORD:none")])?;
        let create = format!("UserCreate {USER} /GROUP:none /REALNAME:none /NOTE:none");
        let password = format!("UserPasswordSet {USER} /PASSWORD:{PASSWORD}");
        self.shape(host, HUB, &[&create, &password, "SecureNatEnable"])
    }

    /// The static busybox, which brings the small programs that a bare system may lack.
    pub fn busybox(&self) -> Result<PathBuf> {
        unpack::busybox(&self.root)
    }

    /// Gets a lease for `device` by busybox' `udhcpc` and sets address and routes as it says.
    pub fn lease(&self, host: &Host, device: &str) -> Result<Lease> {
        let script = self.lease_script()?;
        let mut command = host.command(self.busybox()?);
        command
            .args([
                "udhcpc", "-f", "-q", "-n", "-t", "60", "-T", "1", "-i", device, "-s",
            ])
            .arg(&script);
        command.args(["-O", "staticroutes"]);
        let said = process::answer(&mut command)?;
        ensure!(
            said.code == 0,
            "no lease on {device} of {}: {}",
            host.name(),
            said.stderr.trim()
        );
        Lease::parse(&said.stdout).with_context(|| format!("the lease of {device} reads {:?}", said.stdout))
    }

    fn lease_script(&self) -> Result<PathBuf> {
        let path = Path::new("/run/lab/lease.sh");
        if !path.exists() {
            std::fs::write(path, LEASE_SCRIPT)?;
            process::run(Command::new("chmod").arg("755").arg(path))?;
        }
        Ok(path.to_owned())
    }
}

/// What udhcpc calls when something happens to a lease.
const LEASE_SCRIPT: &str = r#"#!/bin/sh
[ "$1" = bound ] || exit 0
ip address replace "$ip/$mask" dev "$interface"
ip link set "$interface" up
[ -z "$router" ] || ip route replace default via "${router%% *}" dev "$interface" metric 500
set -- $staticroutes
while [ $# -ge 2 ]; do
    ip route replace "$1" via "$2" dev "$interface"
    shift 2
done
echo "lease $ip $mask ${router:-none} ${dns:-none} ${serverid:-none}"
"#;

/// What a DHCP server gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The address.
    pub address: Ipv4Addr,
    /// The length of the network's prefix.
    pub prefix: u8,
    /// The default gateway.
    pub router: Option<Ipv4Addr>,
    /// The first name server.
    pub dns: Option<Ipv4Addr>,
    /// Who gave it.
    pub server: Option<Ipv4Addr>,
}

impl Lease {
    fn parse(text: &str) -> Option<Self> {
        let line = text.lines().find_map(|line| line.strip_prefix("lease "))?;
        let mut words = line.split(' ');
        Some(Self {
            address: words.next()?.parse().ok()?,
            prefix: words.next()?.parse().ok()?,
            router: words.next()?.parse().ok(),
            dns: words.next()?.parse().ok(),
            server: words.next()?.parse().ok(),
        })
    }
}

/// How an account of the stock client proves who its user is.
#[derive(Debug, Clone)]
pub enum Proof<'a> {
    /// Nothing at all.
    Anonymous,
    /// The challenge response ("standard password").
    Standard(&'a str),
    /// The password itself ("RADIUS or NT domain").
    Plain(&'a str),
    /// A certificate and its key, as files.
    Certificate(&'a Path, &'a Path),
}

/// An account of the stock client: where to connect, as whom, and how.
#[derive(Debug, Clone)]
pub struct Account<'a> {
    /// The server as `HOST:PORT`.
    pub server: &'a str,
    /// The hub.
    pub hub: &'a str,
    /// The user.
    pub user: &'a str,
    /// The user's proof.
    pub proof: Proof<'a>,
    /// How many TCP connections to open, 1 to 32.
    pub connections: u32,
    /// One direction per TCP connection.
    pub half_duplex: bool,
    /// Deflate every block.
    pub compress: bool,
    /// Whether UDP acceleration may be offered.
    pub udp_acceleration: bool,
    /// Whether voice-like frames go first.
    pub quality_of_service: bool,
}

impl<'a> Account<'a> {
    /// One full-duplex connection without compression, UDP acceleration or QoS.
    pub fn new(server: &'a str, hub: &'a str, user: &'a str, proof: Proof<'a>) -> Self {
        let (connections, half_duplex, compress, udp_acceleration) = (1, false, false, false);
        Self {
            server,
            hub,
            user,
            proof,
            connections,
            half_duplex,
            compress,
            udp_acceleration,
            quality_of_service: false,
        }
    }

    /// The commands that make this account under the name `NAME` with the adapter `NIC`.
    pub fn commands(&self) -> Vec<String> {
        let yes_no = |flag: bool| if flag { "yes" } else { "no" };
        let mut commands = vec![format!(
            "AccountCreate {NAME} /SERVER:{} /HUB:{} /USERNAME:{} /NICNAME:{NIC}",
            self.server, self.hub, self.user
        )];
        commands.push(match &self.proof {
            Proof::Anonymous => format!("AccountAnonymousSet {NAME}"),
            Proof::Standard(password) => {
                format!("AccountPasswordSet {NAME} /PASSWORD:{password} /TYPE:standard")
            }
            Proof::Plain(password) => format!("AccountPasswordSet {NAME} /PASSWORD:{password} /TYPE:radius"),
            Proof::Certificate(cert, key) => {
                let (cert, key) = (cert.display(), key.display());
                format!("AccountCertSet {NAME} /LOADCERT:{cert} /LOADKEY:{key}")
            }
        });
        commands.push(format!(
            "AccountDetailSet {NAME} /MAXTCP:{} /INTERVAL:1 /TTL:0 /HALF:{} /BRIDGE:no /MONITOR:no /NOTRACK:yes \
             /NOQOS:{} /DISABLEUDP:{}",
            self.connections,
            yes_no(self.half_duplex),
            yes_no(!self.quality_of_service),
            yes_no(!self.udp_acceleration)
        ));
        if self.compress {
            commands.push(format!("AccountCompressEnable {NAME}"));
        }
        commands
    }
}

const NAME: &str = "lab";
const NIC: &str = "lab";

/// A running stock client service with at most one account.
#[derive(Debug)]
pub struct Client {
    stock: Stock,
    daemon: Daemon,
}

impl Client {
    /// The device its frames come out of.
    pub const DEVICE: &'static str = "vpn_lab";

    /// The process itself.
    pub fn daemon(&self) -> &Daemon {
        &self.daemon
    }

    /// Runs one command of the client's administration.
    pub fn command(&self, host: &Host, command: &str) -> Result<Answer> {
        let mut arguments = vec!["localhost", "/CLIENT", "/CMD"];
        arguments.extend(command.split_whitespace());
        self.stock.vpncmd(host, &arguments)
    }

    fn must(&self, host: &Host, command: &str) -> Result<String> {
        self.command(host, command)?
            .success()
            .with_context(|| format!("stock client: {command}"))
    }

    /// Makes the adapter and the account, and starts connecting; it will retry every five seconds.
    pub fn connect(&self, host: &Host, account: &Account<'_>) -> Result<()> {
        self.must(host, &format!("NicCreate {NIC}"))?;
        for command in account.commands() {
            self.must(host, &command)?;
        }
        self.must(host, &format!("AccountRetrySet {NAME} /NUM:999 /INTERVAL:5"))?;
        self.must(host, &format!("AccountConnect {NAME}"))?;
        Ok(())
    }

    /// Waits until the session stands, and returns the status table.
    pub fn established(&self, host: &Host, within: Duration) -> Result<String> {
        let what = format!("an established session of {}", host.name());
        eventually(within, &what, || {
            let status = self.command(host, &format!("AccountStatusGet {NAME}"))?;
            Ok(status
                .stdout
                .contains("Session Established")
                .then_some(status.stdout))
        })
    }

    /// Waits until the status table says `value` beside `name`, and returns it.
    pub fn status_with(&self, host: &Host, name: &str, value: &str, within: Duration) -> Result<String> {
        eventually(
            within,
            &format!("{name:?} = {value:?} in the status of {}", host.name()),
            || {
                let status = self.command(host, &format!("AccountStatusGet {NAME}"))?.stdout;
                Ok((item(&status, name) == Some(value)).then_some(status))
            },
        )
    }

    /// Waits until the client's log holds `text`.
    pub fn logged(&self, host: &Host, text: &str, within: Duration) -> Result<String> {
        eventually(
            within,
            &format!("{text:?} in the log of the stock client"),
            || {
                let log = host.sh("cat /var/log/softether/client_log/* 2>/dev/null || true")?;
                Ok(log.lines().rfind(|line| line.contains(text)).map(str::to_owned))
            },
        )
    }

    /// Ends the session.
    pub fn disconnect(&self, host: &Host) -> Result<()> {
        self.must(host, &format!("AccountDisconnect {NAME}")).map(drop)
    }

    /// Ends the service at once.
    pub fn kill(self) {
        self.daemon.kill();
    }
}

/// A column of a stock table of two columns: the value beside `item`.
pub fn item<'a>(table: &'a str, item: &str) -> Option<&'a str> {
    table.lines().find_map(|line| {
        let (name, value) = line.split_once('|')?;
        (name.trim() == item).then_some(value.trim())
    })
}
