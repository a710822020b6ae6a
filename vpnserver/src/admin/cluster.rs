//! The server's part in a cluster: none. The answers are those of a stock server that stands alone.

use protocol::error::ErrorCode;
use protocol::rpc::Nothing;
use protocol::rpc::cluster::{FarmConnection, FarmMember, FarmMemberList, FarmMemberRequest, FarmSetting};
use protocol::rpc::server::ServerType;

use super::{Administrator, Reply};
use crate::server::Server;

/// The weight of a server that nobody gave another.
const WEIGHT: u32 = 100;

pub(super) async fn setting(_: &Server, _: &Administrator, _: Nothing) -> Reply<FarmSetting> {
    Ok(FarmSetting {
        server_type: ServerType::Standalone,
        member_password: vec![0; 20].into(),
        weight: WEIGHT,
        ..FarmSetting::default()
    })
}

/// It can be told to stand alone, which it does.
pub(super) async fn set(_: &Server, _: &Administrator, request: FarmSetting) -> Reply<FarmSetting> {
    match request.server_type {
        ServerType::Standalone => Ok(request),
        _ => Err(ErrorCode::NotSupported),
    }
}

pub(super) async fn member(_: &Server, _: &Administrator, _: FarmMemberRequest) -> Reply<FarmMember> {
    Err(ErrorCode::NotFarmController)
}

pub(super) async fn members(_: &Server, _: &Administrator, _: Nothing) -> Reply<FarmMemberList> {
    Err(ErrorCode::NotFarmController)
}

pub(super) async fn connection(_: &Server, _: &Administrator, _: Nothing) -> Reply<FarmConnection> {
    Err(ErrorCode::NotFarmMember)
}
