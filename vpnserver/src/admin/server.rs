//! The server as a whole.

use protocol::rpc::hub::HubMessage;
use protocol::rpc::server::{ServerInfo, ServerPassword, ServerStatus, ServerType};
use protocol::rpc::{Nothing, Timestamp, Values};
use std::time::SystemTime;

use super::{Administrator, Reply, count, time};
use crate::connection::PRODUCT;
use crate::login::AdminPassword;
use crate::server::Server;
use protocol::error::ErrorCode;

/// What stands for "Linux" in the protocol.
const OS_LINUX: u32 = 3100;
/// What the stock server calls the kernel of every Linux.
const KERNEL: &str = "UNIX";

pub(super) async fn info(_: &Server, _: &Administrator, _: Nothing) -> Reply<ServerInfo> {
    let kernel = nix::sys::utsname::uname().ok();
    let kernel_text = |of: fn(&nix::sys::utsname::UtsName) -> &std::ffi::OsStr| {
        kernel
            .as_ref()
            .map(|kernel| of(kernel).to_string_lossy().into_owned())
            .unwrap_or_default()
    };
    let os = os_release();
    Ok(ServerInfo {
        server_product_name: PRODUCT.to_owned(),
        server_version_string: format!(
            "Hubward {} (protocol {}.{:02} build {})",
            env!("CARGO_PKG_VERSION"),
            protocol::VERSION / 100,
            protocol::VERSION % 100,
            protocol::BUILD
        ),
        server_build_info_string: format!("Hubward {}", env!("CARGO_PKG_VERSION")),
        server_ver_int: protocol::VERSION,
        server_build_int: protocol::BUILD,
        server_host_name: kernel_text(|kernel| kernel.nodename()),
        server_type: ServerType::Standalone,
        server_build_date: Timestamp::NONE,
        server_family_name: "Hubward".to_owned(),
        os_type: OS_LINUX,
        os_service_pack: 0,
        os_system_name: "Linux".to_owned(),
        os_product_name: os("NAME"),
        os_vendor_name: os("HOME_URL"),
        os_version: os("VERSION"),
        kernel_name: KERNEL.to_owned(),
        kernel_version: kernel_text(|kernel| kernel.version()),
    })
}

/// A reader of os-release(5).
fn os_release() -> impl Fn(&str) -> String {
    let text = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    move |name| {
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        value.unwrap_or_default().trim_matches('"').to_owned()
    }
}

pub(super) async fn status(server: &Server, _: &Administrator, _: Nothing) -> Reply<ServerStatus> {
    let (users, groups) = server
        .db
        .run(|store| {
            let (mut users, mut groups) = (0, 0);
            for hub in store.hubs()? {
                let summary = store.summary(hub.name.as_str())?;
                users += summary.users;
                groups += summary.groups;
            }
            Ok((users, groups))
        })
        .await?;
    let hubs = server.hubs.all();
    let mut traffic = hub_core::hub::Counters::default();
    let (mut macs, mut ips) = (0, 0);
    let now = std::time::Instant::now();
    for hub in &hubs {
        hub.switch.with(|hub| {
            let counters = hub.counters();
            traffic.received += counters.received;
            traffic.sent += counters.sent;
            macs += hub.mac_count(now);
            ips += hub.ip_count(now);
        });
    }
    let sessions = server.sessions.all();
    let of_sessions: usize = sessions
        .iter()
        .map(|session| session.tunnel.watch().borrow().connections)
        .sum();
    let connections = of_sessions + server.connections.all().len();
    let memory = memory();
    Ok(ServerStatus {
        server_type: ServerType::Standalone,
        num_hub_total: count(hubs.len()),
        num_hub_standalone: count(hubs.len()),
        num_sessions_total: count(sessions.len()),
        num_sessions_local: count(sessions.len()),
        num_tcp_connections: count(connections),
        num_tcp_connections_local: count(connections),
        num_mac_tables: count(macs),
        num_ip_tables: count(ips),
        num_users: users,
        num_groups: groups,
        current_time: time(SystemTime::now()),
        current_tick: server
            .since
            .elapsed()
            .map_or(0, |up| u64::try_from(up.as_millis()).unwrap_or(u64::MAX)),
        start_time: time(server.since),
        traffic: super::session::traffic(&traffic),
        total_memory: memory("MemTotal"),
        free_memory: memory("MemAvailable"),
        used_memory: memory("MemTotal").saturating_sub(memory("MemAvailable")),
        total_phys: memory("MemTotal"),
        free_phys: memory("MemAvailable"),
        used_phys: memory("MemTotal").saturating_sub(memory("MemAvailable")),
        ..ServerStatus::default()
    })
}

/// A reader of /proc/meminfo, in bytes.
fn memory() -> impl Fn(&str) -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    move |name| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok())
            .unwrap_or(0)
            * 1024
    }
}

pub(super) async fn set_password(
    server: &Server,
    _: &Administrator,
    request: ServerPassword,
) -> Reply<ServerPassword> {
    let password = if request.plain_text_password.is_empty() {
        let hash = <[u8; 20]>::try_from(request.hashed_password.as_slice());
        AdminPassword::from_hash(hash.map_err(|_| ErrorCode::InvalidParameter)?.into())
    } else {
        AdminPassword::from_text(&request.plain_text_password)
    };
    // The empty password is none: it would open the server to everybody who can reach it.
    let sealed = password.seal(&server.vault).map_err(|_| ErrorCode::Internal)?;
    let sealed = sealed.ok_or(ErrorCode::InvalidParameter)?;
    server
        .db
        .run(move |store| {
            store.update_server(&|record| {
                record.admin_password = Some(sealed.clone());
                Ok(())
            })
        })
        .await?;
    Ok(ServerPassword::default())
}

/// Every change is on the disk before it is acknowledged, so there is nothing to flush; the size is the store's.
pub(super) async fn flush(server: &Server, _: &Administrator, _: Values) -> Reply<Values> {
    let size = std::fs::metadata(&server.settings.database).map_or(0, |found| found.len());
    Ok(Values {
        int: u32::try_from(size).unwrap_or(u32::MAX),
        ..Values::default()
    })
}

pub(super) async fn message(_: &Server, _: &Administrator, _: Nothing) -> Reply<HubMessage> {
    Ok(HubMessage::default())
}

/// Ends everything in good order and starts anew, in this process and with the same command line. To empty the
/// configuration on the way is not offered over the wire: it would take the administrator's password with it, and then nobody
/// could administer from afar.
pub(super) async fn restart(server: &Server, _: &Administrator, request: Values) -> Reply<Values> {
    if request.int != 0 {
        return Err(ErrorCode::NotSupported);
    }
    server.ask_for_restart();
    Ok(request)
}

/// Gives back what came, with the number as text beside it, as the stock server does.
pub(super) async fn echo(_: &Server, _: &Administrator, request: Values) -> Reply<Values> {
    Ok(Values {
        str: request.int.to_string(),
        ..request
    })
}
