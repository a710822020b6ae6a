//! What a hub's administrator may not do (policies §3). The server's administrator is never restricted.

use protocol::error::ErrorCode;
use protocol::rpc::HubRequest;
use protocol::rpc::option::{HubOption, HubOptions};

use super::options::MAX_OPTIONS;
use super::{Administrator, Reply};
use crate::login::AdminRole;
use crate::server::Server;
use crate::store::{AdminOption, AdminOptions};

impl Administrator {
    /// The same administrator with the restrictions that hold at this moment: they may have changed since the login.
    pub(super) async fn as_of_now(&self, server: &Server) -> Reply<Self> {
        let AdminRole::Hub(name) = &self.role else {
            return Ok(self.clone());
        };
        let name = name.clone();
        let hub = server.db.run(move |store| store.hub(&name)).await?;
        Ok(Self {
            restrictions: hub.admin_options,
            ..self.clone()
        })
    }

    /// Whether this option forbids something to this administrator.
    pub(super) fn is_restricted(&self, option: AdminOption) -> bool {
        self.role != AdminRole::Server && self.restrictions.is_set(option)
    }

    /// Refuses what this option forbids.
    pub(super) fn refuse_if(&self, option: AdminOption) -> Reply<()> {
        if self.is_restricted(option) {
            return Err(ErrorCode::NotEnoughRights);
        }
        Ok(())
    }
}

fn listed(options: impl Iterator<Item = AdminOption>, values: &AdminOptions, hub_name: String) -> HubOptions {
    let options = options.map(|option| HubOption {
        name: option.name().to_owned(),
        value: values.get(option),
        description: option.about().to_owned(),
    });
    HubOptions {
        hub_name,
        options: options.collect(),
    }
}

/// In the order of their names, as the stock server lists what a hub has.
pub(super) async fn list(server: &Server, _: &Administrator, request: HubRequest) -> Reply<HubOptions> {
    let name = request.hub_name.clone();
    let hub = server.db.run(move |store| store.hub(&name)).await?;
    let mut options = AdminOption::ALL.to_vec();
    options.sort_by_key(|option| option.name());
    Ok(listed(options.into_iter(), &hub.admin_options, request.hub_name))
}

/// Those of a new hub. Which hub is named does not matter.
pub(super) async fn defaults(_: &Server, _: &Administrator, request: HubRequest) -> Reply<HubOptions> {
    let options = AdminOption::ALL.iter().copied();
    Ok(listed(options, &AdminOptions::default(), request.hub_name))
}

/// Options that we do not know are ignored: tools write back what another version has.
pub(super) async fn set(server: &Server, caller: &Administrator, request: HubOptions) -> Reply<HubOptions> {
    if caller.role != AdminRole::Server && !caller.restrictions.is_set(AdminOption::AllowHubAdminChangeOption)
    {
        return Err(ErrorCode::NotEnoughRights);
    }
    if request.options.len() > MAX_OPTIONS {
        return Err(ErrorCode::TooManyItems);
    }
    let wanted: Vec<_> = request
        .options
        .iter()
        .filter_map(|option| Some((AdminOption::by_name(&option.name)?, option.value)))
        .collect();
    let name = request.hub_name.clone();
    server
        .db
        .run(move |store| {
            store.update_hub(&name, &|hub| {
                for (option, value) in &wanted {
                    hub.admin_options.set(*option, *value);
                }
                Ok(())
            })
        })
        .await?;
    Ok(request)
}
