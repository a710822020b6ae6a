//! ISC's dhclient as a stateless DHCPv6 client, unpacked and never installed.

use std::path::PathBuf;

use anyhow::Result;

use crate::host::Host;
use crate::process::{self, IN_TIME, eventually};
use crate::stock::unpack;

/// Where its script notes what it was told, beside what else it leaves.
const FOLDER: &str = "/run/hubward/dhclient-6";

/// The unpacked client.
#[derive(Debug)]
pub struct Dhclient {
    root: PathBuf,
}

impl Dhclient {
    /// Unpacks it, once.
    pub fn unpacked() -> Result<Self> {
        Ok(Self {
            root: unpack::unpacked(&unpack::DHCLIENT)?,
        })
    }

    /// Asks on `device` of `host` for everything but an address, and gives the variables that its script got.
    pub fn asks(&self, host: &Host, device: &str) -> Result<String> {
        host.sh(&format!(
            "mkdir -p {FOLDER}; cd {FOLDER}; printf '#!/bin/sh\\nenv > {FOLDER}/note\\n' > script; chmod +x script"
        ))?;
        // It asks from the link-local address, which it takes for granted, and others may still object to.
        eventually(IN_TIME, "a link-local address", || {
            let shown = host.sh(&format!(
                "ip -6 -o address show dev {device} scope link -tentative"
            ))?;
            Ok((!shown.is_empty()).then_some(()))
        })?;
        let program = unpack::place(&self.root, "sbin/dhclient")?;
        let mut command = host.command(program);
        command.args(["-6", "-S", "-1", "-v"]);
        for (option, file) in [("-sf", "script"), ("-lf", "leases"), ("-pf", "pid")] {
            command.args([option, &format!("{FOLDER}/{file}")]);
        }
        process::run(command.arg(device))?;
        host.sh(&format!("cat {FOLDER}/note; kill $(cat {FOLDER}/pid)"))
    }
}
