//! Kernel settings that routing for others needs: set while somebody needs them, put back afterwards.
//!
//! Kernel NAT and published hosts need the same settings, so holders are counted; the value found by the first is
//! put back by the last. A killed process puts nothing back: what it found is therefore also written into the
//! comment of a rule of its nftables table ([`Forwarding::note`]), and whoever clears that table away takes it over
//! ([`Former::from_note`]). Holders are counted in this process only; of two servers on one machine the one that
//! stops first puts the settings back for both.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use netdev::sysctl;

/// Packets pass between interfaces.
const FORWARD: (&str, &str) = ("net.ipv4.ip_forward", "1");
/// No ICMP redirects. The kernel asks this setting *or* the device's own, so the device's alone would not do.
const NO_REDIRECTS: (&str, &str) = ("net.ipv4.conf.all.send_redirects", "0");

/// The kernel counts what its connections carry, for who looks at them. A kernel without connections has no such setting.
const COUNT: (&str, &str) = ("net.netfilter.nf_conntrack_acct", "1");

const OURS: [&str; 3] = [FORWARD.0, NO_REDIRECTS.0, COUNT.0];

const NOTE: &str = "found";

static HELD: Mutex<BTreeMap<String, Held>> = Mutex::new(BTreeMap::new());

struct Held {
    value: String,
    former: Option<String>,
    holders: usize,
}

fn held() -> MutexGuard<'static, BTreeMap<String, Held>> {
    // The table is whole after every statement that could panic.
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One kernel setting, held at a value until this is dropped.
#[derive(Debug)]
struct Setting(String);

impl Setting {
    fn hold(key: &str, value: &str, former: Option<&str>) -> netdev::Result<Self> {
        let mut table = held();
        if let Some(entry) = table.get_mut(key) {
            entry.holders += 1;
            return Ok(Setting(key.to_owned()));
        }
        let found = sysctl::swap(key, value)?;
        let former = former.filter(|f| *f != value).map(str::to_owned).or(found);
        table.insert(
            key.to_owned(),
            Held {
                value: value.to_owned(),
                former,
                holders: 1,
            },
        );
        Ok(Setting(key.to_owned()))
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        let mut table = held();
        let Some(entry) = table.get_mut(&self.0) else {
            return;
        };
        entry.holders -= 1;
        if entry.holders > 0 {
            return;
        }
        if let Some(former) = table.remove(&self.0).and_then(|entry| entry.former)
            && let Err(error) = sysctl::write(&self.0, &former)
        {
            tracing::warn!(setting = %self.0, %former, %error, "could not put a kernel setting back");
        }
    }
}

/// Sets the settings that are held once more, where somebody else has changed them since.
pub(crate) fn reassert() {
    for (key, entry) in held().iter() {
        match sysctl::swap(key, &entry.value) {
            Ok(None) => {}
            Ok(Some(found)) => {
                tracing::warn!(setting = %key, %found, "somebody changed a kernel setting; it is back");
            }
            Err(error) => tracing::debug!(setting = %key, %error, "a kernel setting could not be looked at"),
        }
    }
}

/// Settings as a killed process found them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Former(BTreeMap<String, String>);

impl Former {
    /// Reads what [`Forwarding::note`] wrote. Other comments give nothing, nor do settings that are not ours.
    pub(crate) fn from_note(comment: &str) -> Self {
        let mut words = comment.split(' ');
        if words.next() != Some(NOTE) {
            return Former::default();
        }
        let ours = |(key, value): &(&str, &str)| OURS.contains(key) && matches!(*value, "0" | "1");
        let pairs = words.filter_map(|word| word.split_once('=')).filter(ours);
        Former(
            pairs
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
        )
    }

    /// What the rules of a table left behind say.
    pub(crate) fn from_comments<'a>(comments: impl Iterator<Item = &'a str>) -> Self {
        comments
            .map(Self::from_note)
            .find(|former| *former != Former::default())
            .unwrap_or_default()
    }
}

/// IPv4 forwarding without redirects, until this is dropped.
#[derive(Debug)]
pub(crate) struct Forwarding {
    _settings: [Setting; 2],
    _count: Option<Setting>,
}

impl Forwarding {
    /// Turns forwarding on. `former` takes the place of what is found now.
    pub(crate) fn hold(former: &Former) -> netdev::Result<Self> {
        let hold =
            |(key, value): (&str, &str)| Setting::hold(key, value, former.0.get(key).map(String::as_str));
        Ok(Forwarding {
            _settings: [hold(FORWARD)?, hold(NO_REDIRECTS)?],
            _count: hold(COUNT).ok(),
        })
    }

    /// The settings to put back, for the comment of a rule. nftables allows 128 bytes.
    pub(crate) fn note(&self) -> String {
        let table = held();
        let former = |key: &str| table.get(key).and_then(|entry| entry.former.clone());
        let changed = OURS
            .into_iter()
            .filter_map(|key| Some(format!("{key}={}", former(key)?)));
        std::iter::once(NOTE.to_owned())
            .chain(changed)
            .collect::<Vec<_>>()
            .join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_back_and_nothing_else_is() {
        let note = "found net.ipv4.ip_forward=0 net.ipv4.conf.all.send_redirects=1 net.netfilter.nf_conntrack_acct=0";
        assert!(note.len() <= 128);
        let former = Former::from_comments(["web", note].into_iter());
        assert_eq!(former.0["net.ipv4.ip_forward"], "0");
        assert_eq!(former.0["net.ipv4.conf.all.send_redirects"], "1");
        assert_eq!(former.0["net.netfilter.nf_conntrack_acct"], "0");
        for other in [
            "",
            "web",
            "found",
            "found kernel.core_pattern=x",
            "found net.ipv4.ip_forward=|sh",
        ] {
            assert_eq!(Former::from_note(other), Former::default(), "{other}");
        }
    }
}
