//! Whom a hub lets in beside its users' list: where clients come from, whose certificates count, whom to ask.

use std::cmp::Ordering;
use std::net::IpAddr;

use aws_lc_rs::digest::{SHA256, digest};

use crate::secret::Sealed;

/// Source rules of one hub at most; the stock server keeps no more.
pub const MAX_SOURCE_RULES: usize = 4096;
/// Trusted authorities, and revocations, of one hub at most.
pub const MAX_CERTIFICATES: usize = 4096;

/// One rule about the addresses that clients may come from (policies §4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceRule {
    /// The first rule in ascending order that fits decides.
    pub priority: u32,
    /// Whether whom it fits is refused.
    pub deny: bool,
    /// The address.
    pub address: IpAddr,
    /// Which bits of it count, of the same family; without it all of them.
    pub mask: Option<IpAddr>,
}

impl SourceRule {
    /// The order in which rules are tried and listed: by priority, and what allows before what denies.
    #[must_use]
    pub fn order(&self, other: &Self) -> Ordering {
        let key = |rule: &Self| {
            (
                rule.priority,
                rule.deny,
                rule.mask.is_some(),
                rule.address,
                rule.mask,
            )
        };
        key(self).cmp(&key(other))
    }

    /// Whether it is about this address.
    #[must_use]
    pub fn fits(&self, source: IpAddr) -> bool {
        match (self.address, source.to_canonical(), self.mask) {
            (own, source, None) => own.to_canonical() == source,
            (IpAddr::V4(own), IpAddr::V4(source), Some(IpAddr::V4(mask))) => {
                own.to_bits() & mask.to_bits() == source.to_bits() & mask.to_bits()
            }
            (IpAddr::V6(own), IpAddr::V6(source), Some(IpAddr::V6(mask))) => {
                own.to_bits() & mask.to_bits() == source.to_bits() & mask.to_bits()
            }
            _ => false,
        }
    }
}

/// Whether sorted `rules` let clients from `source` in. Where none fits, they do.
#[must_use]
pub fn admits(rules: &[SourceRule], source: IpAddr) -> bool {
    rules
        .iter()
        .find(|rule| rule.fits(source))
        .is_none_or(|rule| !rule.deny)
}

/// An authority that a hub trusts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// X.509, DER.
    pub der: Vec<u8>,
}

impl Authority {
    /// What names it in administration messages: 32 bits of its SHA-256.
    #[must_use]
    pub fn key(&self) -> u32 {
        let hash = digest(&SHA256, &self.der);
        hash.as_ref()
            .first_chunk()
            .copied()
            .map_or(1, u32::from_be_bytes)
            .max(1)
    }
}

/// What certificates a hub no longer takes look like; what is not given does not count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RevokedCertificate {
    /// Serial number, as in the certificate.
    pub serial: Option<Vec<u8>>,
    /// CN of the subject.
    pub common_name: Option<String>,
    /// O of the subject.
    pub organization: Option<String>,
    /// OU of the subject.
    pub unit: Option<String>,
    /// C of the subject.
    pub country: Option<String>,
    /// ST of the subject.
    pub state: Option<String>,
    /// L of the subject.
    pub locality: Option<String>,
    /// MD5 of the certificate.
    pub md5: Option<[u8; 16]>,
    /// SHA-1 of the certificate.
    pub sha1: Option<[u8; 20]>,
}

/// An entry in a hub's list of revocations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// What names it in administration messages.
    pub key: u32,
    /// Which certificates.
    pub what: RevokedCertificate,
}

/// The RADIUS servers that a hub asks.
#[derive(Clone, PartialEq, Eq)]
pub struct Radius {
    /// Names or addresses as they were given, separated by commas, semicolons or blanks.
    pub servers: String,
    /// UDP port.
    pub port: u16,
    /// The shared secret, sealed for the hub; none is the empty one.
    pub secret: Option<Sealed>,
    /// Milliseconds between two attempts.
    pub retry_interval: u32,
}

impl Radius {
    /// The usual port (RFC 2865, 3).
    pub const PORT: u16 = 1812;
    /// Milliseconds between attempts where none were given, and at most; as the stock server has them.
    pub const RETRY_INTERVAL: u32 = 1000;
    /// See [`Radius::RETRY_INTERVAL`].
    pub const MAX_RETRY_INTERVAL: u32 = 15_000;

    /// The servers one by one.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.servers
            .split(|c: char| c == ',' || c == ';' || c.is_whitespace())
            .filter(|name| !name.is_empty())
    }
}

impl std::fmt::Debug for Radius {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Radius")
            .field("servers", &self.servers)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(priority: u32, deny: bool, address: &str, mask: Option<&str>) -> SourceRule {
        SourceRule {
            priority,
            deny,
            address: address.parse().unwrap(),
            mask: mask.map(|mask| mask.parse().unwrap()),
        }
    }

    fn sorted(mut rules: Vec<SourceRule>) -> Vec<SourceRule> {
        rules.sort_by(SourceRule::order);
        rules
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let rules = sorted(vec![
            rule(20, true, "0.0.0.0", Some("0.0.0.0")),
            rule(10, false, "10.1.0.0", Some("255.255.0.0")),
            rule(5, true, "10.1.2.3", None),
        ]);
        let admitted = |source: &str| admits(&rules, source.parse().unwrap());
        assert!(admitted("10.1.9.9") && admitted("::ffff:10.1.9.9"));
        assert!(!admitted("10.1.2.3") && !admitted("192.0.2.1"));
        // No rule is about IPv6.
        assert!(admitted("2001:db8::1"));
    }

    #[test]
    fn of_equal_priority_what_allows_comes_first() {
        let rules = sorted(vec![
            rule(1, true, "2001:db8::", Some("ffff:ffff::")),
            rule(1, false, "2001:db8::1", None),
        ]);
        assert!(admits(&rules, "2001:db8::1".parse().unwrap()));
        assert!(!admits(&rules, "2001:db8::2".parse().unwrap()));
    }

    #[test]
    fn servers_are_separated_as_people_do() {
        let radius = Radius {
            servers: "10.0.0.1;10.0.0.2, radius.example  ::1".to_owned(),
            port: Radius::PORT,
            secret: None,
            retry_interval: Radius::RETRY_INTERVAL,
        };
        let names: Vec<_> = radius.names().collect();
        assert_eq!(names, ["10.0.0.1", "10.0.0.2", "radius.example", "::1"]);
    }
}
