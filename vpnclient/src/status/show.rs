//! A status as people read it.

use std::time::{Duration, SystemTime};

use super::board::millis;
use super::{State, Status, Udp};
use crate::report::human;

/// Routes that are named before the rest is only counted.
const ROUTES: usize = 4;

/// What was carried a second, in bytes received and sent.
pub(super) type Rates = (f64, f64);

/// The connections, a block of lines each, as of `now`; with what they carried a second, where that is known.
#[must_use]
pub fn show(clients: &[Status], rates: &[Option<Rates>], now: SystemTime) -> String {
    let rates = rates.iter().copied().chain(std::iter::repeat(None));
    let blocks: Vec<_> = clients
        .iter()
        .zip(rates)
        .map(|(status, rates)| block(status, rates, millis(now)))
        .collect();
    blocks.join("\n")
}

fn block(status: &Status, rates: Option<Rates>, now: u64) -> String {
    let mut lines = vec![head(status, now)];
    let mut line = |name: &str, text: String| lines.push(format!("  {name:<9} {text}"));
    if let Some(error) = &status.error {
        line("reason", error.clone());
    }
    line("server", server(status));
    if let Some(message) = &status.message {
        line("message", message.replace('\n', " / "));
    }
    if let Some(address) = &status.address {
        let device = status.device.as_deref().unwrap_or_default();
        line("address", format!("{address} on {device}"));
    }
    if !status.routes.is_empty() {
        line("routes", some_of(&status.routes));
    }
    if !status.dns.is_empty() {
        line("names", status.dns.join(", "));
    }
    if status.sessions > 0 {
        line(
            "received",
            carried(status.bytes_received, status.frames_received, rates.map(|r| r.0)),
        );
        line(
            "sent",
            carried(status.bytes_sent, status.frames_sent, rates.map(|r| r.1)),
        );
        line("path", path(status));
    }
    lines.push(String::new());
    lines.join("\n")
}

fn head(status: &Status, now: u64) -> String {
    let kind = if status.account { " (account)" } else { "" };
    let since = Duration::from_millis(now.saturating_sub(status.since_ms));
    let mut text = format!("{}{kind}: {}", status.name, status.state.words());
    if status.since_ms != 0 {
        text += &format!(" for {}", human(since));
    }
    if let Some(next) = status.next_try_ms {
        text += &format!(
            ", next try in {}",
            human(Duration::from_millis(next.saturating_sub(now)))
        );
    }
    text
}

fn server(status: &Status) -> String {
    let mut text = format!("{}, hub {} as {}", status.server, status.hub, status.user);
    if !status.product.is_empty() {
        text += &format!("; {}", status.product);
    }
    if let Some(session) = &status.session {
        text += &format!("; session {session}");
    }
    text
}

fn some_of(routes: &[String]) -> String {
    let named = routes.iter().take(ROUTES).cloned().collect::<Vec<_>>().join(", ");
    match routes.len().saturating_sub(ROUTES) {
        0 => named,
        more => format!("{named}, and {more} more"),
    }
}

fn carried(bytes: u64, frames: u64, rate: Option<f64>) -> String {
    let mut text = format!("{} in {frames} frames", size(bytes));
    if let Some(rate) = rate {
        text += &format!(", {}", speed(rate));
    }
    text
}

fn path(status: &Status) -> String {
    let mut text = format!(
        "{} of {} TCP connections",
        status.connections, status.max_connections
    );
    if let Some(rtt) = status.rtt_ms {
        text += &format!(", RTT {rtt:.1} ms");
    }
    text += &format!(
        ", {} retransmits, {} frames dropped",
        status.retransmits, status.dropped
    );
    text += match status.udp {
        Udp::Off => "",
        Udp::StandBy => ", UDP stands by",
        Udp::InUse => ", by UDP",
    };
    if status.state != State::Connected && status.connections == 0 {
        text += " (no connection)";
    }
    text
}

/// Bytes as people say them, in powers of 1,000.
fn size(bytes: u64) -> String {
    #[allow(clippy::cast_precision_loss)] // three digits are shown
    scaled(bytes as f64, "B")
}

/// Bytes a second in bits, as networks are measured.
fn speed(bytes: f64) -> String {
    scaled(bytes * 8.0, "bit/s")
}

fn scaled(number: f64, unit: &str) -> String {
    let steps = [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
    match steps.into_iter().find(|(step, _)| number >= *step) {
        Some((step, prefix)) => format!("{:.1} {prefix}{unit}", number / step),
        None => format!("{number:.0} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_reads_well() {
        let status = Status {
            name: "office".into(),
            account: true,
            state: State::Connected,
            since_ms: 1_000,
            server: "vpn.example.org:443".into(),
            product: "Hubward".into(),
            hub: "lab".into(),
            user: "alice".into(),
            session: Some("SID-ALICE-1".into()),
            sessions: 1,
            device: Some("vpn_lab".into()),
            address: Some("10.0.0.5/24".into()),
            routes: (0..6).map(|n| format!("10.{n}.0.0/16")).collect(),
            dns: vec!["10.0.0.1".into()],
            connections: 2,
            max_connections: 8,
            bytes_received: 20_743_540,
            frames_received: 1_800,
            bytes_sent: 999,
            frames_sent: 3,
            rtt_ms: Some(12.34),
            retransmits: 4,
            udp: Udp::StandBy,
            ..Status::default()
        };
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(91);
        assert_eq!(
            show(&[status], &[Some((1_250_000.0, 10.0))], now),
            "office (account): connected for 1 min 30 s\n  \
             server    vpn.example.org:443, hub lab as alice; Hubward; session SID-ALICE-1\n  \
             address   10.0.0.5/24 on vpn_lab\n  \
             routes    10.0.0.0/16, 10.1.0.0/16, 10.2.0.0/16, 10.3.0.0/16, and 2 more\n  \
             names     10.0.0.1\n  \
             received  20.7 MB in 1800 frames, 10.0 Mbit/s\n  \
             sent      999 B in 3 frames, 80 bit/s\n  \
             path      2 of 8 TCP connections, RTT 12.3 ms, 4 retransmits, 0 frames dropped, UDP stands by\n"
        );
    }

    #[test]
    fn what_waits_says_why_and_until_when() {
        let status = Status {
            name: "office".into(),
            state: State::Waiting,
            since_ms: 1_000,
            next_try_ms: Some(9_000),
            error: Some("vpn.example.org cannot be reached".into()),
            server: "vpn.example.org:443".into(),
            hub: "lab".into(),
            user: "alice".into(),
            ..Status::default()
        };
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(4);
        assert_eq!(
            show(&[status], &[], now),
            "office: waiting to try again for 3.0 s, next try in 5.0 s\n  \
             reason    vpn.example.org cannot be reached\n  server    vpn.example.org:443, hub lab as alice\n"
        );
    }
}
