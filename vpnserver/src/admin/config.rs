//! The configuration as one file of the stock server's format.

use protocol::error::ErrorCode;
use protocol::rpc::server::{Config, ConfigTaken};
use protocol::rpc::{Nothing, Secret};

use super::{Administrator, Reply};
use crate::config::{self, ImportError, Options};
use crate::server::Server;

pub(super) async fn get(server: &Server, _: &Administrator, _: Nothing) -> Reply<Config> {
    server.refresh_usage().await;
    let vault = server.vault.clone();
    let export = server.db.run(move |store| config::export(store, &vault)).await?;
    Ok(Config {
        file_name: config::FILE_NAME.to_owned(),
        file_data: Secret::new(export.text.as_bytes().to_vec()),
    })
}

/// Takes a file in place of what there is. What of it is new is in force before the answer goes out; nothing is restarted.
pub(super) async fn set(server: &Server, _: &Administrator, request: Config) -> Reply<ConfigTaken> {
    let vault = server.vault.clone();
    let file = request.file_data;
    let outcome = server
        .db
        .run(move |store| {
            store.back_up()?; // so that there is a way back
            Ok(config::import(store, &vault, &file, Options::default()))
        })
        .await?;
    match outcome {
        Ok(report) => Ok(ConfigTaken {
            file_name: request.file_name,
            report: report.to_string(),
        }),
        Err(error) => {
            tracing::warn!(%error, "a configuration file was refused; nothing was changed");
            Err(code(error))
        }
    }
}

fn code(error: ImportError) -> ErrorCode {
    match error {
        ImportError::File(_) => ErrorCode::InvalidParameter,
        ImportError::Store(error) => error.into(),
    }
}
