//! IPv6 forwarding. Switching it on makes a router of every interface, and routers hear no advertisements: the
//! machine would lose its own default route (`rt6_purge_dflt_routers` of the kernel). So every interface that listens to them is told before
//! to go on doing so all the same (`accept_ra` 2), and all is put back in the opposite order.

use std::collections::BTreeSet;

use netdev::sysctl;

use super::{Former, NOTE, Setting, held};
use crate::tag::Tag;

const CONF: &str = "/proc/sys/net/ipv6/conf";
/// The key of all interfaces, and the only one that the kernel asks before it forwards.
const FORWARD: &str = "net.ipv6.conf.all.forwarding";
const LISTENS: &str = "1";
const LISTENS_ALL_THE_SAME: &str = "2";

/// IPv6 forwarding, until this is dropped.
#[derive(Debug)]
pub(crate) struct Forwarding6 {
    /// In the order in which they are put back.
    settings: Vec<Setting>,
}

impl Forwarding6 {
    /// Turns forwarding on. `former` takes the place of what is found now.
    pub(crate) fn hold(former: &Former) -> netdev::Result<Self> {
        let found = |key: &str| former.0.get(key).map(String::as_str);
        let mut listening = Vec::new();
        for key in keys("accept_ra", former, |name, value| {
            value == LISTENS && !matches!(name, "all" | "lo") && !is_forwarding(name)
        }) {
            // An interface may vanish at any time.
            listening.extend(Setting::hold(&key, LISTENS_ALL_THE_SAME, found(&key)).ok());
        }
        // Routers on their own would be none after the switch for all goes back. Behind a killed process all look like it.
        let is_off = !former.0.contains_key(FORWARD) && sysctl::read(FORWARD)? != "1";
        let routers = keys("forwarding", former, |name, value| {
            is_off && name != "all" && value == "1"
        });
        let routers: Vec<Setting> = routers
            .iter()
            .filter(|key| *key != FORWARD)
            .map(|key| Setting::keep(key, "1"))
            .collect();
        let mut settings = vec![Setting::hold(FORWARD, "1", found(FORWARD))?];
        settings.extend(routers);
        settings.extend(listening);
        Ok(Forwarding6 { settings })
    }

    /// The settings to put back, each for the comment of a rule.
    pub(crate) fn notes(&self) -> Vec<String> {
        let table = held();
        let note = |setting: &Setting| {
            let former = table.get(&setting.0)?.former.as_ref()?;
            Some(format!("{NOTE} {}={former}", setting.0))
        };
        self.settings.iter().filter_map(note).collect()
    }
}

impl Former {
    /// What [`Forwarding6::notes`] wrote; other comments, and settings that are not ours, give nothing.
    pub(crate) fn from_notes6<'a>(comments: impl Iterator<Item = &'a str>) -> Self {
        let pair = |comment: &'a str| {
            let (key, value) = comment.strip_prefix(NOTE)?.strip_prefix(' ')?.split_once('=')?;
            let (name, setting) = key.strip_prefix("net.ipv6.conf.")?.rsplit_once('.')?;
            let ours = matches!(setting, "forwarding" | "accept_ra") && !name.contains('.');
            (ours && matches!(value, "0" | "1")).then(|| (key.to_owned(), value.to_owned()))
        };
        Former(comments.filter_map(pair).collect())
    }
}

fn is_forwarding(name: &str) -> bool {
    sysctl::read(&format!("net.ipv6.conf.{name}.forwarding")).is_ok_and(|value| value == "1")
}

/// The keys of `setting` for the interfaces that `wanted` picks by name and value, with those that are held already and
/// those that a killed process left.
fn keys(setting: &str, former: &Former, wanted: impl Fn(&str, &str) -> bool) -> BTreeSet<String> {
    let key = |name: &str| format!("net.ipv6.conf.{name}.{setting}");
    let mut keys: BTreeSet<String> = held().keys().cloned().collect();
    keys.extend(former.0.keys().cloned());
    keys.retain(|key| key.starts_with("net.ipv6.conf.") && key.ends_with(&format!(".{setting}")));
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
    fn notes_are_read_back_and_nothing_else_is() {
        let notes = [
            "web",
            "found net.ipv6.conf.all.forwarding=0",
            "found net.ipv6.conf.eth0/100.accept_ra=1",
            "found net.ipv6.conf.eth0.accept_ra=|sh",
            "found net.ipv6.conf.eth0.disable_ipv6=1",
            "found net.ipv6.conf.a.b.forwarding=1",
            "found kernel.core_pattern=1",
        ];
        let former = Former::from_notes6(notes.into_iter());
        let keys: Vec<&str> = former.0.keys().map(String::as_str).collect();
        assert_eq!(
            keys,
            ["net.ipv6.conf.all.forwarding", "net.ipv6.conf.eth0/100.accept_ra"]
        );
    }
}
