//! The programs that manage a machine's name servers.

use std::path::{Path, PathBuf};

use netdev::capability::find_program;

use crate::network::plan::Dns;
use crate::network::program::{ProgramError, run};

/// Where systemd-resolved keeps what it knows while it runs.
const RESOLVED: &str = "/run/systemd/resolve";
/// Where resolvconf keeps what it was told: Debian's, and openresolv's of different times.
const RECORDS: [&str; 3] = [
    "/run/resolvconf/interface",
    "/run/resolvconf/interfaces",
    "/run/resolvconf/keys",
];
/// How the names of our records begin and end. Debian's resolvconf puts records of `tap*` before those of ordinary cards.
const RECORD: (&str, &str) = ("tap.", ".hubward");

/// A program that manages name servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::network) enum Manager {
    /// systemd-resolved, by way of `resolvectl`.
    Resolved(PathBuf),
    /// `resolvconf`, of Debian or openresolv.
    Resolvconf(PathBuf),
}

impl Manager {
    /// Finds out who manages the name servers here, if anybody does.
    pub(super) fn detect() -> Option<Self> {
        // The program alone does not say that the service runs.
        if let Some(program) = find_program("resolvectl").filter(|_| Path::new(RESOLVED).is_dir()) {
            return Some(Self::Resolved(program));
        }
        find_program("resolvconf").map(Self::Resolvconf)
    }

    /// As people call it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Resolved(_) => "systemd-resolved",
            Self::Resolvconf(_) => "resolvconf",
        }
    }

    /// Sets the name servers of `device`.
    pub(super) async fn set(&self, device: &str, dns: &Dns) -> Result<(), ProgramError> {
        let servers: Vec<_> = dns.servers.iter().map(ToString::to_string).collect();
        match self {
            Self::Resolved(program) => {
                let mut arguments = vec!["dns", device];
                arguments.extend(servers.iter().map(String::as_str));
                run(program, &arguments, "").await?;
                let mut domains = vec!["domain", device];
                domains.extend(dns.search.iter().map(String::as_str));
                // "~." sends all names here, not only those of the domains.
                domains.extend(dns.everything.then_some("~."));
                if domains.len() == 2 {
                    domains.push("");
                }
                run(program, &domains, "").await?;
                // With domains of its own, a part of the names is ours; without, nobody would ask us if not by default.
                let default = if dns.everything || dns.search.is_empty() {
                    "yes"
                } else {
                    "no"
                };
                run(program, &["default-route", device, default], "").await?;
            }
            Self::Resolvconf(program) => {
                let mut file: String = servers
                    .iter()
                    .map(|server| format!("nameserver {server}\n"))
                    .collect();
                if !dns.search.is_empty() {
                    file += &format!("search {}\n", dns.search.join(" "));
                }
                run(program, &["-a", &record(device)], &file).await?;
            }
        }
        Ok(())
    }

    /// Takes them back.
    pub(super) async fn revert(&self, device: &str) -> Result<(), ProgramError> {
        match self {
            Self::Resolved(program) => run(program, &["revert", device], "").await,
            Self::Resolvconf(program) => run(program, &["-d", &record(device)], "").await,
        }
        .map(drop)
    }
}

/// The name under which resolvconf keeps our settings.
fn record(device: &str) -> String {
    format!("{}{device}{}", RECORD.0, RECORD.1)
}

/// The devices for which resolvconf keeps settings of ours.
pub(super) fn recorded() -> Vec<String> {
    let mut devices = Vec::new();
    for folder in RECORDS {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        devices.extend(entries.filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let device = name.strip_prefix(RECORD.0)?.strip_suffix(RECORD.1)?;
            Some(device.to_owned())
        }));
    }
    devices.sort();
    devices.dedup();
    devices
}

#[cfg(test)]
mod tests {
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

    fn dns(everything: bool) -> Dns {
        Dns {
            servers: vec![[10, 0, 0, 2].into(), [10, 0, 0, 3].into()],
            search: vec!["corp.example".to_owned()],
            everything,
        }
    }

    async fn said_to(make: impl Fn(PathBuf) -> Manager, everything: bool) -> String {
        let folder = tempfile::tempdir().unwrap();
        let manager = make(scribe(folder.path()));
        manager.set("vpn0", &dns(everything)).await.unwrap();
        manager.revert("vpn0").await.unwrap();
        std::fs::read_to_string(folder.path().join("said")).unwrap()
    }

    #[tokio::test]
    async fn both_managers_are_told_and_told_to_forget() {
        assert_eq!(
            said_to(Manager::Resolved, true).await,
            "dns vpn0 10.0.0.2 10.0.0.3\ndomain vpn0 corp.example ~.\ndefault-route vpn0 yes\nrevert vpn0\n"
        );
        assert_eq!(
            said_to(Manager::Resolved, false).await,
            "dns vpn0 10.0.0.2 10.0.0.3\ndomain vpn0 corp.example\ndefault-route vpn0 no\nrevert vpn0\n"
        );
        assert_eq!(
            said_to(Manager::Resolvconf, true).await,
            "-a tap.vpn0.hubward\nnameserver 10.0.0.2\nnameserver 10.0.0.3\nsearch corp.example\n-d tap.vpn0.hubward\n"
        );
    }

    #[tokio::test]
    async fn a_manager_that_fails_is_named() {
        let error = Manager::Resolvconf("/bin/false".into())
            .revert("vpn0")
            .await
            .unwrap_err();
        assert!(error.to_string().starts_with("/bin/false failed"), "{error}");
    }
}
