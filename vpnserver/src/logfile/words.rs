//! What the server's log and the hubs' security logs say. Each event is one line, in words; the fields for machines are in the log
//! on standard error and in the audit log.

use std::net::SocketAddr;

use crate::events::Event;

/// The longest line; what peers send may be long.
const MAX_LINE: usize = 2_000;

/// The hub whose security log has the line too, if any, and the line. None for what is not worth a line.
pub(super) fn of(event: &Event) -> Option<(Option<&str>, String)> {
    listener(event)
        .or_else(|| login(event))
        .or_else(|| session(event))
        .or_else(|| hub(event))
        .or_else(|| administration(event))
}

/// A line is one line: what a peer has put into it cannot end it or look like another.
pub(super) fn clean(text: &str) -> String {
    let visible = |c: char| if c.is_control() { ' ' } else { c };
    let mut line: String = text.chars().map(visible).collect();
    if line.len() > MAX_LINE {
        let end = (0..=MAX_LINE).rev().find(|at| line.is_char_boundary(*at));
        line.truncate(end.unwrap_or(0));
    }
    line
}

fn listener(event: &Event) -> Option<(Option<&str>, String)> {
    let text = match event {
        Event::ListenerOpened { address } => format!("Listening on TCP {address}."),
        Event::ListenerFailed { address, reason } => format!("Cannot listen on TCP {address}: {reason}."),
        Event::ListenerClosed { address } => format!("No longer listening on TCP {address}."),
        Event::StrangerLeft { peer, reason } => {
            format!("The connection from {peer} ended before a login: {reason}.")
        }
        Event::Flooded { source, limit } => {
            format!("Connections from {source} are turned away for now: {limit}.")
        }
        _ => return None,
    };
    Some((None, text))
}

fn login(event: &Event) -> Option<(Option<&str>, String)> {
    Some(match event {
        Event::LoginRefused {
            connection,
            peer,
            hub,
            user,
            code,
            reason,
        } => (
            Some(hub),
            format!(
                "Connection \"{connection}\" from {peer}: user \"{user}\" was refused with code {}: {reason}.",
                code.code()
            ),
        ),
        Event::PasswordChanged { peer, hub, user } => (
            Some(hub),
            format!("User \"{user}\" at {peer} changed the password."),
        ),
        Event::PasswordRefused {
            peer,
            hub,
            user,
            code,
            reason,
        } => (
            Some(hub),
            format!(
                "User \"{user}\" at {peer} wanted to change the password and was refused with code {}: {reason}.",
                code.code()
            ),
        ),
        _ => return None,
    })
}

fn session(event: &Event) -> Option<(Option<&str>, String)> {
    Some(match event {
        Event::SessionOpened {
            session,
            connection,
            hub,
            user,
            peer,
            client,
            max_connections,
        } => (
            Some(hub),
            format!(
                "Connection \"{connection}\" from {peer}: user \"{user}\" logged in with \"{client}\" as session \
                 \"{session}\" of at most {max_connections} TCP connections."
            ),
        ),
        Event::SessionEnded {
            session,
            hub,
            user,
            peer,
            bytes_in,
            bytes_out,
            duration,
            reason,
        } => (
            Some(hub),
            format!(
                "Session \"{session}\" of user \"{user}\" at {peer} ended after {} seconds: {reason}. It sent {bytes_in} \
                 bytes and received {bytes_out}.",
                duration.as_secs()
            ),
        ),
        Event::LeaseGiven {
            hub,
            session,
            mac,
            address,
            host_name,
        } => {
            let session = session.as_deref().unwrap_or("-");
            (
                Some(hub),
                format!(
                    "Session \"{session}\": the station {mac} (\"{host_name}\") was given the address {address} by DHCP."
                ),
            )
        }
        _ => return None,
    })
}

fn hub(event: &Event) -> Option<(Option<&str>, String)> {
    Some(match event {
        Event::PoolExhausted { hub, mac, pool } => (
            Some(hub),
            format!(
                "The station {mac} was given no address: none is left. Of {} addresses {} are leased and {} set aside.",
                pool.addresses, pool.leased, pool.set_aside
            ),
        ),
        Event::PoolAvailable { hub, turned_away } => (
            Some(hub),
            format!("There are addresses to lease again. {turned_away} requests were not answered."),
        ),
        Event::AddressInUse {
            hub,
            session,
            mac,
            address,
        } => (
            Some(hub),
            format!(
                "Session \"{}\": the station {mac} uses the address {address} or knows who does, and nobody has leased it.",
                session.as_deref().unwrap_or("-")
            ),
        ),
        Event::RoutesLeftOut {
            hub,
            session,
            mac,
            limit,
        } => (
            Some(hub),
            format!(
                "Session \"{}\": the station {mac} was given no routes: it takes DHCP messages of {limit} bytes, and they need more.",
                session.as_deref().unwrap_or("-")
            ),
        ),
        Event::HubOnline { hub } => (Some(hub), "The hub is online.".to_owned()),
        Event::HubOffline { hub } => (Some(hub), "The hub is offline.".to_owned()),
        Event::HealthChanged(change) => (
            None,
            format!(
                "The published host {} ({}) is {}.",
                change.rule, change.target, change.health
            ),
        ),
        Event::PartStarted { hub, part } => (hub.as_deref(), format!("Working: {part}.")),
        Event::PartFailed { hub, part, reason } => {
            (hub.as_deref(), format!("Not working: {part}. {reason}."))
        }
        Event::LogLinesLost { lines } => (None, format!("{lines} log lines were lost: there were too many.")),
        Event::LogsDeleted { files } => (None, format!("{files} old log files were deleted to make room.")),
        _ => return None,
    })
}

fn administration(event: &Event) -> Option<(Option<&str>, String)> {
    Some(match event {
        Event::AdminOpened { peer, hub } => (
            None,
            match hub {
                None => format!("An administrator of the server logged in {}.", origin(*peer)),
                Some(hub) => format!("An administrator of hub \"{hub}\" logged in {}.", origin(*peer)),
            },
        ),
        Event::AdminRefused {
            peer,
            hub,
            code,
            reason,
        } => {
            let hub = hub
                .as_ref()
                .map(|hub| format!(" of hub \"{hub}\""))
                .unwrap_or_default();
            (
                None,
                format!(
                    "An administrator{hub} at {peer} was refused with code {}: {reason}.",
                    code.code()
                ),
            )
        }
        Event::CertificateChanged { fingerprint } => (
            None,
            format!("The server shows another certificate now: {fingerprint}."),
        ),
        Event::Changed { peer, hub, method } => (
            hub.as_deref(),
            format!("Administration {}: {method}.", origin(*peer)),
        ),
        _ => return None,
    })
}

fn origin(peer: Option<SocketAddr>) -> String {
    peer.map_or("on this machine".to_owned(), |peer| format!("from {peer}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_cannot_write_lines_of_its_own() {
        let line = clean("user \"x\r\n2026-01-01 00:00:00.000 all is well\" came\u{85}");
        assert_eq!(line, "user \"x  2026-01-01 00:00:00.000 all is well\" came ");
        assert!(clean(&"é".repeat(5_000)).len() <= MAX_LINE);
    }
}
