//! Making certificates, for servers and for users.

use std::net::IpAddr;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256, RsaKeySize, SanType, SerialNumber,
};
use transport::tls;

use crate::{
    check,
    command::{Command, Scope, certificate, server},
    failure::{Failure, Outcome},
    params::{Arguments, Param},
    shell::Shell,
    text,
};

/// What 0 days stand for, and the most that can be asked for.
const DAYS: (u32, u32) = (3650, 10_950);

const PARAMS: &[Param] = &[
    Param::named(
        "CN",
        "The common name: a host name for a server, a user's name for a user.",
    )
    .ask("Name of Certificate to Create (CN): ")
    .check(check::not_empty),
    Param::named("O", "The organization; empty for none.").ask("Organization of Certificate to Create (O): "),
    Param::named("OU", "The unit of the organization; empty for none.")
        .ask("Organization Unit of Certificate to Create (OU): "),
    Param::named("C", "The country, two letters; empty for none.")
        .ask("Country of Certificate to Create (C): "),
    Param::named("ST", "The state or province; empty for none.").ask("State of Certificate to Create (ST): "),
    Param::named("L", "The place; empty for none.").ask("Locale of Certificate to Create (L): "),
    Param::named(
        "SERIAL",
        "The serial number in hexadecimal; empty for a random one.",
    )
    .ask("Serial Number of Certificate to Create (Hexadecimal): ")
    .check(check::hex),
    Param::named(
        "EXPIRES",
        "How many days it is valid, up to 10950; 0 for ten years.",
    )
    .ask("Expiration Date of Certificate to Create (Days): ")
    .check(is_days),
    Param::named(
        "SIGNCERT",
        "The certificate of the authority that signs it; itself when left out.",
    )
    .check(check::file),
    Param::named("SIGNKEY", "The private key of that authority.").check(check::file),
    Param::named("SAVECERT", "The file to write the certificate to.")
        .ask("File Name to Save Certificate to Create: ")
        .check(check::not_empty),
    Param::named(
        "SAVEKEY",
        "The file to write the private key to; only you can read it.",
    )
    .ask("File Name to Save Private Key to Create: ")
    .check(check::not_empty),
];

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "MakeCert",
        title: "Make a certificate and its key",
        help: "The same as MakeCert2048. The stock tool makes a key of 1024 bits here, which is no longer safe.",
        params: PARAMS,
        scope: Scope::Local,
        run: make,
    },
    Command {
        name: "MakeCert2048",
        title: "Make a certificate and its key of 2048 bits",
        help: "Makes an RSA key and a certificate for it, both in PEM format. Without /SIGNCERT and /SIGNKEY it is an \
               authority that signs itself; with them it is signed by that authority, for a server or a user.\n\
               Make the authority first, then the server's certificate signed by it: clients that are given the \
               authority's certificate know the server by its name.",
        params: PARAMS,
        scope: Scope::Local,
        run: make,
    },
];

fn is_days(text: &str) -> Result<(), String> {
    let known = text.is_empty() || text.trim().parse().is_ok_and(|days: u32| days <= DAYS.1);
    if known {
        Ok(())
    } else {
        Err(format!("The days are a number from 0 to {}.", DAYS.1))
    }
}

fn make(_: &mut Shell, arguments: &Arguments) -> Outcome {
    let authority = match (arguments.given("SIGNCERT"), arguments.given("SIGNKEY")) {
        (None, None) => None,
        (Some(cert), Some(key)) => Some(authority(cert, key)?),
        _ => {
            return Err(Failure::Invalid(
                "SIGNCERT and SIGNKEY belong together.".to_owned(),
            ));
        }
    };
    let params = params(arguments, authority.is_none())?;
    let key =
        KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).map_err(|error| refused(&error))?;
    let certificate = match &authority {
        Some(authority) => params.signed_by(&key, authority),
        None => params.self_signed(&key),
    };
    let certificate = certificate.map_err(|error| refused(&error))?;
    server::save(arguments.text("SAVECERT"), &certificate.pem())?;
    server::save_secret(arguments.text("SAVEKEY"), &key.serialize_pem())
}

fn refused(error: &rcgen::Error) -> Failure {
    Failure::Local(format!("The certificate cannot be made: {error}."))
}

/// Who signs: a certificate and the key that belongs to it.
fn authority(cert: &str, key: &str) -> Outcome<Issuer<'static, KeyPair>> {
    let wrong = |error: rcgen::Error| Failure::Local(format!("{cert} with {key} cannot sign: {error}."));
    let der = certificate::load(cert)?;
    let key = tls::key_from_file(key.as_ref()).map_err(|error| Failure::Local(text::sentence(&error)))?;
    let key = KeyPair::try_from(&key).map_err(wrong)?;
    Issuer::from_ca_cert_der(&der.into(), key).map_err(wrong)
}

/// Everything but the key.
fn params(arguments: &Arguments, authority: bool) -> Outcome<CertificateParams> {
    let mut params = CertificateParams::default();
    params.distinguished_name = name(arguments);
    if let Some(serial) = text::parse_hex(arguments.text("SERIAL")).filter(|serial| !serial.is_empty()) {
        params.serial_number = Some(SerialNumber::from(serial));
    }
    let days = match arguments.number("EXPIRES") {
        0 => DAYS.0,
        days => days,
    };
    let today = TimeZone::UTC.to_datetime(Timestamp::now()).date();
    let last = today.checked_add(Span::new().days(i64::from(days)));
    let last = last.map_err(|error| Failure::Invalid(format!("The days are too many: {error}.")))?;
    // Days of the civil calendar have no sign.
    let midnight = |day: Date| {
        rcgen::date_time_ymd(
            i32::from(day.year()),
            day.month().unsigned_abs(),
            day.day().unsigned_abs(),
        )
    };
    (params.not_before, params.not_after) = (midnight(today), midnight(last));
    if authority {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::CrlSign,
            KeyUsagePurpose::DigitalSignature,
        ];
    } else {
        // Stock servers warn of a certificate that does not say whether it is an authority.
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
        ];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.subject_alt_names = other_names(arguments.text("CN"));
    }
    Ok(params)
}

/// Clients of today look for a server's name here and not in the common name (RFC 9525).
fn other_names(common_name: &str) -> Vec<SanType> {
    if let Ok(address) = common_name.parse::<IpAddr>() {
        return vec![SanType::IpAddress(address)];
    }
    let host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    let name = common_name
        .try_into()
        .ok()
        .filter(|_| common_name.contains('.') && common_name.chars().all(host));
    name.map(SanType::DnsName).into_iter().collect()
}

fn name(arguments: &Arguments) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    for (param, kind) in [
        ("CN", DnType::CommonName),
        ("O", DnType::OrganizationName),
        ("OU", DnType::OrganizationalUnitName),
        ("C", DnType::CountryName),
        ("ST", DnType::StateOrProvinceName),
        ("L", DnType::LocalityName),
    ] {
        let value = arguments.text(param);
        if !value.is_empty() {
            name.push(kind, value);
        }
    }
    name
}
