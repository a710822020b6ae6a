//! The certificates that a hub no longer takes.

use protocol::rpc::revocation::{Revocation as Wire, RevocationList, RevocationRow};
use protocol::rpc::{HubKey, HubRequest};

use super::{Administrator, Reply};
use crate::server::Server;
use crate::store::{Revocation, RevokedCertificate, StoreError};

pub(super) async fn add(server: &Server, _: &Administrator, request: Wire) -> Reply<Wire> {
    let (name, what) = (request.hub_name.clone(), what(&request));
    server
        .db
        .run(move |store| store.add_revocation(&name, &what))
        .await?;
    Ok(request)
}

pub(super) async fn set(server: &Server, _: &Administrator, request: Wire) -> Reply<Wire> {
    let name = request.hub_name.clone();
    let revocation = Revocation {
        key: request.key,
        what: what(&request),
    };
    server
        .db
        .run(move |store| store.set_revocation(&name, &revocation))
        .await?;
    Ok(request)
}

/// A text that is empty, or a digest of another length than such digests have, says nothing.
fn what(wire: &Wire) -> RevokedCertificate {
    let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    RevokedCertificate {
        serial: wire.serial.clone().filter(|serial| !serial.is_empty()),
        common_name: text(&wire.common_name),
        organization: text(&wire.organization),
        unit: text(&wire.unit),
        country: text(&wire.country),
        state: text(&wire.state),
        locality: text(&wire.locality),
        md5: wire
            .digest_md5
            .as_deref()
            .and_then(|digest| digest.try_into().ok()),
        sha1: wire
            .digest_sha1
            .as_deref()
            .and_then(|digest| digest.try_into().ok()),
    }
}

pub(super) async fn get(server: &Server, _: &Administrator, request: HubKey) -> Reply<Wire> {
    let (name, key) = (request.hub_name.clone(), request.key);
    let revocations = server.db.run(move |store| store.revocations(&name)).await?;
    let found = revocations
        .into_iter()
        .find(|revocation| revocation.key == key)
        .ok_or(StoreError::RevocationNotFound(key))?;
    let what = found.what;
    Ok(Wire {
        hub_name: request.hub_name,
        key,
        serial: what.serial,
        common_name: what.common_name,
        organization: what.organization,
        unit: what.unit,
        country: what.country,
        state: what.state,
        locality: what.locality,
        digest_md5: what.md5.map(Vec::from),
        digest_sha1: what.sha1.map(Vec::from),
    })
}

pub(super) async fn delete(server: &Server, _: &Administrator, request: HubKey) -> Reply<HubKey> {
    let (name, key) = (request.hub_name.clone(), request.key);
    server
        .db
        .run(move |store| store.delete_revocation(&name, key))
        .await?;
    Ok(request)
}

pub(super) async fn list(server: &Server, _: &Administrator, request: HubRequest) -> Reply<RevocationList> {
    let name = request.hub_name.clone();
    let revocations = server.db.run(move |store| store.revocations(&name)).await?;
    let row = |revocation: Revocation| RevocationRow {
        key: revocation.key,
        summary: summary(&revocation.what),
    };
    Ok(RevocationList {
        hub_name: request.hub_name,
        revocations: revocations.into_iter().map(row).collect(),
    })
}

/// One line for people, in the words of the stock server.
fn summary(what: &RevokedCertificate) -> String {
    let subject = [
        ("CN", &what.common_name),
        ("O", &what.organization),
        ("OU", &what.unit),
        ("S", &what.state),
        ("L", &what.locality),
        ("C", &what.country),
    ];
    let subject: Vec<_> = subject
        .iter()
        .filter_map(|(name, value)| Some(format!("{name}={}", value.as_ref()?)))
        .collect();
    let mut line = format!("Subject=\"{}\"", subject.join(", "));
    let digests = [
        ("Serial", what.serial.as_deref()),
        ("MD5", what.md5.as_ref().map(<[u8; 16]>::as_slice)),
        ("SHA1", what.sha1.as_ref().map(<[u8; 20]>::as_slice)),
    ];
    for (name, bytes) in digests {
        if let Some(bytes) = bytes {
            let bytes: Vec<_> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
            line += &format!(", {name}=\"{}\"", bytes.join(" "));
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_shown_as_stock_tools_show_it() {
        let what = RevokedCertificate {
            serial: Some(vec![1, 2, 0xAB]),
            common_name: Some("cn".to_owned()),
            country: Some("JP".to_owned()),
            state: Some("s".to_owned()),
            ..RevokedCertificate::default()
        };
        assert_eq!(
            summary(&what),
            "Subject=\"CN=cn, S=s, C=JP\", Serial=\"01 02 AB\""
        );
        assert_eq!(summary(&RevokedCertificate::default()), "Subject=\"\"");
    }
}
