//! Certificates made by the tool.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use tempfile::TempDir;
use transport::tls;
use x509_parser::prelude::{FromDer, X509Certificate};

struct Folder(TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    /// Runs `MakeCert2048` with files of this folder; returns the exit status and what was printed.
    fn make(&self, words: &[&str]) -> (i32, String) {
        let words = words
            .iter()
            .map(|word| word.replace('@', &format!("{}/", self.0.path().display())));
        let output = Command::new(env!("CARGO_BIN_EXE_vpncmd"))
            .args(["/TOOLS", "/CMD", "MakeCert2048"])
            .args(words)
            .output()
            .unwrap();
        (
            output.status.code().unwrap(),
            String::from_utf8(output.stdout).unwrap(),
        )
    }

    fn der(&self, name: &str) -> Vec<u8> {
        tls::certificates_from_file(&self.0.path().join(name)).unwrap()[0].to_vec()
    }
}

const REST: [&str; 6] = [
    "/O:none",
    "/OU:none",
    "/C:JP",
    "/ST:none",
    "/L:none",
    "/EXPIRES:100",
];

#[test]
fn an_authority_signs_a_server_that_clients_believe() {
    let folder = Folder::new();
    let authority = [
        "/CN:an authority",
        "/SERIAL:0102",
        "/SAVECERT:@ca.crt",
        "/SAVEKEY:@ca.key",
    ];
    assert_eq!(folder.make(&[&authority[..], &REST].concat()).0, 0);
    let server = [
        "/CN:vpn.example.org",
        "/SERIAL:none",
        "/SIGNCERT:@ca.crt",
        "/SIGNKEY:@ca.key",
        "/SAVECERT:@server.crt",
        "/SAVEKEY:@server.key",
    ];
    assert_eq!(folder.make(&[&server[..], &REST].concat()).0, 0);

    let (ca, leaf) = (folder.der("ca.crt"), folder.der("server.crt"));
    let (_, ca) = X509Certificate::from_der(&ca).unwrap();
    let (_, leaf) = X509Certificate::from_der(&leaf).unwrap();
    assert_eq!(ca.raw_serial(), [1, 2]);
    assert_eq!(leaf.issuer(), ca.subject());
    assert_eq!(ca.subject().to_string(), "CN=an authority, C=JP");
    assert!(ca.is_ca() && !leaf.is_ca());
    let names = leaf.subject_alternative_name().unwrap().unwrap();
    assert_eq!(names.value.general_names.len(), 1);
    let valid = leaf.validity();
    let days = (valid.not_after.timestamp() - valid.not_before.timestamp()) / 86_400;
    assert_eq!(days, 100);

    let mode = fs::metadata(folder.0.path().join("server.key"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    // Certificate and key belong together, and a server can use them.
    let chain = tls::certificates_from_file(&folder.0.path().join("server.crt")).unwrap();
    tls::server_config(
        chain,
        tls::key_from_file(&folder.0.path().join("server.key")).unwrap(),
    )
    .unwrap();
}

#[test]
fn what_is_wrong_is_said_and_nothing_is_written() {
    let folder = Folder::new();
    let save = ["/CN:x", "/SERIAL:none", "/SAVECERT:@x.crt", "/SAVEKEY:@x.key"];
    fs::write(folder.0.path().join("no.crt"), "no certificate").unwrap();
    for (words, status) in [
        (&["/SIGNCERT:@no.crt"][..], 38),
        (&["/SIGNCERT:@no.crt", "/SIGNKEY:@no.crt"], 23),
        (&["/SIGNCERT:@missing", "/SIGNKEY:@missing"], 38),
    ] {
        let (code, said) = folder.make(&[&save[..], &REST, words].concat());
        assert_eq!(code, status, "{words:?}: {said}");
        assert!(!folder.0.path().join("x.key").exists(), "{words:?}");
    }
}
