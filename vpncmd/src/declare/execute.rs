//! Carrying a plan out, whole or not at all: what has been done is written down, and taken back in reverse order
//! when something fails.

use nix::sys::signal::{SigSet, Signal};
use protocol::{
    error::ErrorCode,
    rpc::{
        HubObject, HubRequest, Named,
        access::{AccessList, SourceRules},
        dnat::Dnat,
        group::Group,
        hub::{HubMessage, HubSettings},
        listener::Listener,
        method::{
            AddDnat, AddLocalBridge, CreateGroup, CreateHub, CreateListener, CreateUser, DeleteDnat,
            DeleteGroup, DeleteHub, DeleteListener, DeleteLocalBridge, DeleteUser, DisableSecureNAT,
            EnableListener, EnableSecureNAT, GetUser, SetAcList, SetAccessList, SetDnat, SetGroup, SetHub,
            SetHubAdminOptions, SetHubExtOptions, SetHubMsg, SetHubRadius, SetLocalBridge, SetSecureNATIPv6,
            SetSecureNATOption, SetUser,
        },
        option::HubOptions,
        user::User,
    },
};

use crate::{
    command::dnat::explained,
    declare::{
        observe,
        plan::{Change, Plan, Step},
    },
    failure::{Failure, Outcome},
    shell::Shell,
};

/// Carries a plan out.
///
/// # Errors
/// A step failed. Everything before it has been taken back, or the failure names what could not be.
pub fn execute(shell: &mut Shell, plan: &Plan) -> Outcome {
    let _held = Held::begin();
    let mut done: Vec<&Step> = Vec::new();
    for step in &plan.steps {
        match carry_out(shell, &step.change) {
            Ok(()) => done.push(step),
            Err(failure) => {
                // Nobody knows whether the server still did what it was asked when the connection broke.
                let unsure = failure.code() == ErrorCode::Disconnected.code();
                return Err(take_back(shell, step, &failure, &done, unsure));
            }
        }
    }
    Ok(())
}

/// Interruptions wait while this is alive: half-way through is the one place where nothing may stop.
struct Held(Option<SigSet>);

impl Held {
    fn begin() -> Held {
        let mut signals = SigSet::empty();
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
            signals.add(signal);
        }
        Held(signals.thread_block().is_ok().then_some(signals))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(signals) = &self.0 {
            let _ = signals.thread_unblock();
        }
    }
}

fn take_back(shell: &mut Shell, failed: &Step, failure: &Failure, done: &[&Step], unsure: bool) -> Failure {
    shell
        .console
        .remark(&format!("Cannot {}: {failure}", failed.title()));
    let mut left = Vec::new();
    if unsure && !failed.of_new_hub {
        let undone = failed.change.inverse().map(|change| carry_out(shell, &change));
        match undone {
            Some(Ok(())) => {}
            Some(Err(Failure::Refused(code))) if was_not_done(code) => {}
            _ => left.push(format!("{} (perhaps: the connection broke)", failed.title())),
        }
    }
    for step in done.iter().rev().filter(|step| !step.of_new_hub) {
        let undone = match step.change.inverse() {
            Some(change) => carry_out(shell, &change).map_err(|failure| failure.to_string()),
            None => Err("what was there before is not known".to_owned()),
        };
        match undone {
            Ok(()) => shell.console.remark(&format!("Taken back: {}", step.title())),
            Err(reason) => left.push(format!("{} ({})", step.title(), reason.trim_end_matches('.'))),
        }
    }
    let title = failed.title();
    let text = if left.is_empty() {
        format!(
            "Cannot {title}: {failure}\nEverything done before has been taken back: the server is as it was."
        )
    } else {
        format!(
            "Cannot {title}: {failure}\nThis stays changed and could not be taken back:\n  {}\n\
             Everything else is as it was.",
            left.join("\n  ")
        )
    };
    Failure::Failed {
        code: ErrorCode::from_code(failure.code()),
        text,
    }
}

/// What a server answers when there is nothing to take back.
fn was_not_done(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::ObjectNotFound
            | ErrorCode::HubNotFound
            | ErrorCode::GroupNotFound
            | ErrorCode::UserExists
            | ErrorCode::GroupExists
            | ErrorCode::ListenerNotFound
            | ErrorCode::ListenerExists
    )
}

fn carry_out(shell: &mut Shell, change: &Change) -> Outcome {
    match change {
        Change::Hub { before, after } => hub(shell, before.as_ref(), after.as_ref()),
        Change::Message { hub, after, .. } => {
            let message = HubMessage {
                hub_name: hub.clone(),
                msg: after.clone().into_bytes(),
            };
            shell.call::<SetHubMsg>(&message).map(drop)
        }
        Change::Options {
            hub, admin, after, ..
        } => {
            let options = HubOptions {
                hub_name: hub.clone(),
                options: after.clone(),
            };
            if *admin {
                shell.call::<SetHubAdminOptions>(&options).map(drop)
            } else {
                shell.call::<SetHubExtOptions>(&options).map(drop)
            }
        }
        Change::Group {
            before,
            after,
            members,
        } => group(shell, before.as_deref(), after.as_deref(), members),
        Change::User { before, after } => user(shell, before.as_deref(), after.as_deref()),
        Change::Access { hub, after, .. } => {
            let list = AccessList {
                hub_name: hub.clone(),
                rules: after.clone(),
            };
            shell.call::<SetAccessList>(&list).map(drop)
        }
        Change::Sources { hub, after, .. } => {
            let rules = SourceRules {
                hub_name: hub.clone(),
                rules: after.clone(),
            };
            shell.call::<SetAcList>(&rules).map(drop)
        }
        Change::Radius { after, .. } => shell.call::<SetHubRadius>(after).map(drop),
        Change::SecureNat { after, .. } => shell.call::<SetSecureNATOption>(after).map(drop),
        Change::Ipv6 { after, .. } => shell.call::<SetSecureNATIPv6>(after).map(drop),
        Change::SecureNatOfNew { hub, declared } => {
            let before = observe::secure_nat(shell, hub)?;
            let after = declared
                .applied_to(&before)
                .map_err(|(_, text)| Failure::Invalid(text))?;
            if after.option != before.option {
                shell.call::<SetSecureNATOption>(&after.option)?;
            }
            if after.enabled == before.enabled {
                return Ok(());
            }
            secure_nat(shell, hub, after.enabled)
        }
        Change::SecureNatSwitch { hub, on } => secure_nat(shell, hub, *on),
        Change::Bridge { bridge, made: true } => shell.call::<AddLocalBridge>(bridge).map(drop),
        Change::Bridge { bridge, made: false } => shell.call::<DeleteLocalBridge>(bridge).map(drop),
        Change::BridgeAddress { after, .. } => shell.call::<SetLocalBridge>(after).map(drop),
        Change::Dnat { before, after } => dnat(shell, before.as_ref(), after.as_ref()),
        Change::Listener { port, before, after } => listener(shell, *port, *before, *after),
    }
}

fn hub(shell: &mut Shell, before: Option<&HubSettings>, after: Option<&HubSettings>) -> Outcome {
    match (before, after) {
        (None, Some(hub)) => shell.call::<CreateHub>(hub).map(drop),
        (Some(_), Some(hub)) => shell.call::<SetHub>(hub).map(drop),
        (Some(hub), None) => {
            let request = HubRequest {
                hub_name: hub.hub_name.clone(),
            };
            shell.call::<DeleteHub>(&request).map(drop)
        }
        (None, None) => Ok(()),
    }
}

fn group(shell: &mut Shell, before: Option<&Group>, after: Option<&Group>, members: &[String]) -> Outcome {
    match (before, after) {
        (None, Some(group)) => {
            shell.call::<CreateGroup>(group)?;
            for name in members {
                let object = HubObject {
                    hub_name: group.hub_name.clone(),
                    name: name.clone(),
                };
                let user = shell.call::<GetUser>(&object)?;
                shell.call::<SetUser>(&User {
                    hub_name: group.hub_name.clone(),
                    group_name: group.name.clone(),
                    ..user
                })?;
            }
            Ok(())
        }
        (Some(_), Some(group)) => shell.call::<SetGroup>(group).map(drop),
        (Some(group), None) => {
            let object = HubObject {
                hub_name: group.hub_name.clone(),
                name: group.name.clone(),
            };
            shell.call::<DeleteGroup>(&object).map(drop)
        }
        (None, None) => Ok(()),
    }
}

fn user(shell: &mut Shell, before: Option<&User>, after: Option<&User>) -> Outcome {
    match (before, after) {
        (None, Some(user)) => shell.call::<CreateUser>(user).map(drop),
        (Some(_), Some(user)) => shell.call::<SetUser>(user).map(drop),
        (Some(user), None) => {
            let object = HubObject {
                hub_name: user.hub_name.clone(),
                name: user.name.clone(),
            };
            shell.call::<DeleteUser>(&object).map(drop)
        }
        (None, None) => Ok(()),
    }
}

fn secure_nat(shell: &mut Shell, hub: &str, on: bool) -> Outcome {
    let request = HubRequest {
        hub_name: hub.to_owned(),
    };
    if on {
        shell.call::<EnableSecureNAT>(&request).map(drop)
    } else {
        shell.call::<DisableSecureNAT>(&request).map(drop)
    }
}

fn dnat(shell: &mut Shell, before: Option<&Dnat>, after: Option<&Dnat>) -> Outcome {
    let (rule, done) = match (before, after) {
        (Some(_), Some(rule)) => (rule, shell.call::<SetDnat>(rule).map(drop)),
        (None, Some(rule)) => (rule, shell.call::<AddDnat>(rule).map(drop)),
        (Some(rule), None) => {
            let name = rule.name.clone();
            return shell.call::<DeleteDnat>(&Named { name }).map(drop);
        }
        (None, None) => return Ok(()),
    };
    done.map_err(|failure| explained(shell, rule, failure))
}

fn listener(shell: &mut Shell, port: u32, before: Option<bool>, after: Option<bool>) -> Outcome {
    let named = |enable| Listener { port, enable };
    match (before, after) {
        (None, Some(enable)) => shell.call::<CreateListener>(&named(enable)).map(drop),
        (Some(_), Some(enable)) => shell.call::<EnableListener>(&named(enable)).map(drop),
        (Some(_), None) => shell.call::<DeleteListener>(&named(true)).map(drop),
        (None, None) => Ok(()),
    }
}
