//! The short name that marks what belongs to one instance: its device and its nftables table.

use std::fmt;

/// A name of 1 to 11 characters `a-z 0-9 _`, unique among the instances on a machine.
///
/// It is short because a device name has at most 15 characters and ours begin with `hwn_`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tag(String);

const MAX: usize = 11;
const STEM: usize = 6;
/// How the names of our devices begin.
const DEVICE: &str = "hwn_";
/// How the names of our nftables tables begin.
const TABLE: &str = "hubward_";

impl Tag {
    /// The tag for a hub or instance name. A name that is a tag already stays as it is; any other becomes its
    /// readable beginning and a checksum of the whole, so that two long names do not meet.
    pub fn new(name: &str) -> Self {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if (1..=MAX).contains(&name.len()) && name.chars().all(plain) {
            return Tag(name.to_owned());
        }
        let readable = name.chars().map(|c| c.to_ascii_lowercase()).filter(|&c| plain(c));
        let stem: String = readable.take(STEM).collect();
        Tag(format!(
            "{stem}{}{:04x}",
            if stem.is_empty() { "" } else { "_" },
            fold(name.as_bytes())
        ))
    }

    /// The tag as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Name of the TAP device of kernel mode.
    pub(crate) fn device(&self) -> String {
        format!("{DEVICE}{}", self.0)
    }

    /// Whether a device of this name is one of kernel mode.
    pub fn has_device(name: &str) -> bool {
        name.starts_with(DEVICE)
    }

    /// Name of the nftables table of kernel mode.
    pub(crate) fn nat_table(&self) -> String {
        format!("{TABLE}{}", self.0)
    }

    /// Name of the nftables table that says which kernel settings to put back.
    pub(crate) fn settings_table(&self) -> String {
        format!("{TABLE}{}.found", self.0)
    }

    /// The same for the settings of IPv6, which come and go on their own.
    pub(crate) fn ipv6_settings_table(&self) -> String {
        format!("{TABLE}{}.ipv6.found", self.0)
    }

    /// The tag, as text, of one of our tables of whatever kind.
    pub(crate) fn of_table(name: &str) -> Option<&str> {
        name.strip_prefix(TABLE)?.split('.').next()
    }

    /// Name of the nftables table of published hosts.
    pub(crate) fn dnat_table(&self) -> String {
        format!("{TABLE}{}.dnat", self.0) // a tag has no dots, so the two kinds of table never meet
    }
}

/// The tag, as text, of a device of kernel mode.
pub(crate) fn of_device(name: &str) -> Option<&str> {
    name.strip_prefix(DEVICE)
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// FNV-1a, folded to 16 bits.
fn fold(bytes: &[u8]) -> u16 {
    let hash = bytes.iter().fold(0x811c_9dc5_u32, |hash, &b| {
        (hash ^ u32::from(b)).wrapping_mul(0x0100_0193)
    });
    (hash >> 16) as u16 ^ hash as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_plain_names_stay_and_others_become_distinct() {
        assert_eq!(Tag::new("mikalab").as_str(), "mikalab");
        let (a, b) = (Tag::new("Company Hub West"), Tag::new("Company Hub East"));
        assert!(a.as_str().starts_with("compan_") && a != b);
        assert_ne!(Tag::new("mikalab"), Tag::new("MikaLab"));
        assert_eq!(Tag::new("日本").as_str().len(), 4);
    }

    #[test]
    fn every_device_name_fits_the_kernel() {
        for name in [
            "",
            "a",
            "mikalab",
            "elevenchars",
            "twelve_chars",
            "A hub with a very long name indeed",
            "日本",
        ] {
            assert!(Tag::new(name).device().len() <= 15, "{name}");
        }
    }
}
