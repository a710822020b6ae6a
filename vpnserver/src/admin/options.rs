//! Extended options of a hub.

use protocol::error::ErrorCode;
use protocol::rpc::HubRequest;
use protocol::rpc::option::{HubOption, HubOptions};

use super::{Administrator, Reply};
use crate::server::Server;
use crate::store;

/// Options in one call at most.
pub(super) const MAX_OPTIONS: usize = 4096;

pub(super) async fn list(server: &Server, _: &Administrator, request: HubRequest) -> Reply<HubOptions> {
    let name = request.hub_name.clone();
    let hub = server.db.run(move |store| store.hub(&name)).await?;
    let options = store::HubOption::ALL
        .iter()
        .map(|option| HubOption {
            name: option.row().name.to_owned(),
            value: hub.options.get(*option),
            description: option.row().about.to_owned(),
        })
        .collect();
    Ok(HubOptions {
        hub_name: request.hub_name,
        options,
    })
}

/// Options that we do not know are ignored, as the stock server does: tools write back what another version has.
pub(super) async fn set(server: &Server, _: &Administrator, request: HubOptions) -> Reply<HubOptions> {
    if request.options.len() > MAX_OPTIONS {
        return Err(ErrorCode::TooManyItems);
    }
    let wanted: Vec<_> = request
        .options
        .iter()
        .filter_map(|option| Some((store::HubOption::by_name(&option.name)?, option.value)))
        .collect();
    let name = request.hub_name.clone();
    server
        .db
        .run(move |store| {
            store.update_hub(&name, &|hub| {
                wanted
                    .iter()
                    .for_each(|(option, value)| hub.options.set(*option, *value));
                Ok(())
            })
        })
        .await?;
    Ok(request)
}
