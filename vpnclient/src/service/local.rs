//! The service's local socket: programs of its own user, and root's, need no password.

use std::io::{self, ErrorKind};
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::io::BufReader;
use tokio::net::UnixStream;
use tokio::sync::broadcast::error::RecvError;
use transport::tls::Fingerprint;
use zeroize::Zeroizing;

use super::{Shared, account, door};
use crate::control::{ControlSocket, Request, answer, answer_with, refuse, serve_programs, write_line};
use crate::failure::Failure;
use crate::report::Event;
use crate::status::{Board, State};

/// Programs at one time.
const PROGRAMS: usize = 128;

/// Serves who comes.
pub(super) async fn serve(shared: Arc<Shared>, socket: ControlSocket) {
    serve_programs(&socket, PROGRAMS, move |stream, request| {
        let shared = shared.clone();
        async move { serve_program(&shared, stream, request).await }
    })
    .await;
}

async fn serve_program(
    shared: &Arc<Shared>,
    mut stream: BufReader<UnixStream>,
    request: Request,
) -> io::Result<()> {
    match request {
        Request::Status => {
            let clients = shared.statuses();
            answer_with(&mut stream, json!({ "clients": clients })).await
        }
        Request::Manage => {
            answer(&mut stream, Ok(())).await?;
            door::calls(shared, stream).await
        }
        Request::Down(name) => {
            let down = shared.call_down(name).await;
            finish(&mut stream, down.map(|()| json!({}))).await
        }
        Request::Options(name, None) => {
            let options = shared.lock().options(&name).map(<[String]>::to_vec);
            let options = options.map_err(|code| Failure::Usage(format!("{name}: {code}")));
            finish(&mut stream, options.map(|options| json!({ "options": options }))).await
        }
        Request::Options(name, Some(options)) => {
            let set = shared.set_options(name, options).await;
            finish(&mut stream, set.map(|()| json!({}))).await
        }
        Request::Up { name, password, pin } => up(shared, &mut stream, &name, password, pin).await,
        Request::Connect(_) => {
            let refusal = "this is the service; name a connection without a device with --via";
            answer(&mut stream, Err(&io::Error::new(ErrorKind::Unsupported, refusal))).await
        }
    }
}

async fn finish(stream: &mut BufReader<UnixStream>, done: Result<Value, Failure>) -> io::Result<()> {
    match done {
        Ok(value) => answer_with(stream, value).await,
        Err(failure) => refuse(stream, &failure).await,
    }
}

/// Connects an account, and says what happens until it is connected or cannot be.
async fn up(
    shared: &Arc<Shared>,
    stream: &mut BufReader<UnixStream>,
    name: &str,
    password: Option<Zeroizing<String>>,
    pin: Option<Fingerprint>,
) -> io::Result<()> {
    let wants = {
        let service = shared.lock();
        let entry = service.book().account(name);
        entry.and_then(|entry| {
            let user = &entry.account.auth.username;
            (password.is_none() && account::needs_password(entry)).then(|| user.clone())
        })
    };
    if let Some(user) = wants {
        return answer_with(stream, json!({ "password_of": user })).await;
    }
    let (board, wants_address) = match shared.call_up(name.to_owned(), password, pin).await {
        Ok(begun) => begun,
        Err(failure) => return refuse(stream, &failure).await,
    };
    let mut events = board.events();
    answer(stream, Ok(())).await?;
    let mut missed = true;
    loop {
        // What happened before we listened, or while the program did not.
        if std::mem::take(&mut missed)
            && let Some(over) = ended(&board, wants_address)
        {
            return write_line(stream, &over).await;
        }
        let event = match events.recv().await {
            Ok(event) => event,
            Err(RecvError::Lagged(_)) => {
                missed = true;
                continue;
            }
            Err(RecvError::Closed) => return Ok(()),
        };
        let line = json!({
            "event": event.to_json(),
            "text": event.to_string(),
            "passing": event.is_passing(),
            "done": is_done(&event, wants_address),
        });
        write_line(stream, &line).await?;
        if line["done"] == true {
            return Ok(());
        }
    }
}

/// Whether there is nothing more to wait for.
fn is_done(event: &Event, wants_address: bool) -> bool {
    match event {
        // Where nobody gives an address, the session is all there will be.
        Event::Address { .. } | Event::NoAddress(_) | Event::Failed(_) | Event::Closed { .. } => true,
        Event::Connected { .. } => !wants_address,
        _ => false,
    }
}

fn ended(board: &Board, wants_address: bool) -> Option<Value> {
    let status = board.status();
    let text = match status.state {
        State::Failed => format!("vpnclient: {}", status.error.clone().unwrap_or_default()),
        State::Closed => "disconnected".to_owned(),
        State::Connected if status.address.is_some() || !wants_address => "connected".to_owned(),
        _ => return None,
    };
    let failed = status.state == State::Failed;
    let name = if failed { "failed" } else { "state" };
    Some(json!({
        "event": { "event": name, "state": status.state, "reason": status.reason, "message": status.error },
        "text": text, "passing": false, "done": true,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn up_waits_for_the_address_and_not_for_whatever_is_said_before() {
        let connected = Event::Connected {
            session: "SID-1".into(),
            server: "a server".into(),
            took: std::time::Duration::ZERO,
        };
        assert!(is_done(&connected, false) && !is_done(&connected, true));
        assert!(!is_done(&Event::Note("IPv6 through vpn_office".into()), true));
        assert!(is_done(&Event::NoAddress("no DHCP server answers".into()), true));
    }
}
