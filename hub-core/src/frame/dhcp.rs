//! DHCP for IPv4: who says something, and the one message a hub listens for, a server's acknowledgement.

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::MacAddr;

/// An address that a DHCP server has confirmed to a client (RFC 2131 §4.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DhcpAck {
    /// The client's Ethernet address.
    pub client: MacAddr,
    /// The client's address from now on.
    pub address: Ipv4Addr,
    /// The server, if it names itself.
    pub server: Option<Ipv4Addr>,
    /// How long the client may keep the address.
    pub lease_time: Option<Duration>,
}

/// Who says something in DHCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DhcpSide {
    /// A client.
    Client,
    /// A server.
    Server,
}

impl DhcpSide {
    /// Reads a BOOTP message; `None` if it is not one of DHCP.
    pub(super) fn of(message: &[u8]) -> Option<Self> {
        match (message.first()?, message.get(236..240)?) {
            (1, COOKIE) => Some(Self::Client),
            (2, COOKIE) => Some(Self::Server),
            _ => None,
        }
    }
}

/// What tells DHCP's options from older ones (RFC 2131 §3).
const COOKIE: &[u8] = &[0x63, 0x82, 0x53, 0x63];

impl DhcpAck {
    /// Reads a BOOTP message (the payload of a UDP datagram); `None` if it is anything but an acknowledgement
    /// with an address. An acknowledged INFORM has none.
    pub(super) fn parse(message: &[u8]) -> Option<Self> {
        /// Reply, Ethernet, address length 6.
        const REPLY_ETHERNET: [u8; 3] = [2, 1, 6];
        const ACK: u8 = 5;

        let (fixed, options) = message.split_at_checked(240)?;
        if !fixed.starts_with(&REPLY_ETHERNET) || !fixed.ends_with(COOKIE) {
            return None;
        }
        let options = Options::read(options);
        let address = Ipv4Addr::from(*fixed.get(16..)?.first_chunk::<4>()?);
        let client = MacAddr::read(fixed, 28)?;
        if options.message_type != Some(ACK) || address.is_unspecified() || !client.is_unicast() {
            return None;
        }
        Some(Self {
            client,
            address,
            server: options.server,
            lease_time: options.lease_time,
        })
    }
}

/// The options that matter here.
#[derive(Default)]
struct Options {
    message_type: Option<u8>,
    server: Option<Ipv4Addr>,
    lease_time: Option<Duration>,
}

impl Options {
    /// Reads up to the end mark or the first option that runs past the message (RFC 2132 §2).
    fn read(mut rest: &[u8]) -> Self {
        const PAD: u8 = 0;
        const LEASE_TIME: u8 = 51;
        const MESSAGE_TYPE: u8 = 53;
        const SERVER: u8 = 54;
        const END: u8 = 255;

        let mut options = Self::default();
        while let [code, after @ ..] = rest {
            match *code {
                PAD => {
                    rest = after;
                    continue;
                }
                END => break,
                _ => {}
            }
            let Some((len, after)) = after.split_first() else {
                break;
            };
            let Some((value, after)) = after.split_at_checked(usize::from(*len)) else {
                break;
            };
            match (*code, value) {
                (MESSAGE_TYPE, [kind]) => options.message_type = Some(*kind),
                (SERVER, &[a, b, c, d]) => options.server = Some(Ipv4Addr::new(a, b, c, d)),
                (LEASE_TIME, &[a, b, c, d]) => {
                    let seconds = u32::from_be_bytes([a, b, c, d]);
                    options.lease_time = Some(Duration::from_secs(seconds.into()));
                }
                _ => {}
            }
            rest = after;
        }
        options
    }
}
