//! The socket of a client that has a device: programs need no way through it, and may ask how it stands.

use std::io::{self, ErrorKind};
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncWrite, BufReader};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::{ControlSocket, Request, answer, answer_with};
use crate::status::{Board, State};

/// How long a program may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(30);
/// Programs at one time.
const PROGRAMS: usize = 64;
/// The pause after a failure to accept anybody.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves programs of this user until it is dropped.
pub async fn serve(control: ControlSocket) {
    let control = std::sync::Arc::new(control);
    let mut served = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = control.accept(), if served.len() < PROGRAMS => accepted,
            Some(_) = served.join_next() => continue,
        };
        let Ok(stream) = accepted else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let control = control.clone();
        served.spawn(async move {
            let mut stream = BufReader::new(stream);
            let request = timeout(PATIENCE, Request::receive(&mut stream)).await;
            if let Ok(Ok(request)) = request {
                let _ = serve_other(&mut stream, &request, control.board()).await;
            }
        });
    }
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
