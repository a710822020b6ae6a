//! The kernel's table of connections, as far as this process may read it.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use crate::event::FlowProtocol;
use crate::net::Ipv4Net;
use crate::table::{NatEntry, TcpState};

/// Where the kernel shows it, if it was built to.
const PATH: &str = "/proc/net/nf_conntrack";
/// How long the program may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Rows given at most.
const MAX_ROWS: usize = 65_536;

/// Connections that stations of `hub` have opened to elsewhere. Empty if the kernel does not show them.
pub(crate) async fn entries(hub: Ipv4Net) -> Vec<NatEntry> {
    let Some(text) = listing().await else {
        tracing::debug!("the kernel's connections cannot be read; the NAT table stays empty");
        return Vec::new();
    };
    let rows = text
        .lines()
        .filter_map(parse)
        .filter(|row| hub.contains(*row.client.ip()));
    rows.take(MAX_ROWS)
        .zip(1..)
        .map(|(row, id)| NatEntry { id, ..row })
        .collect()
}

/// The file is the machine administrator's alone; in a container the program `conntrack` may still be allowed to ask.
async fn listing() -> Option<String> {
    if let Ok(text) = tokio::fs::read_to_string(PATH).await {
        return Some(text);
    }
    let mut program = Command::new("conntrack");
    let list = program
        .args(["-L", "-f", "ipv4", "-o", "extended"])
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = timeout(PATIENCE, list.output()).await.ok()?.ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// One line, such as `ipv4 2 tcp 6 431999 ESTABLISHED src=.. dst=.. sport=.. dport=.. [packets=.. bytes=..] src=..`.
/// The first direction is the one that opened the connection.
fn parse(line: &str) -> Option<NatEntry> {
    let mut words = line.split_whitespace();
    if words.next()? != "ipv4" {
        return None;
    }
    let protocol = match words.nth(1)? {
        "tcp" => FlowProtocol::Tcp,
        "udp" => FlowProtocol::Udp,
        "icmp" => FlowProtocol::Icmp,
        _ => return None,
    };
    let mut directions: [Direction; 2] = Default::default();
    let mut seen = 0;
    let mut state = None;
    for word in words {
        match word.split_once('=') {
            Some(("src", value)) => {
                seen += 1;
                directions.get_mut(seen - 1)?.source = value.parse().ok();
            }
            Some((key, value)) if seen > 0 => directions[seen - 1].set(key, value),
            None if state.is_none()
                && word
                    .chars()
                    .all(|c| c.is_ascii_uppercase() || c == '_' || c.is_ascii_digit()) =>
            {
                state = tcp_state(word).or(state);
            }
            _ => {}
        }
    }
    let [sent, received] = directions;
    Some(NatEntry {
        id: 0,
        protocol,
        client: SocketAddrV4::new(sent.source?, sent.source_port),
        destination: SocketAddrV4::new(sent.destination?, sent.destination_port),
        opened: None,
        last_active: None,
        sent: sent.bytes,
        received: received.bytes,
        tcp_state: state.filter(|_| protocol == FlowProtocol::Tcp),
    })
}

#[derive(Debug, Default)]
struct Direction {
    source: Option<Ipv4Addr>,
    destination: Option<Ipv4Addr>,
    source_port: u16,
    destination_port: u16,
    bytes: Option<u64>,
}

impl Direction {
    fn set(&mut self, key: &str, value: &str) {
        match key {
            "dst" => self.destination = value.parse().ok(),
            "sport" => self.source_port = value.parse().unwrap_or(0),
            "dport" => self.destination_port = value.parse().unwrap_or(0),
            // A ping's identifier stands for both ports.
            "id" => {
                self.source_port = value.parse().unwrap_or(0);
                self.destination_port = self.source_port;
            }
            "bytes" => self.bytes = value.parse().ok(),
            _ => {}
        }
    }
}

fn tcp_state(word: &str) -> Option<TcpState> {
    match word {
        "SYN_SENT" | "SYN_RECV" | "SYN_SENT2" => Some(TcpState::Connecting),
        "ESTABLISHED" => Some(TcpState::Established),
        "FIN_WAIT" | "CLOSE_WAIT" | "LAST_ACK" | "TIME_WAIT" | "CLOSE" => Some(TcpState::Closing),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_kernel_are_understood() {
        let tcp = parse(
            "ipv4     2 tcp      6 431998 ESTABLISHED src=192.168.30.10 dst=10.0.1.26 sport=40000 dport=80 packets=5 \
             bytes=400 src=10.0.1.26 dst=10.0.1.1 sport=80 dport=40000 packets=4 bytes=9000 [ASSURED] mark=0 zone=0 use=2",
        )
        .unwrap();
        assert_eq!(tcp.client, "192.168.30.10:40000".parse().unwrap());
        assert_eq!(tcp.destination, "10.0.1.26:80".parse().unwrap());
        assert_eq!(
            (tcp.sent, tcp.received, tcp.tcp_state),
            (Some(400), Some(9000), Some(TcpState::Established))
        );
        let ping = parse(
            "ipv4     2 icmp     1 29 src=192.168.30.10 dst=10.0.1.26 type=8 code=0 id=77 src=10.0.1.26 dst=10.0.1.1 \
             type=0 code=0 id=77 mark=0 use=1",
        )
        .unwrap();
        assert_eq!(
            (ping.protocol, ping.client.port(), ping.sent),
            (FlowProtocol::Icmp, 77, None)
        );
        let unanswered = parse(
            "ipv4 2 udp 17 29 src=192.168.30.10 dst=1.1.1.1 sport=5 dport=53 [UNREPLIED] src=1.1.1.1 dst=10.0.1.1 \
             sport=53 dport=5 mark=0 use=1",
        )
        .unwrap();
        assert_eq!(unanswered.protocol, FlowProtocol::Udp);
    }

    #[test]
    fn other_lines_are_skipped() {
        for line in [
            "",
            "ipv6 10 tcp 6 1 ESTABLISHED src=::1 dst=::1",
            "ipv4 2 unknown 99 1 src=1.1.1.1",
            "ipv4 2 tcp 6 1",
            "ipv4 2 tcp 6 1 src=1.1.1.1 src=1.1.1.1 src=1.1.1.1",
        ] {
            assert!(parse(line).is_none(), "{line}");
        }
    }
}
