//! Stage three: may you? Rules are asked in order; the first that says no decides.

use protocol::error::ErrorCode;
use protocol::handshake::Login;
use protocol::policy::Policy;

use super::authenticate::Subject;
use super::{Granted, Refused};
use crate::store::{Group, Hub, HubOption, Timestamp};

/// The sessions that are open while someone asks for another one.
pub trait Occupancy: Sync {
    /// Sessions of users on a hub.
    fn sessions_of_hub(&self, hub: &str) -> u32;
    /// Sessions of one user on a hub, not counting those of the client program with this random identity
    /// (protocol §4.3, node info): a client that comes back before its old session is over is not a second one.
    fn sessions_of_user(&self, hub: &str, user: &str, except: Option<&[u8; 16]>) -> u32;
}

/// What the rules look at.
struct Case<'a> {
    occupancy: &'a dyn Occupancy,
    hub: &'a Hub,
    subject: &'a Subject<'a>,
    policy: &'a Policy,
    login: &'a Login,
}

type Rule = fn(&Case<'_>) -> Result<(), Refused>;

const RULES: [Rule; 7] = [
    client_build,
    client_id,
    not_expired,
    policy_allows,
    mode_allowed,
    room_in_hub,
    room_for_user,
];

/// The decision.
pub(super) fn authorise(
    occupancy: &dyn Occupancy,
    hub: &Hub,
    subject: &Subject<'_>,
    group: Option<&Group>,
    login: &Login,
) -> Result<Granted, Refused> {
    let policy = policy_of(subject, group);
    let case = Case {
        occupancy,
        hub,
        subject,
        policy: &policy,
        login,
    };
    RULES.iter().try_for_each(|rule| rule(&case))?;
    let hub_name = hub.name.to_string();
    let (max_sessions, message) = (hub.max_sessions, hub.message.clone());
    Ok(match subject {
        Subject::User(user) => Granted {
            hub: hub_name,
            user: user.name.to_string(),
            user_id: Some(user.id),
            real_name: user.real_name.clone(),
            group: user.group.as_ref().map(ToString::to_string),
            policy,
            max_sessions,
            message,
        },
        Subject::HubAdministrator => Granted {
            hub: hub_name,
            user: "Administrator".into(),
            user_id: None,
            real_name: String::new(),
            group: None,
            policy,
            max_sessions,
            message,
        },
    })
}

/// A user's own policy wins over the group's; a hub's administrator may watch and is not slowed down (protocol §4.3).
fn policy_of(subject: &Subject<'_>, group: Option<&Group>) -> Policy {
    match subject {
        Subject::User(user) => user
            .policy
            .clone()
            .or_else(|| group.and_then(|group| group.policy.clone()))
            .unwrap_or_default(),
        Subject::HubAdministrator => Policy {
            monitor_port: true,
            no_broadcast_limiter: true,
            ..Policy::default()
        },
    }
}

fn client_build(case: &Case<'_>) -> Result<(), Refused> {
    let (least, build) = (
        case.hub.options.get(HubOption::ClientMinimumRequiredBuild),
        case.login.client.build,
    );
    if build >= least {
        return Ok(());
    }
    Err(Refused::new(
        ErrorCode::VersionTooOld,
        format!("the client's build {build} is older than {least}, which the hub asks for"),
    ))
}

fn client_id(case: &Case<'_>) -> Result<(), Refused> {
    match case.hub.options.get(HubOption::RequiredClientId) {
        0 => Ok(()),
        wanted if wanted == case.login.client_id => Ok(()),
        _ => Err(Refused::new(
            ErrorCode::ClientIdRequired,
            "the client did not send the number that the hub asks for",
        )),
    }
}

fn not_expired(case: &Case<'_>) -> Result<(), Refused> {
    match case.subject {
        Subject::User(user) if user.expires.is_some_and(|end| end <= Timestamp::now()) => Err(Refused::new(
            ErrorCode::AccessDenied,
            format!("user {} has expired", user.name),
        )),
        _ => Ok(()),
    }
}

fn policy_allows(case: &Case<'_>) -> Result<(), Refused> {
    if case.policy.access {
        return Ok(());
    }
    Err(Refused::new(
        ErrorCode::AccessDenied,
        "the user's policy does not allow logins",
    ))
}

fn mode_allowed(case: &Case<'_>) -> Result<(), Refused> {
    let wants_bridge = case.login.options.bridge || case.login.client.is_bridge();
    if wants_bridge && case.policy.no_bridge {
        return Err(Refused::new(
            ErrorCode::BridgeDenied,
            "the user's policy does not allow bridge or router mode",
        ));
    }
    if case.login.options.monitor && !case.policy.monitor_port {
        return Err(Refused::new(
            ErrorCode::MonitorDenied,
            "the user's policy does not allow monitoring mode",
        ));
    }
    Ok(())
}

fn room_in_hub(case: &Case<'_>) -> Result<(), Refused> {
    let most = case.hub.max_sessions;
    if most == 0 || case.occupancy.sessions_of_hub(case.hub.name.as_str()) < most {
        return Ok(());
    }
    Err(Refused::new(
        ErrorCode::TooManySessions,
        format!("hub {} has its {most} sessions", case.hub.name),
    ))
}

fn room_for_user(case: &Case<'_>) -> Result<(), Refused> {
    let Subject::User(user) = case.subject else {
        return Ok(());
    };
    let most = case.policy.multi_logins;
    if most == 0 {
        return Ok(());
    }
    let same_client = case.login.node.as_ref().map(|node| &node.unique_id);
    let open = case
        .occupancy
        .sessions_of_user(case.hub.name.as_str(), user.name.as_str(), same_client);
    if open < most {
        return Ok(());
    }
    Err(Refused::new(
        ErrorCode::TooManyUserSessions,
        format!("user {} has its {most} sessions", user.name),
    ))
}
