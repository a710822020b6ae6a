//! The RADIUS servers that a hub asks.

use protocol::error::ErrorCode;
use protocol::rpc::HubRequest;
use protocol::rpc::hub::HubRadius;
use zeroize::Zeroizing;

use super::{Administrator, Reply};
use crate::secret::Identity;
use crate::server::Server;
use crate::store::Radius;

/// Bytes of a shared secret.
const MAX_SECRET: usize = 255;

/// The secret is told to those who may change it: tools read all of it, change one thing, and write all of it.
pub(super) async fn get(server: &Server, _: &Administrator, request: HubRequest) -> Reply<HubRadius> {
    let name = request.hub_name.clone();
    let hub = server.db.run(move |store| store.hub(&name)).await?;
    // The answer of the stock server has no name either.
    let mut answer = HubRadius::default();
    let Some(radius) = hub.radius else {
        return Ok(answer);
    };
    if let Some(secret) = &radius.secret {
        let secret = server
            .vault
            .open_sealed(&Identity::RadiusSecret(hub.id), secret)
            .map_err(|_| ErrorCode::Internal)?;
        let text = String::from_utf8(secret.to_vec()).map_err(|_| ErrorCode::Internal)?;
        answer.radius_secret = text.into();
    }
    answer.radius_server_name = radius.servers;
    answer.radius_port = radius.port.into();
    answer.radius_retry_interval = radius.retry_interval;
    Ok(answer)
}

pub(super) async fn set(server: &Server, _: &Administrator, request: HubRadius) -> Reply<HubRadius> {
    let name = request.hub_name.clone();
    let id = server.db.run(move |store| store.hub(&name)).await?.id;
    let radius = record(server, id, &request)?;
    let name = request.hub_name.clone();
    server
        .db
        .run(move |store| {
            store.update_hub(&name, &|hub| {
                hub.radius.clone_from(&radius);
                Ok(())
            })
        })
        .await?;
    Ok(HubRadius {
        radius_secret: String::new().into(),
        ..request
    })
}

/// Without a server there is nothing to ask, and nothing to keep.
fn record(server: &Server, hub: crate::store::Id, request: &HubRadius) -> Reply<Option<Radius>> {
    let port = u16::try_from(request.radius_port).map_err(|_| ErrorCode::InvalidParameter)?;
    if request.radius_secret.len() > MAX_SECRET {
        return Err(ErrorCode::InvalidParameter);
    }
    if request.radius_server_name.trim().is_empty() {
        return Ok(None);
    }
    let secret = Zeroizing::new(request.radius_secret.as_bytes().to_vec());
    let sealed = if secret.is_empty() {
        None
    } else {
        let sealed = server.vault.seal(&Identity::RadiusSecret(hub), &secret);
        Some(sealed.map_err(|_| ErrorCode::Internal)?)
    };
    let interval = match request.radius_retry_interval {
        0 => Radius::RETRY_INTERVAL,
        given => given.min(Radius::MAX_RETRY_INTERVAL),
    };
    Ok(Some(Radius {
        servers: request.radius_server_name.clone(),
        port,
        secret: sealed,
        retry_interval: interval,
    }))
}
