//! Virtual hubs.

use std::time::Instant;

use protocol::error::ErrorCode;
use protocol::rpc::hub::{HubList, HubMessage, HubOnline, HubRow, HubSettings, HubStatus, HubType};
use protocol::rpc::{HubRequest, Nothing, Timestamp};

use super::session::traffic;
use super::{Administrator, Reply, count, time};
use crate::hubs::VirtualHub;
use crate::login::HubPassword;
use crate::secret::Sealed;
use crate::server::Server;
use crate::store::{self, AdminOption, HubName};

/// Longest message to users in bytes.
const MESSAGE_BYTES: usize = 20_000;

pub(super) async fn create(server: &Server, _: &Administrator, request: HubSettings) -> Reply<HubSettings> {
    let name = HubName::parse(request.hub_name.trim()).map_err(|_| ErrorCode::InvalidParameter)?;
    if request.hub_type != HubType::Standalone {
        return Err(ErrorCode::InvalidParameter);
    }
    let mut hub = store::Hub::new(name);
    hub.online = request.online;
    hub.max_sessions = request.max_session;
    hub.no_enum = request.no_enum;
    hub.password = password(server, &hub.id, &request)?.flatten();
    server.db.run(move |store| store.add_hub(&hub)).await?;
    Ok(echo(&request))
}

pub(super) async fn set(
    server: &Server,
    caller: &Administrator,
    mut request: HubSettings,
) -> Reply<HubSettings> {
    let name = request.hub_name.clone();
    let record = server.db.run(move |store| store.hub(&name)).await?;
    if request.hub_type != record.kind.code().into() {
        return Err(ErrorCode::InvalidParameter);
    }
    let password = password(server, &record.id, &request)?;
    if let Some(change) = &password {
        caller.refuse_if(AdminOption::NoChangeAdminPassword)?;
        // A hub's administrator who takes the password away would lock everybody out but the server's.
        if change.is_none() && caller.hub().is_some() && caller.peer.is_some() {
            return Err(ErrorCode::InvalidParameter);
        }
    }
    // Tools write all settings to change one, so what this administrator may not change stays as it is.
    if may_not_switch(caller, request.online) {
        request.online = record.online;
    }
    let answer = echo(&request);
    server
        .db
        .run(move |store| {
            store.update_hub(&request.hub_name, &|hub| {
                hub.online = request.online;
                hub.max_sessions = request.max_session;
                hub.no_enum = request.no_enum;
                if let Some(password) = &password {
                    hub.password.clone_from(password);
                }
                Ok(())
            })
        })
        .await?;
    Ok(answer)
}

/// Whether an administrator may not bring a hub to this state.
fn may_not_switch(caller: &Administrator, online: bool) -> bool {
    caller.is_restricted(if online {
        AdminOption::NoOnline
    } else {
        AdminOption::NoOffline
    })
}

/// The password that a request sets, sealed: zeros leave it alone, and the empty password is none, so that nobody
/// administers the hub alone then.
fn password(server: &Server, hub: &store::Id, request: &HubSettings) -> Reply<Option<Option<Sealed>>> {
    let password = if !request.admin_password_plain_text.is_empty() {
        HubPassword::from_text(&request.admin_password_plain_text)
    } else if request.hashed_password.is_blank() {
        return Ok(None);
    } else {
        let hash = |given: &[u8]| <[u8; 20]>::try_from(given).map_err(|_| ErrorCode::InvalidParameter);
        HubPassword {
            admin: hash(&request.hashed_password)?.into(),
            session: hash(&request.secure_password)?.into(),
        }
    };
    let sealed = password.seal(&server.vault, *hub);
    sealed.map(Some).map_err(|_| ErrorCode::Internal)
}

/// What was set, without its secrets.
fn echo(request: &HubSettings) -> HubSettings {
    HubSettings {
        hashed_password: Vec::new().into(),
        secure_password: Vec::new().into(),
        admin_password_plain_text: String::new().into(),
        ..request.clone()
    }
}

pub(super) async fn get(server: &Server, _: &Administrator, request: HubRequest) -> Reply<HubSettings> {
    let hub = server.db.run(move |store| store.hub(&request.hub_name)).await?;
    Ok(HubSettings {
        hub_name: hub.name.to_string(),
        hashed_password: vec![0; 20].into(),
        secure_password: vec![0; 20].into(),
        online: hub.online,
        max_session: hub.max_sessions,
        no_enum: hub.no_enum,
        hub_type: hub.kind.code().into(),
        ..HubSettings::default()
    })
}

pub(super) async fn delete(server: &Server, _: &Administrator, request: HubRequest) -> Reply<HubRequest> {
    let name = request.hub_name.clone();
    server.db.run(move |store| store.delete_hub(&name)).await?;
    Ok(request)
}

pub(super) async fn set_online(
    server: &Server,
    caller: &Administrator,
    request: HubOnline,
) -> Reply<HubOnline> {
    if may_not_switch(caller, request.online) {
        return Err(ErrorCode::NotEnoughRights);
    }
    let (name, online) = (request.hub_name.clone(), request.online);
    server
        .db
        .run(move |store| {
            store.update_hub(&name, &|hub| {
                hub.online = online;
                Ok(())
            })
        })
        .await?;
    Ok(request)
}

pub(super) async fn list(server: &Server, caller: &Administrator, _: Nothing) -> Reply<HubList> {
    server.refresh_usage().await;
    let records = server
        .db
        .run(|store| {
            let hubs = store.hubs()?.into_iter();
            hubs.map(|hub| Ok((store.summary(hub.name.as_str())?, hub)))
                .collect::<Result<Vec<_>, _>>()
        })
        .await?;
    let visible = records
        .into_iter()
        .filter(|(_, record)| caller.sees(record.name.as_str()));
    let hubs = visible
        .map(|(summary, record)| {
            let name = record.name.to_string();
            let Running {
                macs, ips, counters, ..
            } = Running::of(server, &name);
            HubRow {
                online: record.online,
                hub_type: record.kind.code().into(),
                num_sessions: count(sessions(server, &name)),
                num_users: summary.users,
                num_groups: summary.groups,
                num_mac_tables: count(macs),
                num_ip_tables: count(ips),
                last_comm_time: last_communication(server, &name, &record),
                created_time: Timestamp(record.created.as_millis()),
                last_login_time: last_login_or_making(summary.last_login, &record),
                num_login: summary.logins,
                is_traffic_filled: true,
                traffic: traffic(&counters),
                hub_name: name,
            }
        })
        .collect();
    Ok(HubList { hubs })
}

pub(super) async fn status(server: &Server, _: &Administrator, request: HubRequest) -> Reply<HubStatus> {
    server.refresh_usage().await;
    let (summary, access_rules, record) = server
        .db
        .run(move |store| {
            let hub = store.hub(&request.hub_name)?;
            let name = hub.name.as_str();
            Ok((store.summary(name)?, store.access_rules(name)?.len(), hub))
        })
        .await?;
    let name = record.name.to_string();
    let Running {
        macs,
        ips,
        counters,
        ports,
    } = Running::of(server, &name);
    let of_clients = server.sessions.of_hub(&name);
    let bridges = of_clients
        .iter()
        .filter(|session| session.origin.login.options.bridge)
        .count();
    Ok(HubStatus {
        online: record.online,
        hub_type: record.kind.code().into(),
        num_sessions: count(ports),
        num_sessions_client: count(of_clients.len() - bridges),
        num_sessions_bridge: count(bridges),
        num_access_lists: count(access_rules),
        num_users: summary.users,
        num_groups: summary.groups,
        num_mac_tables: count(macs),
        num_ip_tables: count(ips),
        secure_nat_enabled: record.secure_nat.enabled,
        traffic: traffic(&counters),
        last_comm_time: last_communication(server, &name, &record),
        created_time: Timestamp(record.created.as_millis()),
        last_login_time: last_login_or_making(summary.last_login, &record),
        num_login: summary.logins,
        hub_name: name,
    })
}

/// What a running hub counts.
#[derive(Default)]
struct Running {
    macs: usize,
    ips: usize,
    ports: usize,
    counters: hub_core::hub::Counters,
}

impl Running {
    fn of(server: &Server, hub: &str) -> Self {
        let now = Instant::now();
        let read = |hub: &VirtualHub| {
            hub.switch.with(|hub| Self {
                macs: hub.mac_count(now),
                ips: hub.ip_count(now),
                ports: hub.port_count(),
                counters: *hub.counters(),
            })
        };
        server.hubs.named(hub).map(|hub| read(&hub)).unwrap_or_default()
    }
}

/// Everything plugged into a hub counts as a session, SecureNAT and bridges too.
fn sessions(server: &Server, hub: &str) -> usize {
    server
        .hubs
        .named(hub)
        .map_or(0, |hub| hub.switch.with(|hub| hub.port_count()))
}

/// When frames last passed; for a hub that does not run, its making.
fn last_communication(server: &Server, name: &str, record: &store::Hub) -> Timestamp {
    server
        .hubs
        .named(name)
        .map_or(Timestamp(record.created.as_millis()), |hub| {
            time(hub.last_active())
        })
}

pub(super) async fn message(server: &Server, _: &Administrator, request: HubRequest) -> Reply<HubMessage> {
    let hub = server.db.run(move |store| store.hub(&request.hub_name)).await?;
    Ok(HubMessage {
        hub_name: hub.name.to_string(),
        msg: hub.message.into_bytes(),
    })
}

pub(super) async fn set_message(
    server: &Server,
    _: &Administrator,
    request: HubMessage,
) -> Reply<HubMessage> {
    let text = String::from_utf8(request.msg.clone()).map_err(|_| ErrorCode::InvalidParameter)?;
    if text.len() > MESSAGE_BYTES {
        return Err(ErrorCode::OutOfMemory); // the stock server's number for it
    }
    let name = request.hub_name.clone();
    server
        .db
        .run(move |store| {
            store.update_hub(&name, &|hub| {
                hub.message.clone_from(&text);
                Ok(())
            })
        })
        .await?;
    Ok(request)
}

/// When somebody last logged in to a hub; of one that nobody has, the time of its making, as the stock server tells it.
fn last_login_or_making(last: Option<store::Timestamp>, record: &store::Hub) -> Timestamp {
    Timestamp(last.unwrap_or(record.created).as_millis())
}
