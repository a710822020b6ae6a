//! `Option` of a hub: its extended options (policies §2).

use protocol::config::Folder;

use super::ImportError;
use super::place::Place;
use crate::store::{HubOption, HubOptions};

/// Options that have another name in the file.
const RENAMED: [(HubOption, &str); 2] = [
    (HubOption::NoAddressPollingIPv4, "NoArpPolling"),
    (HubOption::NoAddressPollingIPv6, "NoIPv6AddrPolling"),
];

/// Options that are numbers; the others are yes or no. `VlanTypeId` is a text.
const NUMBERS: [HubOption; 13] = [
    HubOption::AccessListIncludeFileCacheLifetime,
    HubOption::AdjustTcpMssValue,
    HubOption::BroadcastStormDetectionThreshold,
    HubOption::ClientMinimumRequiredBuild,
    HubOption::DetectDormantSessionInterval,
    HubOption::FloodingSendQueueBufferQuota,
    HubOption::MaxLoggedPacketsPerMinute,
    HubOption::RequiredClientId,
    HubOption::SecureNatMaxDnsSessionsPerIp,
    HubOption::SecureNatMaxIcmpSessionsPerIp,
    HubOption::SecureNatMaxTcpSessionsPerIp,
    HubOption::SecureNatMaxTcpSynSentPerIp,
    HubOption::SecureNatMaxUdpSessionsPerIp,
];

fn key(option: HubOption) -> &'static str {
    RENAMED
        .iter()
        .find(|(renamed, _)| *renamed == option)
        .map_or(option.row().name, |(_, key)| key)
}

/// Sets what the file has. An option of our own that it does not have stays; a stock one gets its default.
pub(super) fn read(place: &Place<'_>, options: &mut HubOptions) -> Result<(), ImportError> {
    for option in HubOption::ALL {
        let value = if *option == HubOption::VlanTypeId {
            tag_type(place, key(*option))?
        } else {
            place.number(key(*option))?
        };
        match value {
            Some(value) => options.set(*option, value),
            None if *option == HubOption::AllowStandardPassword => {}
            None => options.set(*option, option.row().default),
        }
    }
    Ok(())
}

/// An EtherType such as `0x8100`.
fn tag_type(place: &Place<'_>, key: &str) -> Result<Option<u32>, ImportError> {
    let Some(text) = place.some_text(key)? else {
        return Ok(None);
    };
    let digits = text.trim_start_matches("0x").trim_start_matches("0X");
    let number = u32::from_str_radix(digits, 16)
        .ok()
        .filter(|number| *number <= 0xffff);
    match number {
        Some(number) => Ok(Some(number)),
        None => Err(place.wrong(key, "must be an EtherType such as 0x8100").into()),
    }
}

pub(super) fn write(folder: &mut Folder, options: &HubOptions) {
    for option in HubOption::ALL {
        let value = options.get(*option);
        let key = key(*option);
        if *option == HubOption::VlanTypeId {
            folder.set(key, format!("0x{value:04x}"));
        } else if NUMBERS.contains(option) {
            folder.set(key, value);
        } else {
            folder.set(key, value != 0);
        }
    }
}
