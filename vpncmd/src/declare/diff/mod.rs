//! From a declared and an observed state to a plan. Nothing here asks or changes anything.
//!
//! The order is: what can be taken back first, what cannot last. New hubs go online when they are complete.

mod hub;
mod rules;

use protocol::rpc::{bridge::LocalBridge, dnat::Dnat, hub::HubSettings};

use crate::declare::{
    model::{At, Declaration, Named, Observed, same},
    plan::{Change, Plan, Step, Verb},
    read::Mistake,
    value::{Declared, Detail, Object},
};

/// What the user asked for beside the file.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wishes {
    /// Delete what the file's sections do not name.
    pub prune: bool,
    /// Set the passwords that the server does not show.
    pub set_passwords: bool,
}

/// Compares.
///
/// # Errors
/// What cannot become of this server what the file declares, with the lines that say so.
pub fn plan(declared: &Declaration, observed: &Observed, wishes: Wishes) -> Result<Plan, Vec<Mistake>> {
    let mut work = Work {
        observed,
        wishes: Wishes {
            prune: wishes.prune || declared.exclusive,
            ..wishes
        },
        phases: Phases::default(),
        notes: Vec::new(),
        mistakes: Vec::new(),
        unseen_passwords: 0,
    };
    for hub in declared.hubs.iter().flatten() {
        work.hub(hub);
    }
    work.bridges(declared);
    work.dnat(declared);
    work.listeners(declared);
    if declared.hubs.is_some() {
        work.other_hubs(declared);
    }
    work.finish()
}

/// The steps, by when they are done.
#[derive(Default)]
struct Phases {
    hubs: Vec<Step>,
    groups: Vec<Step>,
    users: Vec<Step>,
    rest: Vec<Step>,
    online: Vec<Step>,
    /// What cannot be taken back.
    last: Vec<Step>,
    deleted_users: Vec<Step>,
    deleted_groups: Vec<Step>,
    deleted_hubs: Vec<Step>,
}

struct Work<'a> {
    observed: &'a Observed,
    wishes: Wishes,
    phases: Phases,
    notes: Vec<String>,
    mistakes: Vec<Mistake>,
    unseen_passwords: usize,
}

fn step(change: Change, verb: Verb, what: String, details: Vec<Detail>) -> Step {
    Step {
        change,
        verb,
        what,
        details,
        of_new_hub: false,
    }
}

impl Work<'_> {
    fn finish(mut self) -> Result<Plan, Vec<Mistake>> {
        if !self.mistakes.is_empty() {
            self.mistakes.sort_by_key(|mistake| mistake.line);
            return Err(self.mistakes);
        }
        if self.unseen_passwords > 0 {
            self.notes.push(format!(
                "{} not compared, because the server does not show {}; --set-passwords sets {2}.",
                if self.unseen_passwords == 1 {
                    "1 password is"
                } else {
                    "passwords are"
                },
                if self.unseen_passwords == 1 { "it" } else { "them" },
                if self.unseen_passwords == 1 { "it" } else { "them" },
            ));
        }
        let phases = self.phases;
        let steps = [
            phases.hubs,
            phases.groups,
            phases.users,
            phases.rest,
            phases.online,
            phases.last,
            phases.deleted_users,
            phases.deleted_groups,
            phases.deleted_hubs,
        ];
        Ok(Plan {
            steps: steps.into_iter().flatten().collect(),
            notes: self.notes,
        })
    }

    fn mistake(&mut self, line: usize, text: impl Into<String>) {
        self.mistakes.push(Mistake {
            line,
            text: text.into(),
        });
    }

    /// The object with what is declared; a mistake where that does not fit.
    fn applied<T: Object>(&mut self, declared: &Declared<T>, object: &T) -> Option<T> {
        declared
            .applied_to(object)
            .map_err(|(line, text)| self.mistake(line, text))
            .ok()
    }

    fn bridges(&mut self, declared: &Declaration) {
        let Some(bridges) = &declared.bridges else { return };
        let is_same = |left: &LocalBridge, right: &LocalBridge| {
            same(&left.hub_name, &right.hub_name)
                && left.device_name == right.device_name
                && left.tap_mode == right.tap_mode
        };
        let observed = self.observed;
        let what = |bridge: &LocalBridge| {
            let tap = if bridge.tap_mode { "new TAP device " } else { "" };
            format!("bridge of hub {} to {tap}{}", bridge.hub_name, bridge.device_name)
        };
        let extra = observed
            .bridges
            .iter()
            .filter(|known| !bridges.iter().any(|At { item, .. }| is_same(item, known)));
        for bridge in extra {
            if self.wishes.prune {
                let change = Change::Bridge {
                    bridge: bridge.clone(),
                    made: false,
                };
                self.phases
                    .rest
                    .push(step(change, Verb::Delete, what(bridge), Vec::new()));
            } else {
                self.notes
                    .push(format!("The {} stays; --prune would end it.", what(bridge)));
            }
        }
        for At { item: bridge, line } in bridges {
            if let Some(known) = observed.bridges.iter().find(|known| is_same(known, bridge)) {
                self.bridge_address(known, bridge, what(bridge));
                continue;
            }
            if !bridge.tap_mode && !observed.devices.contains(&bridge.device_name) {
                self.mistake(
                    *line,
                    format!("this server has no Ethernet device {}", bridge.device_name),
                );
            }
            let change = Change::Bridge {
                bridge: bridge.clone(),
                made: true,
            };
            self.phases
                .rest
                .push(step(change, Verb::Create, what(bridge), Vec::new()));
        }
    }

    /// An address that is not declared stays as it is.
    fn bridge_address(&mut self, known: &LocalBridge, declared: &LocalBridge, what: String) {
        let (before, after) = (&known.host_address, &declared.host_address);
        if after.is_none() || before == after {
            return;
        }
        let text = |address: &Option<String>| address.clone().unwrap_or_else(|| "none".to_owned());
        let detail = Detail {
            key: "ip".to_owned(),
            old: Some(text(before)),
            new: text(after),
        };
        let change = Change::BridgeAddress {
            before: known.clone(),
            after: declared.clone(),
        };
        self.phases
            .rest
            .push(step(change, Verb::Change, what, vec![detail]));
    }

    fn dnat(&mut self, declared: &Declaration) {
        let Some(rules) = &declared.dnat else { return };
        let what = |name: &str| format!("published host {name}");
        let observed = self.observed;
        for known in &observed.dnat {
            if rules.iter().any(|named| same(&named.name, &known.name)) {
                continue;
            }
            if self.wishes.prune {
                let change = Change::Dnat {
                    before: Some(known.clone()),
                    after: None,
                };
                self.phases
                    .rest
                    .push(step(change, Verb::Delete, what(&known.name), Vec::new()));
            } else {
                self.notes.push(format!(
                    "The {} stays; --prune would delete it.",
                    what(&known.name)
                ));
            }
        }
        for Named { name, object } in rules {
            let known = observed.dnat.iter().find(|known| same(&known.name, name));
            let before = known.cloned().unwrap_or_else(|| Dnat {
                name: name.clone(),
                ..Dnat::default()
            });
            let Some(after) = self.applied(object, &before) else {
                continue;
            };
            let (verb, details) = match known {
                Some(_) => (Verb::Change, object.details(&before, &after)),
                None => (Verb::Create, object.described(&after)),
            };
            if known.is_some() && details.is_empty() {
                continue;
            }
            let change = Change::Dnat {
                before: known.cloned(),
                after: Some(after),
            };
            self.phases.rest.push(step(change, verb, what(name), details));
        }
    }

    fn listeners(&mut self, declared: &Declaration) {
        let Some(ports) = &declared.listeners else { return };
        let observed = self.observed;
        for At { item: port, .. } in ports {
            let known = observed.listeners.iter().find(|row| row.port == *port);
            if known.is_some_and(|row| row.enabled) {
                continue;
            }
            let change = Change::Listener {
                port: *port,
                before: known.map(|_| false),
                after: Some(true),
            };
            let verb = if known.is_some() {
                Verb::Change
            } else {
                Verb::Create
            };
            self.phases.rest.push(step(
                change,
                verb,
                format!("listener on TCP port {port}"),
                Vec::new(),
            ));
        }
        let is_declared = |port: u32| ports.iter().any(|At { item, .. }| *item == port);
        for row in observed.listeners.iter().filter(|row| !is_declared(row.port)) {
            let what = format!("listener on TCP port {}", row.port);
            if self.wishes.prune {
                let change = Change::Listener {
                    port: row.port,
                    before: Some(row.enabled),
                    after: None,
                };
                self.phases
                    .last
                    .push(step(change, Verb::Delete, what, Vec::new()));
            } else {
                self.notes
                    .push(format!("The {what} stays; --prune would delete it."));
            }
        }
    }

    fn other_hubs(&mut self, declared: &Declaration) {
        let observed = self.observed;
        let is_declared = |name: &str| declared.hubs.iter().flatten().any(|hub| same(&hub.name, name));
        let others = observed.other_hubs.iter().filter(|name| !is_declared(name));
        for name in others {
            if !self.wishes.prune {
                self.notes
                    .push(format!("Hub {name} stays; --prune would delete it."));
                continue;
            }
            let before = HubSettings {
                hub_name: name.clone(),
                ..HubSettings::default()
            };
            let change = Change::Hub {
                before: Some(before),
                after: None,
            };
            let detail = Detail {
                key: "with".to_owned(),
                old: None,
                new: "its users, groups and settings; there is no way back".to_owned(),
            };
            self.phases
                .deleted_hubs
                .push(step(change, Verb::Delete, format!("hub {name}"), vec![detail]));
        }
    }
}
