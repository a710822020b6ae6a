//! From a method's name and a body to the server's answer.

use std::future::Future;

use serde_json::Value;

use super::{Method, Role};
use crate::error::ErrorCode;
use crate::pack::Pack;
use crate::rpc::{MessageError, RpcMessage, Subject};

/// One of the two encodings; what a call comes in is what its answer goes out in.
pub trait Encoding: Sized {
    /// Encodes a message.
    fn encode<T: RpcMessage>(message: &T) -> Self;
    /// Reads a message.
    ///
    /// # Errors
    /// When it makes no sense.
    fn decode<T: RpcMessage>(&self) -> Result<T, MessageError>;
}

impl Encoding for Pack {
    fn encode<T: RpcMessage>(message: &T) -> Self {
        message.to_pack()
    }

    fn decode<T: RpcMessage>(&self) -> Result<T, MessageError> {
        T::from_pack(self)
    }
}

impl Encoding for Value {
    fn encode<T: RpcMessage>(message: &T) -> Self {
        message.to_json()
    }

    fn decode<T: RpcMessage>(&self) -> Result<T, MessageError> {
        T::from_json(self)
    }
}

/// What the rights of a call depend on.
pub trait Caller {
    /// Who calls.
    fn role(&self) -> Role<'_>;

    /// Whether the caller's hub has this administration option set.
    fn is_option_set(&self, option: &str) -> bool;
}

/// A server's side of method `M`, called only for those who may.
pub trait Handle<M: Method, C> {
    /// Does it.
    fn handle(
        &self,
        caller: &C,
        request: M::Request,
    ) -> impl Future<Output = Result<M::Response, ErrorCode>> + Send;
}

/// What became of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered<B> {
    /// What it was about, as far as it could be read.
    pub subject: Subject,
    /// The answer, or what the caller is told instead.
    pub outcome: Result<B, ErrorCode>,
}

impl<B> Answered<B> {
    /// A call that came to nothing before anybody knew what it was about.
    #[must_use]
    pub fn refused(code: ErrorCode) -> Self {
        Self {
            subject: Subject::default(),
            outcome: Err(code),
        }
    }
}

/// Answers one call: reads the request, checks the right, has it handled, encodes the answer.
pub async fn answer<M, S, C, B>(server: &S, caller: &C, body: &B) -> Answered<B>
where
    M: Method,
    S: Handle<M, C>,
    C: Caller,
    B: Encoding,
{
    let request: M::Request = match body.decode() {
        Ok(request) => request,
        Err(error) => return Answered::refused(error.into()),
    };
    let subject = request.subject();
    let outcome = match may::<M, C>(caller, &request) {
        Ok(()) => server.handle(caller, request).await,
        Err(code) => Err(code),
    };
    Answered {
        subject,
        outcome: outcome.map(|response| B::encode(&response)),
    }
}

fn may<M: Method, C: Caller>(caller: &C, request: &M::Request) -> Result<(), ErrorCode> {
    M::RIGHT.check(caller.role(), M::hub(request))?;
    match (M::FORBIDDEN_BY, caller.role()) {
        (Some(option), Role::Hub(_)) if caller.is_option_set(option) => Err(ErrorCode::NotEnoughRights),
        _ => Ok(()),
    }
}

/// Routes a call to the server's [`Handle`] of its method; a future of [`Answered`].
///
/// ```text
/// dispatch!(server, caller, name, body; GetServerInfo, EnumHub, CreateHub)
/// ```
/// Methods that are not listed are answered with [`ErrorCode::NotSupported`].
#[macro_export]
macro_rules! dispatch {
    ($server:expr, $caller:expr, $name:expr, $body:expr; $($method:ident),+ $(,)?) => {
        async {
            let name: &str = $name;
            $(
                if name.eq_ignore_ascii_case(<$method as $crate::rpc::method::Method>::NAME) {
                    return $crate::rpc::method::answer::<$method, _, _, _>($server, $caller, $body).await;
                }
            )+
            $crate::rpc::method::Answered::refused($crate::error::ErrorCode::NotSupported)
        }
    };
}
