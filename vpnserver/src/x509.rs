//! What of a certificate decides whether its bearer comes in: names, dates, key, who signed it.

use std::fmt;
use std::time::SystemTime;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use md5::{Digest, Md5};
use protocol::certificate::KEY_BITS;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

use crate::store::RevokedCertificate;

/// A certificate that has been read.
pub struct Certificate<'a> {
    der: &'a [u8],
    x509: X509Certificate<'a>,
}

/// The parts of a subject's or issuer's name that administration messages have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Name {
    /// CN.
    pub common_name: Option<String>,
    /// O.
    pub organization: Option<String>,
    /// OU.
    pub unit: Option<String>,
    /// ST.
    pub state: Option<String>,
    /// L.
    pub locality: Option<String>,
    /// C.
    pub country: Option<String>,
}

impl<'a> Certificate<'a> {
    /// Reads one; nothing when `der` is no X.509 certificate, or more than one.
    #[must_use]
    pub fn read(der: &'a [u8]) -> Option<Self> {
        let (rest, x509) = X509Certificate::from_der(der).ok()?;
        rest.is_empty().then_some(Self { der, x509 })
    }

    /// Whose it is.
    #[must_use]
    pub fn subject(&self) -> Name {
        Name::of(self.x509.subject())
    }

    /// Who says so.
    #[must_use]
    pub fn issuer(&self) -> Name {
        Name::of(self.x509.issuer())
    }

    /// The end of its life, in milliseconds since 1970; 0 for what is earlier.
    #[must_use]
    pub fn expires_millis(&self) -> u64 {
        let seconds = self.x509.validity().not_after.timestamp();
        u64::try_from(seconds).unwrap_or(0).saturating_mul(1000)
    }

    /// Whether it is valid at this time.
    #[must_use]
    pub fn is_valid_at(&self, at: SystemTime) -> bool {
        let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
        let validity = self.x509.validity();
        validity.not_before.timestamp() <= seconds && seconds <= validity.not_after.timestamp()
    }

    /// Whether its key is one that the protocol works with: RSA of certain sizes.
    #[must_use]
    pub fn has_usable_key(&self) -> bool {
        match self.x509.public_key().parsed() {
            Ok(PublicKey::RSA(rsa)) => KEY_BITS.contains(&rsa.key_size()),
            _ => false,
        }
    }

    /// Whether `authority` has issued it: the names agree and the signature is the authority's.
    #[must_use]
    pub fn is_issued_by(&self, authority: &Certificate<'_>) -> bool {
        self.x509.issuer().as_raw() == authority.x509.subject().as_raw()
            && self
                .x509
                .verify_signature(Some(authority.x509.public_key()))
                .is_ok()
    }

    /// Whether it may sign others, as far as it says anything about that: an end entity that says it is none may not.
    #[must_use]
    pub fn may_sign(&self) -> bool {
        match self.x509.basic_constraints() {
            Ok(Some(constraints)) => constraints.value.ca,
            // Authorities of version 1, and those that stock tools make, say nothing.
            Ok(None) => true,
            Err(_) => false,
        }
    }

    /// Whether its serial number is this one; zeros in front do not count.
    #[must_use]
    pub fn has_serial(&self, serial: &[u8]) -> bool {
        significant(self.x509.raw_serial()) == significant(serial)
    }

    /// Whether it looks as a revoked one does. An entry that says nothing is about every certificate, as on the stock
    /// server.
    #[must_use]
    pub fn is_meant_by(&self, revoked: &RevokedCertificate) -> bool {
        let subject = self.subject();
        let names = [
            (&revoked.common_name, &subject.common_name),
            (&revoked.organization, &subject.organization),
            (&revoked.unit, &subject.unit),
            (&revoked.state, &subject.state),
            (&revoked.locality, &subject.locality),
            (&revoked.country, &subject.country),
        ];
        let name_agrees = |(wanted, own): &(&Option<String>, &Option<String>)| match (wanted, own) {
            (None, _) => true,
            (Some(wanted), Some(own)) => wanted.eq_ignore_ascii_case(own),
            (Some(_), None) => false,
        };
        names.iter().all(name_agrees)
            && revoked
                .serial
                .as_ref()
                .is_none_or(|serial| self.has_serial(serial))
            && revoked
                .md5
                .is_none_or(|wanted| Md5::digest(self.der).as_slice() == wanted.as_slice())
            && revoked.sha1.is_none_or(|wanted| {
                digest(&SHA1_FOR_LEGACY_USE_ONLY, self.der).as_ref() == wanted.as_slice()
            })
    }
}

fn significant(serial: &[u8]) -> &[u8] {
    let zeros = serial.iter().take_while(|byte| **byte == 0).count();
    &serial[zeros..]
}

impl Name {
    fn of(name: &X509Name<'_>) -> Self {
        fn first<'a>(mut values: impl Iterator<Item = &'a AttributeTypeAndValue<'a>>) -> Option<String> {
            values.next()?.as_str().ok().map(str::to_owned)
        }
        Self {
            common_name: first(name.iter_common_name()),
            organization: first(name.iter_organization()),
            unit: first(name.iter_organizational_unit()),
            state: first(name.iter_state_or_province()),
            locality: first(name.iter_locality()),
            country: first(name.iter_country()),
        }
    }
}

/// As stock tools show it: the values alone, those that are there.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            &self.common_name,
            &self.organization,
            &self.unit,
            &self.state,
            &self.locality,
            &self.country,
        ];
        let parts: Vec<_> = parts.into_iter().flatten().map(String::as_str).collect();
        f.write_str(&parts.join(", "))
    }
}
