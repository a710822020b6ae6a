//! Users of a hub.

use protocol::error::ErrorCode;
use protocol::password::{PasswordHash, user_hash};
use protocol::rpc::user::{AuthType, User, UserList, UserRow};
use protocol::rpc::{HubObject, HubRequest, Timestamp};
use zeroize::Zeroizing;

use super::session::stored_traffic;
use super::{Administrator, Reply};
use crate::secret::Identity;
use crate::server::Server;
use crate::store::{self, HubOption, UserAuth, UserName};
use crate::x509::Certificate;

pub(super) async fn create(server: &Server, _: &Administrator, request: User) -> Reply<User> {
    let name = UserName::parse(request.name.trim()).map_err(|_| ErrorCode::InvalidParameter)?;
    let mut user = store::User::new(name, UserAuth::Anonymous);
    user.auth = new_auth(server, &request, &user).await?;
    describe(&mut user, &request)?;
    let hub = request.hub_name.clone();
    server.db.run(move |store| store.add_user(&hub, &user)).await?;
    Ok(echo(&request))
}

pub(super) async fn set(server: &Server, _: &Administrator, request: User) -> Reply<User> {
    let (hub, name) = (request.hub_name.clone(), request.name.clone());
    let old = server.db.run(move |store| store.user(&hub, &name)).await?;
    // A password user without a new password keeps the old one: reading never shows it, so writing back cannot name it.
    let kept = request.auth_type == AuthType::Password
        && matches!(old.auth, UserAuth::Password { .. })
        && given_hash(&request)?.is_none();
    let auth = if kept {
        old.auth.clone()
    } else {
        new_auth(server, &request, &old).await?
    };
    let mut wanted = old;
    wanted.auth = auth;
    describe(&mut wanted, &request)?;
    let (hub, name) = (request.hub_name.clone(), request.name.clone());
    server
        .db
        .run(move |store| {
            store.update_user(&hub, &name, &|user| {
                *user = wanted.clone();
                Ok(())
            })
        })
        .await?;
    Ok(echo(&request))
}

/// Everything of a user but the name and how they prove who they are.
fn describe(user: &mut store::User, request: &User) -> Reply<()> {
    let group = request.group_name.trim();
    user.real_name.clone_from(&request.realname);
    user.note.clone_from(&request.note);
    user.group = if group.is_empty() {
        None
    } else {
        Some(UserName::parse(group).map_err(|_| ErrorCode::GroupNotFound)?)
    };
    user.expires = store::Timestamp::from_millis(request.expire_time.0).filter(|at| at.as_millis() != 0);
    user.policy.clone_from(&request.policy);
    Ok(())
}

async fn new_auth(server: &Server, request: &User, user: &store::User) -> Reply<UserAuth> {
    Ok(match request.auth_type {
        AuthType::Anonymous => UserAuth::Anonymous,
        AuthType::Password => match given_hash(request)? {
            None => UserAuth::Password {
                record: None,
                standard: None,
            },
            Some(hash) => with_password(server, &request.hub_name, user, hash).await?,
        },
        AuthType::UserCertificate => {
            let der = request.user_x.clone().unwrap_or_default();
            let certificate = Certificate::read(&der).ok_or(ErrorCode::InvalidParameter)?;
            if !certificate.has_usable_key() {
                return Err(ErrorCode::NotRsa1024);
            }
            UserAuth::Certificate { der }
        }
        AuthType::SignedCertificate => UserAuth::Signed {
            common_name: request.common_name.clone().filter(|name| !name.is_empty()),
            serial: request.serial.clone().filter(|serial| !serial.is_empty()),
        },
        AuthType::Radius => UserAuth::Radius {
            name: request.radius_username.clone().filter(|name| !name.is_empty()),
        },
        AuthType::Other(_) => return Err(ErrorCode::Internal), // the stock server's number for it
        AuthType::NtDomain => UserAuth::Nt {
            name: request.nt_username.clone().filter(|name| !name.is_empty()),
        },
    })
}

/// The hash of a password that a request gives, in either form.
fn given_hash(request: &User) -> Reply<Option<PasswordHash>> {
    if let Some(plain) = request.auth_password.as_ref().filter(|plain| !plain.is_empty()) {
        return Ok(Some(user_hash(plain.as_bytes(), &request.name)));
    }
    match &request.hashed_key {
        None => Ok(None),
        Some(hash) if hash.is_blank() => Ok(None),
        Some(hash) => {
            let hash = Zeroizing::new(
                <[u8; 20]>::try_from(hash.as_slice()).map_err(|_| ErrorCode::InvalidParameter)?,
            );
            Ok(Some(PasswordHash::new(*hash)))
        }
    }
}

/// Argon2id of the hash; the hash itself, sealed, only where the hub wants standard logins to work.
async fn with_password(
    server: &Server,
    hub: &str,
    user: &store::User,
    hash: PasswordHash,
) -> Reply<UserAuth> {
    let name = hub.to_owned();
    let hub = server.db.run(move |store| store.hub(&name)).await?;
    let standard = if hub.options.is_on(HubOption::AllowStandardPassword) {
        let identity = Identity::StandardPassword(user.id);
        Some(
            server
                .vault
                .seal(&identity, hash.as_bytes())
                .map_err(|_| ErrorCode::Internal)?,
        )
    } else {
        None
    };
    let record = server
        .logins
        .hasher()
        .record(hash)
        .await
        .map_err(|_| ErrorCode::Internal)?;
    Ok(UserAuth::Password {
        record: Some(record),
        standard,
    })
}

/// What was set, without its secrets.
fn echo(request: &User) -> User {
    User {
        hashed_key: None,
        nt_lm_secure_hash: None,
        auth_password: None,
        ..request.clone()
    }
}

pub(super) async fn get(server: &Server, _: &Administrator, request: HubObject) -> Reply<User> {
    if request.name.is_empty() {
        return Err(ErrorCode::InvalidParameter);
    }
    server.refresh_usage().await;
    let (hub, name) = (request.hub_name.clone(), request.name);
    let user = server.db.run(move |store| store.user(&hub, &name)).await?;
    let mut answer = User {
        hub_name: request.hub_name,
        name: user.name.to_string(),
        group_name: user.group.map(|group| group.to_string()).unwrap_or_default(),
        realname: user.real_name,
        note: user.note,
        created_time: Timestamp(user.created.as_millis()),
        updated_time: Timestamp(user.updated.as_millis()),
        expire_time: Timestamp(user.expires.map_or(0, store::Timestamp::as_millis)),
        auth_type: user.auth.code().into(),
        num_login: user.usage.logins,
        traffic: stored_traffic(&user.usage.traffic),
        policy: user.policy,
        ..User::default()
    };
    match user.auth {
        UserAuth::Anonymous => {}
        UserAuth::Password { .. } => {
            answer.hashed_key = Some(vec![0; 20].into());
            answer.nt_lm_secure_hash = Some(vec![0; 16].into());
        }
        UserAuth::Certificate { der } => answer.user_x = Some(der),
        UserAuth::Signed { common_name, serial } => {
            (answer.common_name, answer.serial) = (common_name, serial);
        }
        UserAuth::Radius { name } => answer.radius_username = Some(name.unwrap_or_default()),
        UserAuth::Nt { name } => answer.nt_username = Some(name.unwrap_or_default()),
    }
    Ok(answer)
}

pub(super) async fn delete(server: &Server, _: &Administrator, request: HubObject) -> Reply<HubObject> {
    let (hub, name) = (request.hub_name.clone(), request.name.clone());
    server.db.run(move |store| store.delete_user(&hub, &name)).await?;
    Ok(request)
}

pub(super) async fn list(server: &Server, _: &Administrator, request: HubRequest) -> Reply<UserList> {
    server.refresh_usage().await;
    let hub = request.hub_name.clone();
    let users = server.db.run(move |store| store.users(&hub)).await?;
    let row = |user: store::User| UserRow {
        name: user.name.to_string(),
        group_name: user.group.map(|group| group.to_string()).unwrap_or_default(),
        realname: user.real_name,
        note: user.note,
        auth_type: user.auth.code().into(),
        last_login_time: Timestamp(user.usage.last_login.map_or(0, store::Timestamp::as_millis)),
        num_login: user.usage.logins,
        deny_access: user.policy.is_some_and(|policy| !policy.access),
        is_traffic_filled: true,
        traffic: stored_traffic(&user.usage.traffic),
        is_expires_filled: true,
        expires: Timestamp(user.expires.map_or(0, store::Timestamp::as_millis)),
    };
    Ok(UserList {
        hub_name: request.hub_name,
        users: users.into_iter().map(row).collect(),
    })
}
