//! What a server has of what a file is about. Everything is asked before anything is changed, so that a server that
//! lacks a function, or an administrator who lacks a right, is found out in time.

use std::collections::HashSet;

use protocol::{
    error::ErrorCode,
    rpc::{
        HubObject, HubRequest, Nothing,
        bridge::LocalBridge,
        group::Group,
        hub::HubRadius,
        method::{
            EnumAccess, EnumDnat, EnumEthernet, EnumGroup, EnumHub, EnumListener, EnumLocalBridge, EnumUser,
            GetAcList, GetGroup, GetHub, GetHubAdminOptions, GetHubExtOptions, GetHubMsg, GetHubRadius,
            GetHubStatus, GetSecureNATIPv6, GetSecureNATOption, GetUser, Method,
        },
        securenat::SecureNatRequest,
        user::User,
    },
};

use crate::{
    declare::{
        fields::SecureNat,
        model::{Declaration, DeclaredHub, Observed, ObservedHub, folded, same},
    },
    failure::{Failure, Outcome},
    shell::Shell,
};

/// Asks for what a declaration needs; with `prune`, also for what would be deleted.
///
/// # Errors
/// The server lacks something the file declares, or refuses.
pub fn observe(shell: &mut Shell, declared: &Declaration, prune: bool) -> Outcome<Observed> {
    let prune = prune || declared.exclusive;
    let mut observed = Observed::default();
    if declared.listeners.is_some() {
        observed.listeners = ask::<EnumListener>(shell, &Nothing {}, "listeners")?.listeners;
    }
    if declared.bridges.is_some() {
        bridges(shell, &mut observed)?;
    }
    if declared.dnat.is_some() {
        let list = ask::<EnumDnat>(shell, &Nothing {}, "published hosts ([dnat])")?;
        observed.dnat = list.rules.into_iter().map(|row| row.rule).collect();
    }
    let Some(hubs) = &declared.hubs else {
        return Ok(observed);
    };
    let list = ask::<EnumHub>(shell, &Nothing {}, "hubs")?;
    for row in list.hubs {
        match hubs.iter().find(|hub| same(&hub.name, &row.hub_name)) {
            Some(hub) => {
                let part = Part::Declared {
                    hub,
                    prune: prune || hub.exclusive,
                };
                observed.hubs.push(one_hub(shell, &row.hub_name, part)?);
            }
            None => observed.other_hubs.push(row.hub_name),
        }
    }
    Ok(observed)
}

/// Asks for everything that can be declared.
///
/// # Errors
/// The server refuses.
pub fn everything(shell: &mut Shell) -> Outcome<Observed> {
    let mut observed = Observed::default();
    if let Some(list) = if_there::<EnumListener>(shell, &Nothing {})? {
        observed.listeners = list.listeners;
    }
    match bridges(shell, &mut observed) {
        Err(Failure::Failed { code, .. }) if lacking(code) => {}
        other => other?,
    }
    if let Some(list) = if_there::<EnumDnat>(shell, &Nothing {})? {
        observed.dnat = list.rules.into_iter().map(|row| row.rule).collect();
    }
    for row in shell.call::<EnumHub>(&Nothing {})?.hubs {
        let hub = one_hub(shell, &row.hub_name, Part::All)?;
        observed.hubs.push(hub);
    }
    Ok(observed)
}

/// How much of a hub is asked for.
#[derive(Clone, Copy)]
enum Part<'a> {
    All,
    Declared { hub: &'a DeclaredHub, prune: bool },
}

impl Part<'_> {
    fn any(self, part: impl FnOnce(&DeclaredHub) -> bool) -> bool {
        match self {
            Part::All => true,
            Part::Declared { hub, .. } => part(hub),
        }
    }

    /// The users that are asked for, by folded name; `None` for all.
    fn users(self) -> Option<HashSet<String>> {
        match self {
            Part::All | Part::Declared { prune: true, .. } => None,
            Part::Declared { hub, .. } => Some(
                hub.users
                    .iter()
                    .flatten()
                    .map(|user| folded(&user.name))
                    .collect(),
            ),
        }
    }
}

/// Asks, and says what is lacking.
fn ask<M: Method>(shell: &mut Shell, request: &M::Request, what: &str) -> Outcome<M::Response> {
    shell.call::<M>(request).map_err(|failure| match failure {
        Failure::Refused(code) if lacking(code) => {
            let text = if code == ErrorCode::NotSupported {
                format!("This server has no {what}, which the file declares. Nothing has been changed.")
            } else {
                format!("You may not manage this server's {what}, which the file declares. Nothing has been changed.")
            };
            Failure::Failed { code, text }
        }
        other => other,
    })
}

fn lacking(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::NotSupported | ErrorCode::NotEnoughRights)
}

fn if_there<M: Method>(shell: &mut Shell, request: &M::Request) -> Outcome<Option<M::Response>> {
    match shell.call::<M>(request) {
        Ok(answer) => Ok(Some(answer)),
        Err(Failure::Refused(code)) if lacking(code) => Ok(None),
        Err(failure) => Err(failure),
    }
}

fn bridges(shell: &mut Shell, observed: &mut Observed) -> Outcome {
    let list = ask::<EnumLocalBridge>(shell, &Nothing {}, "local bridges ([[bridges]])")?;
    observed.bridges = list
        .bridges
        .into_iter()
        .map(|row| LocalBridge {
            device_name: row.device_name,
            hub_name: row.hub_name,
            tap_mode: row.tap_mode,
            host_address: row.host_address.filter(|text| !text.is_empty()),
            advice: None,
        })
        .collect();
    let devices = ask::<EnumEthernet>(shell, &Nothing {}, "local bridges ([[bridges]])")?;
    observed.devices = devices.devices.into_iter().map(|row| row.device_name).collect();
    Ok(())
}

fn one_hub(shell: &mut Shell, name: &str, part: Part<'_>) -> Outcome<ObservedHub> {
    let request = HubRequest {
        hub_name: name.to_owned(),
    };
    let mut hub = ObservedHub {
        settings: ask::<GetHub>(shell, &request, "hub settings")?,
        ..ObservedHub::default()
    };
    if part.any(|hub| hub.message.is_some()) {
        let answer = optional::<GetHubMsg>(shell, &request, "hub messages", part)?;
        hub.message = answer.map_or_else(String::new, |answer| text(&answer.msg));
    }
    if part.any(|hub| !hub.options.is_empty()) {
        let answer = optional::<GetHubExtOptions>(shell, &request, "hub options", part)?;
        hub.options = answer.map(|answer| answer.options).unwrap_or_default();
    }
    if part.any(|hub| !hub.admin_options.is_empty()) {
        let answer = optional::<GetHubAdminOptions>(shell, &request, "administration options", part)?;
        hub.admin_options = answer.map(|answer| answer.options).unwrap_or_default();
    }
    if part.any(|hub| hub.access.is_some()) {
        let answer = optional::<EnumAccess>(shell, &request, "access lists", part)?;
        hub.access = answer.map(|answer| answer.rules).unwrap_or_default();
    }
    if part.any(|hub| hub.sources.is_some()) {
        let answer = optional::<GetAcList>(shell, &request, "source rules", part)?;
        hub.sources = answer.map(|answer| answer.rules).unwrap_or_default();
    }
    if part.any(|hub| hub.radius.is_some()) {
        let answer = optional::<GetHubRadius>(shell, &request, "RADIUS settings", part)?;
        hub.radius = HubRadius {
            hub_name: name.to_owned(),
            ..answer.unwrap_or_default()
        };
    }
    if part.any(|hub| hub.secure_nat.is_some()) {
        hub.secure_nat = secure_nat(shell, name)?;
    }
    if part.any(|hub| hub.ipv6.is_some()) {
        hub.ipv6 = optional::<GetSecureNATIPv6>(shell, &request, "IPv6 in SecureNAT", part)?;
    }
    if part.any(|hub| hub.groups.is_some() || hub.users.is_some()) {
        people(shell, &mut hub, name, part)?;
    }
    Ok(hub)
}

/// What a declared part needs must be there; an export takes what there is.
fn optional<M: Method>(
    shell: &mut Shell,
    request: &M::Request,
    what: &str,
    part: Part<'_>,
) -> Outcome<Option<M::Response>> {
    match part {
        Part::All => if_there::<M>(shell, request),
        Part::Declared { .. } => ask::<M>(shell, request, what).map(Some),
    }
}

/// Servers end it with a zero, or not.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned()
}

/// The settings of a hub's SecureNAT, and whether it runs.
pub(crate) fn secure_nat(shell: &mut Shell, hub: &str) -> Outcome<SecureNat> {
    let request = SecureNatRequest {
        hub_name: hub.to_owned(),
    };
    let mut option = ask::<GetSecureNATOption>(shell, &request, "SecureNAT")?;
    hub.clone_into(&mut option.hub_name);
    let status = HubRequest {
        hub_name: hub.to_owned(),
    };
    let enabled = shell.call::<GetHubStatus>(&status)?.secure_nat_enabled;
    Ok(SecureNat { enabled, option })
}

fn people(shell: &mut Shell, hub: &mut ObservedHub, name: &str, part: Part<'_>) -> Outcome {
    let request = HubRequest {
        hub_name: name.to_owned(),
    };
    let object = |object: &str| HubObject {
        hub_name: name.to_owned(),
        name: object.to_owned(),
    };
    for row in ask::<EnumGroup>(shell, &request, "groups")?.groups {
        let group: Group = shell.call::<GetGroup>(&object(&row.name))?;
        hub.groups.push(Group {
            hub_name: name.to_owned(),
            ..group
        });
    }
    let wanted = part.users();
    let wanted = |name: &str| wanted.as_ref().is_none_or(|names| names.contains(&folded(name)));
    for row in ask::<EnumUser>(shell, &request, "users")?.users {
        if part.any(|hub| hub.users.is_some()) && wanted(&row.name) {
            let user: User = shell.call::<GetUser>(&object(&row.name))?;
            hub.users.push(User {
                hub_name: name.to_owned(),
                ..user
            });
        }
        hub.members.push((row.name, row.group_name));
    }
    Ok(())
}
