//! What a certificate says of itself.

use std::net::IpAddr;

use rustls::pki_types::CertificateDer;
use time::{Date, OffsetDateTime};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::time::ASN1Time;

/// More names are not listed.
const MAX_NAMES: usize = 16;
/// A longer text is cut off.
const MAX_TEXT: usize = 200;

/// What a certificate says of itself, for a person who has to decide about it. Nobody has verified it; the texts are free of
/// control characters and of bounded length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Whom it is about.
    pub subject: String,
    /// Who has signed it.
    pub issuer: String,
    /// Whether subject and issuer are the same.
    pub self_signed: bool,
    /// The hosts it is for; empty for those of the old style, which have a subject alone.
    pub names: Vec<String>,
    /// The first and the last day on which it is valid, in UTC.
    pub valid: Option<(Date, Date)>,
}

impl Description {
    /// Reads a certificate; `None` for bytes that are none.
    #[must_use]
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
        let names = certificate.subject_alternative_name().ok().flatten();
        let names = names.map_or_else(Vec::new, |names| {
            let names = names.value.general_names.iter().filter_map(name);
            names.take(MAX_NAMES).collect()
        });
        let (subject, issuer) = (certificate.subject(), certificate.issuer());
        let validity = certificate.validity();
        Some(Self {
            subject: plain(&subject.to_string()),
            issuer: plain(&issuer.to_string()),
            self_signed: subject.as_raw() == issuer.as_raw(),
            names,
            valid: day(&validity.not_before).zip(day(&validity.not_after)),
        })
    }
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(plain(name)),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let ip = v4.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from));
            ip.ok().map(|ip| ip.to_string())
        }
        _ => None,
    }
}

fn day(moment: &ASN1Time) -> Option<Date> {
    let moment = OffsetDateTime::from_unix_timestamp(moment.timestamp()).ok()?;
    Some(moment.date())
}

/// What may be shown: a stranger wrote it.
fn plain(text: &str) -> String {
    let turns =
        |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars()
        .filter(|c| !c.is_control() && !turns(*c))
        .take(MAX_TEXT)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_described_by_its_names_and_days() {
        let mut parameters =
            rcgen::CertificateParams::new(vec!["vpn.example.org".to_owned(), "203.0.113.1".to_owned()])
                .unwrap();
        parameters.distinguished_name = rcgen::DistinguishedName::new();
        parameters
            .distinguished_name
            .push(rcgen::DnType::CommonName, "VPN\u{1b}[2J of the lab");
        parameters.not_before = rcgen::date_time_ymd(2026, 1, 2);
        parameters.not_after = rcgen::date_time_ymd(2027, 3, 4);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        let described = Description::of(certificate.der()).unwrap();
        assert_eq!(described.subject, "CN=VPN[2J of the lab");
        assert!(described.self_signed);
        assert_eq!(described.names, ["vpn.example.org", "203.0.113.1"]);
        let (first, last) = described.valid.unwrap();
        assert_eq!(
            (first.to_string(), last.to_string()),
            ("2026-01-02".into(), "2027-03-04".into())
        );
    }

    #[test]
    fn bytes_that_are_no_certificate_are_not_described() {
        assert_eq!(
            Description::of(&CertificateDer::from(vec![0x30, 0x03, 2, 1, 0])),
            None
        );
    }
}
