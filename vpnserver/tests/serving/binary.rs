//! The program itself: in the foreground, in the background, and killed.

use std::fs::File;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Instant;

use protocol::rpc::audit::AuditRequest;
use protocol::rpc::method::{CreateUser, EnumAudit, EnumBackup, EnumHub, EnumUser, RebootServer};
use protocol::rpc::{Nothing, Values};
use tempfile::TempDir;
use transport::admin::AdminClient;
use vpnserver::data_dir::DataDir;

use crate::site::{PATIENCE, add_hub, anonymous};

/// A command line of the program; no output of it may be left unread.
fn vpnserver(folder: &Path, verb: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vpnserver"));
    command
        .args([verb, "--data-dir"])
        .arg(folder)
        .env_remove("NOTIFY_SOCKET")
        .stdin(Stdio::null());
    if verb == "run" || verb == "start" {
        command.args(["--listen", "127.0.0.1:0", "--nat-mode", "user"]);
    }
    command
}

fn outcome(folder: &Path, verb: &str) -> (Option<i32>, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = vpnserver(folder, verb).output().unwrap();
    let text = String::from_utf8_lossy(&stdout) + String::from_utf8_lossy(&stderr);
    (status.code(), text.into_owned())
}

async fn admin(folder: &Path) -> AdminClient {
    let socket = DataDir::locate(Some(folder)).unwrap().control_socket();
    AdminClient::local(&socket, None).await.unwrap()
}

/// Ends what a test leaves running.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Ends the background server of a folder when a test fails.
struct Stopped<'a>(&'a Path);

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        let _ = vpnserver(self.0, "stop").output();
    }
}

/// Waits for these words on the socket of the service manager.
fn await_word(socket: &UnixDatagram, word: &str) {
    let until = Instant::now() + PATIENCE;
    let mut message = [0; 512];
    while Instant::now() < until {
        let length = socket.recv(&mut message).unwrap();
        if message[..length]
            .split(|byte| *byte == b'\n')
            .any(|line| line == word.as_bytes())
        {
            return;
        }
    }
    panic!("{word} did not come");
}

/// The program in the foreground, ready, with a service manager who wants to hear of it.
fn run(folder: &Path, log: &Path) -> (Running, UnixDatagram) {
    let path = folder.join("notify.sock");
    let _ = std::fs::remove_file(&path);
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let child = vpnserver(folder, "run")
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "200000")
        .stdout(Stdio::null())
        .stderr(File::create(log).unwrap())
        .spawn()
        .unwrap();
    let running = Running(child);
    await_word(&socket, "READY=1");
    (running, socket)
}

#[tokio::test(flavor = "multi_thread")]
async fn it_starts_in_the_background_tells_how_it_is_and_stops() {
    let folder = TempDir::new().unwrap();
    let (code, text) = outcome(folder.path(), "status");
    assert_eq!(code, Some(3), "{text}");
    let _stopped = Stopped(folder.path());
    let (code, text) = outcome(folder.path(), "start");
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = outcome(folder.path(), "start");
    assert_eq!(code, Some(4), "{text}");
    let (code, text) = outcome(folder.path(), "status");
    assert_eq!(code, Some(0), "{text}");
    admin(folder.path())
        .await
        .call::<EnumHub>(&Nothing {})
        .await
        .unwrap();
    let (code, text) = outcome(folder.path(), "stop");
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = outcome(folder.path(), "stop");
    assert_eq!(code, Some(3), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_reassures_the_service_manager_and_ends_when_told_to() {
    let folder = TempDir::new().unwrap();
    let log = folder.path().join("log");
    let (mut running, socket) = run(folder.path(), &log);
    for _ in 0..3 {
        await_word(&socket, "WATCHDOG=1");
    }
    let pid = nix::unistd::Pid::from_raw(running.0.id().cast_signed());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    await_word(&socket, "STOPPING=1");
    let status = running.0.wait().unwrap();
    assert!(status.success(), "{}", std::fs::read_to_string(&log).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_outlives_a_kill() {
    let folder = TempDir::new().unwrap();
    let log = folder.path().join("log");
    let (running, _socket) = run(folder.path(), &log);
    let mut before = admin(folder.path()).await;
    add_hub(&mut before, "lab").await;
    before
        .call::<CreateUser>(&anonymous("lab", "alice"))
        .await
        .unwrap();
    drop(running);
    let (_running, _socket) = run(folder.path(), &log);
    let request = protocol::rpc::HubRequest {
        hub_name: "lab".to_owned(),
    };
    let users = admin(folder.path())
        .await
        .call::<EnumUser>(&request)
        .await
        .unwrap()
        .users;
    assert_eq!(users[0].name, "alice");
}

/// A command on the data folder: its words, with the folder behind them.
fn on_the_folder(folder: &Path, words: &[&str]) -> Option<i32> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vpnserver"));
    command.args(words).arg("--data-dir").arg(folder);
    command.output().unwrap().status.code()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_tool_does_to_the_folder_of_a_running_server_is_in_its_audit_log() {
    let folder = TempDir::new().unwrap();
    let log = folder.path().join("log");
    let (_running, _socket) = run(folder.path(), &log);
    let mut server = admin(folder.path()).await;
    add_hub(&mut server, "lab").await;
    let good = "../protocol/tests/data/config/vpn_server.rich.config";
    let bad = folder.path().join("bad");
    std::fs::write(&bad, "no configuration").unwrap();
    let words: [&[&str]; 4] = [
        &["import", good, "--dry-run"],
        &["import", good],
        &["import", bad.to_str().unwrap()],
        &["backup", "restore", "77"],
    ];
    let ended = words.map(|words| on_the_folder(folder.path(), words));
    assert_eq!(ended, [Some(0), Some(0), Some(2), Some(4)]);
    let list = server.call::<EnumBackup>(&Nothing {}).await.unwrap().backups;
    let number = list[0].number.to_string();
    assert_eq!(
        on_the_folder(folder.path(), &["backup", "restore", &number]),
        Some(0)
    );
    add_hub(&mut server, "more").await;

    let lines = server.call::<EnumAudit>(&AuditRequest::default()).await;
    let lines = lines.unwrap().lines;
    let told = lines.iter().rev().map(|row| {
        let who = format!("{} {}", row.who, row.who_name);
        let about = if row.method == "CreateHub" {
            &row.hub
        } else {
            &row.object
        };
        format!("{} {} {about} {}", who.trim(), row.method, row.result)
    });
    assert_eq!(
        told.collect::<Vec<_>>(),
        [
            "server CreateHub lab 0".to_owned(),
            format!("tool vpnserver SetConfig {good} 0"),
            format!("tool vpnserver SetConfig {} 38", bad.display()),
            "tool vpnserver RestoreBackup 77 29".to_owned(),
            format!("tool vpnserver RestoreBackup {number} 0"),
            "server CreateHub more 0".to_owned(),
        ]
    );
    assert!(lines.windows(2).all(|pair| pair[0].id == pair[1].id + 1));
}

/// What is configured in a folder, as text, but for how often that has changed.
fn exported(folder: &Path) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vpnserver"));
    let output = command
        .args(["export", "--data-dir"])
        .arg(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let counts = |line: &&str| line.contains("uint ConfigRevision ");
    text.lines()
        .filter(|line| !counts(line))
        .map(|line| format!("{line}\n"))
        .collect()
}

/// The numbers of the former states that are listed.
fn backups(folder: &Path) -> Vec<String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vpnserver"));
    let output = command
        .args(["backup", "list", "--data-dir"])
        .arg(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let first = |line: &str| line.split_whitespace().next().map(str::to_owned);
    text.lines().filter_map(first).collect()
}

#[test]
fn a_kill_while_states_are_kept_and_put_back_leaves_one_of_them_whole() {
    const ROUNDS: u32 = 10;
    let folder = TempDir::new().unwrap();
    let good = "../protocol/tests/data/config/vpn_server.rich.config";
    let small = folder.path().join("small.config");
    let done = |words: &[&str]| assert_eq!(on_the_folder(folder.path(), words), Some(0), "{words:?}");
    done(&["import", good]);
    let rich = exported(folder.path());
    let fewer = rich.replace("declare HUB3", "declare OTHER");
    std::fs::write(&small, &fewer).unwrap();
    let begun = Instant::now();
    done(&["import", small.to_str().unwrap()]);
    let whole = begun.elapsed();
    let other = exported(folder.path());
    assert_ne!(rich, other);
    let kept = backups(folder.path());
    for round in 0..2 * ROUNDS {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vpnserver"));
        if round % 2 == 0 {
            command.args(["import", good]);
        } else {
            command.args(["backup", "restore", &kept[0]]);
        }
        let mut running = command
            .arg("--data-dir")
            .arg(folder.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // Each time somewhat later; wherever that is, the claim is the same.
        std::thread::sleep(whole * (round / 2) / ROUNDS);
        running.kill().unwrap();
        running.wait().unwrap();
        let found = exported(folder.path());
        assert!(found == rich || found == other, "round {round}:\n{found}");
        if found == rich {
            done(&["import", small.to_str().unwrap()]);
            assert_eq!(exported(folder.path()), other);
        }
    }
    let listed = backups(folder.path());
    assert!(kept.iter().all(|number| listed.contains(number)), "{listed:?}");
    for number in listed {
        done(&["backup", "restore", &number]);
        let found = exported(folder.path());
        assert!(
            found == rich || found == other || !found.contains("declare HUB1"),
            "{found}"
        );
    }
}

#[test]
fn a_store_that_cannot_be_used_stops_the_start() {
    let folder = TempDir::new().unwrap();
    std::fs::write(
        folder.path().join(vpnserver::store::DATABASE_FILE),
        b"no database",
    )
    .unwrap();
    let (code, text) = outcome(folder.path(), "run");
    assert_eq!(code, Some(4), "{text}");
    assert_eq!(
        text.lines().filter(|line| line.contains("vpnserver:")).count(),
        1,
        "{text}"
    );
}

#[test]
fn a_wrong_command_line_is_a_usage_error() {
    let folder = TempDir::new().unwrap();
    for arguments in [["--listen", "nonsense"], ["--nat-mode", "magic"]] {
        let output = vpnserver(folder.path(), "run").args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_that_an_administrator_asks_for_happens_in_place() {
    let folder = TempDir::new().unwrap();
    let log = folder.path().join("log");
    let (mut running, socket) = run(folder.path(), &log);
    let mut before = admin(folder.path()).await;
    add_hub(&mut before, "lab").await;
    let emptied = Values {
        int: 1,
        ..Values::default()
    };
    assert!(before.call::<RebootServer>(&emptied).await.is_err());
    before.call::<RebootServer>(&Values::default()).await.unwrap();
    await_word(&socket, "READY=1");
    assert!(
        before.call::<EnumHub>(&Nothing {}).await.is_err(),
        "it was hung up on"
    );
    let hubs = admin(folder.path())
        .await
        .call::<EnumHub>(&Nothing {})
        .await
        .unwrap()
        .hubs;
    assert_eq!(hubs[0].hub_name, "lab");
    assert!(running.0.try_wait().unwrap().is_none(), "it is the same process");
}
