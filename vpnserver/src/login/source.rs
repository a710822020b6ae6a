//! `adminip.txt`: from where administrators may come over the network (admin RPC §1.3).
//!
//! The file is in the data folder and read at every login. Where it is missing, everybody may try; otherwise one line must fit. A
//! file that cannot be understood lets nobody in: a slip of the pen must not open what was meant to be closed.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

use protocol::error::ErrorCode;

use super::Refused;

/// The file's name in the data folder.
pub const FILE: &str = "adminip.txt";
/// No such file is longer.
const MOST_BYTES: u64 = 1 << 20;

/// The file, or none.
#[derive(Clone, Debug, Default)]
pub(super) struct AdminSources(pub(super) Option<PathBuf>);

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    network: Network,
    /// The hub whose administrator it is about; none for everybody.
    hub: Option<String>,
}

/// Addresses that count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Network {
    All,
    V4 { address: u32, mask: u32 },
    V6 { address: u128, mask: u128 },
}

impl AdminSources {
    /// Whether somebody may try from there to administer a hub, or the server.
    pub(super) async fn check(&self, source: IpAddr, hub: Option<&str>) -> Result<(), Refused> {
        let Some(path) = self.0.clone() else { return Ok(()) };
        let denied = |reason: String| Refused::new(ErrorCode::AddressDenied, reason);
        let text = match read(path).await {
            Ok(Some(text)) => text,
            Ok(None) => return Ok(()),
            Err(error) => {
                return Err(denied(format!(
                    "nobody may administer over the network: {FILE} cannot be read: {error}"
                )));
            }
        };
        let rules = parse(&text).map_err(|line| {
            denied(format!(
                "nobody may administer over the network: line {line} of {FILE} is no address, address/bits, \
                 address/mask or *, perhaps with a hub behind it"
            ))
        })?;
        if rules.iter().any(|rule| rule.fits(source, hub)) {
            return Ok(());
        }
        Err(denied(format!("no line of {FILE} lets {source} in")))
    }
}

async fn read(path: PathBuf) -> io::Result<Option<String>> {
    let read = tokio::task::spawn_blocking(move || {
        if std::fs::metadata(&path)?.len() > MOST_BYTES {
            return Err(io::Error::other("it is too long"));
        }
        std::fs::read_to_string(&path)
    });
    match read.await.map_err(io::Error::other)? {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    }
}

/// All lines, or the number of the first that makes no sense.
fn parse(text: &str) -> Result<Vec<Rule>, usize> {
    let mut rules = Vec::new();
    for (number, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let end = ["//", "#"].iter().filter_map(|remark| line.find(remark)).min();
        let mut words = line[..end.unwrap_or(line.len())].split_whitespace();
        let Some(address) = words.next() else { continue };
        let network = Network::parse(address).ok_or(number + 1)?;
        let hub = words.next().map(str::to_owned);
        if words.next().is_some() {
            return Err(number + 1);
        }
        rules.push(Rule { network, hub });
    }
    Ok(rules)
}

impl Rule {
    fn fits(&self, source: IpAddr, hub: Option<&str>) -> bool {
        let hub_fits = self
            .hub
            .as_ref()
            .is_none_or(|own| hub.is_some_and(|hub| hub.eq_ignore_ascii_case(own)));
        hub_fits && self.network.contains(source)
    }
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::All);
        }
        let (address, size) = match text.split_once('/') {
            Some((address, size)) => (address, Some(size)),
            None => (text, None),
        };
        match address.parse().ok()? {
            IpAddr::V4(address) => {
                let mask = match (size, size.map(str::parse::<IpAddr>)) {
                    (None, _) => u32::MAX,
                    (_, Some(Ok(IpAddr::V4(mask)))) => mask.to_bits(),
                    (Some(bits), _) => u32::MAX.checked_shl(32 - bits_of(bits, 32)?).unwrap_or(0),
                };
                Some(Self::V4 {
                    address: address.to_bits() & mask,
                    mask,
                })
            }
            IpAddr::V6(address) => {
                let mask = match (size, size.map(str::parse::<IpAddr>)) {
                    (None, _) => u128::MAX,
                    (_, Some(Ok(IpAddr::V6(mask)))) => mask.to_bits(),
                    (Some(bits), _) => u128::MAX.checked_shl(128 - bits_of(bits, 128)?).unwrap_or(0),
                };
                Some(Self::V6 {
                    address: address.to_bits() & mask,
                    mask,
                })
            }
        }
    }

    fn contains(self, source: IpAddr) -> bool {
        match (self, source.to_canonical()) {
            (Self::All, _) => true,
            (Self::V4 { address, mask }, IpAddr::V4(source)) => source.to_bits() & mask == address,
            (Self::V6 { address, mask }, IpAddr::V6(source)) => source.to_bits() & mask == address,
            _ => false,
        }
    }
}

fn bits_of(text: &str, most: u32) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits
        .then(|| text.parse().ok())
        .flatten()
        .filter(|bits| *bits <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lets_in(text: &str, source: &str, hub: Option<&str>) -> bool {
        let source = source.parse().unwrap();
        parse(text).unwrap().iter().any(|rule| rule.fits(source, hub))
    }

    #[test]
    fn one_line_that_fits_is_enough() {
        let text = "# remarks\n127.0.0.1\n\n10.77.0.2 HUB1 // the branch\n192.0.2.0/24\n198.51.100.0/255.255.255.128#\n2001:db8::/32\n";
        for (source, hub, may) in [
            ("127.0.0.1", None, true),
            ("127.0.0.1", Some("any"), true),
            ("::ffff:127.0.0.1", None, true),
            ("10.77.0.2", None, false),
            ("10.77.0.2", Some("hub1"), true),
            ("10.77.0.2", Some("hub2"), false),
            ("192.0.2.255", None, true),
            ("192.0.3.0", None, false),
            ("198.51.100.127", None, true),
            ("198.51.100.128", None, false),
            ("2001:db8:ffff::1", None, true),
            ("2001:db9::1", None, false),
        ] {
            assert_eq!(lets_in(text, source, hub), may, "{source} {hub:?}");
        }
        assert!(lets_in("*", "203.0.113.1", None) && lets_in("0.0.0.0/0 h", "203.0.113.1", Some("H")));
        assert!(
            !lets_in("", "127.0.0.1", None),
            "a file without lines lets nobody in"
        );
    }

    #[test]
    fn a_line_that_makes_no_sense_is_named() {
        for line in [
            "office",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "10.0.0.0/",
            "1.2.3",
            "2001:db8::/129",
            "* hub more",
            "10.0.0.0/2001::",
        ] {
            assert_eq!(parse(&format!("*\n{line}\n")), Err(2), "{line}");
        }
    }
}
