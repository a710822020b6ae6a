//! Rules of a hub's access list, as they are kept.

use hub_core::access::Rule;

/// Rules of one hub at most (policies §4).
pub const MAX_ACCESS_RULES: usize = 32_768;

/// One rule in a hub's access list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessRule {
    /// Its place, from 1 on. Rules keep theirs when others are deleted, so that a script that deletes several by place
    /// hits those it has seen; they are numbered anew when a rule is added, as on the stock server.
    pub position: u32,
    /// What names it whatever its place, [`MAX_ACCESS_RULES`] or more.
    pub key: u32,
    /// What it says.
    pub rule: Rule,
}

impl AccessRule {
    /// A rule that has no place yet and no key.
    #[must_use]
    pub fn new(rule: Rule) -> Self {
        Self {
            position: 0,
            key: 0,
            rule,
        }
    }

    /// Whether `key` can be one.
    #[must_use]
    pub fn is_key(key: u32) -> bool {
        key as usize >= MAX_ACCESS_RULES
    }
}
