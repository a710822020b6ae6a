//! Groups of users.

use protocol::error::ErrorCode;
use protocol::rpc::group::{Group, GroupList, GroupRow};
use protocol::rpc::{HubObject, HubRequest};

use super::{Administrator, Reply, count};
use crate::server::Server;
use crate::store::{self, UserName};

pub(super) async fn create(server: &Server, _: &Administrator, request: Group) -> Reply<Group> {
    let name = UserName::parse(&request.name).map_err(|_| ErrorCode::InvalidParameter)?;
    let group = described(
        store::Group {
            id: store::Id::random(),
            name,
            real_name: String::new(),
            note: String::new(),
            policy: None,
        },
        &request,
    );
    let hub = request.hub_name.clone();
    server.db.run(move |store| store.add_group(&hub, &group)).await?;
    Ok(request)
}

pub(super) async fn set(server: &Server, _: &Administrator, request: Group) -> Reply<Group> {
    let wanted = request.clone();
    server
        .db
        .run(move |store| {
            store.update_group(&wanted.hub_name, &wanted.name, &|group| {
                *group = described(group.clone(), &wanted);
                Ok(())
            })
        })
        .await?;
    Ok(request)
}

fn described(mut group: store::Group, request: &Group) -> store::Group {
    group.real_name.clone_from(&request.realname);
    group.note.clone_from(&request.note);
    group.policy.clone_from(&request.policy);
    group
}

pub(super) async fn get(server: &Server, _: &Administrator, request: HubObject) -> Reply<Group> {
    let (hub, name) = (request.hub_name.clone(), request.name);
    let group = server.db.run(move |store| store.group(&hub, &name)).await?;
    Ok(Group {
        hub_name: request.hub_name,
        name: group.name.to_string(),
        realname: group.real_name,
        note: group.note,
        policy: group.policy,
        ..Group::default()
    })
}

pub(super) async fn delete(server: &Server, _: &Administrator, request: HubObject) -> Reply<HubObject> {
    let (hub, name) = (request.hub_name.clone(), request.name.clone());
    server
        .db
        .run(move |store| store.delete_group(&hub, &name))
        .await?;
    Ok(request)
}

pub(super) async fn list(server: &Server, _: &Administrator, request: HubRequest) -> Reply<GroupList> {
    let hub = request.hub_name.clone();
    let (groups, users) = server
        .db
        .run(move |store| Ok((store.groups(&hub)?, store.users(&hub)?)))
        .await?;
    let row = |group: store::Group| GroupRow {
        num_users: count(
            users
                .iter()
                .filter(|user| user.group.as_ref() == Some(&group.name))
                .count(),
        ),
        name: group.name.to_string(),
        realname: group.real_name,
        note: group.note,
        deny_access: group.policy.is_some_and(|policy| !policy.access),
    };
    Ok(GroupList {
        hub_name: request.hub_name,
        groups: groups.into_iter().map(row).collect(),
    })
}
