//! The JSON interface: JSON-RPC 2.0 at `/api/` of every port (admin RPC §5).
//!
//! HTTP is hyper's. Every request brings its own credentials; a connection counts as a stranger's until one of them was
//! right, and has no more time than any stranger. What a call does, and who may, is [`crate::admin::call`]: nothing here knows any method.

mod credentials;
mod manual;
mod reply;
mod request;

use std::io::Cursor;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncReadExt;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use transport::accept::{NEGOTIATION_TIMEOUT, Negotiation};

use crate::admin::Administrator;
use crate::connections::Listed;
use crate::events::Event;
use crate::gate::Pass;
use crate::server::Server;

/// How long the head of the next request may take, the wait for it included.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest head of a request.
const HEAD_BYTES: usize = 64 * 1024;

/// What is known of a peer that came to the JSON interface.
pub struct Stranger {
    /// From where.
    pub peer: SocketAddr,
    /// Its place among the strangers.
    pub pass: Pass,
    /// Until when it must have shown who it is.
    pub deadline: Instant,
}

/// One connection to the JSON interface.
struct Connection {
    server: Arc<Server>,
    listed: Listed,
    peer: SocketAddr,
    deadline: Instant,
    /// Gone once somebody was let in.
    pass: Mutex<Option<Pass>>,
    admitted: Notify,
}

/// Serves a connection until it ends.
pub async fn serve(server: Arc<Server>, negotiation: Negotiation, listed: Listed, stranger: Stranger) {
    let (stream, early) = negotiation.into_stream();
    let (read, write) = tokio::io::split(stream);
    let stream = tokio::io::join(Cursor::new(early).chain(read), write);
    let connection = Arc::new(Connection {
        server,
        listed,
        peer: stranger.peer,
        deadline: stranger.deadline,
        pass: Mutex::new(Some(stranger.pass)),
        admitted: Notify::new(),
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES)
        .title_case_headers(true)
        .serve_connection(
            TokioIo::new(stream),
            service_fn(|request| {
                let connection = connection.clone();
                async move { Ok::<_, std::convert::Infallible>(connection.answer(request).await) }
            }),
        );
    tokio::select! {
        // What a peer does to its connection is its own business.
        _ = serving => {}
        () = connection.time_is_up() => connection.report_late(),
        () = connection.listed.hung_up() => {}
    }
}

impl Connection {
    /// Returns when a stranger has had the time strangers have; never once somebody was let in.
    async fn time_is_up(&self) {
        tokio::select! {
            () = sleep_until(self.deadline) => {}
            () = self.admitted.notified() => std::future::pending().await,
        }
    }

    /// Somebody has shown who they are.
    fn admit(&self, administrator: &Administrator, client: &str) {
        let pass = self.pass.lock().unwrap_or_else(PoisonError::into_inner).take();
        if pass.is_some() {
            self.listed.administers(client, (0, 0));
            self.admitted.notify_one();
            self.server.events.report(&administrator.opened());
        }
    }

    fn is_stranger(&self) -> bool {
        self.pass.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn report_late(&self) {
        self.server.events.report(&Event::StrangerLeft {
            peer: self.peer,
            reason: format!("no login within {} seconds", NEGOTIATION_TIMEOUT.as_secs()),
        });
    }
}
