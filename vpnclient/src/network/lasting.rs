//! A device that was there before the client, and stays after it: its own settings.
//!
//! What a client changes at its own device goes with the device. At one that stays it has to be put back, also after `kill -9`, so the
//! settings are noted at the device itself, in its alias, before they are changed (docs/adr/0015).

use std::net::IpAddr;

use netdev::{Link, Links, sysctl};

use super::{ADVERTISED, WITHOUT_IPV6, setting};

/// How the alias begins while the settings are not the device's own.
const HEAD: &str = "hubward-client";
/// The longest alias that the kernel takes.
const LONGEST: usize = 255;

/// A device's settings as they were before a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lasting {
    /// The table of the client.
    pub(super) table: u32,
    pub(super) device: String,
    up: bool,
    mtu: u32,
    /// The address that the client adds.
    added: Option<(IpAddr, u8)>,
    /// Names and values.
    settings: Vec<(String, String)>,
    /// The alias.
    alias: String,
}

impl Lasting {
    /// Notes the device's settings at it, for the client with this table.
    pub(super) async fn note(links: &Links, device: &str, table: u32) -> netdev::Result<Self> {
        let link = links.link(device).await?;
        let value = |name: &str| {
            Some((
                name.to_owned(),
                sysctl::read(&setting("ipv6", device, name)).ok()?,
            ))
        };
        let noted = Self {
            table,
            device: device.to_owned(),
            up: link.up,
            mtu: link.mtu,
            added: None,
            settings: changed().filter_map(value).collect(),
            alias: link.alias,
        };
        links.set_alias(device, &noted.to_text()).await?;
        Ok(noted)
    }

    /// Notes that this address is going to be added.
    pub(super) async fn adds(&mut self, links: &Links, ip: IpAddr, prefix: u8) -> netdev::Result<()> {
        self.added = Some((ip, prefix));
        links.set_alias(&self.device, &self.to_text()).await
    }

    /// What is noted at a device.
    pub(super) fn at(link: &Link) -> Option<Self> {
        let words = link.alias.strip_prefix(HEAD)?.strip_prefix(' ')?;
        let (words, alias) = words.split_once(" alias=")?;
        let mut noted = Self {
            table: 0,
            device: link.name.clone(),
            up: true,
            mtu: link.mtu,
            added: None,
            settings: Vec::new(),
            alias: alias.to_owned(),
        };
        for word in words.split(' ') {
            let (name, value) = word.split_once('=')?;
            match name {
                "table" => noted.table = value.parse().ok()?,
                "up" => noted.up = value == "1",
                "mtu" => noted.mtu = value.parse().ok()?,
                "added" => {
                    let (ip, prefix) = value.split_once('/')?;
                    noted.added = Some((ip.parse().ok()?, prefix.parse().ok()?));
                }
                name if changed().any(|known| known == name) => {
                    noted.settings.push((name.to_owned(), value.to_owned()));
                }
                _ => return None,
            }
        }
        Some(noted)
    }

    fn to_text(&self) -> String {
        let Self { table, mtu, .. } = self;
        let mut text = format!("{HEAD} table={table} up={} mtu={mtu}", u8::from(self.up));
        for (name, value) in &self.settings {
            text += &format!(" {name}={value}");
        }
        if let Some((ip, prefix)) = self.added {
            text += &format!(" added={ip}/{prefix}");
        }
        text += " alias=";
        // One that does not fit is lost; nothing else is.
        if text.len() + self.alias.len() <= LONGEST {
            text += &self.alias;
        }
        text
    }

    /// Puts everything back, the note last: whoever is killed meanwhile leaves the rest to the next.
    ///
    /// # Errors
    /// The first that something could not be put back for; the note stays then, and all else is tried.
    pub(super) async fn put_back(&self, links: &Links) -> netdev::Result<()> {
        let device = self.device.as_str();
        let mut done = Ok(());
        let mut keep = |result: netdev::Result<()>| {
            if done.is_ok() {
                done = result;
            }
        };
        if let Some((ip, prefix)) = self.added {
            keep(match links.remove_address(device, ip, prefix).await {
                Err(error) if error.is_absent() => Ok(()),
                result => result,
            });
        }
        // Those that advertisements of the hub have made.
        for address in links.passing_addresses(device).await? {
            keep(links.remove_address(device, address.ip, address.prefix).await);
        }
        keep(links.set_mtu(device, self.mtu).await);
        for (name, value) in &self.settings {
            keep(sysctl::swap(&setting("ipv6", device, name), value).map(drop));
        }
        if !self.up {
            keep(links.set_down(device).await);
        }
        done?;
        links.set_alias(device, &self.alias).await
    }
}

/// The settings for IPv6 that a client changes.
fn changed() -> impl Iterator<Item = &'static str> {
    std::iter::once(WITHOUT_IPV6).chain(ADVERTISED.iter().map(|(name, _, _)| *name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(alias: &str) -> Link {
        Link {
            name: "tap0".to_owned(),
            index: 7,
            mac: None,
            mtu: 1400,
            up: true,
            running: true,
            loopback: false,
            is_bridge: false,
            master: None,
            alias: alias.to_owned(),
        }
    }

    fn noted(alias: &str) -> Lasting {
        let setting = |name: &str| (name.to_owned(), "1".to_owned());
        Lasting {
            table: 729_999,
            device: "tap0".to_owned(),
            up: false,
            mtu: 1500,
            added: Some(("192.168.130.110".parse().unwrap(), 24)),
            settings: changed().map(setting).collect(),
            alias: alias.to_owned(),
        }
    }

    #[test]
    fn what_is_noted_is_read_back_with_the_alias_that_was_there() {
        for alias in ["", "to the office", "a=b alias=c"] {
            let before = noted(alias);
            let text = before.to_text();
            assert!(text.len() <= LONGEST, "{text}");
            assert_eq!(Lasting::at(&link(&text)), Some(before));
        }
        let long = noted(&"x".repeat(200));
        let read = Lasting::at(&link(&long.to_text())).unwrap();
        assert_eq!((read.mtu, read.alias.as_str()), (1500, ""));
    }

    #[test]
    fn what_others_noted_is_theirs() {
        for alias in [
            "",
            "uplink",
            "hubward-client",
            "hubward-client table=x alias=",
            "hubward-client-2 table=1 alias=",
        ] {
            assert_eq!(Lasting::at(&link(alias)), None, "{alias}");
        }
    }
}
