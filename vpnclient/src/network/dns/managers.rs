//! Name servers of the VPN, through the resolver manager that this machine has.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use netdev::capability::find_program;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

use super::plan::Dns;

/// How long a resolver manager may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The program that manages this machine's name servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Resolver {
    /// systemd-resolved, by way of `resolvectl`.
    Resolved(PathBuf),
    /// `resolvconf`, of Debian or openresolv.
    Resolvconf(PathBuf),
}

/// Why name servers could not be set.
#[derive(Debug, thiserror::Error)]
pub(super) enum DnsError {
    #[error("neither systemd-resolved nor resolvconf manages this machine's name servers")]
    NoManager,
    #[error("{program} failed: {reason}")]
    Failed { program: String, reason: String },
}

impl Resolver {
    /// Finds out who manages the name servers here.
    pub(super) fn detect() -> Result<Self, DnsError> {
        // The program alone does not say that the service runs.
        if let Some(program) =
            find_program("resolvectl").filter(|_| Path::new("/run/systemd/resolve").is_dir())
        {
            return Ok(Self::Resolved(program));
        }
        find_program("resolvconf")
            .map(Self::Resolvconf)
            .ok_or(DnsError::NoManager)
    }

    /// Sets the name servers of `device`.
    pub(super) async fn set(&self, device: &str, dns: &Dns) -> Result<(), DnsError> {
        let servers = || dns.servers.iter().map(ToString::to_string);
        match self {
            Self::Resolved(program) => {
                let arguments = ["dns", device]
                    .map(str::to_owned)
                    .into_iter()
                    .chain(servers())
                    .collect();
                run(program, arguments, None).await?;
                let mut domains: Vec<_> = ["domain", device].map(str::to_owned).into();
                domains.extend(dns.search.iter().cloned());
                // "~." sends all names here, not only those of the domains.
                domains.extend(dns.everything.then(|| "~.".to_owned()));
                if domains.len() == 2 {
                    domains.push(String::new());
                }
                run(program, domains, None).await
            }
            Self::Resolvconf(program) => {
                let mut file: String = servers().map(|server| format!("nameserver {server}\n")).collect();
                if !dns.search.is_empty() {
                    file += &format!("search {}\n", dns.search.join(" "));
                }
                run(program, vec!["-a".to_owned(), record(device)], Some(file)).await
            }
        }
    }

    /// Takes them back.
    pub(super) async fn revert(&self, device: &str) -> Result<(), DnsError> {
        match self {
            Self::Resolved(program) => run(program, vec!["revert".to_owned(), device.to_owned()], None).await,
            Self::Resolvconf(program) => run(program, vec!["-d".to_owned(), record(device)], None).await,
        }
    }
}

/// The name under which resolvconf keeps our settings.
fn record(device: &str) -> String {
    format!("{device}.vpn")
}

async fn run(program: &Path, arguments: Vec<String>, input: Option<String>) -> Result<(), DnsError> {
    let failed = |reason: String| DnsError::Failed {
        program: program.display().to_string(),
        reason,
    };
    let running = async {
        let mut child = Command::new(program)
            .args(&arguments)
            .stdin(if input.is_some() {
                Stdio::piped()
            } else {
                Stdio::null()
            })
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        if let (Some(mut stdin), Some(input)) = (child.stdin.take(), &input) {
            stdin.write_all(input.as_bytes()).await?;
        }
        child.wait_with_output().await
    };
    let output = timeout(PATIENCE, running)
        .await
        .map_err(|_| failed("it did not end in time".to_owned()))?
        .map_err(|e| failed(e.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let line = said.lines().next().unwrap_or("no reason given").trim().to_owned();
    Err(failed(line))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A program that writes down how it was called and what it was told.
    fn scribe(folder: &Path) -> PathBuf {
        std::fs::create_dir_all(folder).unwrap();
        let path = folder.join("scribe");
        let script = format!("#!/bin/sh\n{{ echo \"$@\"; cat; }} >>{}/said\n", folder.display());
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn dns() -> Dns {
        Dns {
            servers: vec![Ipv4Addr::new(10, 0, 0, 2), Ipv4Addr::new(10, 0, 0, 3)],
            search: vec!["corp.example".to_owned()],
            everything: true,
        }
    }

    async fn said_to(make: impl Fn(PathBuf) -> Resolver) -> String {
        let folder = tempfile::tempdir().unwrap();
        let resolver = make(scribe(folder.path()));
        resolver.set("vpn0", &dns()).await.unwrap();
        resolver.revert("vpn0").await.unwrap();
        std::fs::read_to_string(folder.path().join("said")).unwrap()
    }

    #[tokio::test]
    async fn both_managers_are_told_and_told_to_forget() {
        assert_eq!(
            said_to(Resolver::Resolved).await,
            "dns vpn0 10.0.0.2 10.0.0.3\ndomain vpn0 corp.example ~.\nrevert vpn0\n"
        );
        assert_eq!(
            said_to(Resolver::Resolvconf).await,
            "-a vpn0.vpn\nnameserver 10.0.0.2\nnameserver 10.0.0.3\nsearch corp.example\n-d vpn0.vpn\n"
        );
    }

    #[tokio::test]
    async fn a_manager_that_fails_is_named() {
        let error = Resolver::Resolvconf("/bin/false".into())
            .revert("vpn0")
            .await
            .unwrap_err();
        assert!(error.to_string().starts_with("/bin/false failed"), "{error}");
    }
}
