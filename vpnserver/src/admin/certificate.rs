//! The server's certificate and ciphers.

use protocol::error::ErrorCode;
use protocol::rpc::certificate::KeyPair;
use protocol::rpc::{Nothing, Text, Values};
use transport::cipher::Cipher;
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

use super::{Administrator, Reply};
use crate::identity::{IdentityError, Material, Source};
use crate::server::Server;

/// How the protocol writes that no cipher is preferred.
const NO_PREFERENCE: &str = "~DEFAULT~";

/// The certificate, and to the server's administrator its chain and key. The key of files that the command line names stays in
/// them: it was not given to us to hand on.
pub(super) async fn get(server: &Server, caller: &Administrator, _: Nothing) -> Reply<KeyPair> {
    let identity = server.identity();
    let mut shown = KeyPair {
        cert: Some(identity.certificate.to_vec()),
        ..KeyPair::default()
    };
    if caller.hub().is_some() || identity.source == Source::Files {
        return Ok(shown);
    }
    if let Some(kept) = server.db.run(|store| store.server()).await?.certificate {
        let material = Material::unseal(&kept, &server.vault).map_err(|error| refuse(&error.into()))?;
        shown.key = Some(material.key.to_vec().into());
        shown.chain = material.chain.into_iter().skip(1).collect();
    }
    Ok(shown)
}

pub(super) async fn set(server: &Server, _: &Administrator, request: KeyPair) -> Reply<KeyPair> {
    let (Some(certificate), Some(key)) = (request.cert.clone(), &request.key) else {
        return Err(ErrorCode::Protocol);
    };
    let (_, parsed) = X509Certificate::from_der(&certificate).map_err(|_| ErrorCode::Protocol)?;
    let complete = parsed.subject() == parsed.issuer() || !request.chain.is_empty();
    let mut chain = vec![certificate];
    chain.extend(request.chain.iter().cloned());
    let key = Zeroizing::new(key.to_vec());
    show(server, Material { chain, key }).await?;
    Ok(KeyPair {
        cert: request.cert,
        flag1: u32::from(complete),
        ..KeyPair::default()
    })
}

/// A new self-signed certificate for the name in the text, or for a random one.
pub(super) async fn regenerate(server: &Server, _: &Administrator, request: Values) -> Reply<Values> {
    let name = match request.str.trim() {
        "" => Material::random_name(),
        given => given.to_owned(),
    };
    let made = Material::self_signed(&name).map_err(|error| match error {
        IdentityError::Name => ErrorCode::InvalidParameter,
        error => refuse(&error),
    })?;
    show(server, made).await?;
    Ok(request)
}

/// Keeps a certificate; `Server::apply` shows it from the next connection on. The stock server's number for one that does not
/// fit its key is 4.
async fn show(server: &Server, material: Material) -> Reply<()> {
    if server.identity().source == Source::Files {
        tracing::warn!(
            "the certificate was not changed: it is that of --tls-cert and --tls-key; change these files and restart"
        );
        return Err(ErrorCode::NotSupported);
    }
    material
        .identity(Source::Store)
        .map_err(|_| ErrorCode::Protocol)?;
    let sealed = material
        .seal(&server.vault)
        .map_err(|error| refuse(&error.into()))?;
    server
        .db
        .run(move |store| {
            store.update_server(&|record| {
                record.certificate = Some(sealed.clone());
                Ok(())
            })
        })
        .await?;
    Ok(())
}

fn refuse(error: &IdentityError) -> ErrorCode {
    tracing::error!(%error, "the server's certificate cannot be read or made");
    ErrorCode::Internal
}

pub(super) async fn cipher(server: &Server, _: &Administrator, _: Nothing) -> Reply<Text> {
    let preferred = server.db.run(|store| store.server()).await?.cipher;
    Ok(Text {
        string: preferred.unwrap_or_else(|| NO_PREFERENCE.to_owned()),
    })
}

/// All suites stay on offer; the preferred one wins where client and version of TLS have it.
pub(super) async fn set_cipher(server: &Server, _: &Administrator, request: Text) -> Reply<Text> {
    let name = request.string.trim();
    if name.is_empty() {
        return Err(ErrorCode::InvalidParameter);
    }
    let preferred = if name.eq_ignore_ascii_case(NO_PREFERENCE) {
        None
    } else {
        Some(Cipher::named(name).ok_or(ErrorCode::CipherNotSupported)?.name())
    };
    server
        .db
        .run(move |store| {
            store.update_server(&|record| {
                record.cipher = preferred.map(str::to_owned);
                Ok(())
            })
        })
        .await?;
    Ok(Text {
        string: preferred.unwrap_or(NO_PREFERENCE).to_owned(),
    })
}

pub(super) async fn ciphers(_: &Server, _: &Administrator, _: Nothing) -> Reply<Text> {
    let names: Vec<_> = Cipher::all().map(Cipher::name).collect();
    Ok(Text {
        string: names.join(";"),
    })
}
