//! OpenVPN with a TAP device at either end, as the distribution ships it.

use std::fs;
use std::path::{Path as File, PathBuf};

use anyhow::{Context, Result, ensure};
use aws_lc_rs::digest::{SHA256, digest};

use crate::bench::path::{End, Path};
use crate::host::Host;
use crate::process::Daemon;
use crate::stock::unpack;

/// The cipher that two OpenVPN of our days agree on.
const CIPHER: &str = "AES-256-GCM";

const DEVICE: &str = "bench";

/// What carries the tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Carrier {
    Tcp,
    Udp,
}

pub(super) fn tunnel(mut path: Path, folder: &File, carrier: Carrier) -> Result<Path> {
    let (server, client) = (Identity::new(folder, "server")?, Identity::new(folder, "client")?);
    let (listen, dial) = match carrier {
        Carrier::Tcp => ("tcp-server", "tcp-client"),
        Carrier::Udp => ("udp", "udp"),
    };
    let mut arguments = vec![
        "--mode",
        "server",
        "--tls-server",
        "--dh",
        "none",
        "--proto",
        listen,
    ];
    arguments.extend(server.arguments(&client.fingerprint));
    path.server_end = Some(End::Daemon(start(&path.server, "server", &arguments)?));
    let mut arguments = vec!["--client", "--remote", "203.0.113.1", "--nobind", "--proto", dial];
    arguments.extend(client.arguments(&server.fingerprint));
    path.client_end = Some(End::Daemon(start(&path.client, "client", &arguments)?));
    let path = path.tunnelled(DEVICE, DEVICE)?;
    let agreed = path.logs();
    ensure!(
        agreed.contains(CIPHER),
        "OpenVPN did not agree on {CIPHER}:\n{agreed}"
    );
    Ok(path)
}

fn start(host: &Host, name: &str, arguments: &[&str]) -> Result<Daemon> {
    let root = unpack::unpacked(&unpack::OPENVPN)?;
    let mut command = host.command(root.join("usr/sbin/openvpn"));
    command
        .env("LD_LIBRARY_PATH", unpack::library_path(&root))
        .args([
            "--dev",
            DEVICE,
            "--dev-type",
            "tap",
            "--port",
            "1194",
            "--verb",
            "4",
        ])
        .args(arguments);
    Daemon::start(&format!("openvpn {name}"), &mut command)
}

/// A self-signed certificate and its key, as files; the other side knows it by its fingerprint.
struct Identity {
    certificate: PathBuf,
    key: PathBuf,
    fingerprint: String,
}

impl Identity {
    fn new(folder: &File, name: &str) -> Result<Self> {
        let made = rcgen::generate_simple_self_signed([name.to_owned()])?;
        let file = |ending: &str, text: String| -> Result<PathBuf> {
            let path = folder.join(format!("openvpn-{name}.{ending}"));
            fs::write(&path, text).with_context(|| path.display().to_string())?;
            Ok(path)
        };
        let hash = digest(&SHA256, made.cert.der());
        let bytes: Vec<String> = hash.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
        Ok(Self {
            certificate: file("pem", made.cert.pem())?,
            key: file("key", made.signing_key.serialize_pem())?,
            fingerprint: bytes.join(":"),
        })
    }

    fn arguments<'a>(&'a self, peer: &'a str) -> Vec<&'a str> {
        let path = |path: &'a File| path.to_str().unwrap_or_default();
        vec![
            "--cert",
            path(&self.certificate),
            "--key",
            path(&self.key),
            "--peer-fingerprint",
            peer,
        ]
    }
}
