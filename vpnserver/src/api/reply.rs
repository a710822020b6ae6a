//! The answers of the JSON interface, with the headers that all of them have.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    HeaderMap, HeaderName, HeaderValue, ORIGIN, REFERRER_POLICY, VARY, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode};

use super::manual::manual;

/// An answer.
pub(super) type Reply = Response<Full<Bytes>>;

const METHODS: &str = "OPTIONS,GET,POST";
const HEADERS: &str = "X-VPNADMIN-HUBNAME,X-VPNADMIN-PASSWORD";
/// Asks a browser for name and password.
const CHALLENGE: &str =
    "Basic realm=\"administrator for the server or the name of a virtual hub\", charset=\"UTF-8\"";

/// What a browser may do with most answers.
pub(super) const NOTHING: &str = "default-src 'none'; frame-ancestors 'none'";

/// What the body is.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Json,
    Text,
    Html,
}

/// An answer with a body.
pub(super) fn reply(status: StatusCode, kind: Kind, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Full::new(body.into()));
    *reply.status_mut() = status;
    let content_type = match kind {
        Kind::Json => "application/json",
        Kind::Text => "text/plain; charset=UTF-8",
        Kind::Html => "text/html; charset=UTF-8",
    };
    set(&mut reply, CONTENT_TYPE, content_type);
    reply
}

/// The answer to somebody who has not shown who they are.
pub(super) fn unauthorized() -> Reply {
    let text = "Name and password are needed, or they are wrong: HTTP Basic authentication, or the headers \
                X-VPNADMIN-PASSWORD and X-VPNADMIN-HUBNAME.\n";
    let mut reply = reply(StatusCode::UNAUTHORIZED, Kind::Text, text);
    set(&mut reply, WWW_AUTHENTICATE, CHALLENGE);
    reply
}

/// The page that describes the interface.
pub(super) fn described() -> Reply {
    let manual = manual();
    let mut reply = reply(StatusCode::OK, Kind::Html, manual.page.as_str());
    reply
        .headers_mut()
        .insert(CONTENT_SECURITY_POLICY, manual.policy.clone());
    reply
}

/// The answer to `OPTIONS`, which needs no credentials.
pub(super) fn options() -> Reply {
    let mut reply = Response::new(Full::default());
    set(&mut reply, ALLOW, METHODS);
    reply
}

/// The answer to what is not there; the connection ends with it.
pub(super) fn not_found() -> Reply {
    last(reply(
        StatusCode::NOT_FOUND,
        Kind::Text,
        "There is nothing here.\n",
    ))
}

/// Makes an answer the last one of its connection.
pub(super) fn last(mut reply: Reply) -> Reply {
    set(&mut reply, CONNECTION, "close");
    reply
}

/// Adds the headers of every answer.
///
/// Pages of any site may talk to this interface, as with the stock server: they have to bring the password. What a
/// browser knows by itself is worth nothing to them, see [`Credentials::of`](super::credentials::Credentials::of).
pub(super) fn finished(mut reply: Reply, request: &HeaderMap) -> Reply {
    if let Some(origin) = request.get(ORIGIN) {
        reply
            .headers_mut()
            .insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    }
    for (name, value) in [
        (ACCESS_CONTROL_ALLOW_CREDENTIALS, "true"),
        (ACCESS_CONTROL_ALLOW_HEADERS, HEADERS),
        (ACCESS_CONTROL_ALLOW_METHODS, METHODS),
        (VARY, "Origin"),
        (CACHE_CONTROL, "no-cache, no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "same-origin"),
    ] {
        set(&mut reply, name, value);
    }
    if !reply.headers().contains_key(CONTENT_SECURITY_POLICY) {
        set(&mut reply, CONTENT_SECURITY_POLICY, NOTHING);
    }
    reply
}

fn set(reply: &mut Reply, name: HeaderName, value: &'static str) {
    reply.headers_mut().insert(name, HeaderValue::from_static(value));
}
