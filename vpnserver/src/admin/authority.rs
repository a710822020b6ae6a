//! The authorities that a hub trusts.

use protocol::error::ErrorCode;
use protocol::rpc::certificate::{Authority as Wire, AuthorityList, AuthorityRow, NewAuthority};
use protocol::rpc::{HubKey, HubRequest, Timestamp};

use super::{Administrator, Reply};
use crate::server::Server;
use crate::store::{Authority, StoreError};
use crate::x509::Certificate;

pub(super) async fn add(server: &Server, _: &Administrator, request: NewAuthority) -> Reply<NewAuthority> {
    let certificate = Certificate::read(&request.cert).ok_or(ErrorCode::InvalidParameter)?;
    if !certificate.has_usable_key() {
        return Err(ErrorCode::NotRsa1024);
    }
    let name = request.hub_name.clone();
    let authority = Authority {
        der: request.cert.clone(),
    };
    server
        .db
        .run(move |store| store.add_authority(&name, &authority))
        .await?;
    Ok(request)
}

/// In the order of their subjects, as the stock server lists them.
pub(super) async fn list(server: &Server, _: &Administrator, request: HubRequest) -> Reply<AuthorityList> {
    let name = request.hub_name.clone();
    let authorities = server.db.run(move |store| store.authorities(&name)).await?;
    let mut rows: Vec<_> = authorities.iter().filter_map(row).collect();
    rows.sort_by_key(|row| row.subject_name.to_lowercase());
    Ok(AuthorityList {
        hub_name: request.hub_name,
        authorities: rows,
    })
}

fn row(authority: &Authority) -> Option<AuthorityRow> {
    let certificate = Certificate::read(&authority.der)?;
    Some(AuthorityRow {
        key: authority.key(),
        subject_name: certificate.subject().to_string(),
        issuer_name: certificate.issuer().to_string(),
        expires: Timestamp(certificate.expires_millis()),
    })
}

pub(super) async fn get(server: &Server, _: &Administrator, request: HubKey) -> Reply<Wire> {
    let (name, key) = (request.hub_name.clone(), request.key);
    let authorities = server.db.run(move |store| store.authorities(&name)).await?;
    let found = authorities
        .into_iter()
        .find(|authority| authority.key() == key)
        .ok_or(StoreError::AuthorityNotFound(key))?;
    Ok(Wire {
        hub_name: request.hub_name,
        key,
        cert: Some(found.der),
    })
}

pub(super) async fn delete(server: &Server, _: &Administrator, request: HubKey) -> Reply<HubKey> {
    let (name, key) = (request.hub_name.clone(), request.key);
    server
        .db
        .run(move |store| store.delete_authority(&name, key))
        .await?;
    Ok(request)
}
