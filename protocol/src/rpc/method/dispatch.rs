//! From a method's name and a body to the server's answer.

use std::future::Future;
use std::pin::Pin;

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

/// An answer on its way. It is boxed, because a server has a hundred methods and one place that waits for any of them.
pub type Answering<'a, B> = Pin<Box<dyn Future<Output = Answered<B>> + Send + 'a>>;

/// What answers the calls of one method.
pub type Answer<'a, S, C, B> = fn(&'a S, &'a C, &'a B) -> Answering<'a, B>;

/// Answers one call: reads the request, checks the right, has it handled, encodes the answer.
pub fn answer<'a, M, S, C, B>(server: &'a S, caller: &'a C, body: &'a B) -> Answering<'a, B>
where
    M: Method + 'static,
    S: Handle<M, C> + Sync,
    C: Caller + Sync,
    B: Encoding + Send + Sync,
{
    Box::pin(async move {
        let request: M::Request = match body.decode() {
            Ok(request) => request,
            Err(error) => return Answered::refused(error.into()),
        };
        let subject = request.subject();
        let outcome = match may::<M, C>(caller, &request) {
            Ok(()) => handle(server, caller, request).await,
            Err(code) => Err(code),
        };
        Answered {
            subject,
            outcome: outcome.map(|response| B::encode(&response)),
        }
    })
}

/// A box of its own, so that what a method does is compiled once and not for each encoding.
fn handle<'a, M, S, C>(
    server: &'a S,
    caller: &'a C,
    request: M::Request,
) -> Pin<Box<dyn Future<Output = Result<M::Response, ErrorCode>> + Send + 'a>>
where
    M: Method + 'static,
    S: Handle<M, C>,
{
    Box::pin(server.handle(caller, request))
}

/// Has the method of this name answer a call; one that is not among `methods` is answered with [`ErrorCode::NotSupported`].
pub fn route<'a, S, C, B: Send + 'a>(
    server: &'a S,
    caller: &'a C,
    name: &str,
    body: &'a B,
    methods: &[(&str, Answer<'a, S, C, B>)],
) -> Answering<'a, B> {
    let method = methods.iter().find(|(of, _)| of.eq_ignore_ascii_case(name));
    match method {
        Some((_, answer)) => answer(server, caller, body),
        None => Box::pin(std::future::ready(Answered::refused(ErrorCode::NotSupported))),
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
        $crate::rpc::method::route($server, $caller, $name, $body, &[
            $((
                <$method as $crate::rpc::method::Method>::NAME,
                $crate::rpc::method::answer::<$method, _, _, _>,
            ),)+
        ])
    };
}
