//! Certificates in files and in words.

use std::fs;

use base64::{Engine, prelude::BASE64_STANDARD};
use rcgen::{KeyPair, PublicKeyData};
use transport::tls::{self, Fingerprint};
use x509_parser::asn1_rs::{Integer, OctetString, Sequence};
use x509_parser::prelude::{FromDer, Pem, X509Certificate, X509Name};

use crate::{
    failure::{Failure, Outcome},
    text,
};

/// Reads a certificate from a file in PEM or DER format.
pub(crate) fn load(path: &str) -> Outcome<Vec<u8>> {
    let wrong = |reason: String| Failure::Local(format!("Cannot read a certificate from {path}: {reason}."));
    let bytes = fs::read(path).map_err(|error| wrong(error.to_string()))?;
    if X509Certificate::from_der(&bytes).is_ok() {
        return Ok(bytes);
    }
    from_pem(&bytes).ok_or_else(|| wrong("it holds none in PEM or DER format".to_owned()))
}

/// The first certificate of a text in PEM format (RFC 7468).
pub(crate) fn from_pem(text: &[u8]) -> Option<Vec<u8>> {
    let blocks = Pem::iter_from_buffer(text).filter_map(Result::ok);
    let der = blocks
        .filter(|pem| pem.label == "CERTIFICATE")
        .map(|pem| pem.contents)
        .next()?;
    X509Certificate::from_der(&der).is_ok().then_some(der)
}

/// Reads a private key from a file in PEM format; the result is DER.
pub(super) fn load_key(path: &str) -> Outcome<Vec<u8>> {
    let key = tls::key_from_file(path.as_ref()).map_err(|error| Failure::Local(format!("{error}.")))?;
    Ok(key.secret_der().to_vec())
}

/// Reads a certificate and its private key; the results are DER, the key as PKCS #1, which stock software keeps.
pub(super) fn load_pair(cert_path: &str, key_path: &str) -> Outcome<(Vec<u8>, Vec<u8>)> {
    let cert = load(cert_path)?;
    let key = tls::key_from_file(key_path.as_ref()).map_err(|error| Failure::Local(format!("{error}.")))?;
    let pair = KeyPair::try_from(&key)
        .map_err(|error| Failure::Local(format!("The key in {key_path} cannot be used: {error}.")))?;
    let belongs = X509Certificate::from_der(&cert)
        .is_ok_and(|(_, cert)| *cert.tbs_certificate.subject_pki.raw == pair.subject_public_key_info());
    if !belongs {
        return Err(Failure::Local(format!(
            "The key in {key_path} does not belong to the certificate in {cert_path}."
        )));
    }
    let der = key.secret_der();
    Ok((cert, rsa_key(der).unwrap_or(der).to_vec()))
}

/// The PKCS #1 key inside a PKCS #8 one (RFC 5208); `None` when there is none.
fn rsa_key(der: &[u8]) -> Option<&[u8]> {
    let (_, info) = Sequence::from_der(der).ok()?;
    let (rest, _version) = Integer::from_der(&info.content).ok()?;
    let (rest, _algorithm) = Sequence::from_der(rest).ok()?;
    let (_, key) = OctetString::from_der(rest).ok()?;
    let at = der.len().checked_sub(key.as_cow().len())?;
    // What follows the key (attributes) is optional, and no tool writes it.
    der.get(at..).filter(|bytes| *bytes == key.as_ref())
}

/// DER as PEM text (RFC 7468).
pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let mut lines = vec![format!("-----BEGIN {label}-----")];
    // Base64 is ASCII, so every chunk is text.
    lines.extend(
        text.as_bytes()
            .chunks(64)
            .map(|line| String::from_utf8_lossy(line).into_owned()),
    );
    lines.push(format!("-----END {label}-----\n"));
    lines.join("\n")
}

/// `CN=user, O=o, SERIAL="00" (Digest: SHA256="...")`. The stock tool shows MD5 and SHA-1, of which neither tells
/// certificates apart any more.
pub(crate) fn describe(der: &[u8]) -> String {
    let digest = Fingerprint::of(&der.into()).to_string();
    let digest = digest.trim_start_matches("sha256:").to_ascii_uppercase();
    match X509Certificate::from_der(der) {
        Ok((_, certificate)) => {
            let serial = text::hex(certificate.raw_serial());
            format!(
                "{}, SERIAL=\"{serial}\" (Digest: SHA256=\"{digest}\")",
                name(certificate.subject())
            )
        }
        Err(_) => format!("unreadable (Digest: SHA256=\"{digest}\")"),
    }
}

/// The parts of a name in the order in which the stock tool shows them.
fn name(name: &X509Name<'_>) -> String {
    let parts: [(&str, Vec<_>); 6] = [
        ("CN", name.iter_common_name().collect()),
        ("O", name.iter_organization().collect()),
        ("OU", name.iter_organizational_unit().collect()),
        ("S", name.iter_state_or_province().collect()),
        ("L", name.iter_locality().collect()),
        ("C", name.iter_country().collect()),
    ];
    let shown = parts.iter().filter_map(|(label, values)| {
        let value = values.first()?.as_str().ok()?;
        Some(format!("{label}={value}"))
    });
    shown.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pem_lines_have_64_characters() {
        let text = pem("CERTIFICATE", &[0x30; 60]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            (lines[0], lines[1].len(), lines[2].len()),
            ("-----BEGIN CERTIFICATE-----", 64, 16)
        );
        assert_eq!(lines[3], "-----END CERTIFICATE-----");
    }

    #[test]
    fn what_is_no_certificate_is_named_and_not_shown() {
        assert!(describe(b"nonsense").starts_with("unreadable (Digest: SHA256="));
        let error = load("/nonexistent").unwrap_err();
        assert!(error.to_string().contains("/nonexistent"), "{error}");
        let error = load(env!("CARGO_MANIFEST_PATH")).unwrap_err();
        assert!(error.to_string().contains("holds none"), "{error}");
    }
}
