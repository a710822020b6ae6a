//! The laboratory: every test gets user, network, mount and process namespaces of its own.
//!
//! A test that calls [`run`] starts itself a second time inside `unshare`. There it is root and process
//! number one: whatever it starts ends with it, and no device, rule, route or file of it can stay behind,
//! not even after `kill -9`. An ordinary user gets the same through a user namespace.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::dhcp::Clients;
use crate::host::Host;
use crate::process::{self, IN_TIME};
use crate::stock::Stock;

/// Set for a process that is already inside.
const INSIDE: &str = "HUBWARD_LAB";

/// The folder for sockets and scratch files that all hosts see. Short, because a socket's path must be.
const FOLDER: &str = "/run/lab";

/// The laboratory of one test, or of the demonstration.
#[derive(Debug)]
pub struct Lab {
    _private: (),
}

/// Carries the calling test into a laboratory and runs `body` there.
///
/// # Panics
/// When the body fails, so that the test does.
pub fn run<F: FnOnce(&Lab) -> Result<()>>(body: F) {
    let done = if is_inside() {
        Lab::open().and_then(|lab| body(&lab))
    } else {
        repeat_inside(&test_name::<F>())
    };
    done.unwrap_or_else(|error| panic!("{error:?}"));
}

/// Whether the laboratory is that of a real root, who may give files to others.
pub fn is_of_root() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.split_whitespace().nth(2).is_some_and(|count| count != "1")
}

/// As [`run`], for tests that need the stock software: it is unpacked before, out here, where packages can be had.
///
/// # Panics
/// When the body fails, or the software cannot be unpacked.
pub fn run_with_stock<F: FnOnce(&Lab, &Stock) -> Result<()>>(body: F) {
    run_with(Stock::unpacked, body);
}

/// As [`run`], for tests that need other software, which `unpack` gets before.
///
/// # Panics
/// When the body fails, or the software cannot be had.
pub fn run_with<T, F: FnOnce(&Lab, &T) -> Result<()>>(unpack: impl FnOnce() -> Result<T>, body: F) {
    let done = unpack().and_then(|unpacked| match is_inside() {
        true => Lab::open().and_then(|lab| body(&lab, &unpacked)),
        false => repeat_inside(&test_name::<F>()),
    });
    done.unwrap_or_else(|error| panic!("{error:?}"));
}

/// As [`run`], for tests that need the distribution's DHCP clients.
///
/// # Panics
/// When the body fails, or the software cannot be unpacked.
pub fn run_with_dhcp_clients<F: FnOnce(&Lab, &Clients) -> Result<()>>(body: F) {
    run_with(Clients::unpacked, body);
}

/// As [`run`], for tests that need a fresh Debian to work in.
///
/// # Panics
/// When the body fails, or the system cannot be had.
pub fn run_with_system<F: FnOnce(&Lab) -> Result<()>>(body: F) {
    let done = crate::stock::fresh_system().and_then(|_| match is_inside() {
        true => Lab::open().and_then(|lab| body(&lab)),
        false => repeat_inside(&test_name::<F>()),
    });
    done.unwrap_or_else(|error| panic!("{error:?}"));
}

/// As [`run`], for tests of the Debian packages, an older and a newer one: they are made before, and the system that they are
/// installed in unpacked.
///
/// # Panics
/// When the body fails, or packages or system cannot be had.
pub fn run_with_packages<F: FnOnce(&Lab, &[PathBuf; 2]) -> Result<()>>(body: F) {
    let had = crate::stock::fresh_system().and_then(|_| crate::package::made());
    let done = had.and_then(|packages| match is_inside() {
        true => Lab::open().and_then(|lab| body(&lab, &packages)),
        false => repeat_inside(&test_name::<F>()),
    });
    done.unwrap_or_else(|error| panic!("{error:?}"));
}

fn repeat_inside(test: &str) -> Result<()> {
    check()?;
    let status = enter(&[test, "--exact", "--nocapture", "--test-threads=1"])?.status()?;
    anyhow::ensure!(status.success(), "{test} failed inside its laboratory");
    Ok(())
}

/// Whether this process already runs inside a laboratory.
pub fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// The command that starts this program again, with `arguments`, inside fresh namespaces.
pub fn enter(arguments: &[&str]) -> Result<Command> {
    let program = std::env::current_exe()?;
    let mut command = enclosure();
    // Errors tell their story in words; where in the harness they passed is nobody's question.
    command
        .arg(program)
        .args(arguments)
        .env(INSIDE, "1")
        .env("RUST_LIB_BACKTRACE", "0");
    Ok(command)
}

/// Says in one line what keeps this user from namespaces of their own, if anything does.
pub fn check() -> Result<()> {
    let mut command = enclosure();
    command.args(["sh", "-c", "mount -t tmpfs tmpfs /run && ip link set lo up"]);
    let answer = process::answer(&mut command)?;
    if answer.code == 0 {
        return Ok(());
    }
    bail!(
        "namespaces are refused to this user ({}); run it as root, or allow them: \
         sysctl kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0",
        answer.stderr.trim()
    )
}

/// `setpriv` and `--kill-child` tie the life of everything inside to the life of this process.
fn enclosure() -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "unshare"]);
    if !nix::unistd::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args([
        "--net",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
        "--",
    ]);
    command
}

/// `crate::module::test::{{closure}}` without its ends: the name by which the test runner knows the caller.
fn test_name<F>() -> String {
    let name = std::any::type_name::<F>().trim_end_matches("::{{closure}}");
    name.split_once("::").map_or(name, |(_, test)| test).to_owned()
}

impl Lab {
    /// Prepares the namespaces this process was started in.
    pub fn open() -> Result<Self> {
        if !is_inside() {
            bail!("a laboratory is opened inside its namespaces only");
        }
        let folders = "mount -t tmpfs tmpfs /run && mkdir -p /run/lab /run/hubward /run/hubward-client /run/softether && ip link set lo up";
        process::run(Command::new("sh").args(["-c", folders])).context("the laboratory's folders")?;
        Ok(Self { _private: () })
    }

    /// A folder that all hosts of this laboratory share.
    pub fn folder(&self) -> &Path {
        Path::new(FOLDER)
    }

    /// Adds a host.
    pub fn host(&self, name: &str) -> Result<Host> {
        Host::new(name).with_context(|| format!("host {name}"))
    }

    /// Lays a cable between two hosts: (host, device, address with prefix length) at either end.
    pub fn cable(&self, a: (&Host, &str, &str), b: (&Host, &str, &str)) -> Result<()> {
        let ((host_a, device_a, _), (host_b, device_b, _)) = (a, b);
        process::run(Command::new("ip").args([
            "link",
            "add",
            device_a,
            "netns",
            &host_a.pid().to_string(),
            "type",
            "veth",
            "peer",
            "name",
            device_b,
            "netns",
            &host_b.pid().to_string(),
        ]))?;
        for (host, device, address) in [a, b] {
            // Duplicate address detection would only delay what the test waits for.
            host.sh(&format!(
                "echo 0 > /proc/sys/net/ipv6/conf/{device}/accept_dad 2>/dev/null || true
                 ip address add {address} dev {device}; ip link set {device} up"
            ))?;
        }
        for (host, device, _) in [a, b] {
            // A veth pair has its carrier a moment after its second end is up.
            process::eventually(IN_TIME, &format!("the carrier of {device}"), || {
                Ok(host
                    .sh(&format!("ip -brief link show {device}"))?
                    .contains(" UP ")
                    .then_some(()))
            })?;
        }
        Ok(())
    }
}

/// Where cargo put what it built for this profile (`target/debug`, say).
pub fn built() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let mut folder = program.parent().context("a program has a folder")?;
    if folder.ends_with("deps") {
        folder = folder.parent().context("deps has a parent")?;
    }
    Ok(folder.to_owned())
}

/// Cargo's target folder, in which unpacked packages are kept.
pub fn target() -> Result<PathBuf> {
    Ok(built()?
        .parent()
        .context("a profile's folder has a parent")?
        .to_owned())
}
