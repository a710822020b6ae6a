//! `AccessList` of a hub (policies §4).

use std::fmt::Display;
use std::str::FromStr;

use hub_core::MacAddr;
use hub_core::access::{Addresses, Masked, PortRange, Rule, TcpState};
use protocol::config::Folder;

use super::bridge::mac_text;
use super::place::Place;
use super::{Exporter, Import, ImportError};
use crate::store::{AccessRule, StoreError};

const FOLDER: &str = "AccessList";

impl Import<'_> {
    /// Takes the rules; says how many there are.
    pub(super) fn access_rules(&mut self, hub: &str, place: &Place<'_>) -> Result<usize, ImportError> {
        let list = place.folder(FOLDER);
        let places = list.as_ref().map(Place::folders).unwrap_or_default();
        let rules = places.iter().map(|place| Ok(AccessRule::new(rule(place)?)));
        let rules = rules.collect::<Result<Vec<_>, ImportError>>()?;
        let outcome = self.store.set_access_rules(hub, &rules);
        list.as_ref().unwrap_or(place).keep(outcome)?;
        Ok(rules.len())
    }
}

fn rule(place: &Place<'_>) -> Result<Rule, ImportError> {
    let addresses = if place.flag("IsIPv6")? {
        Addresses::V6 {
            source: masked(place, ["SrcIpAddress6", "SrcSubnetMask6"], "::")?,
            destination: masked(place, ["DestIpAddress6", "DestSubnetMask6"], "::")?,
        }
    } else {
        Addresses::V4 {
            source: masked(place, ["SrcIpAddress", "SrcSubnetMask"], "0.0.0.0")?,
            destination: masked(place, ["DestIpAddress", "DestSubnetMask"], "0.0.0.0")?,
        }
    };
    let established = place.flag("Established")?;
    let state = if established {
        TcpState::Established
    } else {
        TcpState::Unestablished
    };
    Ok(Rule {
        note: place.text("Note")?,
        active: place.flag("Active")?,
        priority: place.uint_or("Priority", 0)?,
        discard: place.flag("Discard")?,
        addresses,
        protocol: place.uint_or("Protocol", 0)?,
        source_ports: ports(place, "SrcPortStart", "SrcPortEnd")?,
        destination_ports: ports(place, "DestPortStart", "DestPortEnd")?,
        source_user: place.text("SrcUsername")?,
        destination_user: place.text("DestUsername")?,
        source_mac: mac(place, "CheckSrcMac", ["SrcMacAddress", "SrcMacMask"])?,
        destination_mac: mac(place, "CheckDstMac", ["DstMacAddress", "DstMacMask"])?,
        tcp_state: place.flag("CheckTcpState")?.then_some(state),
        delay_ms: place.uint_or("Delay", 0)?,
        jitter_percent: place.uint_or("Jitter", 0)?,
        loss_percent: place.uint_or("Loss", 0)?,
        redirect_url: place.text("RedirectUrl")?,
    })
}

fn masked<A: FromStr>(place: &Place<'_>, keys: [&str; 2], any: &str) -> Result<Masked<A>, ImportError> {
    let read = |key| -> Result<A, ImportError> {
        let wrong = || place.wrong(key, "must be an IP address of the rule's version");
        match place.parsed(key, "an IP address of the rule's version")? {
            Some(address) => Ok(address),
            None => any.parse().map_err(|_| wrong().into()),
        }
    };
    Ok(Masked {
        address: read(keys[0])?,
        mask: read(keys[1])?,
    })
}

fn ports(place: &Place<'_>, start: &str, end: &str) -> Result<PortRange, ImportError> {
    Ok(PortRange {
        start: place.uint_or(start, 0)?,
        end: place.uint_or(end, 0)?,
    })
}

fn mac(place: &Place<'_>, check: &str, keys: [&str; 2]) -> Result<Option<Masked<MacAddr>>, ImportError> {
    let read = |key| place.parsed(key, "a MAC address such as 5E-00-00-00-00-01");
    let (address, mask) = (read(keys[0])?, read(keys[1])?);
    if !place.flag(check)? {
        return Ok(None);
    }
    let Some((address, mask)) = address.zip(mask) else {
        return Err(place.wrong(check, "needs an address and a mask").into());
    };
    Ok(Some(Masked { address, mask }))
}

impl Exporter<'_> {
    pub(super) fn access_rules(&self, hub: &str, folder: &mut Folder) -> Result<(), StoreError> {
        let list = folder.folder_mut(FOLDER);
        for (number, kept) in (1_u32..).zip(self.store.access_rules(hub)?) {
            write(list.folder_mut(&number.to_string()), &kept.rule);
        }
        Ok(())
    }
}

fn write(folder: &mut Folder, rule: &Rule) {
    folder.set("Note", rule.note.as_str());
    folder.set("Active", rule.active);
    folder.set("Priority", rule.priority);
    folder.set("Discard", rule.discard);
    match &rule.addresses {
        Addresses::V4 { source, destination } => {
            folder.set("IsIPv6", false);
            write_masked(folder, ["SrcIpAddress", "SrcSubnetMask"], source);
            write_masked(folder, ["DestIpAddress", "DestSubnetMask"], destination);
        }
        Addresses::V6 { source, destination } => {
            folder.set("IsIPv6", true);
            write_masked(folder, ["SrcIpAddress6", "SrcSubnetMask6"], source);
            write_masked(folder, ["DestIpAddress6", "DestSubnetMask6"], destination);
        }
    }
    folder.set("Protocol", rule.protocol);
    folder.set("SrcPortStart", rule.source_ports.start);
    folder.set("SrcPortEnd", rule.source_ports.end);
    folder.set("DestPortStart", rule.destination_ports.start);
    folder.set("DestPortEnd", rule.destination_ports.end);
    folder.set("SrcUsername", rule.source_user.as_str());
    folder.set("DestUsername", rule.destination_user.as_str());
    write_mac(
        folder,
        "CheckSrcMac",
        ["SrcMacAddress", "SrcMacMask"],
        rule.source_mac,
    );
    write_mac(
        folder,
        "CheckDstMac",
        ["DstMacAddress", "DstMacMask"],
        rule.destination_mac,
    );
    folder.set("CheckTcpState", rule.tcp_state.is_some());
    folder.set("Established", rule.tcp_state == Some(TcpState::Established));
    folder.set("Delay", rule.delay_ms);
    folder.set("Jitter", rule.jitter_percent);
    folder.set("Loss", rule.loss_percent);
    folder.set("RedirectUrl", rule.redirect_url.as_str());
}

fn write_masked<A: Display>(folder: &mut Folder, keys: [&str; 2], masked: &Masked<A>) {
    folder.set(keys[0], masked.address.to_string());
    folder.set(keys[1], masked.mask.to_string());
}

fn write_mac(folder: &mut Folder, check: &str, keys: [&str; 2], mac: Option<Masked<MacAddr>>) {
    folder.set(check, mac.is_some());
    if let Some(Masked { address, mask }) = mac {
        folder.set(keys[0], mac_text(address.octets()));
        folder.set(keys[1], mac_text(mask.octets()));
    }
}
