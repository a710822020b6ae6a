//! Keep-alive, syslog, and what hubs log.

use protocol::error::ErrorCode;
use protocol::rpc::keep::Keep;
use protocol::rpc::log::{HubLog, Syslog};
use protocol::rpc::{HubRequest, Nothing};

use super::{Administrator, Reply};
use crate::server::Server;
use crate::store::{self, AdminOption, KeepAlive, KeepProtocol, LogSettings};

/// The protocol has room for more classes of packets than there are.
const CLASSES: usize = 16;

pub(super) async fn keep(server: &Server, _: &Administrator, _: Nothing) -> Reply<Keep> {
    Ok(server.db.run(|store| store.server()).await?.keep_alive.into())
}

/// Host and port must be there when it is to be on; the interval is moved to the nearest that is allowed, as the stock
/// server does.
pub(super) async fn set_keep(server: &Server, _: &Administrator, request: Keep) -> Reply<Keep> {
    let keep = KeepAlive {
        enabled: request.enabled,
        host: request.host.trim().to_owned(),
        port: u16::try_from(request.port).map_err(|_| ErrorCode::InvalidParameter)?,
        protocol: KeepProtocol::from_code(request.protocol.into()).ok_or(ErrorCode::InvalidParameter)?,
        interval: request
            .interval
            .clamp(*KeepAlive::INTERVAL.start(), *KeepAlive::INTERVAL.end()),
    };
    update(server, move |record| record.keep_alive.clone_from(&keep)).await?;
    Ok(request)
}

/// Whom the logs go to is the server administrator's business alone.
pub(super) async fn syslog(server: &Server, caller: &Administrator, _: Nothing) -> Reply<Syslog> {
    if caller.hub().is_some() {
        return Ok(Syslog::default());
    }
    let syslog = server.db.run(|store| store.server()).await?.syslog;
    Ok(Syslog {
        save: syslog.level.into(),
        hostname: syslog.host,
        port: syslog.port.into(),
    })
}

pub(super) async fn set_syslog(server: &Server, _: &Administrator, request: Syslog) -> Reply<Syslog> {
    let syslog = store::Syslog {
        level: request.save.into(),
        host: request.hostname.trim().to_owned(),
        port: u16::try_from(request.port).map_err(|_| ErrorCode::InvalidParameter)?,
    };
    update(server, move |record| record.syslog.clone_from(&syslog)).await?;
    Ok(request)
}

async fn update(server: &Server, edit: impl Fn(&mut store::Server) + Send + 'static) -> Reply<()> {
    server
        .db
        .run(move |store| {
            store.update_server(&|record| {
                edit(record);
                Ok(())
            })
        })
        .await?;
    Ok(())
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

pub(super) async fn set_hub_log(server: &Server, caller: &Administrator, request: HubLog) -> Reply<HubLog> {
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
    // Tools write all settings to change one, so what this administrator may not change stays as it is.
    let keeps_switches = caller.is_restricted(AdminOption::NoChangeLogSwitchType);
    let name = request.hub_name.clone();
    server
        .db
        .run(move |store| {
            store.update_hub(&name, &|hub| {
                let former = std::mem::replace(&mut hub.logs, logs);
                if keeps_switches {
                    hub.logs.security_switch = former.security_switch;
                    hub.logs.packet_switch = former.packet_switch;
                }
                Ok(())
            })
        })
        .await?;
    Ok(request)
}
