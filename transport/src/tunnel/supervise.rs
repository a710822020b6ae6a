//! The clock of a tunnel.

use std::sync::Arc;
use std::time::Instant;

use protocol::tunnel::TunnelEvent;
use tokio::time::sleep_until;

use super::Shared;

/// Keeps the clock of one tunnel: keep-alives, silent connections, the end.
pub(super) async fn supervise(shared: Arc<Shared>) {
    while !shared.state.borrow().over {
        let events = {
            let mut book = shared.book();
            book.tunnel.handle_timeout(Instant::now());
            let mut events = Vec::new();
            while let Some(event) = book.tunnel.poll_event() {
                let link = match event {
                    TunnelEvent::KeepAlive(id) | TunnelEvent::Lost(id) => book.link(id).cloned(),
                    TunnelEvent::Over => None,
                };
                events.push((event, link));
            }
            events
        };
        for (event, link) in events {
            match (event, link) {
                (TunnelEvent::KeepAlive(_), Some(link)) => link.keep_alive(&shared),
                (TunnelEvent::Lost(_), Some(link)) => link.stop.notify_one(),
                (TunnelEvent::Over, _) => shared.end(),
                (_, None) => {}
            }
        }
        // What was just sent has put the next keep-alive off.
        let next = shared.book().tunnel.poll_timeout();
        match next {
            Some(at) => tokio::select! {
                () = sleep_until(at.into()) => {}
                () = shared.news.notified() => {}
            },
            None => shared.news.notified().await,
        }
    }
}
