//! A frame as a line of the packet log (policies §6): columns separated by commas, `-` for what a frame does not have.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hub_core::frame::{Network, Transport};
use hub_core::hub::Tapped;
use hub_core::{FrameView, MacAddr};
use jiff::ZonedDateTime;

use super::service;

/// The longest detail; it is taken from the packet and may be as long as that.
const MAX_DETAIL: usize = 400;
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

/// Where the clients of two sessions are, as far as they are sessions of users.
#[derive(Clone, Copy, Debug, Default)]
pub struct Addresses {
    /// The sender's.
    pub from: Option<IpAddr>,
    /// The receiver's.
    pub to: Option<IpAddr>,
}

/// What stands in the columns that depend on the protocol; empty is `-`.
#[derive(Debug, Default)]
struct Columns {
    kind: String,
    info: String,
    source: String,
    source_port: String,
    destination: String,
    destination_port: String,
    sequence: String,
    acknowledgement: String,
    detail: String,
}

/// The line of a frame; without `physical` it ends before the clients' own addresses, without `http` it says nothing of what is
/// asked for.
#[must_use]
pub fn line(at: &ZonedDateTime, tapped: &Tapped, physical: Option<Addresses>, http: bool) -> String {
    let Some(view) = FrameView::parse(&tapped.bytes) else {
        return String::new();
    };
    // Only the headers of a long frame may be there, in which its length no longer agrees with what they say.
    let columns = Columns::of(&view, &tapped.bytes, tapped.length, http);
    let data = if tapped.whole {
        hex(&tapped.bytes)
    } else {
        String::new()
    };
    let mut line = at.strftime("%Y-%m-%d,%H:%M:%S.%3f").to_string();
    let fixed = [
        tapped.from.clone(),
        tapped.to.clone().unwrap_or_default(),
        hex(&view.source.octets()),
        hex(&view.destination.octets()),
        format!("0x{:04X}", view.ethertype),
        tapped.length.to_string(),
    ];
    let Columns {
        kind,
        info,
        source,
        source_port,
        destination,
        destination_port,
        sequence,
        acknowledgement,
        detail,
    } = columns;
    let of_protocol = [
        kind,
        info,
        source,
        source_port,
        destination,
        destination_port,
        sequence,
        acknowledgement,
        plain(&detail),
        data,
    ];
    for column in fixed.iter().chain(&of_protocol) {
        push(&mut line, column);
    }
    if let Some(Addresses { from, to }) = physical {
        for address in [from, to] {
            push(&mut line, &address.map(|ip| ip.to_string()).unwrap_or_default());
        }
    }
    line
}

fn push(line: &mut String, column: &str) {
    line.push(',');
    line.push_str(if column.is_empty() { "-" } else { column });
}

/// Nothing is quoted, so a detail must not look like further columns or lines.
fn plain(detail: &str) -> String {
    let safe = |c: char| if c == ',' || c.is_control() { '_' } else { c };
    detail.chars().take(MAX_DETAIL).map(safe).collect()
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
            let _ = write!(text, "{byte:02X}");
            text
        })
}

impl Columns {
    fn of(view: &FrameView, bytes: &[u8], length: usize, http: bool) -> Self {
        // A header that was cut off reads as no header at all; told apart by completing the frame with zeros.
        if bytes.len() < length {
            let mut whole = bytes.to_vec();
            whole.resize(length, 0);
            return match FrameView::parse(&whole) {
                Some(view) => Self::of_whole(&view, &whole, http),
                None => Self::default(),
            };
        }
        Self::of_whole(view, bytes, http)
    }

    fn of_whole(view: &FrameView, frame: &[u8], http: bool) -> Self {
        match &view.network {
            Network::Arp(arp) => Self {
                kind: "ARPv4".to_owned(),
                info: match arp.operation {
                    1 => "Request".to_owned(),
                    2 => "Response".to_owned(),
                    other => format!("Type={other}"),
                },
                detail: if arp.operation == 1 {
                    format!(
                        "Who has {}? Please Tell {}({})",
                        arp.target,
                        hex(&arp.sender_mac.octets()),
                        arp.sender
                    )
                } else {
                    format!("{} has {}", hex(&arp.sender_mac.octets()), arp.sender)
                },
                ..Self::default()
            },
            Network::Ipv4(ip) => {
                let part = (
                    ip.fragment,
                    ip.fragment_offset,
                    ip.protocol,
                    usize::from(ip.transport_offset),
                );
                Self::of_ip(
                    view,
                    frame,
                    ("v4", http),
                    part,
                    (ip.source.into(), ip.destination.into()),
                )
            }
            Network::Ipv6(ip) => {
                let part = (
                    ip.fragment,
                    ip.fragment_offset,
                    ip.protocol,
                    usize::from(ip.transport_offset),
                );
                Self::of_ip(
                    view,
                    frame,
                    ("v6", http),
                    part,
                    (ip.source.into(), ip.destination.into()),
                )
            }
            Network::Other => Self {
                kind: format!("Proto=0x{:04X}", view.ethertype),
                ..Self::default()
            },
        }
    }

    fn of_ip(
        view: &FrameView,
        frame: &[u8],
        (version, http): (&str, bool),
        (fragment, offset, protocol, at): (bool, u16, u8, usize),
        (source, destination): (IpAddr, IpAddr),
    ) -> Self {
        let mut columns = Self {
            source: source.to_string(),
            destination: destination.to_string(),
            ..Self::default()
        };
        // The first piece has the transport header and is told by it.
        if fragment && offset != 0 {
            columns.kind = format!("IP{version}_Fragment(0x{protocol:02X})");
            return columns;
        }
        let body = frame.get(at..).unwrap_or_default();
        match Transport::read(view, frame) {
            Transport::Tcp { ports, flags } => {
                columns.ports(ports.source, ports.destination);
                columns.tcp(version, flags.bits(), body, http.then_some(ports.destination));
            }
            Transport::Udp { ports } => {
                columns.ports(ports.source, ports.destination);
                let payload = body.get(8..).unwrap_or_default();
                columns.udp(version, (ports.source, ports.destination), payload);
            }
            _ if protocol == ICMP && version == "v4" => {
                columns.kind = "ICMPv4".to_owned();
                columns.info = icmp(body.first().copied()).to_owned();
            }
            _ if protocol == ICMPV6 && version == "v6" => columns.icmpv6(body),
            _ => columns.kind = format!("IP{version}(0x{protocol:02X})"),
        }
        columns
    }

    fn ports(&mut self, source: u16, destination: u16) {
        self.source_port = service::shown(source);
        self.destination_port = service::shown(destination);
    }

    fn tcp(&mut self, version: &str, flags: u8, header: &[u8], http_port: Option<u16>) {
        const CONNECTION: u8 = 0x07;
        let kind = if flags & CONNECTION == 0 {
            "TCP_DATA"
        } else {
            "TCP_CONNECT"
        };
        self.kind = format!("{kind}{version}");
        let names = [
            (0x01, "FIN"),
            (0x02, "SYN"),
            (0x04, "RST"),
            (0x08, "PSH"),
            (0x10, "ACK"),
            (0x20, "URG"),
        ];
        let set: Vec<_> = names
            .iter()
            .filter(|(bit, _)| flags & bit != 0)
            .map(|(_, name)| *name)
            .collect();
        self.info = set.join("+");
        let number = |at: usize| {
            header
                .get(at..at + 4)
                .and_then(|bytes| bytes.try_into().ok())
                .map(u32::from_be_bytes)
        };
        self.sequence = number(4).unwrap_or_default().to_string();
        self.acknowledgement = number(8).unwrap_or_default().to_string();
        let window = header
            .get(14..16)
            .map_or(0, |bytes| u16::from_be_bytes([bytes[0], bytes[1]]));
        self.detail = format!("WindowSize={window}");
        let length = header.get(12).map_or(0, |byte| usize::from(byte >> 4) * 4);
        if let (Some(payload), Some(port)) = (header.get(length..), http_port)
            && let Some(request) = request(payload, port)
        {
            self.detail.push(' ');
            self.detail.push_str(&request);
        }
    }

    fn udp(&mut self, version: &str, (source, destination): (u16, u16), payload: &[u8]) {
        match (version, source, destination) {
            ("v4", 68, 67) | ("v4", 67, 67 | 68) => self.dhcp(payload),
            (_, _, 53) if question(payload).is_some() => {
                self.kind = format!("DNS{version}");
                self.info = "DNS_Query".to_owned();
                self.detail = question(payload).unwrap_or_default();
            }
            _ => self.kind = format!("UDP{version}"),
        }
    }

    fn dhcp(&mut self, message: &[u8]) {
        self.kind = "DHCPv4".to_owned();
        self.info = match message.first() {
            Some(1) => "Request".to_owned(),
            Some(2) => "Response".to_owned(),
            _ => return,
        };
        let word = |at: usize| {
            message
                .get(at..at + 4)
                .and_then(|bytes| <[u8; 4]>::try_from(bytes).ok())
        };
        let address = |at: usize| word(at).map_or(Ipv4Addr::UNSPECIFIED, Ipv4Addr::from);
        self.detail = format!(
            "TransactionId={} ClientIP={} YourIP={} ServerIP={} RelayIP={}",
            word(4).map_or(0, u32::from_be_bytes),
            address(12),
            address(16),
            address(20),
            address(24)
        );
    }

    fn icmpv6(&mut self, message: &[u8]) {
        self.kind = "ICMPv6".to_owned();
        let kind = message.first().copied().unwrap_or_default();
        self.info = match kind {
            128 => "Echo Request".to_owned(),
            129 => "Echo Reply".to_owned(),
            // Spelt as in the files that scripts read today.
            133 => "Router Soliciation".to_owned(),
            134 => "Router Advertisement".to_owned(),
            135 => "Neighbor Soliciation".to_owned(),
            136 => "Neighbor Advertisement".to_owned(),
            other => format!("Type={other}"),
        };
        let target = message
            .get(8..24)
            .and_then(|bytes| <[u8; 16]>::try_from(bytes).ok())
            .map(Ipv6Addr::from);
        match (kind, target) {
            (135 | 136, Some(target)) => self.detail = format!("TargetAddress={target}"),
            (133, _) => {
                if let Some(&[1, 1, ref mac @ ..]) = message.get(8..16) {
                    let mac = <[u8; 6]>::try_from(mac).map(MacAddr::new);
                    self.detail = mac
                        .map(|mac| format!("SourceLinkLayer={}", hex(&mac.octets())))
                        .unwrap_or_default();
                }
            }
            _ => {}
        }
    }
}

fn icmp(kind: Option<u8>) -> &'static str {
    match kind {
        Some(8) => "Echo Request",
        Some(0) => "Echo Reply",
        _ => "",
    }
}

/// The name that a DNS message asks for first (RFC 1035 §4.1).
fn question(message: &[u8]) -> Option<String> {
    const RESPONSE: u8 = 0x80;
    let (header, mut rest) = message.split_first_chunk::<12>()?;
    if header[2] & RESPONSE != 0 || (header[4], header[5]) == (0, 0) {
        return None;
    }
    let mut name = String::new();
    loop {
        let (&length, after) = rest.split_first()?;
        match length {
            0 => return (!name.is_empty()).then_some(name),
            1..=63 => {
                let (label, after) = after.split_at_checked(usize::from(length))?;
                if !name.is_empty() {
                    name.push('.');
                }
                name.push_str(&String::from_utf8_lossy(label));
                rest = after;
            }
            _ => return None, // a compressed name has no place in a question
        }
    }
}

/// The request line and the telling headers of an HTTP request.
fn request(payload: &[u8], port: u16) -> Option<String> {
    const METHODS: [&str; 9] = [
        "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PATCH",
    ];
    let end = payload
        .iter()
        .position(|byte| !byte.is_ascii())
        .unwrap_or(payload.len());
    let text = str::from_utf8(payload.get(..end)?).ok()?;
    let mut lines = text.split("\r\n");
    let mut words = lines.next()?.split(' ');
    let (method, target, protocol) = (words.next()?, words.next()?, words.next()?);
    if !METHODS.contains(&method) || !protocol.starts_with("HTTP/") {
        return None;
    }
    let headers: Vec<_> = lines.filter_map(|line| line.split_once(':')).collect();
    let header = |wanted: &str| {
        let found = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.map(|(_, value)| value.trim())
    };
    let mut request = format!("HttpMethod={method} HttpUrl=");
    match header("Host").filter(|_| target.starts_with('/')) {
        Some(host) if port == 80 || host.contains(':') => request.push_str(&format!("http://{host}{target}")),
        Some(host) => request.push_str(&format!("http://{host}:{port}{target}")),
        None => request.push_str(target),
    }
    request.push_str(&format!(" HttpProtocol={protocol}"));
    for (shown, name) in [("HttpReferer", "Referer"), ("HttpUserAgent", "User-Agent")] {
        if let Some(value) = header(name) {
            request.push_str(&format!(" {shown}={value}"));
        }
    }
    request.push(' ');
    Some(request)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn at() -> ZonedDateTime {
        "2026-11-23T18:27:59.548[UTC]".parse().unwrap()
    }

    fn bytes(hex: &str) -> Box<[u8]> {
        let digits: Vec<_> = hex.chars().filter_map(|digit| digit.to_digit(16)).collect();
        digits
            .chunks(2)
            .map(|pair| (pair[0] * 16 + pair[1]) as u8)
            .collect()
    }

    /// A frame from bridge 4, told as the stock server told the same frame; the line without time and data.
    fn told(to: Option<&str>, frame: &str) -> String {
        let bytes = bytes(frame);
        let tapped = Tapped {
            at: Instant::now(),
            from: "SID-LOCALBRIDGE-4".to_owned(),
            to: to.map(str::to_owned),
            length: bytes.len(),
            whole: true,
            bytes,
        };
        let line = line(&at(), &tapped, Some(Addresses::default()), true);
        let shown = line
            .strip_prefix("2026-11-23,18:27:59.548,SID-LOCALBRIDGE-4,")
            .unwrap();
        shown.replace(&frame.replace(' ', ""), "DATA")
    }

    #[test]
    fn lines_are_those_of_the_stock_server_for_the_same_frames() {
        let other = Some("SID-LOCALBRIDGE-5");
        assert_eq!(
            told(
                None,
                "FFFFFFFFFFFF5EB92D27B8F7080600010800060400015EB92D27B8F7C0A81E4D000000000000C0A81E4E"
            ),
            "-,5EB92D27B8F7,FFFFFFFFFFFF,0x0806,42,ARPv4,Request,-,-,-,-,-,-,\
             Who has 192.168.30.78? Please Tell 5EB92D27B8F7(192.168.30.77),DATA,-,-"
        );
        assert_eq!(
            told(
                None,
                "FFFFFFFFFFFF5E6BD677DC92080600010800060400025E6BD677DC92C0A81E01FFFFFFFFFFFFC0A81EFF"
            ),
            "-,5E6BD677DC92,FFFFFFFFFFFF,0x0806,42,ARPv4,Response,-,-,-,-,-,-,5E6BD677DC92 has 192.168.30.1,DATA,-,-"
        );
        assert_eq!(
            told(
                other,
                "5EF46ACD331D5EB92D27B8F708004500003D5B7C400040112195C0A81E4DC0A81E01B567003500292FD0\
                 12340100000100000000000003777777076578616D706C6503636F6D0000010001"
            ),
            "SID-LOCALBRIDGE-5,5EB92D27B8F7,5EF46ACD331D,0x0800,75,DNSv4,DNS_Query,192.168.30.77,46439,192.168.30.1,domain(53),\
             -,-,www.example.com,DATA,-,-"
        );
        assert_eq!(
            told(
                other,
                "5EF46ACD331D5EB92D27B8F708004500002092024000 4001EAEEC0A81E4DC0A81E4E080033310007000161626364"
            ),
            "SID-LOCALBRIDGE-5,5EB92D27B8F7,5EF46ACD331D,0x0800,46,ICMPv4,Echo Request,192.168.30.77,-,192.168.30.78,-,-,-,-,DATA,-,-"
        );
        assert_eq!(
            told(
                other,
                "5EF46ACD331D5EB92D27B8F708004500001C66604000402F1667C0A81E4DC0A81E4E6162636465666768"
            ),
            "SID-LOCALBRIDGE-5,5EB92D27B8F7,5EF46ACD331D,0x0800,42,IPv4(0x2F),-,192.168.30.77,-,192.168.30.78,-,-,-,-,DATA,-,-"
        );
        assert_eq!(
            told(
                None,
                "3333000000025EB92D27B8F786DD6000000000103AFFFE800000000000005CB92DFFFE27B8F7FF0200000000000000000000000000\
                        028500F57D0000000001015EB92D27B8F7"
            ),
            "-,5EB92D27B8F7,333300000002,0x86DD,70,ICMPv6,Router Soliciation,fe80::5cb9:2dff:fe27:b8f7,-,ff02::2,-,-,-,\
             SourceLinkLayer=5EB92D27B8F7,DATA,-,-"
        );
        assert_eq!(
            told(None, "FFFFFFFFFFFF5EB92D27B8F788B568656C6C6F"),
            "-,5EB92D27B8F7,FFFFFFFFFFFF,0x88B5,19,Proto=0x88B5,-,-,-,-,-,-,-,-,DATA,-,-"
        );
    }

    #[test]
    fn a_segment_tells_its_flags_numbers_and_request() {
        let mut frame = bytes(
            "5EF46ACD331D5EB92D27B8F708004500006BCACE40004006B1D2C0A81E4DC0A81E4EE4C4005036CFC7C9A12883338018003FD6530000\
             0101080A193DB33320876235",
        )
        .into_vec();
        frame.extend_from_slice(b"GET /x?y=1 HTTP/1.1\r\nHost: a.example\r\nUser-Agent: t\r\n\r\n");
        let tapped = Tapped {
            at: Instant::now(),
            from: "A".to_owned(),
            to: None,
            length: frame.len(),
            whole: false,
            bytes: frame.into(),
        };
        assert_eq!(
            line(&at(), &tapped, None, true),
            "2026-11-23,18:27:59.548,A,-,5EB92D27B8F7,5EF46ACD331D,0x0800,121,TCP_DATAv4,PSH+ACK,192.168.30.77,58564,\
             192.168.30.78,http(80),919586761,2703786803,WindowSize=63 HttpMethod=GET HttpUrl=http://a.example/x?y=1 \
             HttpProtocol=HTTP/1.1 HttpUserAgent=t ,-"
        );
        assert!(!line(&at(), &tapped, None, false).contains("HttpMethod"));
        let cut = Tapped {
            bytes: tapped.bytes[..70].into(),
            ..tapped
        };
        assert!(line(&at(), &cut, None, true).contains("TCP_DATAv4,PSH+ACK,192.168.30.77,58564,"));
    }

    #[test]
    fn a_frame_cannot_add_columns_or_lines() {
        assert_eq!(plain("a,b\r\nc"), "a_b__c");
    }

    #[test]
    fn no_frame_is_too_strange_for_a_line() {
        let mut state = 1_u64;
        for length in 14..400 {
            let mut next = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 33) as u8
            };
            let mut frame: Vec<u8> = (0..length).map(|_| next()).collect();
            frame[12..14].copy_from_slice([[8, 0], [0x86, 0xdd], [8, 6]][length % 3].as_slice());
            if length % 3 == 0 {
                frame[14..20.min(length)].fill(0x45);
            }
            let tapped = Tapped {
                at: Instant::now(),
                from: String::new(),
                to: None,
                length: length + length % 5,
                whole: length % 2 == 0,
                bytes: frame.into(),
            };
            assert!(!line(&at(), &tapped, None, true).contains('\n'));
        }
    }
}
