//! Serving the local socket: what programs want, and the answers of a client that has a device, which is only asked how it stands.

use std::io::{self, ErrorKind};
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncWrite, BufReader};
use tokio::net::UnixStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::{ControlSocket, Request, answer, answer_with};
use crate::status::{Board, State};

/// How long a program may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(30);
/// Programs at one time, of a client that has a device.
const PROGRAMS: usize = 64;
/// The pause after a failure to accept anybody, for instance for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Has whatever programs want answered by `answer`, for up to `programs` of them at one time, until it is dropped.
pub(crate) async fn serve_programs<F, A>(control: &ControlSocket, programs: usize, answer: F)
where
    F: Fn(BufReader<UnixStream>, Request) -> A + Clone + Send + 'static,
    A: Future<Output = io::Result<()>> + Send,
{
    let mut served = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = control.accept(), if served.len() < programs => accepted,
            Some(_) = served.join_next() => continue,
        };
        let Ok(stream) = accepted else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let answer = answer.clone();
        served.spawn(async move {
            let mut stream = BufReader::new(stream);
            let request = timeout(PATIENCE, Request::receive(&mut stream)).await;
            let done = match request.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into())) {
                Ok(request) => answer(stream, request).await,
                Err(error) => Err(error),
            };
            if let Err(error) = done {
                tracing::debug!(%error, "a program has gone");
            }
        });
    }
}

/// Serves programs of this user until it is dropped.
pub async fn serve(control: ControlSocket) {
    let board = control.board().clone();
    serve_programs(&control, PROGRAMS, move |mut stream, request| {
        let board = board.clone();
        async move { serve_other(&mut stream, &request, &board).await }
    })
    .await;
}

/// Answers what is no wish for a connection through the tunnel.
///
/// # Errors
/// What happened to the socket.
pub async fn serve_other(
    stream: &mut (impl AsyncWrite + Unpin),
    request: &Request,
    board: &Board,
) -> io::Result<()> {
    let refusal = match request {
        Request::Status => {
            let status = board.status();
            // A connection of the service is told of by the service.
            let clients = if status.account || status.state == State::Idle {
                vec![]
            } else {
                vec![status]
            };
            return answer_with(stream, json!({ "clients": clients })).await;
        }
        Request::Connect(_) => "this client has a device: programs reach the VPN without it",
        _ => "this client is no service; `vpnclient run` is",
    };
    answer(stream, Err(&io::Error::new(ErrorKind::Unsupported, refusal))).await
}
