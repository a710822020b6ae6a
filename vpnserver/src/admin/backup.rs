//! Former states of the settings.

use protocol::rpc::backup::{BackupKey, BackupList, BackupRow};
use protocol::rpc::{Nothing, Timestamp};

use super::{Administrator, Reply};
use crate::server::Server;
use crate::store::Backup;

pub(super) async fn list(server: &Server, _: &Administrator, _: Nothing) -> Reply<BackupList> {
    let backups = server.db.run(|store| store.backups()).await?;
    let row = |backup: Backup| BackupRow {
        number: backup.number,
        created_time: Timestamp(backup.at.as_millis()),
        size: backup.bytes,
        num_hub: backup.hubs,
        num_user: backup.users,
    };
    Ok(BackupList {
        backups: backups.into_iter().map(row).collect(),
    })
}

/// Puts a state back. What of it is another is in force before the answer goes out.
pub(super) async fn restore(server: &Server, _: &Administrator, request: BackupKey) -> Reply<BackupKey> {
    server.settle_usage().await?;
    let number = request.number;
    server.db.run(move |store| store.restore(number)).await?;
    Ok(request)
}
