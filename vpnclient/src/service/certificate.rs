//! What of a certificate managers are shown.

use protocol::rpc::Timestamp;
use protocol::rpc::client::authority::AuthorityRow;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

use super::book::authority_key;

/// Whether this is one X.509 certificate.
pub(super) fn is_certificate(der: &[u8]) -> bool {
    read(der).is_some()
}

fn read(der: &[u8]) -> Option<X509Certificate<'_>> {
    let (rest, x509) = X509Certificate::from_der(der).ok()?;
    rest.is_empty().then_some(x509)
}

/// The row of an authority in a list.
pub(super) fn row(der: &[u8]) -> Option<AuthorityRow> {
    let x509 = read(der)?;
    let seconds = u64::try_from(x509.validity().not_after.timestamp()).unwrap_or(0);
    Some(AuthorityRow {
        key: authority_key(der),
        subject_name: name(x509.subject()),
        issuer_name: name(x509.issuer()),
        expires: Timestamp(seconds.saturating_mul(1000)),
    })
}

/// Whether `authority` has issued `der`: the names agree and the signature is the authority's.
pub(super) fn is_issued_by(der: &[u8], authority: &[u8]) -> bool {
    let (Some(certificate), Some(authority)) = (read(der), read(authority)) else {
        return false;
    };
    certificate.issuer().as_raw() == authority.subject().as_raw()
        && certificate.verify_signature(Some(authority.public_key())).is_ok()
}

/// As stock tools show it: the values alone, those that are there.
fn name(name: &X509Name<'_>) -> String {
    fn first<'a>(mut values: impl Iterator<Item = &'a AttributeTypeAndValue<'a>>) -> Option<&'a str> {
        values.next()?.as_str().ok()
    }
    let parts = [
        first(name.iter_common_name()),
        first(name.iter_organization()),
        first(name.iter_organizational_unit()),
        first(name.iter_state_or_province()),
        first(name.iter_locality()),
        first(name.iter_country()),
    ];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    parts.join(", ")
}
