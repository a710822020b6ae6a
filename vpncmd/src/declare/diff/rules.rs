//! The part of a plan that is about a hub's rules. They have no names: two that mean the same are the same.

use protocol::rpc::access::{AccessRule, SourceRule};

use super::{Work, step};
use crate::{
    command::access_rule,
    declare::{
        model::{DeclaredHub, ObservedHub},
        plan::{Change, Verb},
        rule,
        value::Detail,
    },
};

/// How a list becomes as declared.
struct Merged<R> {
    /// All of it; `None` when it is so already.
    list: Option<Vec<R>>,
    /// What is added and deleted.
    details: Vec<Detail>,
    /// How many rules stay that are not declared.
    staying: usize,
}

fn merge<R: Clone + PartialEq>(
    declared: &[R],
    known: &[R],
    prune: bool,
    meant: fn(&R) -> R,
    shown: fn(&R) -> String,
) -> Merged<R> {
    let mut missing: Vec<R> = declared.iter().map(meant).collect();
    let (mut list, mut others) = (Vec::new(), Vec::new());
    for known in known {
        let same = meant(known);
        match missing.iter().position(|rule| *rule == same) {
            Some(at) => {
                missing.remove(at);
                list.push(known.clone());
            }
            None => others.push(known.clone()),
        }
    }
    let (deleted, kept) = if prune {
        (others, Vec::new())
    } else {
        (Vec::new(), others)
    };
    let staying = kept.len();
    let detail = |key: &str, rule: &R| Detail {
        key: key.to_owned(),
        old: None,
        new: shown(rule),
    };
    let mut details: Vec<Detail> = deleted.iter().map(|rule| detail("delete", rule)).collect();
    details.extend(missing.iter().map(|rule| detail("add", rule)));
    list.extend(kept);
    list.extend(missing);
    Merged {
        list: (!details.is_empty()).then_some(list),
        details,
        staying,
    }
}

impl Work<'_> {
    pub(super) fn access(&mut self, hub_name: &str, declared: &DeclaredHub, hub: &ObservedHub) {
        let Some(rules) = &declared.access else { return };
        let merged = merge(rules, &hub.access, self.wishes.prune, rule::meant, shown);
        self.stay("access rule", merged.staying, hub_name);
        let Some(mut after) = merged.list else { return };
        after.sort_by_key(|rule| rule.priority);
        let change = Change::Access {
            hub: hub_name.to_owned(),
            before: hub.access.clone(),
            after,
        };
        let what = format!("access list of hub {hub_name}");
        self.phases
            .rest
            .push(step(change, Verb::Change, what, merged.details));
    }

    pub(super) fn sources(&mut self, hub_name: &str, declared: &DeclaredHub, hub: &ObservedHub) {
        let Some(rules) = &declared.sources else { return };
        let shown = |rule: &SourceRule| {
            let action = if rule.deny { "deny" } else { "allow" };
            format!("{} {action} {}", rule.priority, rule::from(rule))
        };
        let merged = merge(rules, &hub.sources, self.wishes.prune, rule::source_meant, shown);
        self.stay("source rule", merged.staying, hub_name);
        let Some(mut after) = merged.list else { return };
        after.sort_by_key(|rule| rule.priority);
        let change = Change::Sources {
            hub: hub_name.to_owned(),
            before: hub.sources.clone(),
            after,
        };
        let what = format!("source rules of hub {hub_name}");
        self.phases
            .rest
            .push(step(change, Verb::Change, what, merged.details));
    }
}

fn shown(rule: &AccessRule) -> String {
    let action = if rule.discard { "discard" } else { "pass" };
    let off = if rule.active { "" } else { " (disabled)" };
    format!("{} {action} {}{off}", rule.priority, access_rule::contents(rule))
}
