//! The part of a plan that is about one hub: itself, its people, its access list and its SecureNAT.

use std::{
    collections::{HashMap, HashSet},
    rc::Rc,
};

use protocol::{
    password,
    rpc::{
        Secret,
        group::Group,
        hub::{HubRadius, HubSettings},
        option::HubOption,
        securenat::SecureNatIpv6,
        user::{AuthType, User},
    },
};

use super::{Work, step};
use crate::{
    command::{hub::give_password, user::set_password},
    declare::{
        fields::auth_name,
        model::{At, DeclaredHub, DeclaredUser, Named, ObservedHub, folded, same},
        plan::{Change, Verb, shows_password},
        value::{Detail, Value},
    },
    matching,
};

fn password_detail() -> Detail {
    Detail {
        key: "password".to_owned(),
        old: None,
        new: "(set)".to_owned(),
    }
}

impl Work<'_> {
    pub(super) fn hub(&mut self, declared: &DeclaredHub) {
        let prune = self.wishes.prune;
        self.wishes.prune |= declared.exclusive;
        match self.observed.hub(&declared.name) {
            Some(hub) => self.known_hub(declared, hub),
            None => self.new_hub(declared),
        }
        self.wishes.prune = prune;
    }

    fn new_hub(&mut self, declared: &DeclaredHub) {
        let blank = HubSettings {
            hub_name: declared.name.clone(),
            online: true,
            ..HubSettings::default()
        };
        let Some(mut settings) = self.applied(&declared.object, &blank) else {
            return;
        };
        let text = declared
            .password
            .as_ref()
            .map_or("", |password| password.item.as_str());
        give_password(&mut settings, text);
        let mut details = declared.object.described(&settings);
        details.retain(|detail| detail.key != "online");
        if declared.password.is_some() {
            details.push(password_detail());
        }
        let online = settings.online;
        settings.online = false;
        let what = format!("hub {}", declared.name);
        let create = Change::Hub {
            before: None,
            after: Some(settings.clone()),
        };
        self.phases
            .hubs
            .push(step(create, Verb::Create, what.clone(), details));
        let first = self.lengths();
        self.parts(declared, &ObservedHub::default(), true);
        self.mark_new(first);
        if online {
            blank_passwords(&mut settings);
            let after = HubSettings {
                online: true,
                ..settings.clone()
            };
            let details = vec![Detail {
                key: "online".to_owned(),
                old: Some("no".to_owned()),
                new: "yes".to_owned(),
            }];
            let change = Change::Hub {
                before: Some(settings),
                after: Some(after),
            };
            let mut step = step(change, Verb::Change, what, details);
            step.of_new_hub = true;
            self.phases.online.push(step);
        }
    }

    fn lengths(&self) -> [usize; 4] {
        let phases = &self.phases;
        [
            phases.hubs.len(),
            phases.groups.len(),
            phases.users.len(),
            phases.rest.len(),
        ]
    }

    /// Everything since then belongs to a new hub.
    fn mark_new(&mut self, since: [usize; 4]) {
        let phases = &mut self.phases;
        let all = [
            &mut phases.hubs,
            &mut phases.groups,
            &mut phases.users,
            &mut phases.rest,
        ];
        for (steps, since) in all.into_iter().zip(since) {
            steps[since..].iter_mut().for_each(|step| step.of_new_hub = true);
        }
    }

    fn known_hub(&mut self, declared: &DeclaredHub, hub: &ObservedHub) {
        let mut before = hub.settings.clone();
        blank_passwords(&mut before);
        let Some(after) = self.applied(&declared.object, &before) else {
            return;
        };
        let what = format!("hub {}", before.hub_name);
        // What is not named, or means the same, is no change, however the server writes it.
        let details = declared.object.details(&before, &after);
        if !details.is_empty() {
            let change = Change::Hub {
                before: Some(before.clone()),
                after: Some(after.clone()),
            };
            self.phases
                .hubs
                .push(step(change, Verb::Change, what.clone(), details));
        }
        if let Some(password) = &declared.password {
            if self.wishes.set_passwords {
                let mut with_password = after.clone();
                give_password(&mut with_password, &password.item);
                let change = Change::Hub {
                    before: Some(after),
                    after: Some(with_password),
                };
                self.phases
                    .last
                    .push(step(change, Verb::Change, what, vec![password_detail()]));
            } else {
                self.unseen_passwords += 1;
            }
        }
        self.parts(declared, hub, false);
    }

    /// Everything of a hub but its own settings.
    fn parts(&mut self, declared: &DeclaredHub, hub: &ObservedHub, new: bool) {
        let name = if new {
            declared.name.clone()
        } else {
            hub.settings.hub_name.clone()
        };
        if let Some(message) = declared
            .message
            .as_ref()
            .filter(|message| **message != hub.message)
        {
            let detail = Detail {
                key: "message".to_owned(),
                old: (!new).then(|| shortened(&hub.message)),
                new: shortened(message),
            };
            let change = Change::Message {
                hub: name.clone(),
                before: hub.message.clone(),
                after: message.clone(),
            };
            let what = format!("message of hub {name}");
            self.phases
                .hubs
                .push(step(change, Verb::Change, what, vec![detail]));
        }
        self.options(&name, &declared.options, &hub.options, false, new);
        self.options(&name, &declared.admin_options, &hub.admin_options, true, new);
        self.radius(&name, declared, hub);
        self.groups(&name, declared, hub);
        self.users(&name, declared, hub);
        self.access(&name, declared, hub);
        self.sources(&name, declared, hub);
        self.secure_nat(&name, declared, hub, new);
        self.ipv6(&name, declared, hub);
    }

    fn options(
        &mut self,
        hub: &str,
        declared: &[At<HubOption>],
        known: &[HubOption],
        admin: bool,
        new: bool,
    ) {
        let (mut before, mut after, mut details) = (Vec::new(), Vec::new(), Vec::new());
        // A hub that is not there yet has the options that the others have.
        let other = self.observed.hubs.first();
        let names: &[HubOption] = match other {
            Some(other) if new && admin => &other.admin_options,
            Some(other) if new => &other.options,
            _ => known,
        };
        for At { item: option, line } in declared {
            let there = names.iter().find(|known| same(&known.name, &option.name));
            if there.is_none() && !(new && names.is_empty()) {
                let names: Vec<&str> = names.iter().map(|option| option.name.as_str()).collect();
                let near = matching::nearest(&option.name, &names);
                let near = near.map_or_else(String::new, |near| format!("; did you mean {near}?"));
                self.mistake(*line, format!("this server has no option {}{near}", option.name));
                continue;
            }
            let name = there.map_or_else(|| option.name.clone(), |there| there.name.clone());
            let now = known.iter().find(|known| same(&known.name, &name));
            if now.is_some_and(|now| now.value == option.value) {
                continue;
            }
            details.push(Detail {
                key: name.clone(),
                old: now.map(|now| now.value.to_string()),
                new: option.value.to_string(),
            });
            before.extend(now.cloned());
            after.push(HubOption {
                name,
                value: option.value,
                ..HubOption::default()
            });
        }
        if !after.is_empty() {
            let kind = if admin {
                "administration options"
            } else {
                "options"
            };
            let change = Change::Options {
                hub: hub.to_owned(),
                admin,
                before,
                after,
            };
            let what = format!("{kind} of hub {hub}");
            self.phases.hubs.push(step(change, Verb::Change, what, details));
        }
    }

    fn groups(&mut self, hub_name: &str, declared: &DeclaredHub, hub: &ObservedHub) {
        let Some(groups) = &declared.groups else { return };
        for Named { name, object } in groups {
            let known = hub.group(name);
            let before = known.cloned().unwrap_or_else(|| Group {
                hub_name: hub_name.to_owned(),
                name: name.clone(),
                ..Group::default()
            });
            let Some(after) = self.applied(object, &before) else {
                continue;
            };
            let what = format!("group {} of hub {hub_name}", before.name);
            let (verb, details) = match known {
                Some(_) => (Verb::Change, object.details(&before, &after)),
                None => (Verb::Create, object.described(&after)),
            };
            if known.is_some() && details.is_empty() {
                continue;
            }
            let change = Change::Group {
                before: known.cloned().map(Box::new),
                after: Some(Box::new(after)),
                members: Vec::new(),
            };
            self.phases.groups.push(step(change, verb, what, details));
        }
        let is_declared = |group: &Group| groups.iter().any(|named| same(&named.name, &group.name));
        let others: Vec<&Group> = hub.groups.iter().filter(|group| !is_declared(group)).collect();
        if !self.wishes.prune {
            self.stay("group", others.len(), hub_name);
            return;
        }
        for group in others {
            let members = hub.members.iter().filter(|(_, of)| same(of, &group.name));
            let change = Change::Group {
                before: Some(Box::new(group.clone())),
                after: None,
                members: members.map(|(user, _)| user.clone()).collect(),
            };
            let what = format!("group {} of hub {hub_name}", group.name);
            self.phases
                .deleted_groups
                .push(step(change, Verb::Delete, what, Vec::new()));
        }
    }

    pub(super) fn stay(&mut self, kind: &str, number: usize, hub: &str) {
        match number {
            0 => {}
            1 => self.notes.push(format!(
                "1 other {kind} of hub {hub} stays; --prune would delete it."
            )),
            _ => self.notes.push(format!(
                "{number} other {kind}s of hub {hub} stay; --prune would delete them."
            )),
        }
    }

    fn users(&mut self, hub_name: &str, declared: &DeclaredHub, hub: &ObservedHub) {
        let Some(users) = &declared.users else { return };
        let known: HashMap<String, &User> = hub.users.iter().map(|user| (folded(&user.name), user)).collect();
        for user in users {
            self.check_group(declared, hub, user);
            self.user(hub_name, known.get(&folded(&user.name)).copied(), user);
        }
        let names: HashSet<String> = users.iter().map(|user| folded(&user.name)).collect();
        let is_declared = |name: &str| names.contains(&folded(name));
        if !self.wishes.prune {
            let others = hub.members.iter().filter(|(name, _)| !is_declared(name)).count();
            self.stay("user", others, hub_name);
            return;
        }
        for user in hub.users.iter().filter(|user| !is_declared(&user.name)) {
            let change = Change::User {
                before: Some(Box::new(user.clone())),
                after: None,
            };
            let what = format!("user {} of hub {hub_name}", user.name);
            self.phases
                .deleted_users
                .push(step(change, Verb::Delete, what, Vec::new()));
        }
    }

    /// A user's group must be there when the plan has been carried out.
    fn check_group(&mut self, declared: &DeclaredHub, hub: &ObservedHub, user: &DeclaredUser) {
        let Some(setting) = user.object.setting("group") else {
            return;
        };
        let name = setting.value.to_string();
        let is_declared = |groups: &Vec<Named<Group>>| groups.iter().any(|group| same(&group.name, &name));
        let declared_there = declared.groups.as_ref().is_some_and(is_declared);
        let stays = hub.group(&name).is_some() && !(self.wishes.prune && declared.groups.is_some());
        let none = matches!(&setting.value, Value::Text(text) if text.is_empty());
        if !none && !declared_there && !stays {
            self.mistake(
                setting.line,
                format!(
                    "there is no group {name} in hub {}; declare it in [hubs.{0}.groups]",
                    declared.name
                ),
            );
        }
    }

    fn user(&mut self, hub_name: &str, known: Option<&User>, declared: &DeclaredUser) {
        let before = known.cloned().unwrap_or_else(|| User {
            hub_name: hub_name.to_owned(),
            name: declared.name.clone(),
            ..User::default()
        });
        let Some(mut after) = self.applied(&declared.object, &before) else {
            return;
        };
        if same(&before.group_name, &after.group_name) {
            after.group_name.clone_from(&before.group_name);
        }
        let sets_password = self.password(declared, known, &mut after);
        if !sets_password && !self.can_log_in(declared, known, &after) {
            return;
        }
        let what = format!("user {} of hub {hub_name}", before.name);
        let (verb, mut details) = match known {
            Some(_) => (Verb::Change, declared.object.details(&before, &after)),
            None => (Verb::Create, declared.object.described(&after)),
        };
        if sets_password {
            details.push(password_detail());
        }
        if known.is_some() && details.is_empty() {
            return;
        }
        let change = Change::User {
            before: known.cloned().map(Box::new),
            after: Some(Box::new(after)),
        };
        let reversible = known.is_none() || change.inverse().is_some();
        let step = step(change, verb, what, details);
        if reversible {
            self.phases.users.push(step);
        } else {
            self.phases.last.push(step);
        }
    }

    /// Gives a user the declared password where they do not have it. Whether they do is known where the server shows
    /// the hash; where it does not, the password is set when it is wished.
    fn password(&mut self, declared: &DeclaredUser, known: Option<&User>, after: &mut User) -> bool {
        let Some(password) = &declared.password else {
            return false;
        };
        let before = known.filter(|user| user.auth_type == AuthType::Password);
        let set = match before {
            None => true,
            Some(user) if shows_password(user) => {
                let wanted = password::user_hash(password.item.as_bytes(), &user.name);
                user.hashed_key != Some(Secret::new(wanted.as_bytes().to_vec()))
            }
            Some(_) => {
                self.unseen_passwords += usize::from(!self.wishes.set_passwords);
                self.wishes.set_passwords
            }
        };
        if set {
            set_password(after, &password.item);
        }
        set
    }

    /// Whoever is made, or gets another way to log in, must have what it takes.
    fn can_log_in(&mut self, declared: &DeclaredUser, known: Option<&User>, after: &User) -> bool {
        let line = declared.object.line;
        if known.is_none() && declared.object.setting("auth").is_none() {
            self.mistake(
                line,
                format!(
                    "user {} is new and needs a password, a certificate or another auth",
                    declared.name
                ),
            );
            return false;
        }
        let same_way = known.is_some_and(|known| known.auth_type == after.auth_type);
        let lacks = match after.auth_type {
            AuthType::Password => !same_way,
            AuthType::UserCertificate => after.user_x.as_ref().is_none_or(Vec::is_empty),
            _ => false,
        };
        if lacks {
            let way = auth_name(after.auth_type);
            self.mistake(line, format!("user {} needs a {way}", declared.name));
        }
        !lacks
    }

    fn radius(&mut self, hub_name: &str, declared: &DeclaredHub, hub: &ObservedHub) {
        let Some(radius) = &declared.radius else { return };
        let before = HubRadius {
            hub_name: hub_name.to_owned(),
            ..hub.radius.clone()
        };
        let mut base = before.clone();
        if base.radius_port == 0 {
            // Where there was none, the usual port (RFC 2865 §3).
            base.radius_port = 1812;
        }
        let Some(mut after) = self.applied(radius, &base) else {
            return;
        };
        let mut details = radius.details(&before, &after);
        let secret = declared.radius_secret.as_ref().map(|secret| secret.item.as_str());
        if secret.is_some_and(|secret| after.radius_secret.as_str() != secret) {
            after.radius_secret = secret.unwrap_or_default().to_owned().into();
            details.push(Detail {
                key: "secret".to_owned(),
                ..password_detail()
            });
        }
        if details.is_empty() {
            return;
        }
        let change = Change::Radius {
            before: Box::new(before),
            after: Box::new(after),
        };
        let what = format!("RADIUS server of hub {hub_name}");
        self.phases.hubs.push(step(change, Verb::Change, what, details));
    }

    fn ipv6(&mut self, hub_name: &str, declared: &DeclaredHub, hub: &ObservedHub) {
        let Some(ipv6) = &declared.ipv6 else { return };
        // A hub that is being made has none yet; what is empty is what the server gives it.
        let before = SecureNatIpv6 {
            hub_name: hub_name.to_owned(),
            ..hub.ipv6.clone().unwrap_or_default()
        };
        let Some(after) = self.applied(ipv6, &before) else {
            return;
        };
        let details = ipv6.details(&before, &after);
        if details.is_empty() {
            return;
        }
        let change = Change::Ipv6 {
            before: Box::new(before),
            after: Box::new(after),
        };
        let what = format!("IPv6 of SecureNAT of hub {hub_name}");
        self.phases.rest.push(step(change, Verb::Change, what, details));
    }

    fn secure_nat(&mut self, hub_name: &str, declared: &DeclaredHub, hub: &ObservedHub, new: bool) {
        let Some(secure_nat) = &declared.secure_nat else {
            return;
        };
        let what = format!("SecureNAT of hub {hub_name}");
        let before = &hub.secure_nat;
        let Some(after) = self.applied(secure_nat, before) else {
            return;
        };
        if new {
            let change = Change::SecureNatOfNew {
                hub: hub_name.to_owned(),
                declared: Rc::new(secure_nat.clone()),
            };
            let details = secure_nat.described(&after);
            return self.phases.rest.push(step(change, Verb::Change, what, details));
        }
        let mut details = secure_nat.details(before, &after);
        let switches = before.enabled != after.enabled;
        let (switch_details, option_details): (Vec<Detail>, Vec<Detail>) =
            details.drain(..).partition(|detail| detail.key == "enabled");
        let mut steps = Vec::new();
        if switches {
            let change = Change::SecureNatSwitch {
                hub: hub_name.to_owned(),
                on: after.enabled,
            };
            steps.push(step(change, Verb::Change, what.clone(), switch_details));
        }
        if !option_details.is_empty() {
            let change = Change::SecureNat {
                before: Box::new(before.option.clone()),
                after: Box::new(after.option),
            };
            steps.push(step(change, Verb::Change, what, option_details));
        }
        // It starts with its new settings, and ends before they change.
        if after.enabled {
            steps.reverse();
        }
        self.phases.rest.append(&mut steps);
    }
}

/// Zeros, which mean "as it is" (admin RPC §4).
fn blank_passwords(hub: &mut HubSettings) {
    let blank = || Secret::new(vec![0; 20]);
    (hub.hashed_password, hub.secure_password) = (blank(), blank());
}

/// The first line of a message, and not all of that.
fn shortened(text: &str) -> String {
    const CHARS: usize = 60;
    let line = crate::text::printable(text.lines().next().unwrap_or_default());
    let cut: String = line.chars().take(CHARS).collect();
    if cut.is_empty() {
        "(none)".to_owned()
    } else if cut.len() < text.len() {
        format!("{cut}...")
    } else {
        cut
    }
}
