//! Certificates that let users in: the user's own, or one that an authority of the hub has signed.

use std::time::SystemTime;

use super::Refused;
use crate::store::{Authority, Result, Revocation, Store, User, UserAuth};
use crate::x509::Certificate;

/// Whom a hub trusts, and which certificates it no longer takes.
pub(super) struct Trust {
    authorities: Vec<Authority>,
    revocations: Vec<Revocation>,
}

impl Trust {
    pub(super) fn of(store: &dyn Store, hub: &str) -> Result<Self> {
        Ok(Self {
            authorities: store.authorities(hub)?,
            revocations: store.revocations(hub)?,
        })
    }

    /// Whether this certificate is one that lets the user in now. That its bearer has the key is another question.
    pub(super) fn check(&self, der: &[u8], user: &User) -> std::result::Result<(), Refused> {
        let name = &user.name;
        let certificate = Certificate::read(der)
            .ok_or_else(|| Refused::failed(format!("user {name} came with what is no certificate")))?;
        match &user.auth {
            UserAuth::Certificate { der: own } if own.as_slice() == der => {}
            UserAuth::Certificate { .. } => {
                return Err(Refused::failed(format!("user {name} has another certificate")));
            }
            UserAuth::Signed { common_name, serial } => {
                self.check_issuer(&certificate, user)?;
                check_names(&certificate, user, common_name.as_deref(), serial.as_deref())?;
            }
            _ => return Err(super::authenticate::other_type(user)),
        }
        if !certificate.is_valid_at(SystemTime::now()) {
            return Err(Refused::failed(format!(
                "the certificate of user {name} has expired, or is not valid yet"
            )));
        }
        if self
            .revocations
            .iter()
            .any(|revocation| certificate.is_meant_by(&revocation.what))
        {
            return Err(Refused::failed(format!(
                "the certificate of user {name} is revoked"
            )));
        }
        Ok(())
    }

    /// The certificate's issuer itself must be trusted: clients send no chain.
    fn check_issuer(&self, certificate: &Certificate<'_>, user: &User) -> std::result::Result<(), Refused> {
        let now = SystemTime::now();
        let has_issued = |authority: &Authority| {
            Certificate::read(&authority.der).is_some_and(|authority| {
                authority.may_sign() && authority.is_valid_at(now) && certificate.is_issued_by(&authority)
            })
        };
        if self.authorities.iter().any(has_issued) {
            return Ok(());
        }
        Err(Refused::failed(format!(
            "the certificate of user {} is signed by {:?}, which the hub does not trust (see CAList and CAAdd)",
            user.name,
            certificate.issuer().to_string()
        )))
    }
}

fn check_names(
    certificate: &Certificate<'_>,
    user: &User,
    common_name: Option<&str>,
    serial: Option<&[u8]>,
) -> std::result::Result<(), Refused> {
    let subject = certificate.subject();
    let own_name = subject.common_name.unwrap_or_default();
    if common_name.is_some_and(|wanted| !wanted.eq_ignore_ascii_case(&own_name)) {
        return Err(Refused::failed(format!(
            "user {} came with the certificate of {own_name:?}",
            user.name
        )));
    }
    if serial.is_some_and(|wanted| !certificate.has_serial(wanted)) {
        return Err(Refused::failed(format!(
            "the certificate of user {} has another serial number",
            user.name
        )));
    }
    Ok(())
}
