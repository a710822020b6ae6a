//! The configuration files of the real software, read and written again.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use protocol::config::{Folder, Problem};

/// The files without their comments.
const FILES: [&str; 6] = [
    "account-cert-socks5.vpn",
    "account-password.vpn",
    "vpn_client.sample.config",
    "vpn_server.cluster-controller.config",
    "vpn_server.default.config",
    "vpn_server.rich.config",
];

fn file(name: &str) -> Vec<u8> {
    std::fs::read(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/data/config")
            .join(name),
    )
    .unwrap()
}

#[test]
fn every_file_of_the_real_software_is_written_again_byte_for_byte() {
    for name in FILES {
        let bytes = file(name);
        let root = Folder::parse(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(
            root.to_text("").as_bytes() == bytes,
            "{name} changes when it is written again"
        );
    }
}

#[test]
fn the_settings_of_the_rich_file_are_found() {
    let root = Folder::parse(&file("vpn_server.rich.config")).unwrap();
    let hub = root
        .folder("VirtualHUB")
        .and_then(|hubs| hubs.folder("hub1"))
        .unwrap();
    let users = hub
        .folder("SecurityAccountDatabase")
        .and_then(|it| it.folder("UserList"))
        .unwrap();
    let user = users.folder("PWUSER").unwrap();
    assert_eq!(user.string("Note"), Ok(Some("line \"quoted\" \\ back\tTab")));
    assert_eq!(user.string("RealName"), Ok(Some("Pässword Üser")));
    assert_eq!(user.uint64("ExpireTime"), Ok(Some(1_893_521_045_000)));
    assert_eq!(user.bytes("AuthPassword").unwrap().unwrap().len(), 20);
    assert_eq!(user.folder("Policy").unwrap().bool("DHCPFilter"), Ok(Some(true)));
}

#[test]
fn every_line_of_a_real_file_that_is_broken_is_named() {
    let text = String::from_utf8(file("vpn_server.default.config")).unwrap();
    let lines: Vec<_> = text.lines().collect();
    for (index, line) in lines
        .iter()
        .enumerate()
        .filter(|(_, line)| line.contains("uint "))
    {
        let mut broken = lines.clone();
        let wrong = format!("{line}x");
        broken[index] = &wrong;
        let error = Folder::parse(broken.join("\n").as_bytes()).unwrap_err();
        let name = line.split_whitespace().nth(1).unwrap();
        assert_eq!(error.line, index + 1);
        assert!(error.key.ends_with(&format!("/{name}")), "{error}");
        assert!(matches!(error.problem, Problem::NotA(_)), "{error}");
    }
}
