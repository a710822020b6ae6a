//! One request to the JSON interface.

use std::time::{Duration, SystemTime};

use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::header::USER_AGENT;
use hyper::{Method, Request, StatusCode};
use protocol::handshake::pages;
use protocol::rpc::json::{self, Call};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use tokio::time::{timeout, timeout_at};
use zeroize::Zeroizing;

use super::Connection;
use super::credentials::{Credentials, Missing};
use super::reply::{self, Kind, Reply, reply};
use crate::admin::{self, Administrator, Transport};
use crate::login::Credential;

/// Longest bodies of administrators: of the server, of a hub (admin RPC §5).
const SERVER_BODY_BYTES: usize = 128 << 20;
const HUB_BODY_BYTES: usize = 8 << 20;
/// What of a refused request's body is read away, so that the refusal is read.
const REFUSED_BODY_BYTES: usize = 64 << 10;
/// How long an administrator's body may pause.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);
/// What is reserved for a body at first.
const RESERVED_BYTES: usize = 1 << 20;

impl Connection {
    /// Answers a request.
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Reply {
        let (parts, body) = request.into_parts();
        let reply = self.route(&parts, body).await;
        reply::finished(reply, &parts.headers)
    }

    async fn route(&self, parts: &hyper::http::request::Parts, body: Incoming) -> Reply {
        let path = parts.uri.path();
        let Some(name) = below_api(path) else {
            return match path {
                "/" if parts.method == Method::GET => reply(StatusCode::OK, Kind::Html, pages::ROOT.1),
                _ => reply::not_found(),
            };
        };
        if parts.method == Method::OPTIONS {
            return reply::options();
        }
        if parts.method != Method::GET && parts.method != Method::POST {
            return reply::last(reply(StatusCode::METHOD_NOT_ALLOWED, Kind::Text, ""));
        }
        let administrator = match self.authenticate(parts).await {
            Ok(administrator) => administrator,
            Err(refusal) => return self.with_body_read(body, refusal).await,
        };
        match (&parts.method, name) {
            (&Method::POST, "") => self.post(&administrator, body).await,
            (&Method::GET, "") => reply::described(),
            (&Method::GET, method) => {
                let query = parts.uri.query().unwrap_or_default();
                let call = Call::from_query(method, query, moment());
                let answer = self.call(&administrator, call).await;
                reply(StatusCode::OK, Kind::Text, answer)
            }
            _ => reply::not_found(),
        }
    }

    /// Finds out who it is.
    async fn authenticate(&self, parts: &hyper::http::request::Parts) -> Result<Administrator, Reply> {
        let credentials = match Credentials::of(&parts.headers) {
            Ok(credentials) => credentials,
            Err(Missing::All) => return Err(reply::unauthorized()),
            Err(Missing::Foreign) => {
                let text = "A page of another site made this request. Such a page must bring the password itself, in \
                            X-VPNADMIN-PASSWORD.\n";
                return Err(reply(StatusCode::FORBIDDEN, Kind::Text, text));
            }
        };
        let shown = Credential::Password(&credentials.password);
        let hub = credentials.hub.as_deref();
        match self.server.logins.admin(hub, &shown, self.peer).await {
            Ok(role) => {
                let client = parts.headers.get(USER_AGENT).map(|agent| agent.as_bytes());
                let client = String::from_utf8_lossy(client.unwrap_or(b"JSON-RPC")).into_owned();
                let administrator = Administrator::remote(role, self.peer, Transport::Json);
                self.admit(&administrator, &client);
                Ok(administrator)
            }
            Err(refused) => {
                admin::report_refused(
                    &self.server,
                    self.peer,
                    Transport::Json,
                    credentials.hub,
                    &refused,
                )
                .await;
                Err(reply::unauthorized())
            }
        }
    }

    /// Reads a short body to its end before the refusal goes out, as some clients read no answer before they have sent
    /// everything. A long one is not waited for; the connection ends.
    async fn with_body_read(&self, mut body: Incoming, refusal: Reply) -> Reply {
        let is_short = body
            .size_hint()
            .upper()
            .is_none_or(|bytes| bytes <= REFUSED_BODY_BYTES as u64);
        let reading = async {
            let mut read = 0;
            while let Some(Ok(frame)) = body.frame().await {
                read += frame.data_ref().map_or(0, |data| data.len());
                if read > REFUSED_BODY_BYTES {
                    return false;
                }
            }
            body.is_end_stream()
        };
        let is_read = is_short && timeout_at(self.deadline, reading).await.unwrap_or(false);
        if is_read && self.is_stranger() {
            refusal
        } else {
            reply::last(refusal)
        }
    }

    async fn post(&self, administrator: &Administrator, body: Incoming) -> Reply {
        let limit = match administrator.hub() {
            None => SERVER_BODY_BYTES,
            Some(_) => HUB_BODY_BYTES,
        };
        let body = match read(body, limit).await {
            Ok(body) => body,
            Err(status) => return reply::last(reply(status, Kind::Text, "")),
        };
        let answer = match Call::parse(&body) {
            Ok(call) => self.call(administrator, call).await,
            Err(no_call) => no_call.answer(),
        };
        reply(StatusCode::OK, Kind::Json, answer)
    }

    async fn call(&self, administrator: &Administrator, call: Call) -> String {
        let (id, method) = (call.id.clone(), call.method.clone());
        let outcome = admin::call::<Value>(&self.server, administrator, &method, call).await;
        json::answer(&id, outcome.as_ref().map_err(|code| *code))
    }
}

/// What stands behind `/api/`; empty for the interface itself, nothing for another path.
fn below_api(path: &str) -> Option<&str> {
    let (api, rest) = path.split_at_checked("/api".len())?;
    let rest = if rest.is_empty() {
        rest
    } else {
        rest.strip_prefix('/')?
    };
    api.eq_ignore_ascii_case("/api").then_some(rest)
}

/// Reads an administrator's body, which may hold passwords.
async fn read(mut body: Incoming, limit: usize) -> Result<Zeroizing<Vec<u8>>, StatusCode> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > limit {
        return Err(StatusCode::PAYLOAD_TOO_LARGE);
    }
    let mut read = Zeroizing::new(Vec::with_capacity(announced.min(RESERVED_BYTES)));
    loop {
        let frame = timeout(BODY_TIMEOUT, body.frame()).await;
        let frame = match frame.map_err(|_| StatusCode::REQUEST_TIMEOUT)? {
            None => return Ok(read),
            Some(frame) => frame.map_err(|_| StatusCode::BAD_REQUEST)?,
        };
        if let Some(data) = frame.data_ref() {
            if data.len() > limit - read.len() {
                return Err(StatusCode::PAYLOAD_TOO_LARGE);
            }
            read.extend_from_slice(data);
        }
    }
}

/// The id of a call that was made by its address alone, as the stock server writes it: the time.
fn moment() -> String {
    const FORMAT: &[BorrowedFormatItem<'static>] =
        format_description!("[year]-[month]-[day] [hour]:[minute]:[second].[subsecond digits:3]");
    OffsetDateTime::from(SystemTime::now())
        .format(FORMAT)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interface_and_what_is_below_it() {
        for (path, below) in [
            ("/api", Some("")),
            ("/api/", Some("")),
            ("/API/EnumHub", Some("EnumHub")),
            ("/api/a/b", Some("a/b")),
            ("/apix", None),
            ("/", None),
            ("/ap\u{e9}", None),
        ] {
            assert_eq!(below_api(path), below, "{path}");
        }
    }
}
