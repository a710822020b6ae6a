//! A machine that boots: systemd as its first process, in a fresh Debian, on the network of a host of the laboratory.
//!
//! It needs what containers of systemd need: root, and a cgroup of its own. Where these cannot be had [`can_boot`] says why.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;

use crate::host::Host;
use crate::lab;
use crate::process::{self, Daemon, IN_TIME, eventually};
use crate::stock::fresh_system;

/// What `systemctl poweroff` would have the first process do, by a signal that needs no bus: `SIGRTMIN+4` (systemd(1)).
const POWER_OFF: &str = "-38";

/// Lays the disk: a fresh system below, and above it what this machine writes.
const DISK: &str = r#"
mkdir -p "$1" && mount -t tmpfs tmpfs "$1" && mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=$0,upperdir=$1/upper,workdir=$1/work,$2" "$1/root"
mount -t proc proc "$1/root/proc"
echo 00112233445566778899aabbccddeeff >"$1/root/etc/machine-id"
"#;

/// Goes into a cgroup of its own, boots, and takes the cgroup away afterwards.
const BOOT: &str = r#"
groups=$0.cgroups; mkdir -p "$groups"; mount -t cgroup2 cgroup2 "$groups"
mine=$groups/hubward-test-$(cat /proc/sys/kernel/random/uuid); mkdir "$mine"
echo 0 >"$mine/cgroup.procs"
container=hubward-tests unshare --mount --pid --fork --kill-child --cgroup --ipc --uts sh -euc "$1" "$0" || true
echo 0 >"$groups/cgroup.procs"
find "$mine" -depth -type d -exec rmdir {} \;
umount "$groups"
"#;

/// What a kernel and its initial system would have done.
const FIRST_PROCESS: &str = r#"
cd "$0"
mount -t proc proc proc; mount -t sysfs sysfs sys; mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs tmpfs run; mount -t tmpfs -o mode=755 tmpfs dev
mkdir dev/net dev/pts dev/shm dev/mqueue dev/hugepages; ln -s pts/ptmx dev/ptmx
for node in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0 net/tun:10:200; do
    number=${node#*:}; mknod -m 666 dev/${node%%:*} c ${number%:*} ${number#*:}
done
# In a container systemd leaves this to whoever made it; credentials come by propagation.
mount --make-rshared /
exec chroot . /usr/lib/systemd/systemd --system --unit=multi-user.target --log-target=journal --show-status=no </dev/null
"#;

/// The disk of a machine, mounted on a host.
#[derive(Debug)]
pub struct Disk<'a> {
    host: &'a Host,
    root: PathBuf,
}

/// A running machine.
#[derive(Debug)]
pub struct Machine<'a> {
    host: &'a Host,
    init: Daemon,
    /// Its first process, by the laboratory's number.
    first: u32,
}

/// Why this laboratory cannot boot machines, if it cannot.
pub fn can_boot(host: &Host) -> Option<String> {
    const TRY: &str = "mkdir -p /run/hubward/try; mount -t cgroup2 cgroup2 /run/hubward/try; \
                       mkdir /run/hubward/try/hubward-test-try; rmdir /run/hubward/try/hubward-test-try; umount /run/hubward/try; \
                       mknod /run/hubward/tun c 10 200; rm /run/hubward/tun";
    host.sh(TRY).err().map(|error| format!("{error:#}"))
}

impl<'a> Disk<'a> {
    /// A fresh one.
    pub fn fresh(host: &'a Host) -> Result<Self> {
        let top = Path::new("/run/hubward/disk");
        // An overlay's own attributes belong to root; ordinary users have others.
        let attributes = if lab::is_of_root() {
            "index=off"
        } else {
            "userxattr"
        };
        let mut command = host.command("sh");
        command
            .args(["-euc", DISK])
            .arg(fresh_system()?)
            .arg(top)
            .arg(attributes);
        process::run(&mut command).context("the disk of the machine")?;
        Ok(Self {
            host,
            root: top.join("root"),
        })
    }

    /// Where a path of the machine is for the test itself.
    pub fn path(&self, path: &str) -> PathBuf {
        let host = format!("/proc/{}/root", self.host.pid());
        Path::new(&host).join(self.on_host(path).strip_prefix("/").unwrap_or(Path::new("")))
    }

    /// Where a path of the machine is on its host.
    pub fn on_host(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// Copies a file of the host to a path of the machine.
    pub fn put(&self, file: &Path, path: &str) -> Result<()> {
        let to = self.on_host(path);
        process::run(self.host.command("cp").arg(file).arg(&to)).map(drop)
    }

    /// A command in the system while it is not booted, as image builders run it.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = self.host.command("chroot");
        command.arg(&self.root).args(words);
        command
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin")
            .env("DEBIAN_FRONTEND", "noninteractive");
        command
    }

    /// Switches the machine on, and waits until it is up.
    pub fn boot(&self) -> Result<Machine<'a>> {
        let mut command = self.host.command("sh");
        command.args(["-euc", BOOT]).arg(&self.root).arg(FIRST_PROCESS);
        // What one cannot end one by one: the whole group is this test's.
        command.process_group(0);
        let init = Daemon::start("the machine", &mut command)?;
        let first = eventually(IN_TIME, "the machine's first process", || {
            Ok(first_process(init.pid()))
        })?;
        let machine = Machine {
            host: self.host,
            init,
            first,
        };
        machine.is_up()?;
        Ok(machine)
    }
}

/// The descendant of `shell` that is a namespace's first process and has become systemd.
fn first_process(shell: u32) -> Option<u32> {
    let mut pid = shell;
    loop {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        if name.trim() == "systemd" {
            return Some(pid);
        }
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
        pid = children.split_whitespace().next()?.parse().ok()?;
    }
}

impl Machine<'_> {
    fn is_up(&self) -> Result<()> {
        eventually(IN_TIME, "the end of the boot", || {
            let said = process::answer(&mut self.command(&["systemctl", "is-system-running"]))?.stdout;
            Ok(["running", "degraded"].contains(&said.trim()).then_some(()))
        })
        .with_context(|| self.init.log())
    }

    /// A command on the running machine.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = self.host.command("nsenter");
        command.arg(format!("--target={}", self.first));
        command.args([
            "--mount", "--pid", "--net", "--ipc", "--uts", "--cgroup", "--root", "--wd", "--",
        ]);
        command.args(words);
        command
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin")
            .env("DEBIAN_FRONTEND", "noninteractive");
        command
    }

    /// Runs one to its end; an error quotes what it said.
    pub fn run(&self, words: &[&str]) -> Result<String> {
        process::answer(&mut self.command(words))?
            .success()
            .with_context(|| format!("{}: {}", words.join(" "), self.log()))
    }

    /// A property of a unit.
    pub fn property(&self, unit: &str, name: &str) -> Result<String> {
        let said = self.run(&["systemctl", "show", "--value", "-p", name, unit])?;
        Ok(said.trim().to_owned())
    }

    /// What systemd and the units have said.
    pub fn log(&self) -> String {
        let journal = process::answer(&mut self.command(&["journalctl", "--no-pager", "-n", "60"]));
        let journal = journal.map(|answer| answer.stdout).unwrap_or_default();
        format!("{}\n{journal}", self.init.log())
    }

    /// Switches it off in good order.
    pub fn power_off(mut self) -> Result<()> {
        let mut kill = Command::new("kill");
        process::run(kill.args([POWER_OFF, &self.first.to_string()]))?;
        let code = self.init.wait(IN_TIME)?;
        ensure!(code == 0, "the machine ended with {code}:\n{}", self.init.log());
        Ok(())
    }

    /// Pulls the plug.
    pub fn pull_the_plug(mut self) -> Result<()> {
        let pid = i32::try_from(self.first)?;
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL)?;
        self.init.wait(IN_TIME).map(drop)
    }
}
