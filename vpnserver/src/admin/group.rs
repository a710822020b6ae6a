//! Groups of users.

use protocol::error::ErrorCode;
use protocol::rpc::group::{Group, GroupList, GroupRow};
use protocol::rpc::{HubObject, HubRequest};

use super::session::stored_traffic;
use super::{Administrator, Reply, count};
use crate::server::Server;
use crate::store::{self, StoreError, UserName};

pub(super) async fn create(server: &Server, _: &Administrator, request: Group) -> Reply<Group> {
    let name = UserName::parse_group(request.name.trim()).map_err(|_| ErrorCode::InvalidParameter)?;
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

/// Who names a group itself hears what is said of any missing object; who names one for a user hears of the group.
fn named(error: StoreError) -> ErrorCode {
    match error {
        StoreError::GroupNotFound(_) => ErrorCode::ObjectNotFound,
        other => other.into(),
    }
}

/// Refuses the empty name, as the stock server does before it looks.
fn check_name(name: &str) -> Reply<()> {
    if name.is_empty() {
        return Err(ErrorCode::InvalidParameter);
    }
    Ok(())
}

pub(super) async fn set(server: &Server, _: &Administrator, request: Group) -> Reply<Group> {
    check_name(&request.name)?;
    let wanted = request.clone();
    server
        .db
        .run(move |store| {
            store.update_group(&wanted.hub_name, &wanted.name, &|group| {
                *group = described(group.clone(), &wanted);
                Ok(())
            })
        })
        .await
        .map_err(named)?;
    Ok(request)
}

fn described(mut group: store::Group, request: &Group) -> store::Group {
    group.real_name.clone_from(&request.realname);
    group.note.clone_from(&request.note);
    group.policy.clone_from(&request.policy);
    group
}

pub(super) async fn get(server: &Server, _: &Administrator, request: HubObject) -> Reply<Group> {
    check_name(&request.name)?;
    server.refresh_usage().await;
    let (hub, name) = (request.hub_name.clone(), request.name);
    let (group, traffic) = server
        .db
        .run(move |store| Ok((store.group(&hub, &name)?, store.group_traffic(&hub, &name)?)))
        .await
        .map_err(named)?;
    Ok(Group {
        hub_name: request.hub_name,
        name: group.name.to_string(),
        realname: group.real_name,
        note: group.note,
        policy: group.policy,
        traffic: stored_traffic(&traffic),
    })
}

pub(super) async fn delete(server: &Server, _: &Administrator, request: HubObject) -> Reply<HubObject> {
    check_name(&request.name)?;
    let (hub, name) = (request.hub_name.clone(), request.name.clone());
    server
        .db
        .run(move |store| store.delete_group(&hub, &name))
        .await
        .map_err(named)?;
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
