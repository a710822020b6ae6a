//! The kernel's table of connections, read by netlink (linux/netfilter/nfnetlink_conntrack.h), which needs CAP_NET_ADMIN
//! and no other program.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsRawFd;
use std::time::{Duration, SystemTime};

use nix::errno::Errno;
use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, setsockopt, socket,
};
use nix::sys::time::{TimeVal, TimeValLike};

use crate::event::FlowProtocol;
use crate::net::Ipv4Net;
use crate::packet::{ICMP, TCP, UDP};
use crate::table::{NatEntry, TcpState};

/// Rows given at most.
const MAX_ROWS: usize = 65_536;
/// How long the kernel may take for one part of its answer, seconds.
const PATIENCE: i64 = 5;
/// What one part of the answer fits in: the kernel makes none longer than 32 KiB.
const PART: usize = 64 * 1024;

/// Bytes of the header of a netlink message, of the one of netfilter behind it, and of an attribute's.
const HEADER: usize = 16;
const NETFILTER_HEADER: usize = 4;
const ATTRIBUTE: usize = 4;

/// Types of messages: an error, the end of a list, the order to list connections, a connection.
const ERROR: u16 = 2;
const DONE: u16 = 3;
const LIST: u16 = 0x0101;
const CONNECTION: u16 = 0x0100;
/// Flags of the order: NLM_F_REQUEST and NLM_F_DUMP.
const REQUEST_DUMP: u16 = 0x0301;
/// Of an attribute's type, the bits that are not its number (NLA_F_NESTED, NLA_F_NET_BYTEORDER).
const FLAGS: u16 = 0xc000;

/// Attributes of a connection, and those within them.
const TUPLE_SENT: u16 = 1;
const PROTOCOL_STATE: u16 = 4;
const COUNTERS_SENT: u16 = 9;
const COUNTERS_RECEIVED: u16 = 10;
const ID: u16 = 12;
const TIMES: u16 = 20;
const TUPLE_ADDRESSES: u16 = 1;
const TUPLE_PORTS: u16 = 2;

/// Connections that stations of `hub` have opened to elsewhere. Empty if the kernel does not tell.
pub(crate) async fn entries(hub: Ipv4Net) -> Vec<NatEntry> {
    match tokio::task::spawn_blocking(move || list(hub)).await {
        Ok(Ok(entries)) => entries,
        Ok(Err(error)) => {
            tracing::debug!(%error, "the kernel's connections cannot be read; the NAT table stays empty");
            Vec::new()
        }
        // The runtime is going away.
        Err(_) => Vec::new(),
    }
}

fn list(hub: Ipv4Net) -> io::Result<Vec<NatEntry>> {
    let netlink = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkNetFilter,
    )?;
    setsockopt(&netlink, ReceiveTimeout, &TimeVal::seconds(PATIENCE))?;
    send(netlink.as_raw_fd(), &order(), MsgFlags::empty())?;
    let mut part = vec![0; PART];
    let mut entries = Vec::new();
    loop {
        let length = match recv(netlink.as_raw_fd(), &mut part, MsgFlags::empty()) {
            Err(Errno::EINTR) => continue,
            received => received?,
        };
        for (kind, body) in messages(&part[..length]) {
            match kind {
                DONE => return Ok(entries),
                ERROR => {
                    let number = body.first_chunk().map_or(0, |code| i32::from_ne_bytes(*code));
                    return Err(io::Error::from_raw_os_error(-number));
                }
                CONNECTION if entries.len() < MAX_ROWS => {
                    let leaves = |entry: &NatEntry| {
                        hub.contains(*entry.client.ip()) && !hub.contains(*entry.destination.ip())
                    };
                    entries.extend(connection(body).filter(leaves));
                }
                _ => {}
            }
        }
    }
}

/// The order to list all connections of IPv4.
fn order() -> [u8; HEADER + NETFILTER_HEADER] {
    let mut message = [0; HEADER + NETFILTER_HEADER];
    let length = message.len() as u32;
    message[..4].copy_from_slice(&length.to_ne_bytes());
    message[4..6].copy_from_slice(&LIST.to_ne_bytes());
    message[6..8].copy_from_slice(&REQUEST_DUMP.to_ne_bytes());
    message[HEADER] = AddressFamily::Inet as u8;
    message
}

/// The messages in what was received: their types and what is behind their headers.
fn messages(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = u32::from_ne_bytes(*bytes.first_chunk()?) as usize;
        let kind = u16::from_ne_bytes([*bytes.get(4)?, *bytes.get(5)?]);
        let body = bytes.get(HEADER..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, body))
    })
}

/// The attributes in `bytes`: their numbers and values.
fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(*bytes.first_chunk()?));
        let kind = u16::from_ne_bytes([*bytes.get(2)?, *bytes.get(3)?]) & !FLAGS;
        let value = bytes.get(ATTRIBUTE..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

fn attribute(bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    attributes(bytes).find_map(|(kind, value)| (kind == wanted).then_some(value))
}

/// The row of a connection, if it is of a protocol that we know. The first tuple is the direction that opened it.
fn connection(body: &[u8]) -> Option<NatEntry> {
    let attributes = body.get(NETFILTER_HEADER..)?;
    let number = |bytes: &[u8]| bytes.first_chunk().map(|word| u64::from_be_bytes(*word));
    let within = |outer, inner| attribute(attribute(attributes, outer)?, inner);
    let bytes = |counters| within(counters, 2).and_then(number);
    let tuple = Tuple::read(attribute(attributes, TUPLE_SENT)?)?;
    let state = within(PROTOCOL_STATE, 1).and_then(|tcp| attribute(tcp, 1)?.first().copied());
    let id = attribute(attributes, ID)?.first_chunk()?;
    Some(NatEntry {
        id: u32::from_be_bytes(*id).into(),
        protocol: tuple.protocol,
        client: tuple.source,
        destination: tuple.destination,
        opened: within(TIMES, 1)
            .and_then(number)
            .map(|since| SystemTime::UNIX_EPOCH + Duration::from_nanos(since)),
        last_active: None,
        sent: bytes(COUNTERS_SENT),
        received: bytes(COUNTERS_RECEIVED),
        tcp_state: state.and_then(tcp_state),
    })
}

struct Tuple {
    protocol: FlowProtocol,
    source: SocketAddrV4,
    destination: SocketAddrV4,
}

impl Tuple {
    fn read(bytes: &[u8]) -> Option<Self> {
        let (addresses, ports) = (attribute(bytes, TUPLE_ADDRESSES)?, attribute(bytes, TUPLE_PORTS)?);
        let address = |kind| {
            let octets: &[u8; 4] = attribute(addresses, kind)?.first_chunk()?;
            Some(Ipv4Addr::from(*octets))
        };
        let port = |kind| {
            let port: &[u8; 2] = attribute(ports, kind)?.first_chunk()?;
            Some(u16::from_be_bytes(*port))
        };
        let (protocol, source, destination) = match *attribute(ports, 1)?.first()? {
            TCP => (FlowProtocol::Tcp, port(2)?, port(3)?),
            UDP => (FlowProtocol::Udp, port(2)?, port(3)?),
            // A ping's identifier stands for both ports.
            ICMP => (FlowProtocol::Icmp, port(4)?, port(4)?),
            _ => return None,
        };
        Some(Tuple {
            protocol,
            source: SocketAddrV4::new(address(1)?, source),
            destination: SocketAddrV4::new(address(2)?, destination),
        })
    }
}

/// The states of linux/netfilter/nf_conntrack_tcp.h.
fn tcp_state(state: u8) -> Option<TcpState> {
    match state {
        // SYN_SENT, SYN_RECV, SYN_SENT2
        1 | 2 | 9 => Some(TcpState::Connecting),
        3 => Some(TcpState::Established),
        // FIN_WAIT, CLOSE_WAIT, LAST_ACK, TIME_WAIT, CLOSE
        4..=8 => Some(TcpState::Closing),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = (4 + value.len() as u16).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn nested(kind: u16, values: &[Vec<u8>]) -> Vec<u8> {
        attribute(kind | 0x8000, &values.concat())
    }

    fn tuple(protocol: u8, ports: &[Vec<u8>]) -> Vec<u8> {
        let addresses = nested(
            1,
            &[attribute(1, &[192, 168, 30, 10]), attribute(2, &[10, 0, 1, 26])],
        );
        let ports = nested(2, &[&[attribute(1, &[protocol])], ports].concat());
        nested(1, &[addresses, ports])
    }

    fn row(values: &[Vec<u8>]) -> Option<NatEntry> {
        connection(&[&[2, 0, 0, 0][..], &values.concat()].concat())
    }

    #[test]
    fn a_connection_of_tcp_is_understood_with_what_it_carried() {
        let counter = |kind, bytes: u64| {
            nested(
                kind,
                &[
                    attribute(1, &7_u64.to_be_bytes()),
                    attribute(2, &bytes.to_be_bytes()),
                ],
            )
        };
        let since = Duration::from_secs(1_790_000_000);
        let tcp = row(&[
            tuple(
                6,
                &[
                    attribute(2, &40_000_u16.to_be_bytes()),
                    attribute(3, &80_u16.to_be_bytes()),
                ],
            ),
            nested(4, &[nested(1, &[attribute(1, &[3])])]),
            counter(9, 400),
            counter(10, 9000),
            attribute(12, &77_u32.to_be_bytes()),
            nested(20, &[attribute(1, &(since.as_nanos() as u64).to_be_bytes())]),
        ]);
        assert_eq!(
            tcp,
            Some(NatEntry {
                id: 77,
                protocol: FlowProtocol::Tcp,
                client: "192.168.30.10:40000".parse().unwrap(),
                destination: "10.0.1.26:80".parse().unwrap(),
                opened: Some(SystemTime::UNIX_EPOCH + since),
                last_active: None,
                sent: Some(400),
                received: Some(9000),
                tcp_state: Some(TcpState::Established),
            })
        );
    }

    #[test]
    fn a_ping_is_known_by_its_identifier_and_others_not_at_all() {
        let id = attribute(12, &[0, 0, 0, 1]);
        let ping = row(&[tuple(1, &[attribute(4, &[0, 77])]), id.clone()]).unwrap();
        assert_eq!(
            (ping.protocol, ping.client.port(), ping.sent, ping.tcp_state),
            (FlowProtocol::Icmp, 77, None, None)
        );
        assert_eq!(row(&[tuple(47, &[]), id]), None, "GRE");
    }

    proptest! {
        #[test]
        fn nothing_that_comes_does_harm(bytes: Vec<u8>) {
            for (_, body) in messages(&bytes) {
                let _ = connection(body);
            }
            let _ = connection(&bytes);
        }
    }
}
