//! A host of the laboratory: a network namespace with a filesystem view of its own.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sched::{CloneFlags, setns};

use crate::process::{self, Daemon, eventually};

/// What a host keeps for itself: the folders in which daemons hold state, and /etc, where clients change the DNS.
/// An overlay leaves what else is in there to be seen. An ordinary user gets an empty folder instead (for /etc a copy), as does everybody
/// where the kernel refuses an overlay: what belongs to somebody whom the user's namespace does not know cannot be written through it.
const PRIVATE_FOLDERS: &str = r#"
set -e
mount -t tmpfs tmpfs /run/hubward
mount -t tmpfs tmpfs /run/softether
mount -t tmpfs tmpfs /run/hubward-client
layers=/run/hubward/layers
for folder in /etc /var/lib /var/log; do
    layer=$layers/$folder
    mkdir -p $layer/upper $layer/work $layer/copy
    options=lowerdir=$folder,upperdir=$layer/upper,workdir=$layer/work
    if [ "$(stat -c %u $folder)" = 0 ]; then
        mount -t overlay overlay -o $options,userxattr $folder 2>/dev/null && continue
    fi
    [ $folder != /etc ] || cp -a --no-preserve=ownership /etc/. $layer/copy 2>/dev/null || true
    mount --bind $layer/copy $folder
done
mkdir -p /var/lib/softether /var/log/softether /run/hubward/home
hostname "$0" 2>/dev/null || true
mount -t sysfs sysfs /sys 2>/dev/null || true
ip link set lo up
echo ready
exec cat
"#;

/// One machine of the laboratory. Its network, its `/etc`, `/var/lib`, `/var/log` and `/run` are its own; it
/// vanishes when dropped.
#[derive(Debug)]
pub struct Host {
    name: String,
    holder: Child,
    network: File,
}

impl Host {
    pub(crate) fn new(name: &str) -> Result<Self> {
        let mut holder = Command::new("unshare")
            .args(["--net", "--mount", "--uts", "sh", "-c", PRIVATE_FOLDERS, name])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("unshare (package util-linux) could not be started")?;
        let mut line = String::new();
        if let Some(stdout) = &mut holder.stdout {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        anyhow::ensure!(line.trim() == "ready", "the host {name} could not be set up");
        let network = File::open(format!("/proc/{}/ns/net", holder.id()))?;
        Ok(Self {
            name: name.into(),
            holder,
            network,
        })
    }

    /// The name it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The process that holds its namespaces, as `ip link ... netns PID` wants it.
    pub fn pid(&self) -> u32 {
        self.holder.id()
    }

    /// A command that will run on this host.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--target={}", self.pid()))
            .args(["--net", "--mount", "--uts", "--"]);
        command
            .arg(program.as_ref())
            .env("HOME", "/run/hubward/home")
            .env_remove("XDG_STATE_HOME");
        command
    }

    /// Runs a shell script on this host and returns what it printed; it stops at its first failure.
    pub fn sh(&self, script: &str) -> Result<String> {
        let mut command = self.command("sh");
        command.args(["-euc", script]);
        process::answer(&mut command)?
            .success()
            .with_context(|| format!("on {}: {script}", self.name))
    }

    /// Starts a daemon on this host.
    pub fn daemon(&self, name: &str, program: impl AsRef<Path>, arguments: &[&str]) -> Result<Daemon> {
        Daemon::start(name, self.command(program).args(arguments))
    }

    /// Runs a closure of the test on this host's network. Sockets opened in it stay on this network.
    pub fn within<T: Send>(&self, body: impl FnOnce() -> T + Send) -> Result<T> {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                setns(self.network.as_fd(), CloneFlags::CLONE_NEWNET)?;
                Ok(body())
            });
            match thread.join() {
                Ok(result) => result.map_err(|e: nix::Error| e.into()),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// Waits until a socket of this host listens on TCP `port`, without touching it.
    pub fn listens(&self, port: u16, within: Duration) -> Result<()> {
        let wanted = format!(":{port:04X}");
        eventually(
            within,
            &format!("a listener on TCP port {port} of {}", self.name),
            || {
                let mut sockets = String::new();
                for table in ["tcp", "tcp6"] {
                    let path = format!("/proc/{}/net/{table}", self.pid());
                    sockets += &std::fs::read_to_string(path).unwrap_or_default();
                }
                const LISTEN: &str = "0A";
                let listening = sockets.lines().any(|line| {
                    let mut columns = line.split_whitespace().skip(1);
                    let local = columns.next().unwrap_or_default();
                    local.ends_with(&wanted) && columns.nth(1) == Some(LISTEN)
                });
                Ok(listening.then_some(()))
            },
        )
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // The last process of the namespaces; the kernel takes the devices away with it.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
