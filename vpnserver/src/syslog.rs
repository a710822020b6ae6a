//! Sending log lines to a syslog server, in the stock server's form (policies §6): one UDP datagram per line, without RFC 5424's
//! header.
//!
//! Whoever logs never waits: lines that find no room on the way to the socket are dropped, as UDP drops them further on.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::ZonedDateTime;
use tokio::net::{UdpSocket, lookup_host};
use tokio::sync::mpsc::{Sender, channel};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::logfile::date_and_time;
use crate::store::Syslog;

/// Lines that wait to be sent.
const WAITING_LINES: usize = 1_024;
/// The longest datagram.
const MAX_DATAGRAM: usize = 1_023;
/// How long the address of a name is believed, and how long a name that has none is not asked for again.
const ADDRESS_LIFETIME: Duration = Duration::from_secs(300);
const RETRY_AFTER: Duration = Duration::from_secs(10);
/// How long asking for a name may take.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// Which log a line is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin<'a> {
    /// The server's.
    Server,
    /// A hub's security log.
    Security(&'a str),
    /// A hub's packet log.
    Packet(&'a str),
}

impl Origin<'_> {
    /// The level from which lines of this log are sent.
    fn level(&self) -> u32 {
        match self {
            Self::Server => 1,
            Self::Security(_) => 2,
            Self::Packet(_) => 3,
        }
    }

    fn datagram(&self, machine: &str, at: &ZonedDateTime, line: &str) -> Vec<u8> {
        let time = date_and_time(at);
        let text = match self {
            Self::Server => format!("[{machine}/VPN] ({time}) <SERVER_LOG>: {line}"),
            Self::Security(hub) => format!("[{machine}/VPN/{hub}] ({time}) <SECURITY_LOG>: {line}"),
            Self::Packet(hub) => format!("[{machine}/VPN/{hub}] ({time}) <PACKET_LOG>: {line}"),
        };
        let end = (0..=text.len().min(MAX_DATAGRAM))
            .rev()
            .find(|at| text.is_char_boundary(*at));
        text.as_bytes()[..end.unwrap_or(0)].to_vec()
    }
}

/// The way to the syslog server; clones share it. At first there is none.
#[derive(Clone, Default)]
pub struct SyslogSender(Arc<Mutex<Option<Sending>>>);

struct Sending {
    settings: Syslog,
    machine: String,
    lines: Sender<Vec<u8>>,
    task: JoinHandle<()>,
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl SyslogSender {
    /// Sends to this server from now on, or to none if its level is 0. Must be called in the runtime.
    pub fn set(&self, settings: &Syslog) {
        let mut sending = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if settings.level == 0 {
            *sending = None;
        } else if sending
            .as_ref()
            .is_none_or(|sending| sending.settings != *settings)
        {
            let (lines, waiting) = channel(WAITING_LINES);
            let task = tokio::spawn(run(settings.host.clone(), settings.port, waiting));
            *sending = Some(Sending {
                settings: settings.clone(),
                machine: machine_name(),
                lines,
                task,
            });
        }
    }

    /// Sends a line, if lines of this log are wanted there.
    pub fn send(&self, origin: &Origin<'_>, at: &ZonedDateTime, line: &str) {
        let sending = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sending) = sending
            .as_ref()
            .filter(|sending| sending.settings.level >= origin.level())
        {
            let _ = sending
                .lines
                .try_send(origin.datagram(&sending.machine, at, line));
        }
    }
}

/// What this machine calls itself.
#[must_use]
pub fn machine_name() -> String {
    nix::sys::utsname::uname()
        .map(|names| names.nodename().to_string_lossy().into_owned())
        .unwrap_or_default()
}

async fn run(host: String, port: u16, mut waiting: tokio::sync::mpsc::Receiver<Vec<u8>>) {
    let mut target: Option<(UdpSocket, Instant)> = None;
    let mut rests_until = Instant::now();
    while let Some(datagram) = waiting.recv().await {
        let now = Instant::now();
        if target.as_ref().is_none_or(|(_, until)| *until <= now) && rests_until <= now {
            target = connect(&host, port)
                .await
                .map(|socket| (socket, now + ADDRESS_LIFETIME));
            rests_until = Instant::now() + RETRY_AFTER;
        }
        if let Some((socket, _)) = &target {
            // Refused, unreachable, full: datagrams get lost, and this is no place to say so.
            let _ = socket.send(&datagram).await;
        }
    }
}

async fn connect(host: &str, port: u16) -> Option<UdpSocket> {
    let found = timeout(LOOKUP_TIMEOUT, lookup_host((host, port)))
        .await
        .ok()?
        .ok();
    let Some(address) = found.and_then(|mut addresses| addresses.next()) else {
        tracing::warn!(
            host,
            "the syslog server has no address; lines to it are lost meanwhile"
        );
        return None;
    };
    let any: SocketAddr = if address.is_ipv4() {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (Ipv6Addr::UNSPECIFIED, 0).into()
    };
    let socket = UdpSocket::bind(any).await.ok()?;
    socket.connect(address).await.ok()?;
    Some(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_says_whose_log_it_is_and_is_bounded() {
        let at: ZonedDateTime = "2026-11-23T13:01:08.155[UTC]".parse().unwrap();
        let text =
            |origin: Origin<'_>| String::from_utf8(origin.datagram("host", &at, "what happened")).unwrap();
        assert_eq!(
            text(Origin::Server),
            "[host/VPN] (2026-11-23 13:01:08.155) <SERVER_LOG>: what happened"
        );
        assert_eq!(
            text(Origin::Security("lab")),
            "[host/VPN/lab] (2026-11-23 13:01:08.155) <SECURITY_LOG>: what happened"
        );
        assert_eq!(
            text(Origin::Packet("lab")),
            "[host/VPN/lab] (2026-11-23 13:01:08.155) <PACKET_LOG>: what happened"
        );
        let long = Origin::Server.datagram("host", &at, &"é".repeat(2_000));
        assert!(long.len() <= MAX_DATAGRAM && String::from_utf8(long).is_ok());
    }
}
