//! Stage three: may you? Rules are asked in order; the first that says no decides.

use std::net::IpAddr;

use protocol::error::ErrorCode;
use protocol::handshake::Login;
use protocol::policy::Policy;

use super::authenticate::Subject;
use super::{Granted, Refused, Standing};
use crate::sessions::Room;
use crate::store::{AdminOption, AdminOptions, Group, Hub, HubOption, Timestamp};

/// The sessions that are open while someone asks for another one.
pub trait Occupancy: Sync {
    /// Sessions of users on a hub.
    fn sessions_of_hub(&self, hub: &str) -> u32;
    /// Sessions of one user on a hub, not counting those of the client program with this random identity
    /// (protocol §4.3, node info): a client that comes back before its old session is over is not a second one.
    fn sessions_of_user(&self, hub: &str, user: &str, except: Option<&[u8; 16]>) -> u32;
    /// Sessions on a hub that bridge or route, or those that do not.
    fn sessions_of_kind(&self, hub: &str, bridging: bool) -> u32;
}

/// Who wants to come in, and where.
pub(super) struct Candidate<'a> {
    pub(super) hub: &'a Hub,
    pub(super) subject: &'a Subject<'a>,
    pub(super) group: Option<&'a Group>,
    pub(super) login: &'a Login,
    pub(super) source: IpAddr,
}

/// What the rules look at.
struct Case<'a> {
    occupancy: &'a dyn Occupancy,
    hub: &'a Hub,
    subject: &'a Subject<'a>,
    policy: &'a Policy,
    login: &'a Login,
    room: Room,
}

type Rule = fn(&Case<'_>) -> Result<(), Refused>;

const RULES: [Rule; 8] = [
    client_build,
    client_id,
    not_expired,
    policy_allows,
    mode_allowed,
    room_in_hub,
    room_for_kind,
    room_for_user,
];

/// The decision.
pub(super) fn authorise(occupancy: &dyn Occupancy, candidate: &Candidate<'_>) -> Result<Granted, Refused> {
    let Candidate {
        hub,
        subject,
        group,
        login,
        source,
    } = *candidate;
    let mut policy = policy_of(subject, group);
    restrict(&mut policy, &hub.admin_options);
    let room = room(hub, subject, &policy, login);
    let case = Case {
        occupancy,
        hub,
        subject,
        policy: &policy,
        login,
        room,
    };
    RULES.iter().try_for_each(|rule| rule(&case))?;
    let standing = Standing::new(hub, subject, login, source);
    let hub_name = hub.name.to_string();
    let message = hub.message.clone();
    let udp = !hub.options.is_on(HubOption::DisableUdpAcceleration);
    Ok(match subject {
        Subject::User(user) => Granted {
            hub: hub_name,
            user: user.name.to_string(),
            user_id: Some(user.id),
            group: user.group.as_ref().map(ToString::to_string),
            policy,
            room,
            standing,
            message,
            udp,
        },
        Subject::HubAdministrator => Granted {
            hub: hub_name,
            user: "Administrator".into(),
            user_id: None,
            group: None,
            policy,
            room,
            standing,
            message,
            udp,
        },
    })
}

/// The rules that may come to say no later: a user who has expired or may not come any more.
pub(super) fn check_access(subject: &Subject<'_>, group: Option<&Group>) -> Result<(), Refused> {
    check_expiry(subject)?;
    check_policy(&policy_of(subject, group))
}

/// What the hub's administration options say about every session, whatever the user's policy says (policies §3).
fn restrict(policy: &mut Policy, options: &AdminOptions) {
    policy.no_bridge |= options.is_set(AdminOption::DenyBridge);
    policy.no_routing |= options.is_set(AdminOption::DenyRouting);
    policy.no_qos |= options.is_set(AdminOption::DenyQos);
    let most = |own: u32, option| lower(own, options.get(option));
    policy.max_download = most(policy.max_download, AdminOption::MaxBitratesDownload);
    policy.max_upload = most(policy.max_upload, AdminOption::MaxBitratesUpload);
    policy.multi_logins = most(policy.multi_logins, AdminOption::MaxMultiLoginsPerUser);
}

/// The lower of two limits of which 0 is none.
fn lower(one: u32, other: u32) -> u32 {
    match (one, other) {
        (0, limit) | (limit, 0) => limit,
        (one, other) => one.min(other),
    }
}

/// How many sessions there may be.
fn room(hub: &Hub, subject: &Subject<'_>, policy: &Policy, login: &Login) -> Room {
    let options = &hub.admin_options;
    let kind = match login.options.bridge || login.client.is_bridge() {
        true => AdminOption::MaxSessionsBridge,
        false => AdminOption::MaxSessionsClient,
    };
    let apply = options.is_set(AdminOption::MaxSessionsClientBridgeApply);
    Room {
        of_hub: lower(hub.max_sessions, options.get(AdminOption::MaxSessions)),
        of_kind: if apply { options.get(kind) } else { 0 },
        of_user: match subject {
            Subject::User(_) => policy.multi_logins,
            Subject::HubAdministrator => 0,
        },
    }
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
    check_expiry(case.subject)
}

fn check_expiry(subject: &Subject<'_>) -> Result<(), Refused> {
    match subject {
        Subject::User(user) if user.expires.is_some_and(|end| end <= Timestamp::now()) => Err(Refused::new(
            ErrorCode::AccessDenied,
            format!("user {} has expired", user.name),
        )),
        _ => Ok(()),
    }
}

fn policy_allows(case: &Case<'_>) -> Result<(), Refused> {
    check_policy(case.policy)
}

fn check_policy(policy: &Policy) -> Result<(), Refused> {
    if policy.access {
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
    let most = case.room.of_hub;
    if most == 0 || case.occupancy.sessions_of_hub(case.hub.name.as_str()) < most {
        return Ok(());
    }
    Err(Refused::new(
        ErrorCode::TooManySessions,
        format!("hub {} has its {most} sessions", case.hub.name),
    ))
}

fn room_for_kind(case: &Case<'_>) -> Result<(), Refused> {
    let most = case.room.of_kind;
    let bridging = case.login.options.bridge || case.login.client.is_bridge();
    if most == 0 || case.occupancy.sessions_of_kind(case.hub.name.as_str(), bridging) < most {
        return Ok(());
    }
    let kind = if bridging { "bridges" } else { "clients" };
    Err(Refused::new(
        ErrorCode::TooManySessions,
        format!("hub {} has its {most} sessions of {kind}", case.hub.name),
    ))
}

fn room_for_user(case: &Case<'_>) -> Result<(), Refused> {
    let Subject::User(user) = case.subject else {
        return Ok(());
    };
    let most = case.room.of_user;
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
