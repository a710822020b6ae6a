//! Lets nothing leave this machine but the tunnel: an nftables table that outlives the client that was killed.

use std::fmt::Write;
use std::net::IpAddr;
use std::path::PathBuf;

use nat::leftovers::Presence;
use netdev::capability::find_program;
use transport::underlay::{self, MARK, MARK_MASK};

use super::program::{ProgramError, run};
use super::surroundings::LocalNetwork;

/// How the names of the tables begin; the device follows. Tables of the server begin otherwise, so that neither cleans up after
/// the other.
const TABLE: &str = "hubward-client-";
/// How a comment that remembers the addresses of a name begins.
const NOTE: &str = "server ";

/// The kill switch of a device.
#[derive(Debug)]
pub struct KillSwitch {
    device: String,
    exceptions: Exceptions,
    /// Says that its client lives.
    present: Option<Presence>,
}

/// Why a kill switch could not be turned.
#[derive(Debug, thiserror::Error)]
pub enum SwitchError {
    /// The `nft` program is missing.
    #[error("a kill switch needs the program nft; install the package `nftables`")]
    Missing,
    /// It did not do what it was asked for.
    #[error("the kill switch: {0}")]
    Program(#[from] ProgramError),
}

/// What the switch lets out beside the tunnel, and what it remembers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Exceptions {
    /// Local networks that stay reachable.
    local: Vec<(IpAddr, u8)>,
    /// Names of VPN servers and their addresses, for the next client: perhaps nobody can be asked then.
    servers: Vec<(String, Vec<IpAddr>)>,
}

impl KillSwitch {
    /// The switch of `device`, wherever it stands.
    pub fn of(device: &str) -> Self {
        Self {
            device: device.to_owned(),
            exceptions: Exceptions::default(),
            present: None,
        }
    }

    /// Lets these networks stay reachable, as far as they are private ones. Whether that is something new.
    pub fn allow(&mut self, networks: &[LocalNetwork]) -> bool {
        let private = networks.iter().filter(|network| network.is_private());
        let mut local: Vec<_> = private
            .map(|network| (network.network(), network.prefix))
            .collect();
        local.sort();
        local.dedup();
        let is_new = self.exceptions.local != local;
        self.exceptions.local = local;
        is_new
    }

    /// Remembers the addresses of a VPN server's name, those that an earlier client knew included.
    pub async fn remember(&mut self, host: &str) {
        for (name, addresses) in self.recall().await.unwrap_or_default() {
            if underlay::remembered(&name).is_empty() {
                underlay::remember(&name, &addresses);
            }
        }
        // The answer is remembered by who asks; that there is none is told when it is needed.
        let _ = underlay::resolve(host, 0).await;
        let addresses = underlay::remembered(host);
        if !addresses.is_empty() {
            self.exceptions.servers = vec![(host.to_owned(), addresses)];
        }
    }

    /// Turns it on, with what is allowed and remembered now.
    ///
    /// # Errors
    /// When `nft` is missing or refuses; nothing has changed then.
    pub async fn engage(&mut self) -> Result<(), SwitchError> {
        if self.present.is_none() {
            self.present = Presence::announce(&presence(&self.device));
        }
        let rules = rules(&self.device, &self.exceptions);
        run(&nft()?, &["-f", "-"], &rules).await?;
        Ok(())
    }

    /// Turns it off, if it is on.
    ///
    /// # Errors
    /// As [`KillSwitch::engage`].
    pub async fn lift(&mut self) -> Result<(), SwitchError> {
        let table = table(&self.device);
        let script = format!("table inet {table} {{}}\ndelete table inet {table}\n");
        run(&nft()?, &["-f", "-"], &script).await?;
        self.present = None;
        Ok(())
    }

    /// Whether it is on, and what it remembers of servers' names: for a client that takes it over.
    pub async fn recall(&self) -> Option<Vec<(String, Vec<IpAddr>)>> {
        let nft = nft().ok()?;
        let listing = run(&nft, &["-j", "list", "table", "inet", &table(&self.device)], "")
            .await
            .ok()?;
        let document: serde_json::Value = serde_json::from_str(&listing).ok()?;
        let objects = document["nftables"].as_array().cloned().unwrap_or_default();
        let notes = objects
            .iter()
            .filter_map(|object| object["rule"]["comment"].as_str());
        Some(notes.filter_map(noted).collect())
    }
}

/// The devices whose kill switch is on although their client is gone.
pub(super) async fn left_behind() -> Vec<String> {
    let Ok(nft) = nft() else { return Vec::new() };
    let Ok(listing) = run(&nft, &["-j", "list", "tables"], "").await else {
        return Vec::new();
    };
    let document: serde_json::Value = serde_json::from_str(&listing).unwrap_or_default();
    let tables = document["nftables"].as_array().cloned().unwrap_or_default();
    let names = tables.iter().filter(|object| object["table"]["family"] == "inet");
    names
        .filter_map(|object| {
            object["table"]["name"]
                .as_str()?
                .strip_prefix(TABLE)
                .and_then(device_of)
        })
        .filter(|device| Presence::announce(&presence(device)).is_some())
        .collect()
}

fn nft() -> Result<PathBuf, SwitchError> {
    find_program("nft").ok_or(SwitchError::Missing)
}

fn presence(device: &str) -> String {
    format!("client-switch-{device}")
}

/// A device's name may hold what the name of a table may not.
fn table(device: &str) -> String {
    let mut name = TABLE.to_owned();
    for byte in device.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' => name.push(char::from(byte)),
            other => drop(write!(name, "_{other:02x}")),
        }
    }
    name
}

fn device_of(name: &str) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::new(), name.as_bytes());
    while let Some((first, more)) = rest.split_first() {
        rest = more;
        if *first == b'_' {
            let (hex, more) = more.split_at_checked(2)?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()?);
            rest = more;
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).ok()
}

/// The table, in one transaction with whatever it was before.
fn rules(device: &str, exceptions: &Exceptions) -> String {
    let table = table(device);
    let quoted: String = device
        .chars()
        .filter(|c| !matches!(c, '"' | '\\') && !c.is_control())
        .collect();
    let mut out = String::new();
    for (ip, prefix) in &exceptions.local {
        let family = if ip.is_ipv4() { "ip" } else { "ip6" };
        let _ = writeln!(out, "        {family} daddr {ip}/{prefix} accept");
    }
    if !exceptions.local.is_empty() {
        let _ = writeln!(
            out,
            "        ip daddr {{ 224.0.0.0/24, 239.255.255.250, 255.255.255.255 }} accept"
        );
        let _ = writeln!(out, "        ip6 daddr {{ fe80::/10, ff02::/16 }} accept");
    }
    let mut notes = String::new();
    for (name, addresses) in &exceptions.servers {
        if let Some(note) = note(name, addresses) {
            let _ = writeln!(notes, "        counter comment \"{note}\"");
        }
    }
    // Addresses and routers of the local network must be found again after it changed: DHCP, and in IPv6 the neighbours'
    // messages; ARP does not pass here. Whoever is refused should know at once, not wait.
    format!(
        "table inet {table} {{}}
delete table inet {table}
table inet {table} {{
    chain output {{
        type filter hook output priority 0; policy accept;
        oifname {{ \"lo\", \"{quoted}\" }} accept
        meta mark & {MARK_MASK:#x} == {MARK:#x} accept
        udp sport 68 udp dport 67 accept
        udp sport 546 udp dport 547 accept
        icmpv6 type {{ nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert, mld-listener-report, mld2-listener-report }} accept
{out}        counter reject with icmpx type admin-prohibited
    }}
    chain forward {{
        type filter hook forward priority 0; policy accept;
        iifname \"{quoted}\" accept
        oifname \"{quoted}\" accept
        counter reject with icmpx type admin-prohibited
    }}
    chain notes {{
{notes}    }}
}}
"
    )
}

/// A comment has room for 128 characters.
fn note(name: &str, addresses: &[IpAddr]) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    let mut note = format!("{NOTE}{name}");
    if !name.chars().all(plain) || note.len() > 80 {
        return None;
    }
    for address in addresses {
        let word = format!(" {address}");
        if note.len() + word.len() <= 128 {
            note += &word;
        }
    }
    Some(note)
}

fn noted(comment: &str) -> Option<(String, Vec<IpAddr>)> {
    let mut words = comment.strip_prefix(NOTE)?.split(' ');
    let name = words.next()?.to_owned();
    Some((name, words.filter_map(|word| word.parse().ok()).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_devices_and_tables_lead_to_each_other() {
        for device in ["hubward0", "eth0.100", "a_b", "v-1", "x!\"#"] {
            let name = table(device);
            assert!(
                name.bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')),
                "{name}"
            );
            assert_eq!(
                device_of(name.strip_prefix(TABLE).unwrap()).as_deref(),
                Some(device)
            );
        }
    }

    #[test]
    fn what_is_noted_of_a_server_is_read_back() {
        let addresses: Vec<IpAddr> = vec!["203.0.113.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
        let note = note("vpn.example.org", &addresses).unwrap();
        assert_eq!(
            noted(&note),
            Some(("vpn.example.org".to_owned(), addresses.clone()))
        );
        assert!(super::note("evil\" accept", &addresses).is_none());
        let many: Vec<IpAddr> = (0..99).map(|n| IpAddr::from([203, 0, 113, n])).collect();
        assert!(super::note("vpn.example.org", &many).unwrap().len() <= 128);
    }

    #[test]
    fn only_private_local_networks_are_let_out() {
        let local = |address: [u8; 4], prefix| LocalNetwork {
            device: "eth0".to_owned(),
            address: address.into(),
            prefix,
        };
        let mut switch = KillSwitch::of("vpn0");
        assert!(switch.allow(&[
            local([192, 168, 1, 5], 24),
            local([198, 51, 100, 7], 24),
            local([10, 0, 0, 1], 8)
        ]));
        assert!(!switch.allow(&[local([192, 168, 1, 9], 24)]));
        assert!(rules("vpn0", &switch.exceptions).contains("ip daddr 192.168.1.0/24 accept"));
    }
}
