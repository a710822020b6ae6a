//! Our own programs, as cargo built them for the profile that the tests run in.

use std::net::Ipv4Addr;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::host::Host;
use crate::lab;
use crate::process::{self, Answer, Daemon, IN_TIME};

/// The path of one of our programs; an error says how to build it.
pub fn program(name: &str) -> Result<PathBuf> {
    let path = lab::built()?.join(name);
    ensure!(
        path.exists(),
        "{} is not built: cargo build --workspace",
        path.display()
    );
    Ok(path)
}

/// A running `vpnserver` with its state in the host's /var/lib/hubward.
#[derive(Debug)]
pub struct Server {
    daemon: Daemon,
}

impl Server {
    /// Starts it with `options` beside `run`, and waits until it says that it is ready, as it says it to systemd.
    pub fn start(host: &Host, options: &[&str]) -> Result<Self> {
        Self::start_other(host, "run", options)
    }

    /// The same with another command of `vpnserver` that serves, such as `nat-instance`.
    pub fn start_other(host: &Host, what: &str, options: &[&str]) -> Result<Self> {
        let mut command = host.command(program("vpnserver")?);
        Self::start_command(command.arg(what).args(options))
    }

    /// The same by any command that says when it is ready.
    pub fn start_command(command: &mut Command) -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let path = format!("/run/lab/ready-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let ready = UnixDatagram::bind(&path)?;
        command.env("NOTIFY_SOCKET", &path).env("RUST_BACKTRACE", "1");
        let mut daemon = Daemon::start("vpnserver", command)?;
        await_ready(&ready, &mut daemon)?;
        Ok(Self { daemon })
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.daemon.log()
    }

    /// The process itself.
    pub fn daemon(&self) -> &Daemon {
        &self.daemon
    }

    /// Asks it to end and checks that it ends well.
    pub fn stop(self) -> Result<()> {
        self.stop_and_log().map(drop)
    }

    /// As [`Server::stop`], and returns everything it has logged, the end of its sessions included.
    pub fn stop_and_log(mut self) -> Result<String> {
        self.daemon.signal(Signal::SIGTERM)?;
        let code = self.daemon.wait(IN_TIME)?;
        ensure!(code == 0, "vpnserver ended with {code}:\n{}", self.log());
        Ok(self.log())
    }

    /// `kill -9`.
    pub fn kill(self) {
        self.daemon.kill();
    }
}

fn await_ready(socket: &UnixDatagram, daemon: &mut Daemon) -> Result<()> {
    socket.set_read_timeout(Some(Duration::from_millis(100)))?;
    let deadline = Instant::now() + IN_TIME;
    let mut message = [0; 4096];
    while Instant::now() < deadline {
        // A time-out here only means: look whether it is still alive.
        if let Ok(length) = socket.recv(&mut message) {
            if String::from_utf8_lossy(&message[..length])
                .lines()
                .any(|line| line == "READY=1")
            {
                return Ok(());
            }
        } else if let Ok(code) = daemon.wait(Duration::ZERO) {
            bail!(
                "vpnserver ended with {code} instead of starting:\n{}",
                daemon.log()
            );
        }
    }
    bail!("vpnserver did not become ready:\n{}", daemon.log())
}

/// Runs our `vpncmd` on `host`.
pub fn vpncmd(host: &Host, arguments: &[&str]) -> Result<Answer> {
    process::answer(host.command(program("vpncmd")?).args(arguments))
}

/// Runs administration commands through the server's local socket: as root on `host`, without a password. An empty
/// `hub` means none. The first command that fails is an error.
pub fn administer(host: &Host, hub: &str, commands: &[&str]) -> Result<String> {
    let mut said = String::new();
    for command in commands {
        let admin_hub = format!("/ADMINHUB:{hub}");
        let mut arguments = vec!["localhost", "/SERVER"];
        if !hub.is_empty() {
            arguments.push(&admin_hub);
        }
        arguments.push("/CMD");
        arguments.extend(command.split_whitespace());
        said += &vpncmd(host, &arguments)?
            .success()
            .with_context(|| format!("vpncmd {command}"))?;
    }
    Ok(said)
}

/// Makes the certificates that the compared command lines load, each with its key beside it, in `folder`.
pub fn make_certificates(host: &Host, folder: &Path) -> Result<()> {
    for name in ["user", "ca", "srv"] {
        let mut command = host.command("env");
        command.arg("-C").arg(folder).arg(program("vpncmd")?);
        command.args(["/TOOLS", "/CMD", "MakeCert2048", &format!("/CN:{name}")]);
        command.args(["/O:o", "/OU:ou", "/C:JP", "/ST:st", "/L:l", "/SERIAL:0A0B0C"]);
        command.args(["/EXPIRES:3650".to_owned(), format!("/SAVECERT:{name}.crt")]);
        process::run(command.arg(format!("/SAVEKEY:{name}.key")))?;
    }
    Ok(())
}

/// The user of the stories, and the password they log in with.
pub const USER: &str = "tsumura";
/// See [`USER`].
pub const PASSWORD: &str = "Fuji-3776";
/// The hub of the stories.
pub const HUB: &str = "mikalab";

/// Makes the hub, the user with a password, and SecureNAT.
pub fn set_up(host: &Host) -> Result<()> {
    administer(host, "", &[&format!("HubCreate {HUB} /PASSWORD:none")])?;
    let create = format!("UserCreate {USER} /GROUP:none /REALNAME:none /NOTE:none");
    let password = format!("UserPasswordSet {USER} /PASSWORD:{PASSWORD}");
    administer(host, HUB, &[&create, &password, "SecureNatEnable"]).map(drop)
}

/// A `vpnclient connect` in the foreground.
#[derive(Debug)]
pub struct Client {
    daemon: Daemon,
}

impl Client {
    /// Starts `vpnclient connect server --hub HUB --user USER` with `options`.
    pub fn connect(host: &Host, server: &str, options: &[&str]) -> Result<Self> {
        Self::connect_as(host, server, HUB, USER, PASSWORD, options)
    }

    /// As [`Client::connect`], as somebody else.
    pub fn connect_as(
        host: &Host,
        server: &str,
        hub: &str,
        user: &str,
        password: &str,
        options: &[&str],
    ) -> Result<Self> {
        let file = password_file(password)?;
        let mut command = host.command(program("vpnclient")?);
        command
            .args(["connect", server, "--hub", hub, "--user", user, "--password-file"])
            .arg(file);
        command.args(options).env("RUST_BACKTRACE", "1");
        Ok(Self {
            daemon: Daemon::start("vpnclient", &mut command)?,
        })
    }

    /// The process itself.
    pub fn daemon(&self) -> &Daemon {
        &self.daemon
    }

    /// Waits until it ends by itself and returns exit code and output: for connections that must be refused.
    pub fn refused(mut self) -> Result<(i32, String)> {
        let code = self.daemon.wait(IN_TIME)?;
        Ok((code, self.daemon.log()))
    }

    /// Asks it to end, and checks that it ends well.
    pub fn stop(self) -> Result<()> {
        let log = self.daemon.log();
        let code = self.daemon.stop(IN_TIME)?;
        ensure!(code == 0, "vpnclient ended with {code}:\n{log}");
        Ok(())
    }

    /// `kill -9`.
    pub fn kill(self) {
        self.daemon.kill();
    }
}

/// A file that holds `password`, since a password on a command line would be everybody's.
pub fn password_file(password: &str) -> Result<PathBuf> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let path = Path::new("/run/lab").join(format!("password-{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)?;
    writeln!(file, "{password}")?;
    Ok(path)
}

/// The first IPv4 address of `device` on `host`, once it has one and can be used.
pub fn address_of(host: &Host, device: &str, within: Duration) -> Result<Ipv4Addr> {
    process::eventually(
        within,
        &format!("an address on {device} of {}", host.name()),
        || {
            let links = told(host, &["address", "show", "dev", device])?;
            let address = &links[0]["addr_info"][0];
            // Only our client gives addresses without a route, and rules that lead to its own routes a moment later.
            let is_ours = address["noprefixroute"] == true;
            if is_ours && !leads_into(host, device)? {
                return Ok(None);
            }
            Ok(address["local"].as_str().and_then(|text| text.parse().ok()))
        },
    )
}

/// Whether every rule is there that leads to the routes of our client for `device`. They come last.
fn leads_into(host: &Host, device: &str) -> Result<bool> {
    let routes = told(host, &["route", "show", "table", "all", "dev", device])?;
    let rules = told(host, &["rule", "show"])?;
    let all = |list: &Value| list.as_array().cloned().unwrap_or_default();
    let Some(table) = all(&rules)
        .into_iter()
        .map(|rule| rule["table"].clone())
        .filter(|table| table != "local")
        .find(|table| all(&routes).iter().any(|route| route["table"] == *table))
    else {
        return Ok(false);
    };
    let of_it = |list: &Value| {
        let mut list = all(list);
        list.retain(|entry| entry["table"] == table);
        list
    };
    // One for networks, and one more for everything else where that goes into the tunnel, too.
    let is_full = of_it(&routes).iter().any(|route| route["dst"] == "default");
    Ok(of_it(&rules).len() == 1 + usize::from(is_full))
}

/// What `ip` says of this host's IPv4.
fn told(host: &Host, question: &[&str]) -> Result<Value> {
    let mut command: Command = host.command("ip");
    let answer = process::answer(command.args(["-json", "-4"]).args(question))?;
    Ok(serde_json::from_str(&answer.stdout).unwrap_or_default())
}
