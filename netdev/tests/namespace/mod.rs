//! Runs a test in a network namespace of its own, as root or as an ordinary user.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::future::Future;
use std::process::Command;
use std::time::Duration;

const INSIDE: &str = "HUBWARD_TEST_NAMESPACE";

/// Runs `body` in a fresh network namespace with a tokio runtime, and fails if it takes more than a minute.
///
/// The test program starts itself once more under unshare(1), for this one test: threads of one process cannot
/// enter a user namespace one by one.
pub(crate) fn in_namespace<F, B>(body: F)
where
    F: FnOnce() -> B,
    B: Future<Output = ()>,
{
    if std::env::var_os(INSIDE).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread()
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
    // "crate::test::{{closure}}" without its ends is the name by which the harness knows the test.
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
}
