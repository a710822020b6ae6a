//! The pipeline from a login message to its answer.

use std::net::SocketAddr;

use protocol::error::ErrorCode;
use protocol::handshake::{Auth, ChangePassword, ClientVersion, Login, NodeInfo, Proof, SessionOptions};
use protocol::password::{admin_hash, user_hash};
use protocol::policy::Policy;
use tempfile::TempDir;
use zeroize::Zeroizing;

use super::{AdminPassword, AdminRole, Credential, Granted, HubPassword, Logins, Occupancy, Refused};
use crate::secret::{Identity, PasswordRecord};
use crate::store::testing::{Fixture, hub, user};
use crate::store::{Db, Group, Hub, HubOption, Id, Store, Timestamp, User, UserAuth, UserName};

const RANDOM: [u8; 20] = [9; 20];

/// A server with the hub `office`, for one test.
struct Server {
    db: Db,
    logins: Logins,
    vault: crate::secret::Vault,
    /// Sessions that are open on the hub, and of the user.
    open: (u32, u32),
    _dir: TempDir,
}

impl Occupancy for Server {
    fn sessions_of_hub(&self, _hub: &str) -> u32 {
        self.open.0
    }

    fn sessions_of_user(&self, _hub: &str, _user: &str, except: Option<&[u8; 16]>) -> u32 {
        if except.is_some() {
            self.open.1 - 1
        } else {
            self.open.1
        }
    }

    fn sessions_of_kind(&self, _hub: &str, _bridging: bool) -> u32 {
        self.open.0
    }
}

impl Server {
    fn new() -> Self {
        let Fixture { store, vault, dir } = Fixture::new();
        store.add_hub(&hub("office")).unwrap();
        let db = Db::new(store);
        let logins = Logins::new(db.clone(), vault.clone());
        Self {
            db,
            logins,
            vault,
            open: (0, 0),
            _dir: dir,
        }
    }

    fn store(&self) -> &dyn Store {
        self.db.blocking()
    }

    fn edit_hub(&self, edit: impl Fn(&mut Hub)) {
        self.store()
            .update_hub("office", &|hub| {
                edit(hub);
                Ok(())
            })
            .unwrap();
    }

    fn edit_user(&self, edit: impl Fn(&mut User)) {
        self.store()
            .update_user("office", "alice", &|user| {
                edit(user);
                Ok(())
            })
            .unwrap();
    }

    /// Adds alice, who logs in with the password `microsoft`.
    async fn add_alice(&self) {
        let mut alice = user("alice", UserAuth::Anonymous);
        alice.auth = self
            .logins
            .password_auth(alice.id, user_hash(b"microsoft", "alice"))
            .await
            .unwrap();
        self.store().add_user("office", &alice).unwrap();
    }

    async fn login(&self, auth: Auth) -> Result<Granted, Refused> {
        self.send(&login("Alice", auth)).await
    }

    async fn send(&self, login: &Login) -> Result<Granted, Refused> {
        self.logins.login(self, login, &RANDOM, peer()).await
    }
}

fn peer() -> SocketAddr {
    "203.0.113.10:40000".parse().unwrap()
}

fn login(user: &str, auth: Auth) -> Login {
    Login {
        hub: "Office".into(),
        user: user.into(),
        auth,
        options: SessionOptions::default(),
        client: client(),
        client_id: 0,
        unique_id: None,
        node: None,
        os: None,
    }
}

fn client() -> ClientVersion {
    ClientVersion {
        product: "a client".into(),
        version: 501,
        build: 9674,
    }
}

fn plain(password: &str) -> Auth {
    Auth::Plain(Zeroizing::new(password.into()))
}

fn standard(password: &str) -> Auth {
    Auth::Challenge(user_hash(password.as_bytes(), "ALICE").prove(&RANDOM))
}

fn code<T: std::fmt::Debug>(result: Result<T, Refused>) -> ErrorCode {
    result.unwrap_err().code
}

#[tokio::test]
async fn the_plain_password_opens_and_any_other_does_not() {
    let server = Server::new();
    server.add_alice().await;
    let granted = server.login(plain("microsoft")).await.unwrap();
    assert_eq!((granted.hub.as_str(), granted.user.as_str()), ("office", "alice"));
    assert_eq!(code(server.login(plain("wrong")).await), ErrorCode::AuthFailed);
    assert_eq!(code(server.login(plain("")).await), ErrorCode::AuthFailed);
    assert_eq!(code(server.login(Auth::Anonymous).await), ErrorCode::AuthFailed);
}

#[tokio::test]
async fn unknown_hub_offline_hub_and_unknown_user_have_their_numbers() {
    let server = Server::new();
    let elsewhere = Login {
        hub: "none".into(),
        ..login("alice", plain("x"))
    };
    assert_eq!(code(server.send(&elsewhere).await), ErrorCode::HubNotFound);
    assert_eq!(code(server.login(plain("x")).await), ErrorCode::AuthFailed);
    server.edit_hub(|hub| hub.online = false);
    assert_eq!(code(server.login(plain("x")).await), ErrorCode::HubStopped);
}

#[tokio::test]
async fn a_user_without_password_comes_in_whatever_was_sent() {
    let server = Server::new();
    server
        .store()
        .add_user("office", &user("alice", UserAuth::Anonymous))
        .unwrap();
    for auth in [Auth::Anonymous, plain("anything"), Auth::Challenge([1; 20])] {
        assert!(server.login(auth).await.is_ok());
    }
}

#[tokio::test]
async fn a_ticket_is_a_type_we_do_not_take() {
    let server = Server::new();
    assert_eq!(
        code(server.login(Auth::Ticket([0; 20])).await),
        ErrorCode::AuthTypeNotSupported
    );
}

#[tokio::test]
async fn the_standard_type_works_only_where_the_hub_allows_it() {
    let server = Server::new();
    server.add_alice().await;
    let refused = server.login(standard("microsoft")).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::AuthFailed);
    assert!(
        refused.reason.contains("AllowStandardPassword"),
        "{}",
        refused.reason
    );
    assert!(
        refused.reason.contains("RADIUS or NT domain"),
        "{}",
        refused.reason
    );

    server.edit_hub(|hub| hub.options.set(HubOption::AllowStandardPassword, 1));
    let refused = server.login(standard("microsoft")).await.unwrap_err();
    assert!(refused.reason.contains("log in once"), "{}", refused.reason);
    server.login(plain("microsoft")).await.unwrap();
    server.login(standard("microsoft")).await.unwrap();
    assert_eq!(code(server.login(standard("wrong")).await), ErrorCode::AuthFailed);

    server.edit_hub(|hub| hub.options.set(HubOption::AllowStandardPassword, 0));
    assert_eq!(
        code(server.login(standard("microsoft")).await),
        ErrorCode::AuthFailed
    );
}

#[tokio::test]
async fn an_imported_standard_hash_works_at_once() {
    let server = Server::new();
    server.edit_hub(|hub| hub.options.set(HubOption::AllowStandardPassword, 1));
    server.add_alice().await;
    server.login(standard("microsoft")).await.unwrap();
}

#[tokio::test]
async fn an_empty_record_lets_nobody_in() {
    let server = Server::new();
    let auth = UserAuth::Password {
        record: None,
        standard: None,
    };
    server.store().add_user("office", &user("alice", auth)).unwrap();
    let refused = server.login(plain("")).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::AuthFailed);
    assert!(refused.reason.contains("no password yet"), "{}", refused.reason);
}

#[tokio::test]
async fn the_hubs_administrator_comes_in_with_the_hubs_password() {
    let server = Server::new();
    let administrator = |password: &str| {
        login(
            "Administrator",
            Auth::Challenge(HubPassword::from_text(password).session.prove(&RANDOM)),
        )
    };
    assert_eq!(
        code(server.send(&administrator("")).await),
        ErrorCode::EmptyPasswordLocalOnly
    );
    let id = server.store().hub("office").unwrap().id;
    let sealed = HubPassword::from_text("hubpw").seal(&server.vault, id).unwrap();
    server.edit_hub(|hub| hub.password.clone_from(&sealed));
    let granted = server.send(&administrator("hubpw")).await.unwrap();
    assert!(granted.policy.monitor_port && granted.user_id.is_none());
    server
        .send(&login("administrator", plain("hubpw")))
        .await
        .unwrap();
    assert_eq!(
        code(server.send(&administrator("wrong")).await),
        ErrorCode::AuthFailed
    );
    assert_eq!(
        code(server.send(&login("administrator", plain("wrong"))).await),
        ErrorCode::AuthFailed
    );
}

#[tokio::test]
async fn expiry_and_policy_close_the_door_after_the_right_password() {
    let server = Server::new();
    server.add_alice().await;
    server.edit_user(|user| user.expires = Timestamp::from_millis(1));
    assert_eq!(
        code(server.login(plain("microsoft")).await),
        ErrorCode::AccessDenied
    );
    assert_eq!(code(server.login(plain("wrong")).await), ErrorCode::AuthFailed);
    server.edit_user(|user| {
        user.expires = None;
        user.policy = Some(Policy {
            access: false,
            ..Policy::default()
        });
    });
    assert_eq!(
        code(server.login(plain("microsoft")).await),
        ErrorCode::AccessDenied
    );
}

#[tokio::test]
async fn a_users_own_policy_wins_over_the_groups() {
    let server = Server::new();
    server.add_alice().await;
    let group = Group {
        id: Id::random(),
        name: UserName::parse("staff").unwrap(),
        real_name: String::new(),
        note: String::new(),
        policy: Some(Policy {
            max_connection: 2,
            ..Policy::default()
        }),
    };
    server.store().add_group("office", &group).unwrap();
    server.edit_user(|user| user.group = Some(UserName::parse("staff").unwrap()));
    let granted = server.login(plain("microsoft")).await.unwrap();
    assert_eq!(
        (granted.policy.max_connection, granted.group.as_deref()),
        (2, Some("staff"))
    );
    server.edit_user(|user| user.policy = Some(Policy::default()));
    assert_eq!(
        server
            .login(plain("microsoft"))
            .await
            .unwrap()
            .policy
            .max_connection,
        32
    );
}

#[tokio::test]
async fn modes_need_the_policys_word() {
    let server = Server::new();
    server.add_alice().await;
    let mut wanted = login("alice", plain("microsoft"));
    wanted.options.monitor = true;
    assert_eq!(code(server.send(&wanted).await), ErrorCode::MonitorDenied);
    wanted.options.monitor = false;
    wanted.options.bridge = true;
    server.send(&wanted).await.unwrap();
    server.edit_user(|user| {
        user.policy = Some(Policy {
            no_bridge: true,
            ..Policy::default()
        });
    });
    assert_eq!(code(server.send(&wanted).await), ErrorCode::BridgeDenied);
    wanted.options.bridge = false;
    wanted.client.product = "Some VPN Bridge".into();
    assert_eq!(code(server.send(&wanted).await), ErrorCode::BridgeDenied);
}

#[tokio::test]
async fn hubs_and_users_have_their_number_of_sessions() {
    let mut server = Server::new();
    server.add_alice().await;
    server.open = (3, 2);
    server.edit_hub(|hub| hub.max_sessions = 3);
    assert_eq!(
        code(server.login(plain("microsoft")).await),
        ErrorCode::TooManySessions
    );
    server.edit_hub(|hub| hub.max_sessions = 4);
    server.edit_user(|user| {
        user.policy = Some(Policy {
            multi_logins: 2,
            ..Policy::default()
        });
    });
    assert_eq!(
        code(server.login(plain("microsoft")).await),
        ErrorCode::TooManyUserSessions
    );
    let same_client = Login {
        node: Some(node()),
        ..login("alice", plain("microsoft"))
    };
    assert!(
        server.send(&same_client).await.is_ok(),
        "a client that comes back takes its own place"
    );
}

fn node() -> NodeInfo {
    let nowhere = std::net::IpAddr::from([0, 0, 0, 0]);
    NodeInfo {
        client_product: String::new(),
        client_version: 501,
        client_build: 9674,
        server_product: String::new(),
        server_version: 501,
        server_build: 9674,
        client_os: String::new(),
        client_os_version: String::new(),
        client_os_product_id: String::new(),
        client_host: String::new(),
        server_host: String::new(),
        proxy_host: String::new(),
        unique_id: [5; 16],
        client_ip: nowhere,
        client_port: 0,
        server_ip: nowhere,
        server_port: 0,
        proxy_ip: nowhere,
        proxy_port: 0,
    }
}

#[tokio::test]
async fn hubs_may_ask_for_a_build_or_a_number() {
    let server = Server::new();
    server.add_alice().await;
    server.edit_hub(|hub| hub.options.set(HubOption::ClientMinimumRequiredBuild, 9999));
    assert_eq!(
        code(server.login(plain("microsoft")).await),
        ErrorCode::VersionTooOld
    );
    server.edit_hub(|hub| {
        hub.options.set(HubOption::ClientMinimumRequiredBuild, 9674);
        hub.options.set(HubOption::RequiredClientId, 7);
    });
    assert_eq!(
        code(server.login(plain("microsoft")).await),
        ErrorCode::ClientIdRequired
    );
    let known = Login {
        client_id: 7,
        ..login("alice", plain("microsoft"))
    };
    assert!(server.send(&known).await.is_ok());
}

#[tokio::test]
async fn a_guesser_is_not_looked_at_for_a_while() {
    let server = Server::new();
    server.add_alice().await;
    for _ in 0..5 {
        assert_eq!(code(server.login(plain("wrong")).await), ErrorCode::AuthFailed);
    }
    let refused = server.login(plain("microsoft")).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::AuthFailed);
    assert!(refused.reason.starts_with("not looked at"), "{}", refused.reason);
    let login = login("alice", plain("microsoft"));
    let elsewhere = "198.51.100.1:1".parse().unwrap();
    assert!(
        server
            .logins
            .login(&server, &login, &RANDOM, elsewhere)
            .await
            .is_ok()
    );
}

fn change(old: &str, new: &str) -> ChangePassword {
    ChangePassword {
        hub: "office".into(),
        user: "alice".into(),
        old_proof: Proof(user_hash(old.as_bytes(), "alice").prove(&RANDOM)),
        new_password: user_hash(new.as_bytes(), "alice"),
        new_password_nt: Proof([0; 16]),
        client: client(),
    }
}

#[tokio::test]
async fn a_user_changes_the_password_by_proving_the_old_one() {
    let server = Server::new();
    server.add_alice().await;
    let ask = async |old: &str, new: &str| {
        server
            .logins
            .change_password(&change(old, new), &RANDOM, peer())
            .await
    };
    assert_eq!(code(ask("microsoft", "new").await), ErrorCode::NotEnoughRights);
    server.edit_hub(|hub| hub.options.set(HubOption::AllowStandardPassword, 1));
    server.login(plain("microsoft")).await.unwrap();
    assert_eq!(code(ask("wrong", "new").await), ErrorCode::OldPasswordWrong);
    ask("microsoft", "new").await.unwrap();
    server.login(plain("new")).await.unwrap();
    server.login(standard("new")).await.unwrap();
    assert_eq!(
        code(server.login(plain("microsoft")).await),
        ErrorCode::AuthFailed
    );
    server.edit_user(|user| {
        user.policy = Some(Policy {
            fix_password: true,
            ..Policy::default()
        });
    });
    assert_eq!(code(ask("new", "newer").await), ErrorCode::NotEnoughRights);
    server.edit_user(|user| user.auth = UserAuth::Anonymous);
    assert_eq!(code(ask("new", "newer").await), ErrorCode::NotPasswordUser);
}

/// Asks in both ways, which must not differ.
async fn ask_admin(
    server: &Server,
    hub: Option<&str>,
    password: &str,
    peer: SocketAddr,
) -> Result<AdminRole, Refused> {
    let proof = admin_hash(password.as_bytes()).prove(&RANDOM);
    let proof = Credential::Proof {
        random: &RANDOM,
        proof: &proof,
    };
    let by_proof = server.logins.admin(hub, &proof, peer).await;
    let by_password = server
        .logins
        .admin(hub, &Credential::Password(password.as_bytes()), peer)
        .await;
    assert_eq!(by_proof, by_password);
    by_password
}

#[tokio::test]
async fn nobody_administers_over_the_network_until_there_is_a_password() {
    let server = Server::new();
    for hub in [None, Some("office")] {
        for peer in ["203.0.113.10:1", "127.0.0.1:1", "[::1]:1"] {
            let refused = ask_admin(&server, hub, "", peer.parse().unwrap())
                .await
                .unwrap_err();
            assert_eq!(refused.code, ErrorCode::EmptyPasswordLocalOnly, "{hub:?} {peer}");
        }
    }
}

#[tokio::test]
async fn administrators_are_told_apart_by_their_passwords() {
    let server = Server::new();
    let server_password = AdminPassword::from_text("serverpw").seal(&server.vault).unwrap();
    server
        .store()
        .update_server(&|record| {
            record.admin_password.clone_from(&server_password);
            Ok(())
        })
        .unwrap();
    let id = server.store().hub("office").unwrap().id;
    let hub_password = HubPassword::from_text("hubpw").seal(&server.vault, id).unwrap();
    server.edit_hub(|hub| hub.password.clone_from(&hub_password));
    let ask = async |hub, password: &str| ask_admin(&server, hub, password, peer()).await;
    assert_eq!(ask(None, "serverpw").await, Ok(AdminRole::Server));
    assert_eq!(
        ask(Some("OFFICE"), "hubpw").await,
        Ok(AdminRole::Hub("office".into()))
    );
    assert_eq!(code(ask(None, "hubpw").await), ErrorCode::AccessDenied);
    assert_eq!(
        code(ask(Some("office"), "serverpw").await),
        ErrorCode::AccessDenied
    );
    assert_eq!(code(ask(Some("none"), "hubpw").await), ErrorCode::HubNotFound);
}

#[tokio::test]
async fn guesses_at_the_same_time_are_no_more_than_guesses_one_after_another() {
    let server = Server::new();
    server.add_alice().await;
    let guesses = (0..20).map(|_| server.login(plain("wrong")));
    let mut refused = futures_of(guesses).await;
    refused.retain(|outcome| !matches!(outcome, Err(refused) if refused.reason.starts_with("not looked at")));
    assert_eq!(refused.len(), 5);
}

/// Runs all at the same time.
async fn futures_of<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut running: Vec<_> = futures.map(Box::pin).collect();
    let mut done = Vec::new();
    std::future::poll_fn(|context| {
        running.retain_mut(|future| match future.as_mut().poll(context) {
            std::task::Poll::Ready(outcome) => {
                done.push(outcome);
                false
            }
            std::task::Poll::Pending => true,
        });
        if running.is_empty() {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    done
}

#[tokio::test]
async fn whoever_guesses_an_administrators_password_is_not_looked_at_for_a_while() {
    let server = Server::new();
    let sealed = AdminPassword::from_text("serverpw").seal(&server.vault).unwrap();
    server
        .store()
        .update_server(&|record| {
            record.admin_password.clone_from(&sealed);
            Ok(())
        })
        .unwrap();
    for _ in 0..5 {
        let guess = Credential::Password(b"guess");
        assert!(server.logins.admin(None, &guess, peer()).await.is_err());
    }
    let right = server
        .logins
        .admin(None, &Credential::Password(b"serverpw"), peer())
        .await
        .unwrap_err();
    assert_eq!(right.code, ErrorCode::AccessDenied);
    assert!(right.reason.starts_with("not looked at"), "{}", right.reason);
    let elsewhere = "198.51.100.9:1".parse().unwrap();
    assert_eq!(
        ask_admin(&server, None, "serverpw", elsewhere).await,
        Ok(AdminRole::Server)
    );
}

#[test]
fn the_empty_password_is_no_password() {
    let vault = crate::secret::Vault::ephemeral().unwrap();
    assert_eq!(AdminPassword::from_text("").seal(&vault).unwrap(), None);
    assert_eq!(
        HubPassword::from_text("").seal(&vault, Id::random()).unwrap(),
        None
    );
}

/// A certificate with its key, and a login that proves it.
fn certificate() -> (Vec<u8>, Auth) {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let cert = rcgen::CertificateParams::default()
        .self_signed(&key)
        .unwrap()
        .der()
        .to_vec();
    let key = protocol::certificate::SigningKey::from_der(&key.serialize_der()).unwrap();
    let signature = key.sign(&RANDOM, &mut rand::rng()).unwrap();
    (cert.clone(), Auth::Certificate { cert, signature })
}

#[tokio::test]
async fn the_users_very_certificate_opens_and_another_does_not() {
    let server = Server::new();
    let (der, auth) = certificate();
    let (_, other) = certificate();
    server
        .store()
        .add_user("office", &user("alice", UserAuth::Certificate { der }))
        .unwrap();
    assert_eq!(server.login(auth.clone()).await.unwrap().user, "alice");
    assert_eq!(code(server.login(other).await), ErrorCode::AuthFailed);
    let Auth::Certificate { cert, mut signature } = auth else {
        unreachable!("it is one")
    };
    signature[0] ^= 1;
    assert_eq!(
        code(server.login(Auth::Certificate { cert, signature }).await),
        ErrorCode::AuthFailed
    );
    assert_eq!(code(server.login(plain("anything")).await), ErrorCode::AuthFailed);
}

/// Puts alice in as an imported file does, with the password `microsoft`.
fn import_alice(server: &Server) {
    let mut alice = user("alice", UserAuth::Anonymous);
    let hash = user_hash(b"microsoft", "alice");
    let sealed = server
        .vault
        .seal(&Identity::ImportedPassword(alice.id), hash.as_bytes())
        .unwrap();
    alice.auth = UserAuth::Password {
        record: Some(PasswordRecord::imported(&sealed)),
        standard: None,
    };
    server.store().put_user("office", &alice).unwrap();
}

fn has_argon2_record(server: &Server) -> bool {
    match server.store().user("office", "alice").unwrap().auth {
        UserAuth::Password {
            record: Some(record), ..
        } => record.as_str().starts_with("$argon2id$"),
        _ => false,
    }
}

#[tokio::test]
async fn imported_user_logs_in_with_the_old_password_and_has_a_record_from_then_on() {
    let server = Server::new();
    import_alice(&server);
    let wrong = server.login(plain("wrong")).await;
    assert_eq!(wrong.unwrap_err().code, ErrorCode::AuthFailed);
    assert!(!has_argon2_record(&server));
    server.login(plain("microsoft")).await.unwrap();
    assert!(has_argon2_record(&server));
    server.login(plain("microsoft")).await.unwrap();
    let wrong = server.login(plain("wrong")).await;
    assert_eq!(wrong.unwrap_err().code, ErrorCode::AuthFailed);
}

#[tokio::test]
async fn records_of_imported_passwords_are_made_in_the_background() {
    let server = Server::new();
    import_alice(&server);
    assert!(server.logins.make_records().await.unwrap());
    assert!(has_argon2_record(&server));
    assert!(!server.logins.make_records().await.unwrap());
    server.login(plain("microsoft")).await.unwrap();
}
