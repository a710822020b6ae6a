//! Calls from their name to their answer, in both encodings.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use protocol::dispatch;
use protocol::error::ErrorCode;
use protocol::pack::Pack;
use protocol::rpc::hub::{HubList, HubRow, HubStatus};
use protocol::rpc::method::{
    Caller, DeleteUser, Encoding, EnumHub, GetHubStatus, Handle, Right, Role, SetServerPassword, request,
    response,
};
use protocol::rpc::server::ServerPassword;
use protocol::rpc::{HubObject, HubRequest, Nothing};
use serde_json::{Value, json};

/// A server with one hub, on which administrators may not change users.
struct Server;

enum Admin {
    Server,
    Hub(&'static str),
}

impl Caller for Admin {
    fn role(&self) -> Role<'_> {
        match self {
            Self::Server => Role::Server,
            Self::Hub(hub) => Role::Hub(hub),
        }
    }

    fn is_option_set(&self, option: &str) -> bool {
        option == "no_change_users"
    }
}

impl Handle<EnumHub, Admin> for Server {
    async fn handle(&self, _: &Admin, _: Nothing) -> Result<HubList, ErrorCode> {
        Ok(HubList {
            hubs: vec![HubRow {
                hub_name: "LAB".into(),
                online: true,
                ..HubRow::default()
            }],
        })
    }
}

impl Handle<GetHubStatus, Admin> for Server {
    async fn handle(&self, _: &Admin, request: HubRequest) -> Result<HubStatus, ErrorCode> {
        if request.hub_name != "LAB" {
            return Err(ErrorCode::HubNotFound);
        }
        Ok(HubStatus {
            hub_name: request.hub_name,
            num_users: 3,
            ..HubStatus::default()
        })
    }
}

impl Handle<DeleteUser, Admin> for Server {
    async fn handle(&self, _: &Admin, request: HubObject) -> Result<HubObject, ErrorCode> {
        Ok(request)
    }
}

impl Handle<SetServerPassword, Admin> for Server {
    async fn handle(&self, _: &Admin, request: ServerPassword) -> Result<ServerPassword, ErrorCode> {
        Ok(request)
    }
}

fn call<B: Encoding + Send + Sync>(admin: &Admin, name: &str, body: &B) -> Result<B, ErrorCode> {
    let future = dispatch!(&Server, admin, name, body; EnumHub, GetHubStatus, DeleteUser, SetServerPassword);
    // Nothing in it waits.
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answered) => answered.outcome,
        Poll::Pending => panic!("the call waits"),
    }
}

fn user() -> Pack {
    request::<DeleteUser>(&HubObject {
        hub_name: "lab".into(),
        name: "tsumura".into(),
    })
}

#[test]
fn a_call_is_answered_in_its_own_encoding() {
    let answer = call(&Admin::Server, "enumhub", &request::<EnumHub>(&Nothing {})).unwrap();
    assert_eq!(response::<EnumHub>(&answer).unwrap().hubs[0].hub_name, "LAB");
    let answer: Value = call(&Admin::Server, "GetHubStatus", &json!({ "HubName_str": "LAB" })).unwrap();
    assert_eq!(answer["NumUsers_u32"], 3);
}

#[test]
fn unknown_methods_are_not_supported() {
    assert_eq!(
        call(&Admin::Server, "BrewCoffee", &Pack::new()).unwrap_err(),
        ErrorCode::NotSupported
    );
}

#[test]
fn requests_that_make_no_sense_are_invalid() {
    let error = call(&Admin::Server, "GetHubStatus", &json!(["LAB"])).unwrap_err();
    assert_eq!(error, ErrorCode::InvalidParameter);
    let error = call(&Admin::Server, "GetHubStatus", &json!({ "HubName_str": {} })).unwrap_err();
    assert_eq!(error, ErrorCode::InvalidParameter);
}

#[test]
fn hub_administrators_stay_in_their_hub() {
    let own = json!({ "HubName_str": "LAB" });
    assert!(call(&Admin::Hub("lab"), "GetHubStatus", &own).is_ok());
    assert_eq!(
        call(&Admin::Hub("other"), "GetHubStatus", &own).unwrap_err(),
        ErrorCode::NotEnoughRights
    );
    assert_eq!(
        call(&Admin::Hub("lab"), "GetHubStatus", &json!({})).unwrap_err(),
        ErrorCode::InvalidParameter
    );
    let password = request::<SetServerPassword>(&ServerPassword::default());
    assert_eq!(
        call(&Admin::Hub("lab"), "SetServerPassword", &password).unwrap_err(),
        ErrorCode::NotEnoughRights
    );
}

#[test]
fn administration_options_bind_hub_administrators_only() {
    assert_eq!(
        call(&Admin::Hub("lab"), "DeleteUser", &user()).unwrap_err(),
        ErrorCode::NotEnoughRights
    );
    assert!(call(&Admin::Server, "DeleteUser", &user()).is_ok());
}

#[test]
fn rights_follow_the_role() {
    assert_eq!(Right::Any.check(Role::Hub("lab"), None), Ok(()));
    assert_eq!(Right::Server.check(Role::Server, None), Ok(()));
    assert_eq!(
        Right::Hub.check(Role::Server, Some("")),
        Err(ErrorCode::InvalidParameter)
    );
}

#[test]
fn secrets_do_not_show_in_debug_output() {
    let password = ServerPassword {
        hashed_password: vec![0xab; 20].into(),
        plain_text_password: String::from("hunter2").into(),
    };
    let shown = format!("{password:?}");
    assert!(!shown.contains("hunter2") && !shown.contains("171"), "{shown}");
}
