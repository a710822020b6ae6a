//! Settings whose functions come later: what is stored is told, what is not there is told to be off.

use protocol::error::ErrorCode;
use protocol::rpc::keep::Keep;
use protocol::rpc::log::{HubLog, LogFileList, Syslog};
use protocol::rpc::{HubRequest, Nothing};

use super::{Administrator, Reply};
use crate::server::Server;
use crate::store::LogSettings;

/// The protocol has room for more classes of packets than there are.
const CLASSES: usize = 16;

/// The server makes no connection that nobody asked for, so nothing is kept alive.
pub(super) async fn keep(_: &Server, _: &Administrator, _: Nothing) -> Reply<Keep> {
    Ok(Keep::default())
}

pub(super) async fn syslog(_: &Server, _: &Administrator, _: Nothing) -> Reply<Syslog> {
    Ok(Syslog::default())
}

/// The log goes to standard error and is kept by the service manager, not in files of ours.
pub(super) async fn log_files(_: &Server, _: &Administrator, _: Nothing) -> Reply<LogFileList> {
    Ok(LogFileList::default())
}

pub(super) async fn hub_log(server: &Server, _: &Administrator, request: HubRequest) -> Reply<HubLog> {
    let name = request.hub_name.clone();
    let logs = server.db.run(move |store| store.hub(&name)).await?.logs;
    let mut classes = logs.classes.to_vec();
    classes.resize(CLASSES, 0);
    Ok(HubLog {
        hub_name: request.hub_name,
        save_security_log: logs.security,
        security_log_switch: logs.security_switch.into(),
        save_packet_log: logs.packet,
        packet_log_switch: logs.packet_switch.into(),
        packet_log_config: classes.into_iter().map(Into::into).collect(),
    })
}

pub(super) async fn set_hub_log(server: &Server, _: &Administrator, request: HubLog) -> Reply<HubLog> {
    let mut logs = LogSettings {
        security: request.save_security_log,
        security_switch: request.security_log_switch.into(),
        packet: request.save_packet_log,
        packet_switch: request.packet_log_switch.into(),
        ..LogSettings::default()
    };
    for (class, given) in logs.classes.iter_mut().zip(&request.packet_log_config) {
        *class = (*given).into();
    }
    if logs.security_switch > 5 || logs.packet_switch > 5 || logs.classes.iter().any(|class| *class > 2) {
        return Err(ErrorCode::InvalidValue);
    }
    let name = request.hub_name.clone();
    server
        .db
        .run(move |store| {
            store.update_hub(&name, &|hub| {
                hub.logs = logs;
                Ok(())
            })
        })
        .await?;
    Ok(request)
}
