//! The log files as administrators list and read them (policies §6).

use protocol::error::ErrorCode;
use protocol::rpc::Nothing;
use protocol::rpc::log::{LogFileList, LogFileRow, LogPiece};

use super::{Administrator, Reply, time};
use crate::logfile::LogFile;
use crate::server::Server;
use crate::syslog::machine_name;

/// The server's log and those of all hubs; to a hub's administrator those of the hub.
pub(super) async fn list(server: &Server, caller: &Administrator, _: Nothing) -> Reply<LogFileList> {
    server.log_packets();
    server.logs.settle().await;
    let logs = server.logs.clone();
    let files = tokio::task::spawn_blocking(move || logs.list())
        .await
        .map_err(|_| ErrorCode::Internal)?;
    let machine = machine_name();
    let row = |file: LogFile| LogFileRow {
        server_name: machine.clone(),
        file_path: file.path,
        file_size: u32::try_from(file.size).unwrap_or(u32::MAX),
        updated_time: time(file.updated),
    };
    Ok(LogFileList {
        files: files
            .into_iter()
            .filter(|file| may_read(caller, file))
            .map(row)
            .collect(),
    })
}

/// A piece of a file; without one at its end. What is not in the caller's list is not there.
pub(super) async fn read(server: &Server, caller: &Administrator, request: LogPiece) -> Reply<LogPiece> {
    let (logs, path, offset) = (server.logs.clone(), request.file_path.clone(), request.offset);
    let caller = caller.clone();
    let piece = tokio::task::spawn_blocking(move || {
        let listed = logs
            .list()
            .into_iter()
            .any(|file| file.path.eq_ignore_ascii_case(&path) && may_read(&caller, &file));
        if listed {
            logs.read(&path, offset.into())
        } else {
            Ok(None)
        }
    })
    .await
    .map_err(|_| ErrorCode::Internal)?
    .map_err(|error| {
        tracing::warn!(%error, "a log file cannot be read");
        ErrorCode::Internal
    })?;
    let piece = piece.ok_or(ErrorCode::ObjectNotFound)?;
    Ok(LogPiece {
        server_name: machine_name(),
        buffer: (!piece.is_empty()).then_some(piece),
        ..request
    })
}

fn may_read(caller: &Administrator, file: &LogFile) -> bool {
    match (caller.hub(), &file.hub) {
        (None, _) => true,
        (Some(own), Some(hub)) => own.eq_ignore_ascii_case(hub),
        (Some(_), None) => false,
    }
}
