//! The messages of DHCP as a client needs them: what a server says, and what we ask.
//!
//! A server's message is taken apart here, byte by byte: dhcproto's decoder asserts the lengths of some options,
//! and a debug build must not be ended by a server's malice. What we send is built by dhcproto.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use dhcproto::v4::{DhcpOption, HType, Message, MessageType, Opcode, OptionCode};
use dhcproto::{Encodable, Encoder};

use super::lease::{ClasslessRoute, Lease};
use super::names;

/// Offsets in the fixed part (RFC 2131 section 2).
const XID: usize = 4;
const YOUR_IP: usize = 16;
const HARDWARE: usize = 28;
const SERVER_NAME: std::ops::Range<usize> = 44..108;
const BOOT_FILE: std::ops::Range<usize> = 108..236;
const COOKIE: std::ops::Range<usize> = 236..240;

/// Lists longer than this are cut off: nobody means them. How many routes are taken is decided where they are set.
const MAX_ROUTES: usize = 4096;
const MAX_SERVERS: usize = 8;
const MAX_SEARCH: usize = 16;

/// Leases shorter than this are taken for this long, so that no server can make us ask without pause.
const MIN_LEASE: Duration = Duration::from_secs(10);
const INFINITE: u32 = u32::MAX;

/// What a server says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    /// "You may have this."
    Offer(Lease),
    /// "You have this."
    Ack(Lease),
    /// "You may not have that", with the server's reason.
    Nak(String),
}

/// Takes a server's message apart if it answers the transaction `xid` of this hardware address and makes sense.
pub(super) fn parse(bytes: &[u8], xid: u32, mac: [u8; 6]) -> Option<Reply> {
    const REPLY: u8 = 2;
    const ETHERNET: u8 = 1;
    if bytes.get(COOKIE)? != dhcproto::v4::MAGIC
        || bytes[..3] != [REPLY, ETHERNET, 6]
        || bytes[XID..XID + 4] != xid.to_be_bytes()
        || bytes[HARDWARE..HARDWARE + 6] != mac
    {
        return None;
    }
    let options = Options::of(bytes);
    let kind = options.number::<1>(OptionCode::MessageType)?;
    match MessageType::from(kind as u8) {
        MessageType::Offer => Some(Reply::Offer(lease(address_at(bytes, YOUR_IP), &options)?)),
        MessageType::Ack => Some(Reply::Ack(lease(address_at(bytes, YOUR_IP), &options)?)),
        MessageType::Nak => Some(Reply::Nak(options.text(OptionCode::Message))),
        _ => None,
    }
}

/// The options of a message by their number, with the pieces of long ones joined (RFC 3396).
struct Options(BTreeMap<u8, Vec<u8>>);

impl Options {
    fn of(bytes: &[u8]) -> Self {
        let mut options = Self(BTreeMap::new());
        options.read(&bytes[COOKIE.end..]);
        // Option 52 says that the name fields hold options as well: 1 the file, 2 the server name, 3 both.
        let overload = options.number::<1>(OptionCode::OptionOverload).unwrap_or(0);
        if overload & 1 != 0 {
            options.read(&bytes[BOOT_FILE]);
        }
        if overload & 2 != 0 {
            options.read(&bytes[SERVER_NAME]);
        }
        options
    }

    fn read(&mut self, mut bytes: &[u8]) {
        const PAD: u8 = 0;
        const END: u8 = 255;
        while let Some((code, rest)) = bytes.split_first() {
            bytes = match *code {
                END => return,
                PAD => rest,
                code => {
                    let Some((len, rest)) = rest.split_first() else {
                        return;
                    };
                    let Some((data, rest)) = rest.split_at_checked(usize::from(*len)) else {
                        return;
                    };
                    self.0.entry(code).or_default().extend_from_slice(data);
                    rest
                }
            };
        }
    }

    fn bytes(&self, code: OptionCode) -> &[u8] {
        self.0.get(&u8::from(code)).map_or(&[], Vec::as_slice)
    }

    /// A number of exactly `N` bytes.
    fn number<const N: usize>(&self, code: OptionCode) -> Option<u32> {
        let bytes: [u8; N] = self.bytes(code).try_into().ok()?;
        Some(
            bytes
                .iter()
                .fold(0, |number, byte| number << 8 | u32::from(*byte)),
        )
    }

    fn address(&self, code: OptionCode) -> Option<Ipv4Addr> {
        self.number::<4>(code).map(Ipv4Addr::from_bits)
    }

    fn addresses(&self, code: OptionCode) -> Vec<Ipv4Addr> {
        let (addresses, _) = self.bytes(code).as_chunks::<4>();
        let usable = addresses
            .iter()
            .map(|bytes| Ipv4Addr::from(*bytes))
            .filter(|ip| is_host(*ip));
        usable.take(MAX_SERVERS).collect()
    }

    fn text(&self, code: OptionCode) -> String {
        let text = String::from_utf8_lossy(self.bytes(code));
        text.trim_end_matches('\0')
            .chars()
            .filter(|c| !c.is_control())
            .collect()
    }

    fn seconds(&self, code: OptionCode) -> Option<Duration> {
        self.number::<4>(code)
            .map(|seconds| Duration::from_secs(seconds.into()))
    }
}

/// What a server offers, or `None` when it cannot be used: no server to answer, or an address no host can have.
fn lease(address: Ipv4Addr, options: &Options) -> Option<Lease> {
    let server = options
        .address(OptionCode::ServerIdentifier)
        .filter(|ip| is_host(*ip))?;
    if !is_host(address) {
        return None;
    }
    let prefix = match options.address(OptionCode::SubnetMask) {
        Some(mask) => prefix_of(mask)?,
        None => class_prefix(address),
    };
    let term = options.number::<4>(OptionCode::AddressLeaseTime)?;
    let term = (term != INFINITE).then(|| Duration::from_secs(term.into()).max(MIN_LEASE));
    let whole = term.unwrap_or(Duration::ZERO);
    // Times that contradict each other are replaced by the usual ones (RFC 2131 section 4.4.5).
    let rebind = options
        .seconds(OptionCode::Rebinding)
        .filter(|t| *t < whole)
        .unwrap_or(whole / 8 * 7);
    let renew = options
        .seconds(OptionCode::Renewal)
        .filter(|t| *t < rebind)
        .unwrap_or(whole / 2)
        .min(rebind);
    // Option 249 is the same from before the standard.
    let classless = [OptionCode::ClasslessStaticRoute, OptionCode::from(249)]
        .map(|code| routes(options.bytes(code)))
        .into_iter()
        .find(|routes| !routes.is_empty());
    let routers = options.addresses(OptionCode::Router);
    Some(Lease {
        address,
        prefix,
        server,
        router: routers.first().copied(),
        routes: classless.unwrap_or_default(),
        dns: options.addresses(OptionCode::DomainNameServer),
        domain: names::domain(&options.text(OptionCode::DomainName)),
        search: names::search_list(options.bytes(OptionCode::DomainSearch), MAX_SEARCH),
        mtu: options
            .number::<2>(OptionCode::InterfaceMtu)
            .map(|mtu| mtu as u16),
        term,
        renew: renew.max(MIN_LEASE / 4),
        rebind: rebind.max(MIN_LEASE / 2),
    })
}

/// RFC 3442: prefix length, as many bytes of the network as it covers, router.
fn routes(mut bytes: &[u8]) -> Vec<ClasslessRoute> {
    let mut routes = Vec::new();
    while let Some((prefix, rest)) = bytes.split_first() {
        let significant = usize::from(*prefix).div_ceil(8);
        if *prefix > 32 || rest.len() < significant + 4 || routes.len() == MAX_ROUTES {
            break;
        }
        let mut network = [0; 4];
        network[..significant].copy_from_slice(&rest[..significant]);
        let mask = u32::MAX.checked_shl(32 - u32::from(*prefix)).unwrap_or(0);
        let network = Ipv4Addr::from_bits(u32::from_be_bytes(network) & mask);
        let router = address_at(rest, significant);
        // Router 0.0.0.0 means that the network is on the link itself.
        if is_host(router) || router.is_unspecified() {
            let router = (!router.is_unspecified()).then_some(router);
            routes.push(ClasslessRoute {
                network,
                prefix: *prefix,
                router,
            });
        }
        bytes = &rest[significant + 4..];
    }
    routes
}

/// Whether a host can have this address.
fn is_host(ip: Ipv4Addr) -> bool {
    !(ip.octets()[0] == 0 || ip.is_loopback() || ip.is_multicast() || ip.octets()[0] >= 240)
}

fn prefix_of(mask: Ipv4Addr) -> Option<u8> {
    let bits = mask.to_bits();
    let prefix = bits.leading_ones();
    (bits.count_ones() == prefix && prefix > 0).then_some(prefix as u8)
}

/// The prefix of the address's class, for servers that leave the mask out.
fn class_prefix(address: Ipv4Addr) -> u8 {
    match address.octets()[0] {
        0..=127 => 8,
        128..=191 => 16,
        _ => 24,
    }
}

fn address_at(bytes: &[u8], at: usize) -> Ipv4Addr {
    Ipv4Addr::new(bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3])
}

/// What a client asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    /// "Who gives addresses?", perhaps with the one we had.
    Discover { wish: Option<Ipv4Addr> },
    /// "I take your offer."
    Request { address: Ipv4Addr, server: Ipv4Addr },
    /// "May I go on with this address?", after the link was down.
    Reboot { address: Ipv4Addr },
    /// "I want to keep my address."
    Renew { address: Ipv4Addr },
    /// "Somebody else has it."
    Decline { address: Ipv4Addr, server: Ipv4Addr },
    /// "I am done with it."
    Release { address: Ipv4Addr, server: Ipv4Addr },
}

/// Who is asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asker<'a> {
    pub(super) mac: [u8; 6],
    pub(super) host_name: Option<&'a str>,
}

/// Builds a message; `secs` is how long we have been asking.
pub(super) fn build(ask: Ask, asker: &Asker<'_>, xid: u32, secs: u16) -> Vec<u8> {
    let client_ip = match ask {
        Ask::Renew { address } | Ask::Release { address, .. } => address,
        _ => Ipv4Addr::UNSPECIFIED,
    };
    let none = Ipv4Addr::UNSPECIFIED;
    let mut message = Message::new_with_id(xid, client_ip, none, none, none, &asker.mac);
    message
        .set_opcode(Opcode::BootRequest)
        .set_htype(HType::Eth)
        .set_secs(secs);
    let options = message.opts_mut();
    let kind = match ask {
        Ask::Discover { .. } => MessageType::Discover,
        Ask::Request { .. } | Ask::Reboot { .. } | Ask::Renew { .. } => MessageType::Request,
        Ask::Decline { .. } => MessageType::Decline,
        Ask::Release { .. } => MessageType::Release,
    };
    options.insert(DhcpOption::MessageType(kind));
    // Hardware type and address: the lease is found again by it (RFC 2132 section 9.14).
    options.insert(DhcpOption::ClientIdentifier([&[1], &asker.mac[..]].concat()));
    match ask {
        Ask::Discover { wish: Some(address) } | Ask::Reboot { address } => {
            options.insert(DhcpOption::RequestedIpAddress(address));
        }
        Ask::Request { address, server } | Ask::Decline { address, server } => {
            options.insert(DhcpOption::RequestedIpAddress(address));
            options.insert(DhcpOption::ServerIdentifier(server));
        }
        Ask::Release { server, .. } => {
            options.insert(DhcpOption::ServerIdentifier(server));
        }
        Ask::Discover { wish: None } | Ask::Renew { .. } => {}
    }
    if !matches!(ask, Ask::Release { .. } | Ask::Decline { .. }) {
        // Classless routes before the router, as RFC 3442 asks.
        let wanted = [121, 249, 1, 3, 6, 15, 26, 119, 51, 58, 59].map(OptionCode::from);
        options.insert(DhcpOption::ParameterRequestList(wanted.to_vec()));
        options.insert(DhcpOption::MaxMessageSize(1500));
        if let Some(name) = asker.host_name {
            options.insert(DhcpOption::Hostname(name.to_owned()));
        }
    }
    let mut bytes = Vec::with_capacity(300);
    // Writing into a vector cannot fail, and no option here is too long.
    let _ = message.encode(&mut Encoder::new(&mut bytes));
    // Old relays and servers drop messages shorter than BOOTP's (RFC 1542 section 2.1).
    if bytes.len() < 300 {
        bytes.resize(300, 0);
    }
    bytes
}
