//! Keys for WireGuard, made and read by the tool.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use protocol::pack::Pack;
use vpncmd::console::Style;

/// The key pairs of Alice and Bob in RFC 7748 §6.1.
const KNOWN: [(&str, &str); 2] = [
    (
        "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
        "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
    ),
    (
        "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
        "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
    ),
];

fn base64(hex: &str) -> String {
    STANDARD.encode(vpncmd::text::parse_hex(hex).unwrap())
}

/// What a line prints, and how it ends.
fn run(line: &str, style: Style) -> (u32, String) {
    let (mut shell, screen) = common::answering(Pack::default(), style);
    shell.run(&common::words(line));
    (shell.last(), screen.text())
}

#[test]
fn a_public_key_is_what_the_curve_makes_of_the_private_one() {
    for (private, public) in KNOWN {
        let (code, said) = run(&format!("GetPublicX25519 {}", base64(private)), Style::default());
        assert_eq!(code, 0, "{said}");
        assert!(said.contains(&format!("Public Key|{}", base64(public))), "{said}");
    }
}

#[test]
fn a_new_pair_belongs_together_and_is_another_every_time() {
    let style = Style {
        json: true,
        ..Style::default()
    };
    let pair = || {
        let (code, said) = run("GenX25519", style);
        assert_eq!(code, 0, "{said}");
        serde_json::from_str::<serde_json::Value>(&said).unwrap()
    };
    let (first, second) = (pair(), pair());
    assert_ne!(first["PrivateKey"], second["PrivateKey"]);
    let private = first["PrivateKey"].as_str().unwrap();
    let (_, said) = run(&format!("GetPublicX25519 {private}"), style);
    let read: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(read["PublicKey"], first["PublicKey"]);
}

#[test]
fn what_is_no_private_key_is_refused_and_not_shown_again() {
    let short = STANDARD.encode([1; 31]);
    for word in [short.as_str(), "no-base64!"] {
        let (code, said) = run(&format!("GetPublicX25519 {word}"), Style::default());
        assert_eq!(code, 38, "{said}");
        assert!(!said.contains(word), "{said}");
    }
}

#[test]
fn a_private_key_that_is_asked_for_is_asked_for_once() {
    let server = common::Answers(|_: &str, _: &Pack| Ok(Pack::default()));
    let typed = format!("{}\n", base64(KNOWN[0].0));
    let (mut shell, screen) = common::shell(server, None, Style::default(), &typed);
    shell.run(&common::words("GetPublicX25519"));
    let said = screen.text();
    assert_eq!(shell.last(), 0, "{said}");
    assert!(
        said.contains(&base64(KNOWN[0].1)) && !said.contains(typed.trim()),
        "{said}"
    );
}
