//! What there is to do: changes in their order, each with its way back.

use std::rc::Rc;

use protocol::rpc::{
    access::{AccessRule, SourceRule},
    bridge::LocalBridge,
    dnat::Dnat,
    group::Group,
    hub::{HubRadius, HubSettings},
    option::HubOption,
    securenat::{SecureNatIpv6, SecureNatOption},
    user::{AuthType, User},
};
use serde_json::json;

use crate::{
    console::{Colour, Console},
    declare::{
        fields::SecureNat,
        value::{Declared, Detail},
    },
    text::printable,
};

/// One change of a server. What was there before is enough to take it back, unless the server keeps it to itself.
#[derive(Clone, Debug)]
pub enum Change {
    /// A hub is made, changed or deleted.
    Hub {
        /// What it was.
        before: Option<HubSettings>,
        /// What it will be; with hashes where the password changes.
        after: Option<HubSettings>,
    },
    /// A hub's message.
    Message {
        /// The hub.
        hub: String,
        /// What it was.
        before: String,
        /// What it will be.
        after: String,
    },
    /// Options of a hub.
    Options {
        /// The hub.
        hub: String,
        /// Those that restrict its administrator, rather than the extended ones.
        admin: bool,
        /// What they were.
        before: Vec<HubOption>,
        /// What they will be: the same ones.
        after: Vec<HubOption>,
    },
    /// A group is made, changed or deleted.
    Group {
        /// What it was.
        before: Option<Box<Group>>,
        /// What it will be.
        after: Option<Box<Group>>,
        /// Users who are in it, and would have to be put into it again.
        members: Vec<String>,
    },
    /// A user is made, changed or deleted.
    User {
        /// What it was.
        before: Option<Box<User>>,
        /// What it will be.
        after: Option<Box<User>>,
    },
    /// The access list of a hub.
    Access {
        /// The hub.
        hub: String,
        /// What it was.
        before: Vec<AccessRule>,
        /// What it will be.
        after: Vec<AccessRule>,
    },
    /// Where clients of a hub may come from.
    Sources {
        /// The hub.
        hub: String,
        /// What it was.
        before: Vec<SourceRule>,
        /// What it will be.
        after: Vec<SourceRule>,
    },
    /// The RADIUS server of a hub.
    Radius {
        /// What it was.
        before: Box<HubRadius>,
        /// What it will be.
        after: Box<HubRadius>,
    },
    /// The settings of a hub's SecureNAT.
    SecureNat {
        /// What they were.
        before: Box<SecureNatOption>,
        /// What they will be.
        after: Box<SecureNatOption>,
    },
    /// SecureNAT of a hub that is being made: its settings are what the server gives a new hub, but for these.
    SecureNatOfNew {
        /// The hub.
        hub: String,
        /// What is declared.
        declared: Rc<Declared<SecureNat>>,
    },
    /// IPv6 of a hub's SecureNAT.
    Ipv6 {
        /// What it was.
        before: Box<SecureNatIpv6>,
        /// What it will be.
        after: Box<SecureNatIpv6>,
    },
    /// SecureNAT itself.
    SecureNatSwitch {
        /// The hub.
        hub: String,
        /// Whether it will run; before, it was the other way round.
        on: bool,
    },
    /// A local bridge is made or ended.
    Bridge {
        /// Which.
        bridge: LocalBridge,
        /// Whether it is made.
        made: bool,
    },
    /// The server's address on a bridge's TAP device changes.
    BridgeAddress {
        /// What it was.
        before: LocalBridge,
        /// What it will be.
        after: LocalBridge,
    },
    /// A published host is made, replaced or deleted.
    Dnat {
        /// What it was.
        before: Option<Dnat>,
        /// What it will be.
        after: Option<Dnat>,
    },
    /// A TCP port: whether it is there, and if so, whether it is listened on.
    Listener {
        /// The port.
        port: u32,
        /// What it was.
        before: Option<bool>,
        /// What it will be.
        after: Option<bool>,
    },
}

impl Change {
    /// The change that takes this one back; `None` where what was there is not known.
    #[must_use]
    pub fn inverse(&self) -> Option<Change> {
        let turned = match self.clone() {
            Change::Hub { before, after } => match (before, after) {
                // The users of a deleted hub, their passwords and its own are gone, and so is a password that is
                // replaced: servers do not show it.
                (Some(_), None) => return None,
                (Some(_), Some(after)) if !after.hashed_password.is_blank() => return None,
                (before, after) => Change::Hub {
                    before: after,
                    after: before,
                },
            },
            Change::Message { hub, before, after } => Change::Message {
                hub,
                before: after,
                after: before,
            },
            Change::Options {
                hub,
                admin,
                before,
                after,
            } => Change::Options {
                hub,
                admin,
                before: after,
                after: before,
            },
            Change::Group {
                before,
                after,
                members,
            } => Change::Group {
                before: after,
                after: before,
                members,
            },
            Change::User { before, after } => {
                if before
                    .as_ref()
                    .is_some_and(|before| loses_password(before, after.as_deref()))
                {
                    return None;
                }
                Change::User {
                    before: after,
                    after: before,
                }
            }
            Change::Access { hub, before, after } => Change::Access {
                hub,
                before: after,
                after: before,
            },
            Change::Sources { hub, before, after } => Change::Sources {
                hub,
                before: after,
                after: before,
            },
            Change::Radius { before, after } => Change::Radius {
                before: after,
                after: before,
            },
            Change::SecureNat { before, after } => Change::SecureNat {
                before: after,
                after: before,
            },
            Change::Ipv6 { before, after } => Change::Ipv6 {
                before: after,
                after: before,
            },
            Change::SecureNatOfNew { .. } => return None,
            Change::SecureNatSwitch { hub, on } => Change::SecureNatSwitch { hub, on: !on },
            Change::Bridge { bridge, made } => Change::Bridge { bridge, made: !made },
            Change::BridgeAddress { before, after } => Change::BridgeAddress {
                before: after,
                after: before,
            },
            Change::Dnat { before, after } => Change::Dnat {
                before: after,
                after: before,
            },
            Change::Listener { port, before, after } => Change::Listener {
                port,
                before: after,
                after: before,
            },
        };
        Some(turned)
    }
}

/// Whether a change of a user overwrites a password that the server has not shown.
fn loses_password(before: &User, after: Option<&User>) -> bool {
    let hidden = before.auth_type == AuthType::Password && !shows_password(before);
    // A password user that is written without a password keeps the one they have.
    let kept = after.is_some_and(|after| after.auth_type == AuthType::Password && !shows_password(after));
    hidden && !kept
}

/// Whether a user came with the hash of their password.
#[must_use]
pub fn shows_password(user: &User) -> bool {
    user.hashed_key.as_ref().is_some_and(|hash| !hash.is_blank())
}

/// What happens to a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// It is made.
    Create,
    /// It is changed.
    Change,
    /// It is deleted.
    Delete,
}

/// One change and what to say of it.
#[derive(Clone, Debug)]
pub struct Step {
    /// What is done.
    pub change: Change,
    /// What happens.
    pub verb: Verb,
    /// To what: `user bob of hub office`.
    pub what: String,
    /// The keys that change.
    pub details: Vec<Detail>,
    /// It is part of a hub that is being made, and goes with it when that is taken back.
    pub of_new_hub: bool,
}

impl Step {
    /// `create user bob of hub office`.
    #[must_use]
    pub fn title(&self) -> String {
        format!("{} {}", self.verb.word(), printable(&self.what))
    }
}

impl Verb {
    fn word(self) -> &'static str {
        match self {
            Verb::Create => "create",
            Verb::Change => "change",
            Verb::Delete => "delete",
        }
    }

    fn sign(self) -> (&'static str, Colour) {
        match self {
            Verb::Create => ("+", Colour::Green),
            Verb::Change => ("~", Colour::Yellow),
            Verb::Delete => ("-", Colour::Red),
        }
    }
}

/// Everything there is to do, in the order in which it is done.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The steps.
    pub steps: Vec<Step>,
    /// What is not done, and why.
    pub notes: Vec<String>,
}

impl Plan {
    /// Whether the server is as declared.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// `2 to create, 1 to change, 0 to delete`.
    #[must_use]
    pub fn summary(&self) -> String {
        let count = |verb| self.steps.iter().filter(|step| step.verb == verb).count();
        format!(
            "{} to create, {} to change, {} to delete",
            count(Verb::Create),
            count(Verb::Change),
            count(Verb::Delete)
        )
    }

    /// Shows it.
    pub fn print(&self, console: &mut Console) {
        for step in &self.steps {
            let (sign, colour) = step.verb.sign();
            console.print_coloured(colour, &format!("{sign} {}", printable(&step.what)));
            for detail in &step.details {
                let old = detail
                    .old
                    .as_ref()
                    .map_or_else(String::new, |old| format!("{old} -> "));
                console.print_line(&format!("    {}: {old}{}", detail.key, detail.new));
            }
        }
        for note in &self.notes {
            console.print_line(&format!("Note: {}", printable(note)));
        }
    }

    /// The plan as JSON.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let details = |step: &Step| {
            let each = step.details.iter();
            each.map(|detail| json!({ "key": detail.key, "old": detail.old, "new": detail.new }))
                .collect::<Vec<_>>()
        };
        let steps: Vec<_> = self
            .steps
            .iter()
            .map(|step| json!({ "action": step.verb.word(), "object": step.what, "changes": details(step) }))
            .collect();
        json!({ "steps": steps, "notes": self.notes })
    }
}
