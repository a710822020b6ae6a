//! Whom a hub lets in beside its users' list: `IPAccessControlList`, `CertList`, `CrlList`, `AdminOption` and RADIUS.

use protocol::config::Folder;

use super::place::Place;
use super::{Exporter, Import, ImportError};
use crate::secret::Identity;
use crate::store::{
    AdminOption, AdminOptions, Authority, Hub, Radius, RevokedCertificate, SourceRule, StoreError,
};

const SOURCES: &str = "IPAccessControlList";
const AUTHORITIES: &str = "CertList";
const REVOCATIONS: &str = "CrlList";
const OPTIONS: &str = "AdminOption";

impl Import<'_> {
    pub(super) fn source_rules(&mut self, hub: &str, accounts: &Place<'_>) -> Result<usize, ImportError> {
        let places = accounts.folders_of(SOURCES);
        let rules = places.iter().map(source_rule).collect::<Result<Vec<_>, _>>()?;
        accounts.keep(self.store.set_source_rules(hub, &rules))?;
        Ok(rules.len())
    }

    pub(super) fn authorities(&mut self, hub: &str, accounts: &Place<'_>) -> Result<usize, ImportError> {
        for old in self.store.authorities(hub)? {
            self.store.delete_authority(hub, old.key())?;
        }
        let places = accounts.folders_of(AUTHORITIES);
        for place in &places {
            let der = place.bytes("X509")?.unwrap_or_default();
            x509_parser::parse_x509_certificate(der)
                .map_err(|_| place.wrong("X509", "is not a certificate (X.509, DER)"))?;
            let authority = Authority { der: der.to_vec() };
            place.keep(self.store.add_authority(hub, &authority))?;
        }
        Ok(places.len())
    }

    pub(super) fn revocations(&mut self, hub: &str, accounts: &Place<'_>) -> Result<usize, ImportError> {
        for old in self.store.revocations(hub)? {
            self.store.delete_revocation(hub, old.key)?;
        }
        let places = accounts.folders_of(REVOCATIONS);
        for place in &places {
            let what = revoked(place)?;
            place.keep(self.store.add_revocation(hub, &what))?;
        }
        Ok(places.len())
    }

    pub(super) fn radius(&self, place: &Place<'_>, hub: &Hub) -> Result<Option<Radius>, ImportError> {
        let Some(servers) = place.some_text("RadiusServerName")? else {
            return Ok(None);
        };
        let secret = place.bytes("RadiusSecret")?;
        let seal = |secret: &[u8]| self.vault.seal(&Identity::RadiusSecret(hub.id), secret);
        Ok(Some(Radius {
            servers,
            port: match place.port("RadiusServerPort")? {
                0 => Radius::PORT,
                port => port,
            },
            secret: secret.map(seal).transpose()?,
            retry_interval: match place.uint_or("RadiusRetryInterval", 0)? {
                0 => Radius::RETRY_INTERVAL,
                interval => interval.min(Radius::MAX_RETRY_INTERVAL),
            },
        }))
    }
}

fn source_rule(place: &Place<'_>) -> Result<SourceRule, ImportError> {
    let address = place.parsed("IpAddress", "an IP address")?;
    Ok(SourceRule {
        priority: place.uint_or("Priority", 0)?,
        deny: place.flag("Deny")?,
        address: address.ok_or_else(|| place.wrong("IpAddress", "must be an IP address"))?,
        mask: place.parsed("NetMask", "a mask")?,
    })
}

fn revoked(place: &Place<'_>) -> Result<RevokedCertificate, ImportError> {
    Ok(RevokedCertificate {
        serial: hex(place, "Serial")?,
        common_name: place.some_text("CommonName")?,
        organization: place.some_text("Organization")?,
        unit: place.some_text("Unit")?,
        country: place.some_text("Country")?,
        state: place.some_text("State")?,
        locality: place.some_text("Local")?,
        md5: digest(place, "DigestMD5")?,
        sha1: digest(place, "DigestSHA1")?,
    })
}

fn digest<const N: usize>(place: &Place<'_>, key: &str) -> Result<Option<[u8; N]>, ImportError> {
    let wrong = |_| place.wrong(key, format!("must have {} hexadecimal digits", 2 * N));
    let bytes = hex(place, key)?;
    Ok(bytes.map(<[u8; N]>::try_from).transpose().map_err(wrong)?)
}

/// Bytes that are written as a text of hexadecimal digits.
fn hex(place: &Place<'_>, key: &str) -> Result<Option<Vec<u8>>, ImportError> {
    let Some(text) = place.some_text(key)? else {
        return Ok(None);
    };
    let wrong = || place.wrong(key, "must have hexadecimal digits, two for each byte");
    let digits: Option<Vec<_>> = text.chars().map(|c| c.to_digit(16)).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0).ok_or_else(wrong)?;
    let byte = |pair: &[u32]| u8::try_from(pair[0] * 16 + pair[1]).map_err(|_| wrong().into());
    digits
        .chunks_exact(2)
        .map(byte)
        .collect::<Result<_, _>>()
        .map(Some)
}

/// The administration options of a hub.
pub(super) fn admin_options(place: &Place<'_>) -> Result<AdminOptions, ImportError> {
    let mut options = AdminOptions::default();
    if let Some(place) = place.folder(OPTIONS) {
        for option in AdminOption::ALL {
            options.set(*option, place.number(option.name())?.unwrap_or(0));
        }
    }
    Ok(options)
}

impl Exporter<'_> {
    pub(super) fn trust(&self, hub: &str, accounts: &mut Folder) -> Result<(), StoreError> {
        let list = accounts.folder_mut(SOURCES);
        for (number, rule) in (1_u32..).zip(self.store.source_rules(hub)?) {
            let folder = list.folder_mut(&format!("Acl{number}"));
            folder.set("Priority", rule.priority);
            folder.set("Deny", rule.deny);
            folder.set("IpAddress", rule.address.to_string());
            if let Some(mask) = rule.mask {
                folder.set("NetMask", mask.to_string());
            }
        }
        let list = accounts.folder_mut(AUTHORITIES);
        for (number, authority) in self.store.authorities(hub)?.into_iter().enumerate() {
            list.folder_mut(&format!("Cert{number}"))
                .set("X509", authority.der);
        }
        let list = accounts.folder_mut(REVOCATIONS);
        for (number, revocation) in self.store.revocations(hub)?.into_iter().enumerate() {
            write_revoked(list.folder_mut(&format!("Crl{number}")), revocation.what);
        }
        Ok(())
    }

    pub(super) fn write_restrictions(&self, folder: &mut Folder, hub: &Hub) -> Result<(), StoreError> {
        let options = folder.folder_mut(OPTIONS);
        for option in AdminOption::ALL {
            options.set(option.name(), hub.admin_options.get(*option));
        }
        let Some(radius) = &hub.radius else { return Ok(()) };
        folder.set("RadiusServerName", radius.servers.as_str());
        folder.set("RadiusServerPort", u32::from(radius.port));
        folder.set("RadiusRetryInterval", radius.retry_interval);
        if let Some(secret) = &radius.secret {
            let secret = self.vault.open_sealed(&Identity::RadiusSecret(hub.id), secret)?;
            folder.set("RadiusSecret", secret.as_slice());
        }
        Ok(())
    }
}

fn write_revoked(folder: &mut Folder, what: RevokedCertificate) {
    let text = |bytes: Vec<u8>| bytes.iter().map(|byte| format!("{byte:02X}")).collect::<String>();
    for (key, value) in [
        ("CommonName", what.common_name),
        ("Organization", what.organization),
        ("Unit", what.unit),
        ("Country", what.country),
        ("State", what.state),
        ("Local", what.locality),
        ("Serial", what.serial.map(text)),
        ("DigestMD5", what.md5.map(|md5| text(md5.to_vec()))),
        ("DigestSHA1", what.sha1.map(|sha1| text(sha1.to_vec()))),
    ] {
        if let Some(value) = value {
            folder.set(key, value);
        }
    }
}
