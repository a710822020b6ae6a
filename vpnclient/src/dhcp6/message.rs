//! The messages of DHCPv6 as a client needs them: what a server says, and what we ask (RFC 8415 sections 8 and 21).
//!
//! What a server says is taken apart here, byte by byte, as with IPv4; what we send is built by dhcproto.

use std::net::Ipv6Addr;
use std::time::Duration;

use dhcproto::v6::{DhcpOption, DhcpOptions, IAAddr, IANA, Message, MessageType, ORO, OptionCode};
use dhcproto::{Encodable, Encoder};

use crate::dhcp::search_list;

const ADVERTISE: u8 = 2;
const REPLY: u8 = 7;

const CLIENT_ID: u16 = 1;
const SERVER_ID: u16 = 2;
const IA_NA: u16 = 3;
const IA_ADDRESS: u16 = 5;
const PREFERENCE: u16 = 7;
const STATUS: u16 = 13;
const NAME_SERVERS: u16 = 23;
const SEARCH_LIST: u16 = 24;
const REFRESH_TIME: u16 = 32;

/// The longest DUID (RFC 8415 section 11.1).
const MAX_DUID: usize = 130;
const MAX_SERVERS: usize = 4;
const MAX_SEARCH: usize = 8;

/// The status of what went well.
pub(super) const SUCCESS: u16 = 0;
/// The server does not know the lease.
pub(super) const NO_BINDING: u16 = 3;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asker {
    duid: Vec<u8>,
    identity: u32,
}

impl Asker {
    /// By the hardware address, which is always the same (DUID-LL, RFC 8415 section 11.4).
    pub(super) fn new(mac: [u8; 6]) -> Self {
        let mut duid = vec![0, 3, 0, 1];
        duid.extend(mac);
        let [_, _, a, b, c, d] = mac;
        Self {
            duid,
            identity: u32::from_be_bytes([a, b, c, d]),
        }
    }
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask<'a> {
    Information,
    Solicit,
    Request(Ipv6Addr, &'a [u8]),
    Renew(Ipv6Addr, &'a [u8]),
    Rebind(Ipv6Addr),
    Release(Ipv6Addr, &'a [u8]),
}

/// What a server says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// Whether it is an offer only.
    pub(super) is_offer: bool,
    pub(super) server: Vec<u8>,
    pub(super) preference: u8,
    /// Of the message, or of the addresses if that went well.
    pub(super) status: u16,
    pub(super) grant: Option<Grant>,
    pub(super) dns: Vec<Ipv6Addr>,
    pub(super) search: Vec<String>,
    /// Seconds after which to ask again.
    pub(super) refresh: Option<u32>,
}

/// An address, with its times in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) address: Ipv6Addr,
    pub(super) preferred: u32,
    pub(super) valid: u32,
    pub(super) renew: u32,
    pub(super) rebind: u32,
}

/// The bytes of a question, `elapsed` after the first of its kind.
pub(super) fn build(asker: &Asker, xid: [u8; 3], elapsed: Duration, ask: Ask<'_>) -> Vec<u8> {
    let (kind, address, server) = match ask {
        Ask::Information => (MessageType::InformationRequest, None, None),
        Ask::Solicit => (MessageType::Solicit, None, None),
        Ask::Request(address, server) => (MessageType::Request, Some(address), Some(server)),
        Ask::Renew(address, server) => (MessageType::Renew, Some(address), Some(server)),
        Ask::Rebind(address) => (MessageType::Rebind, Some(address), None),
        Ask::Release(address, server) => (MessageType::Release, Some(address), Some(server)),
    };
    let mut message = Message::new_with_id(kind, xid);
    let options = message.opts_mut();
    options.insert(DhcpOption::ClientId(asker.duid.clone()));
    if let Some(server) = server {
        options.insert(DhcpOption::ServerId(server.to_vec()));
    }
    let hundredths = u16::try_from(elapsed.as_millis() / 10).unwrap_or(u16::MAX);
    options.insert(DhcpOption::ElapsedTime(hundredths));
    if ask != Ask::Information {
        let addresses = address.map(|addr| {
            DhcpOption::IAAddr(IAAddr {
                addr,
                preferred_life: 0,
                valid_life: 0,
                opts: DhcpOptions::new(),
            })
        });
        options.insert(DhcpOption::IANA(IANA {
            id: asker.identity,
            t1: 0,
            t2: 0,
            opts: addresses.into_iter().collect(),
        }));
    }
    if !matches!(ask, Ask::Release(..)) {
        let mut wanted = vec![OptionCode::DomainNameServers, OptionCode::DomainSearchList];
        if ask == Ask::Information {
            wanted.push(OptionCode::InformationRefreshTime);
        }
        options.insert(DhcpOption::ORO(ORO { opts: wanted }));
    }
    let mut bytes = Vec::new();
    // Writing into memory of our own does not fail; an empty message is nothing to a server.
    if message.encode(&mut Encoder::new(&mut bytes)).is_err() {
        bytes.clear();
    }
    bytes
}

/// Takes a server's message apart if it answers the question `xid` of this asker (RFC 8415 sections 16.3 and 16.10).
pub(super) fn parse(bytes: &[u8], xid: [u8; 3], asker: &Asker) -> Option<Said> {
    let (&[kind, x0, x1, x2], options) = bytes.split_first_chunk()?;
    if !matches!(kind, ADVERTISE | REPLY) || [x0, x1, x2] != xid {
        return None;
    }
    let mut said = Said {
        is_offer: kind == ADVERTISE,
        ..Said::default()
    };
    let mut ours = false;
    let mut of_addresses = SUCCESS;
    for option in Options(options) {
        let (code, content) = option?;
        match code {
            CLIENT_ID => ours = content == asker.duid,
            SERVER_ID if content.len() <= MAX_DUID => said.server = content.to_vec(),
            PREFERENCE => said.preference = *content.first()?,
            STATUS => said.status = u16_at(content, 0)?,
            IA_NA if u32_at(content, 0)? == asker.identity && said.grant.is_none() => {
                (said.grant, of_addresses) = grant(content)?;
            }
            NAME_SERVERS => {
                let (addresses, _) = content.as_chunks::<16>();
                let usable = addresses.iter().map(|octets| Ipv6Addr::from(*octets));
                said.dns
                    .extend(usable.filter(|ip| is_host(*ip)).take(MAX_SERVERS));
            }
            SEARCH_LIST => said.search = search_list(content, MAX_SEARCH),
            REFRESH_TIME => said.refresh = u32_at(content, 0),
            _ => {}
        }
    }
    if said.status == SUCCESS {
        said.status = of_addresses;
    }
    (ours && !said.server.is_empty()).then_some(said)
}

/// The first address of an association that holds, and the association's status.
fn grant(content: &[u8]) -> Option<(Option<Grant>, u16)> {
    let (renew, rebind) = (u32_at(content, 4)?, u32_at(content, 8)?);
    let (mut granted, mut status) = (None, SUCCESS);
    for option in Options(content.get(12..)?) {
        let (code, content) = option?;
        match code {
            STATUS => status = u16_at(content, 0)?,
            IA_ADDRESS if granted.is_none() => {
                let octets: [u8; 16] = content.get(..16)?.try_into().ok()?;
                let (preferred, valid) = (u32_at(content, 16)?, u32_at(content, 20)?);
                let address = Ipv6Addr::from(octets);
                if is_host(address) && preferred <= valid && valid > 0 {
                    granted = Some(Grant {
                        address,
                        preferred,
                        valid,
                        renew,
                        rebind,
                    });
                }
            }
            _ => {}
        }
    }
    Some((granted.filter(|_| status == SUCCESS), status))
}

fn is_host(ip: Ipv6Addr) -> bool {
    !ip.is_unspecified() && !ip.is_loopback() && !ip.is_multicast() && !ip.is_unicast_link_local()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// The options of a message; one `None` at the end if they are cut short.
struct Options<'a>(&'a [u8]);

impl<'a> Iterator for Options<'a> {
    type Item = Option<(u16, &'a [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let option = (|| {
            let (code, len) = (u16_at(self.0, 0)?, u16_at(self.0, 2)?);
            let (content, rest) = self.0.get(4..)?.split_at_checked(len.into())?;
            Some((code, content, rest))
        })();
        self.0 = option.map_or(&[], |(_, _, rest)| rest);
        Some(option.map(|(code, content, _)| (code, content)))
    }
}
