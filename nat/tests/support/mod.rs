//! What the end-to-end tests share: a namespace, a station on a hub, and hosts behind the NAT.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code)]

pub(crate) mod guest;
pub(crate) mod hosts;
pub(crate) mod station;

use std::future::Future;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use hub_core::{Hub, HubConfig, Port, PortConfig, PortKind, Switch};
use nat::SecureNatConfig;

const INSIDE: &str = "HUBWARD_TEST_NAMESPACE";
const QUEUE: usize = 4 << 20;

/// The virtual host's address.
pub(crate) const GATEWAY: Ipv4Addr = Ipv4Addr::new(192, 168, 30, 1);

/// Runs `body` with a tokio runtime in a fresh network namespace, whose loopback device is up, and fails if it
/// takes more than a minute.
///
/// The test program starts itself once more under unshare(1), for this one test: threads of one process cannot
/// enter a user namespace one by one.
pub(crate) fn in_namespace<F, B>(body: F)
where
    F: FnOnce() -> B,
    B: Future<Output = ()>,
{
    if std::env::var_os(INSIDE).is_some() {
        run("ip", "link set lo up");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            tokio::time::timeout(Duration::from_secs(60), body())
                .await
                .expect("hangs");
        });
        return;
    }
    assert!(
        Command::new("nft").arg("--version").output().is_ok(),
        "this test needs nft; install the package `nftables`"
    );
    let path = std::any::type_name::<F>();
    let test = path
        .split_once("::")
        .unwrap()
        .1
        .split("::{{closure}}")
        .next()
        .unwrap();
    let user_namespace = if nix::unistd::geteuid().is_root() {
        "-n"
    } else {
        "-Urn"
    };
    let output = Command::new("unshare")
        .arg(user_namespace)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .expect("unshare(1) of util-linux is needed");
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    // A name that matches no test would succeed as well, so the count is looked at.
    assert!(
        output.status.success() && text.contains("1 passed"),
        "in the namespace:\n{text}"
    );
    print!("{text}"); // for `--no-capture`
}

/// Runs a command line without quoting, which must succeed, and gives its output.
pub(crate) fn run(program: &str, arguments: &str) -> String {
    let output = Command::new(program)
        .args(arguments.split_whitespace())
        .output()
        .expect(program);
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments}: {text}");
    text.into_owned()
}

/// All nftables rules, but for the counters.
pub(crate) fn ruleset() -> String {
    run("nft", "-s list ruleset")
}

/// Whether the namespace belongs to the machine's own root.
pub(crate) fn is_privileged() -> bool {
    // All of the machine's users are there under their own numbers.
    std::fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| map.contains("4294967295"))
}

/// A kernel setting.
pub(crate) fn setting(key: &str) -> String {
    netdev::sysctl::read(key).unwrap()
}

/// A hub with a port for SecureNAT.
pub(crate) fn hub() -> (Switch, Port) {
    let switch = Switch::new(Hub::new(HubConfig::new(7)));
    let port = switch.attach(
        Instant::now(),
        PortConfig::new(PortKind::SecureNat, "SID-SECURENAT-1"),
        QUEUE,
    );
    (switch, port)
}

/// A port for a station.
pub(crate) fn session(switch: &Switch) -> Port {
    // As the server's sessions: what a device leaves undone comes here, and the station finishes it.
    let config = PortConfig {
        offload: true,
        ..PortConfig::new(PortKind::Session, "SID-TEST-1")
    };
    switch.attach(Instant::now(), config, QUEUE)
}

/// The settings of a new hub.
pub(crate) fn config() -> SecureNatConfig {
    SecureNatConfig::with_random_mac([1, 2, 3, 4, 5])
}

/// A resolv.conf that names a resolver on loopback.
pub(crate) fn resolv_conf() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/resolv.conf"))
}

/// Bytes that repeat nowhere near, so that a lost or doubled piece shows.
pub(crate) fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}
