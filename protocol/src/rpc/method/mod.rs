//! The table of methods: what each takes, what it gives, and who may call it.
//!
//! A client writes `request::<EnumHub>(&Nothing {})` and reads the answer with [`response`]. A server implements
//! [`Handle`] for each method it has and routes calls with [`dispatch!`](crate::dispatch), in either encoding.

mod dispatch;
mod table;

use serde_json::Value;

pub use dispatch::{Answer, Answered, Answering, Caller, Encoding, Handle, answer, route};
pub use table::*;

use super::manual::Member;
use super::{MessageError, RpcMessage};
use crate::error::ErrorCode;
use crate::pack::Pack;

/// The element of a request that names the method.
pub const FUNCTION_NAME: &str = "function_name";

/// A method of the administration protocol.
pub trait Method {
    /// Its name on the wire; compared ignoring case.
    const NAME: &'static str;
    /// Who may call it.
    const RIGHT: Right;
    /// The administration option of a hub that, when set, forbids it to that hub's administrator altogether. Options
    /// that look at the parameters (limits, `no_online`) are the server's business.
    const FORBIDDEN_BY: Option<&'static str>;
    /// What it takes.
    type Request: RpcMessage;
    /// What it gives.
    type Response: RpcMessage;

    /// The hub that a request is about, for methods with [`Right::Hub`].
    fn hub(request: &Self::Request) -> Option<&str>;
}

/// Who may call a method (admin RPC §1.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Every administrator. What a hub's administrator sees may be less.
    Any,
    /// The administrator of the server.
    Server,
    /// The administrator of the server, or of the hub that the request is about.
    Hub,
}

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role<'a> {
    /// The administrator of the server.
    Server,
    /// The administrator of this hub.
    Hub(&'a str),
}

impl Right {
    /// Lets `role` pass, or says why not. `hub` is what [`Method::hub`] found in the request.
    ///
    /// # Errors
    /// [`ErrorCode::NotEnoughRights`] for a stranger, [`ErrorCode::InvalidParameter`] where a hub must be named and is not.
    pub fn check(self, role: Role<'_>, hub: Option<&str>) -> Result<(), ErrorCode> {
        match (self, role, hub.unwrap_or_default()) {
            (Self::Any, ..) | (Self::Server, Role::Server, _) => Ok(()),
            (Self::Server, Role::Hub(_), _) => Err(ErrorCode::NotEnoughRights),
            (Self::Hub, _, "") => Err(ErrorCode::InvalidParameter),
            (Self::Hub, Role::Server, _) => Ok(()),
            (Self::Hub, Role::Hub(own), named) if own.eq_ignore_ascii_case(named) => Ok(()),
            (Self::Hub, Role::Hub(_), _) => Err(ErrorCode::NotEnoughRights),
        }
    }
}

/// One row of [`TABLE`], for those who learn the method's name only at run time.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// [`Method::NAME`].
    pub name: &'static str,
    /// What it does, in a sentence.
    pub summary: &'static str,
    /// [`Method::RIGHT`].
    pub right: Right,
    /// [`Method::FORBIDDEN_BY`].
    pub forbidden_by: Option<&'static str>,
    /// The encodings of [`Method::Request`].
    pub request: Codec,
    /// The encodings of [`Method::Response`].
    pub response: Codec,
}

/// The two encodings of some message.
#[derive(Clone, Copy, Debug)]
pub struct Codec {
    /// Reads a PACK and writes what was understood.
    pub pack_to_pack: fn(&Pack) -> Result<Pack, MessageError>,
    /// Shows a PACK as JSON.
    pub pack_to_json: fn(&Pack) -> Result<Value, MessageError>,
    /// Makes a PACK of JSON.
    pub json_to_pack: fn(&Value) -> Result<Pack, MessageError>,
    /// The fields as JSON has them.
    pub members: fn() -> Vec<Member>,
}

impl Row {
    /// Whether the method changes something. Methods are named after what they do.
    #[must_use]
    pub fn is_change(&self) -> bool {
        !READING.iter().any(|reading| self.name.starts_with(reading))
    }
}

/// How the names of methods begin that change nothing.
const READING: [&str; 6] = ["Get", "Enum", "Read", "Flush", "Make", "Test"];

impl Codec {
    pub(in crate::rpc) const fn of<T: RpcMessage>() -> Self {
        Self {
            pack_to_pack: |pack| Ok(T::from_pack(pack)?.to_pack()),
            pack_to_json: |pack| Ok(T::from_pack(pack)?.to_json()),
            json_to_pack: |json| Ok(T::from_json(json)?.to_pack()),
            members: || {
                let mut members = Vec::new();
                T::describe("", &mut members);
                members
            },
        }
    }
}

/// The row of a method, by its name ignoring case.
pub fn find(name: &str) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.name.eq_ignore_ascii_case(name))
}

/// The request PACK of a call.
pub fn request<M: Method>(parameters: &M::Request) -> Pack {
    let mut pack = parameters.to_pack();
    pack.set_str(FUNCTION_NAME, M::NAME);
    pack
}

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The server refused.
    #[error("{0}")]
    Refused(ErrorCode),
    /// The answer makes no sense.
    #[error("the server's answer cannot be read: {0}")]
    Malformed(#[from] MessageError),
}

/// What a server answered to a call.
///
/// # Errors
/// The server's refusal, or an answer that cannot be read.
pub fn response<M: Method>(answer: &Pack) -> Result<M::Response, CallError> {
    match answer.error() {
        Some(code) => Err(CallError::Refused(code)),
        None => Ok(M::Response::from_pack(answer)?),
    }
}

/// The answer PACK of a call that is refused.
pub fn refusal(code: ErrorCode) -> Pack {
    let mut pack = Pack::new();
    pack.set_int("error", code.code());
    pack
}
