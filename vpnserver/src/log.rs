//! The log: one line per event on standard error, as text or as JSON.

use std::io::{self, IsTerminal};

use nat::dnat::{Health, HealthChange};
use tracing::{info, warn};
use tracing_subscriber::EnvFilter;

use crate::cli::LogFormat;
use crate::events::Event;

/// Begins to log to standard error. `HUBWARD_LOG` sets the filter (`info` unless set).
pub fn begin(format: LogFormat) {
    let filter = EnvFilter::try_from_env("HUBWARD_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false);
    // A second call (tests) changes nothing.
    let _ = match format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
}

/// One event, one line; values are fields, so that JSON readers need no parsing.
pub(crate) fn write(event: &Event) {
    match event {
        Event::ListenerOpened { .. } | Event::ListenerFailed { .. } | Event::ListenerClosed { .. } => {
            listener(event);
        }
        Event::StrangerLeft { .. } | Event::Flooded { .. } | Event::LoginRefused { .. } => refusal(event),
        Event::PasswordChanged { .. } | Event::PasswordRefused { .. } => password(event),
        Event::SessionOpened { .. } | Event::SessionJoined { .. } | Event::SessionEnded { .. } => {
            session(event);
        }
        Event::AdminOpened { .. }
        | Event::AdminRefused { .. }
        | Event::CertificateChanged { .. }
        | Event::Changed { .. } => admin(event),
        _ => hub(event),
    }
}

fn listener(event: &Event) {
    match event {
        Event::ListenerOpened { address } => info!(%address, "listening"),
        Event::ListenerFailed { address, reason } => warn!(%address, reason, "cannot listen"),
        Event::ListenerClosed { address } => info!(%address, "no longer listening"),
        _ => {}
    }
}

fn refusal(event: &Event) {
    match event {
        Event::StrangerLeft { peer, reason } => info!(%peer, reason, "connection ended before login"),
        Event::Flooded { source, limit } => warn!(%source, limit, "connections turned away"),
        Event::LoginRefused {
            connection,
            peer,
            hub,
            user,
            code,
            reason,
        } => {
            warn!(connection, %peer, hub, user, code = code.code(), reason, "login refused");
        }
        _ => {}
    }
}

fn password(event: &Event) {
    match event {
        Event::PasswordChanged { peer, hub, user } => {
            info!(%peer, hub, user, "password changed by its owner");
        }
        Event::PasswordRefused {
            peer,
            hub,
            user,
            code,
            reason,
        } => {
            warn!(%peer, hub, user, code = code.code(), reason, "change of a password refused");
        }
        _ => {}
    }
}

fn session(event: &Event) {
    match event {
        Event::SessionOpened {
            session,
            connection,
            hub,
            user,
            peer,
            client,
            max_connections,
        } => {
            info!(session, connection, hub, user, %peer, client, max_connections, "session opened");
        }
        Event::SessionJoined {
            session,
            peer,
            connections,
        } => {
            info!(session, %peer, connections, "session got another connection");
        }
        Event::SessionEnded {
            session,
            hub,
            user,
            peer,
            bytes_in,
            bytes_out,
            duration,
            reason,
        } => {
            let seconds = duration.as_secs();
            info!(session, hub, user, %peer, bytes_in, bytes_out, seconds, reason, "session ended");
        }
        _ => {}
    }
}

fn admin(event: &Event) {
    let origin =
        |peer: &Option<std::net::SocketAddr>| peer.map_or("local".to_owned(), |peer| peer.to_string());
    match event {
        Event::AdminOpened { peer, hub } => {
            info!(peer = origin(peer), hub, "administrator logged in");
        }
        Event::AdminRefused {
            peer,
            hub,
            code,
            reason,
        } => {
            warn!(%peer, hub, code = code.code(), reason, "administrator refused");
        }
        Event::CertificateChanged { fingerprint } => info!(certificate = %fingerprint, "certificate changed"),
        Event::Changed { peer, hub, method } => info!(peer = origin(peer), hub, method, "changed"),
        _ => {}
    }
}

fn hub(event: &Event) {
    match event {
        Event::LeaseGiven {
            hub,
            session,
            mac,
            address,
            host_name,
        } => {
            info!(hub, session, %mac, %address, host_name, "address leased");
        }
        Event::PoolExhausted { hub, mac, pool } => {
            warn!(
                hub,
                %mac,
                addresses = pool.addresses,
                leased = pool.leased,
                set_aside = pool.set_aside,
                reserved = pool.reserved,
                "no address left to lease; make the pool larger or the lease time shorter (DhcpSet)"
            );
        }
        Event::PoolAvailable { hub, turned_away } => {
            info!(hub, turned_away, "there are addresses to lease again");
        }
        Event::AddressInUse {
            hub,
            session,
            mac,
            address,
        } => {
            warn!(hub, session, %mac, %address, "an address of the pool is used without a lease; it is left alone for 5 minutes");
        }
        Event::RoutesLeftOut {
            hub,
            session,
            mac,
            limit,
        } => {
            warn!(hub, session, %mac, limit, "a client takes no DHCP message that has room for the pushed routes; it got none of them");
        }
        Event::HubOnline { hub } => info!(hub, "hub online"),
        Event::HubOffline { hub } => info!(hub, "hub offline"),
        Event::LogLinesLost { lines } => warn!(lines, "log lines lost: there were too many"),
        Event::LogsDeleted { files } => warn!(files, "old log files deleted to make room"),
        Event::HealthChanged(HealthChange { rule, target, health }) => match health {
            Health::Down(reason) => warn!(rule, %target, reason, "published host does not answer"),
            _ => info!(rule, %target, "published host answers"),
        },
        Event::PartStarted { hub, part } => info!(hub, part, "started"),
        Event::PartFailed { hub, part, reason } => warn!(hub, part, reason, "cannot start"),
        _ => {}
    }
}
