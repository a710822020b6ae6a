//! The administration protocol: every message once, with its two encodings, and the table of methods.
//!
//! * [`RpcMessage`], [`field`] and [`kind`]: how a struct becomes a PACK or JSON.
//! * One file per noun holds its messages: [`server`], [`hub`], [`user`] and so on.
//! * [`method`] says which method takes and gives which message, and who may call it.
//! * [`frame`] cuts the byte stream into records; [`json`] is the envelope of JSON-RPC.
//!
//! "Admin RPC §n" in a comment names a section of `docs/admin-rpc.md`.

pub mod access;
pub mod audit;
pub mod backup;
pub mod bridge;
pub mod caps;
pub mod cascade;
pub mod certificate;
pub mod client;
pub mod cluster;
pub mod connection;
pub mod dnat;
pub mod doors;
pub mod field;
pub mod frame;
pub mod group;
pub mod hub;
pub mod json;
pub mod keep;
pub mod kind;
pub mod listener;
pub mod log;
pub mod manual;
pub mod method;
pub mod option;
pub mod policy;
pub mod revocation;
pub mod router;
pub mod securenat;
pub mod server;
pub mod session;
pub mod table;
pub mod traffic;
pub mod user;
pub mod vendor;

mod message;
mod secret;
mod subject;
mod timestamp;

pub use kind::Kind;
pub use message::{MessageError, RpcMessage};
pub use secret::Secret;
pub use subject::Subject;
pub use timestamp::Timestamp;

use message::message;

message! {
    /// No parameters. Stock clients send the whole empty answer instead; it is ignored.
    pub struct Nothing {}

    /// Which hub.
    pub struct HubRequest {
        hub_name: hub str "HubName",
    }

    /// Which user, group or session of which hub.
    pub struct HubObject {
        hub_name: hub str "HubName",
        name: key str "Name",
    }

    /// Which line of which hub's table; the key is opaque.
    pub struct HubKey {
        hub_name: hub str "HubName",
        key: key u32 "Key",
    }

    /// Which object of the server.
    pub struct Named {
        name: key str "Name",
    }

    /// The four values of methods that have no message of their own.
    pub struct Values {
        int: u32 "IntValue",
        int64: u64 "Int64Value",
        str: str "StrValue",
        unistr: unistr "UniStrValue",
    }

    /// One text.
    pub struct Text {
        string: str "String",
    }
}
