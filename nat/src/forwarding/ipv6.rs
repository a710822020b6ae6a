//! IPv6 forwarding. Switching it on makes a router of every interface, and routers hear no advertisements: the
//! machine would lose its own default route (`rt6_purge_dflt_routers` of the kernel). So every interface that listens to
//! them is told before to go on doing so all the same (`accept_ra` 2), and all is put back in the opposite order.

use std::collections::BTreeSet;

use netdev::sysctl;

use super::{Forwarding, HoldError, Lock, journal};
use crate::tag::Tag;

const CONF: &str = "/proc/sys/net/ipv6/conf";
/// The key of all interfaces, and the only one that the kernel asks before it forwards.
pub(super) const FORWARD: &str = "net.ipv6.conf.all.forwarding";
const LISTENS: &str = "1";
const LISTENS_ALL_THE_SAME: &str = "2";

/// Whether a setting is one that [`Forwarding::hold_ipv6`] changes.
pub(super) fn is_ours(key: &str) -> bool {
    let name = key
        .strip_prefix("net.ipv6.conf.")
        .and_then(|rest| rest.rsplit_once('.'))
        .filter(|(_, setting)| matches!(*setting, "forwarding" | "accept_ra"));
    name.is_some_and(|(name, _)| !name.is_empty() && !name.contains('.'))
}

impl Forwarding {
    /// Turns IPv6 forwarding on. A tag holds once.
    pub(crate) async fn hold_ipv6(tag: &Tag) -> Result<Self, HoldError> {
        let lock = Lock::take().await;
        let journal = journal().await?;
        let noted: BTreeSet<&str> = journal
            .values()
            .flat_map(|notes| notes.iter().map(|(key, _)| key))
            .collect();
        let listening = keys("accept_ra", &noted, |name, value| {
            value == LISTENS && !matches!(name, "all" | "lo") && !is_forwarding(name)
        });
        // Routers on their own would be none after the switch for all goes back. While it is on all look like it.
        let is_on = noted.contains(FORWARD) || sysctl::read(FORWARD)? == "1";
        let routers = keys("forwarding", &noted, |name, value| {
            !is_on && name != "all" && value == "1"
        });
        let routers: Vec<String> = routers.into_iter().filter(|key| key != FORWARD).collect();
        let mut values: Vec<_> = listening
            .into_iter()
            .map(|key| (key, LISTENS_ALL_THE_SAME))
            .collect();
        values.extend(routers.iter().map(|key| (key.clone(), "1")));
        values.push((FORWARD.to_owned(), "1"));
        Self::take(tag.ipv6_settings_table(), values, &routers, lock).await
    }
}

fn is_forwarding(name: &str) -> bool {
    sysctl::read(&format!("net.ipv6.conf.{name}.forwarding")).is_ok_and(|value| value == "1")
}

/// The keys of `setting` for the interfaces that `wanted` picks by name and value, with those that somebody has noted and
/// that are still there.
fn keys(setting: &str, noted: &BTreeSet<&str>, wanted: impl Fn(&str, &str) -> bool) -> BTreeSet<String> {
    let key = |name: &str| format!("net.ipv6.conf.{name}.{setting}");
    let is_there = |key: &&str| is_ours(key) && key.ends_with(setting) && sysctl::read(key).is_ok();
    let mut keys: BTreeSet<String> = noted
        .iter()
        .copied()
        .filter(is_there)
        .map(str::to_owned)
        .collect();
    for entry in std::fs::read_dir(CONF).into_iter().flatten().flatten() {
        // As sysctl(8) writes names with dots.
        let name = entry.file_name().to_string_lossy().replace('.', "/");
        let picked = |value: String| wanted(&name, &value);
        if !Tag::has_device(&name) && sysctl::read(&key(&name)).is_ok_and(picked) {
            keys.insert(key(&name));
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_others_are_never_ours() {
        for key in [
            FORWARD,
            "net.ipv6.conf.eth0/100.accept_ra",
            "net.ipv6.conf.default.forwarding",
        ] {
            assert!(is_ours(key), "{key}");
        }
        for key in [
            "net.ipv6.conf.eth0.disable_ipv6",
            "net.ipv6.conf.a.b.forwarding",
            "net.ipv6.conf..accept_ra",
            "net.ipv4.conf.all.forwarding",
            "kernel.core_pattern",
        ] {
            assert!(!is_ours(key), "{key}");
        }
    }
}
