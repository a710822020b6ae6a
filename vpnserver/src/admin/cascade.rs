//! Cascades of a hub: defined, kept and listed. Nothing makes their connections yet, and their state says so.

use protocol::error::ErrorCode;
use protocol::rpc::HubRequest;
use protocol::rpc::cascade::{
    Link, LinkAuthType, LinkList, LinkName, LinkRename, LinkRequest, LinkRow, LinkStatus,
};
use zeroize::Zeroizing;

use super::{Administrator, Reply};
use crate::secret::{Identity, Sealed};
use crate::server::Server;
use crate::store::{Cascade, CascadeProof, CascadeProxy, Id, ProxyKind};

/// What the stock server tells of every cascade, whatever was asked for: it tries for ever, every ten seconds, and
/// leaves the routes of the machine alone.
const DEVICE_NAME: &str = "_SEHUBLINKCLI_";
const RETRY_SECONDS: u32 = 10;

pub(super) async fn create(server: &Server, _: &Administrator, request: Link) -> Reply<Link> {
    // The stock server's number for a cascade without a name.
    if request.account_name.is_empty() {
        return Err(ErrorCode::Internal);
    }
    // A new cascade waits until it is put online.
    let cascade = read(server, &request, Id::random(), false)?;
    let hub = request.hub_name.clone();
    server
        .db
        .run(move |store| store.add_cascade(&hub, &cascade))
        .await?;
    Ok(request)
}

pub(super) async fn set(server: &Server, _: &Administrator, request: Link) -> Reply<Link> {
    let (hub, name) = (request.hub_name.clone(), request.account_name.clone());
    let before = server
        .db
        .run({
            let (hub, name) = (hub.clone(), name.clone());
            move |store| store.cascade(&hub, &name)
        })
        .await?;
    let wanted = read(server, &request, before.id, before.online)?;
    server
        .db
        .run(move |store| {
            store.update_cascade(&hub, &name, &|cascade| {
                // Secrets were sealed for the one that was read; another may have come in its place.
                if cascade.id != wanted.id {
                    return Err(crate::store::StoreError::Refused(ErrorCode::ObjectNotFound));
                }
                let online = cascade.online;
                *cascade = wanted.clone();
                cascade.online = online;
                Ok(())
            })
        })
        .await?;
    Ok(request)
}

pub(super) async fn get(server: &Server, _: &Administrator, request: LinkRequest) -> Reply<Link> {
    let (hub, name) = (request.hub_name.clone(), request.account_name);
    let cascade = server.db.run(move |store| store.cascade(&hub, &name)).await?;
    show(server, request.hub_name, &cascade)
}

pub(super) async fn list(server: &Server, _: &Administrator, request: HubRequest) -> Reply<LinkList> {
    let hub = request.hub_name.clone();
    let cascades = server.db.run(move |store| store.cascades(&hub)).await?;
    let row = |cascade: Cascade| LinkRow {
        account_name: cascade.name,
        hostname: cascade.host,
        connected_hub_name: cascade.hub.clone(),
        target_hub_name: cascade.hub,
        online: cascade.online,
        last_error: if cascade.online {
            ErrorCode::NotSupported.code()
        } else {
            0
        },
        ..LinkRow::default()
    };
    Ok(LinkList {
        hub_name: request.hub_name,
        links: cascades.into_iter().map(row).collect(),
    })
}

/// No cascade has a connection.
pub(super) async fn status(server: &Server, _: &Administrator, request: LinkRequest) -> Reply<LinkStatus> {
    let (hub, name) = (request.hub_name, request.account_name);
    server.db.run(move |store| store.cascade(&hub, &name)).await?;
    Err(ErrorCode::LinkOffline)
}

pub(super) async fn set_online(server: &Server, _: &Administrator, request: LinkName) -> Reply<LinkName> {
    switch(server, request, true).await
}

pub(super) async fn set_offline(server: &Server, _: &Administrator, request: LinkName) -> Reply<LinkName> {
    switch(server, request, false).await
}

async fn switch(server: &Server, request: LinkName, online: bool) -> Reply<LinkName> {
    let (hub, name) = (request.hub_name.clone(), request.account_name.clone());
    server
        .db
        .run(move |store| {
            store.update_cascade(&hub, &name, &|cascade| {
                cascade.online = online;
                Ok(())
            })
        })
        .await?;
    Ok(request)
}

pub(super) async fn delete(server: &Server, _: &Administrator, request: LinkName) -> Reply<LinkName> {
    let (hub, name) = (request.hub_name.clone(), request.account_name.clone());
    server
        .db
        .run(move |store| store.delete_cascade(&hub, &name))
        .await?;
    Ok(request)
}

pub(super) async fn rename(server: &Server, _: &Administrator, request: LinkRename) -> Reply<LinkRename> {
    let hub = request.hub_name.clone();
    let (old, new) = (request.old_account_name.clone(), request.new_account_name.clone());
    server
        .db
        .run(move |store| {
            store.update_cascade(&hub, &old, &|cascade| {
                cascade.name.clone_from(&new);
                Ok(())
            })
        })
        .await?;
    Ok(request)
}

/// The cascade that a message describes.
fn read(server: &Server, link: &Link, id: Id, online: bool) -> Reply<Cascade> {
    let proxy_password = &link.proxy_password;
    Ok(Cascade {
        id,
        name: link.account_name.clone(),
        online,
        host: link.hostname.clone(),
        port: port(link.port)?,
        udp_port: port(link.port_udp)?,
        hub: link.remote_hub_name.clone(),
        username: link.username.clone().unwrap_or_default(),
        proof: proof(server, link, id)?,
        proxy: CascadeProxy {
            kind: ProxyKind::from_code(link.proxy_type.into()).ok_or(ErrorCode::InvalidParameter)?,
            host: link.proxy_name.clone(),
            port: port(link.proxy_port)?,
            username: link.proxy_username.clone(),
            password: if proxy_password.is_empty() {
                None
            } else {
                Some(seal(
                    server,
                    &Identity::CascadeProxy(id),
                    proxy_password.as_bytes(),
                )?)
            },
            http_headers: link.custom_http_header.clone(),
        },
        max_connections: link.max_connection,
        additional_interval: link.additional_connection_interval,
        connection_life: link.connection_disconnect_span,
        encrypt: link.use_encrypt,
        compress: link.use_compress,
        half_duplex: link.half_connection,
        no_qos: link.disable_qos,
        no_udp_acceleration: link.no_udp_acceleration,
        check_certificate: link.check_server_cert,
        server_certificate: link.server_cert.clone().filter(|der| !der.is_empty()),
        policy: link.policy.clone(),
    })
}

fn proof(server: &Server, link: &Link, id: Id) -> Reply<CascadeProof> {
    let secret = |bytes: &[u8]| seal(server, &Identity::Cascade(id), bytes);
    Ok(match link.auth_type.unwrap_or_default() {
        LinkAuthType::Anonymous => CascadeProof::Anonymous,
        LinkAuthType::Password => {
            // A missing hash is that of no password, as with the stock server.
            let hash = link.hashed_password.as_ref().map_or(&[0; 20][..], |hash| hash);
            CascadeProof::Password(secret(hash)?)
        }
        LinkAuthType::PlainPassword => {
            let password = link.plain_password.as_ref().map_or("", |password| password);
            CascadeProof::PlainPassword(secret(password.as_bytes())?)
        }
        LinkAuthType::Certificate => CascadeProof::Certificate {
            der: link.client_x.clone().unwrap_or_default(),
            key: secret(link.client_k.as_ref().map_or(&[], |key| key))?,
        },
        // The stock server's number too: no smart card, no engine.
        _ => return Err(ErrorCode::Internal),
    })
}

fn seal(server: &Server, identity: &Identity, bytes: &[u8]) -> Reply<Sealed> {
    server
        .vault
        .seal(identity, bytes)
        .map_err(|_| ErrorCode::Internal)
}

fn unseal(server: &Server, identity: &Identity, sealed: &Sealed) -> Reply<Zeroizing<Vec<u8>>> {
    server.vault.open_sealed(identity, sealed).map_err(|error| {
        tracing::error!(%error, "a secret of a cascade cannot be read");
        ErrorCode::Internal
    })
}

fn port(number: u32) -> Reply<u16> {
    u16::try_from(number).map_err(|_| ErrorCode::InvalidParameter)
}

/// A cascade with its secrets: tools read all of it, change one thing and write it back (admin RPC §2).
fn show(server: &Server, hub: String, cascade: &Cascade) -> Reply<Link> {
    let proxy = &cascade.proxy;
    let mut link = Link {
        hub_name: hub,
        online: cascade.online,
        account_name: cascade.name.clone(),
        hostname: cascade.host.clone(),
        port: cascade.port.into(),
        port_udp: cascade.udp_port.into(),
        remote_hub_name: cascade.hub.clone(),
        proxy_type: proxy.kind.code().into(),
        proxy_name: proxy.host.clone(),
        proxy_port: proxy.port.into(),
        proxy_username: proxy.username.clone(),
        custom_http_header: proxy.http_headers.clone(),
        device_name: DEVICE_NAME.to_owned(),
        num_retry: u32::MAX,
        retry_interval: RETRY_SECONDS,
        max_connection: cascade.max_connections,
        use_encrypt: cascade.encrypt,
        use_compress: cascade.compress,
        half_connection: cascade.half_duplex,
        no_routing_tracking: true,
        additional_connection_interval: cascade.additional_interval,
        connection_disconnect_span: cascade.connection_life,
        require_bridge_routing_mode: true,
        disable_qos: cascade.no_qos,
        no_udp_acceleration: cascade.no_udp_acceleration,
        auth_type: Some(cascade.proof.code().into()),
        username: Some(cascade.username.clone()),
        check_server_cert: cascade.check_certificate,
        server_cert: cascade.server_certificate.clone(),
        policy: cascade.policy.clone(),
        ..Link::default()
    };
    if let Some(password) = &proxy.password {
        link.proxy_password = text(&unseal(server, &Identity::CascadeProxy(cascade.id), password)?).into();
    }
    let secret = |sealed| unseal(server, &Identity::Cascade(cascade.id), sealed);
    match &cascade.proof {
        CascadeProof::Anonymous => {}
        CascadeProof::Password(hash) => link.hashed_password = Some(secret(hash)?.to_vec().into()),
        CascadeProof::PlainPassword(password) => link.plain_password = Some(text(&secret(password)?).into()),
        CascadeProof::Certificate { der, key } => {
            link.client_x = Some(der.clone());
            link.client_k = Some(secret(key)?.to_vec().into());
        }
    }
    Ok(link)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
