//! The walls of the house: which crate may know which, and what the cores must not do. See docs/architecture.md.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use hubward_tests::sources::{Member, members, product_lines, rust_files, top, tree};

/// What each library and program may use of the workspace.
const MAY_USE: [(&str, &[&str]); 10] = [
    ("protocol", &[]),
    ("hub-core", &["protocol"]),
    ("netdev", &[]),
    ("nat", &["hub-core", "netdev"]),
    ("transport", &["protocol", "hub-core"]),
    (
        "vpnserver",
        &["protocol", "hub-core", "netdev", "nat", "transport", "terminal"],
    ),
    (
        "vpnclient",
        &["protocol", "hub-core", "netdev", "nat", "transport", "terminal"],
    ),
    ("vpncmd", &["protocol", "transport", "terminal"]),
    ("terminal", &[]),
    ("packaging", &["vpnserver", "vpnclient", "vpncmd"]),
];

/// The crates that are values with methods: whoever calls them brings sockets, clock and runtime.
const CORES: [&str; 2] = ["protocol", "hub-core"];

/// A file that grew past this is two nouns.
const LONGEST_FILE: usize = 800;

#[test]
fn crates_know_only_whom_the_design_lets_them_know() {
    let members = members().unwrap();
    for (name, allowed) in MAY_USE {
        let Member { dependencies, .. } = &members[name];
        let known: BTreeSet<_> = dependencies
            .iter()
            .filter(|d| members.contains_key(*d))
            .map(String::as_str)
            .collect();
        let forbidden: Vec<_> = known.iter().filter(|known| !allowed.contains(*known)).collect();
        assert!(forbidden.is_empty(), "{name} may not use {forbidden:?}");
    }
    let listed = MAY_USE.len() + ["hubward-tests"].len();
    assert_eq!(
        members.len(),
        listed,
        "a new crate needs a row in MAY_USE and in docs/architecture.md"
    );
}

#[test]
fn cores_are_built_without_a_runtime_or_sockets() {
    for core in CORES {
        let used = tree(core).unwrap();
        for forbidden in ["tokio", "mio", "socket2", "async-io", "smol", "nix", "rustix"] {
            assert!(
                !used.iter().any(|name| name == forbidden),
                "{core} is built from {forbidden}"
            );
        }
    }
}

#[test]
fn cores_take_time_and_randomness_as_arguments_and_do_no_io() {
    const FORBIDDEN: [&str; 12] = [
        "Instant::now",
        "SystemTime::now",
        "TcpStream",
        "TcpListener",
        "UdpSocket",
        "UnixStream",
        "std::fs",
        "std::process",
        "thread::sleep",
        "rand::rng()",
        "OsRng",
        "tokio::",
    ];
    let members = members().unwrap();
    for core in CORES {
        for file in rust_files(&members[core].folder.join("src")).unwrap() {
            for (number, line) in product_lines(&file).unwrap() {
                let found = FORBIDDEN.iter().find(|word| line.contains(*word));
                assert!(
                    found.is_none(),
                    "{}:{number} uses {}",
                    file.display(),
                    found.unwrap()
                );
            }
        }
    }
}

#[test]
fn unsafe_code_lives_in_netdev_alone() {
    let members = members().unwrap();
    for (name, member) in members.iter().filter(|(name, _)| *name != "netdev") {
        for file in rust_files(&member.folder).unwrap() {
            for (number, line) in product_lines(&file).unwrap() {
                let words: Vec<_> = line.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
                let lifted = words.contains(&"unsafe_code") || words.contains(&"unsafe");
                assert!(!lifted, "{name}: {}:{number} {line}", file.display());
            }
        }
    }
}

#[test]
fn every_crate_follows_the_workspace_lints_and_version() {
    for (name, member) in members().unwrap() {
        let manifest = std::fs::read_to_string(member.folder.join("Cargo.toml")).unwrap();
        for line in [
            "[lints]\nworkspace = true",
            "version.workspace = true",
            "edition.workspace = true",
        ] {
            assert!(manifest.contains(line), "{name}/Cargo.toml lacks {line:?}");
        }
    }
}

#[test]
fn daemons_are_not_compiled_for_size() {
    let manifest = std::fs::read_to_string(top().join("Cargo.toml")).unwrap();
    for daemon in ["vpnserver", "vpnclient"] {
        assert!(
            !manifest.contains(&format!("[profile.release.package.{daemon}]")),
            "the loops of every crate in {daemon} are finished by its own setting: a password took twice the time"
        );
    }
}

#[test]
fn no_source_file_is_longer_than_eight_hundred_lines() {
    for file in rust_files(&top()).unwrap() {
        let lines = std::fs::read_to_string(&file).unwrap().lines().count();
        assert!(
            lines <= LONGEST_FILE,
            "{} has {lines} lines: it is two nouns",
            file.display()
        );
    }
}

#[test]
fn every_dependency_has_its_reason_written_down() {
    let reasons = std::fs::read_to_string(top().join("docs/dependencies.md")).unwrap();
    let members = members().unwrap();
    let named = members
        .values()
        .flat_map(|member| &member.dependencies)
        .collect::<BTreeSet<_>>();
    for dependency in named.into_iter().filter(|name| !members.contains_key(*name)) {
        assert!(
            reasons.contains(&format!("| `{dependency}` |")),
            "docs/dependencies.md says nothing of {dependency}"
        );
    }
}
