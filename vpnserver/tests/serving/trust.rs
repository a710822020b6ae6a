//! Certificates of authorities that a hub trusts, and certificates that it no longer takes.

use protocol::certificate::SigningKey;
use protocol::error::ErrorCode;
use protocol::handshake::Auth;
use protocol::rpc::certificate::NewAuthority;
use protocol::rpc::method::{
    AddCa, AddCrl, CreateUser, DelCrl, DeleteCa, EnumCa, EnumCrl, GetCa, GetCrl, SetCrl, SetUser,
};
use protocol::rpc::revocation::Revocation;
use protocol::rpc::user::{AuthType, User};
use protocol::rpc::{HubKey, HubRequest};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, RsaKeySize, SerialNumber, date_time_ymd,
};
use tempfile::TempDir;
use transport::admin::{AdminClient, AdminError};
use vpnserver::session::reason;

use crate::peer::{Peer, enter_over, login};
use crate::site::{Site, anonymous, lab};

fn of_lab() -> HubRequest {
    HubRequest {
        hub_name: "lab".to_owned(),
    }
}

fn key(key: u32) -> HubKey {
    HubKey {
        hub_name: "lab".to_owned(),
        key,
    }
}

fn refusal<T>(outcome: Result<T, AdminError>) -> Option<u32> {
    match outcome.err()? {
        AdminError::Refused(code) => Some(code.code()),
        _ => None,
    }
}

fn rsa() -> KeyPair {
    KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap()
}

fn named(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params
        .distinguished_name
        .push(DnType::OrganizationName, "Example");
    params
}

/// An authority, with its certificate.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    der: Vec<u8>,
}

impl Authority {
    fn new(common_name: &str) -> Self {
        let mut params = named(common_name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = rsa();
        let der = params.self_signed(&key).unwrap().der().to_vec();
        Self {
            issuer: Issuer::new(params, key),
            der,
        }
    }

    fn trusted_by_lab(&self) -> NewAuthority {
        NewAuthority {
            hub_name: "lab".to_owned(),
            cert: self.der.clone(),
        }
    }
}

/// A person with a key, and a certificate for it.
struct Bearer {
    key: KeyPair,
    der: Vec<u8>,
}

impl Bearer {
    fn of(authority: &Authority, params: &CertificateParams) -> Self {
        let key = rsa();
        let der = params.signed_by(&key, &authority.issuer).unwrap().der().to_vec();
        Self { key, der }
    }

    async fn enter(&self, site: &Site, user: &str) -> Result<Peer, ErrorCode> {
        let dialed = site.dial().await;
        let signature = SigningKey::from_der(&self.key.serialize_der())
            .unwrap()
            .sign(&dialed.hello.random, &mut rand::rng())
            .unwrap();
        let mut login = login(user);
        login.auth = Auth::Certificate {
            cert: self.der.clone(),
            signature,
        };
        enter_over(dialed, login).await
    }

    async fn is_let_in(&self, site: &Site) -> bool {
        self.enter(site, "alice").await.is_ok()
    }
}

fn signed(common_name: Option<&str>, serial: Option<&[u8]>) -> User {
    User {
        auth_type: AuthType::SignedCertificate,
        common_name: common_name.map(str::to_owned),
        serial: serial.map(<[u8]>::to_vec),
        ..anonymous("lab", "alice")
    }
}

async fn revoke(admin: &mut AdminClient, what: Revocation) -> u32 {
    let request = Revocation {
        hub_name: "lab".to_owned(),
        ..what
    };
    admin.call::<AddCrl>(&request).await.unwrap();
    let list = admin.call::<EnumCrl>(&of_lab()).await.unwrap();
    list.revocations.last().unwrap().key
}

#[tokio::test(flavor = "multi_thread")]
async fn authorities_are_added_shown_and_deleted() {
    let folder = TempDir::new().unwrap();
    let (_site, mut admin) = lab(&folder, &[]).await;
    let (zeta, alpha) = (Authority::new("zeta"), Authority::new("Alpha"));
    for authority in [&zeta, &alpha, &zeta] {
        admin.call::<AddCa>(&authority.trusted_by_lab()).await.unwrap();
    }
    let list = admin.call::<EnumCa>(&of_lab()).await.unwrap().authorities;
    let names: Vec<_> = list.iter().map(|row| row.subject_name.as_str()).collect();
    assert_eq!(names, ["Alpha, Example", "zeta, Example"]);
    assert_eq!(list[0].issuer_name, list[0].subject_name);
    let shown = admin.call::<GetCa>(&key(list[1].key)).await.unwrap();
    assert_eq!(shown.cert, Some(zeta.der.clone()));
    admin.call::<DeleteCa>(&key(list[1].key)).await.unwrap();
    assert_eq!(refusal(admin.call::<DeleteCa>(&key(list[1].key)).await), Some(29));
    assert_eq!(refusal(admin.call::<GetCa>(&key(list[1].key)).await), Some(29));

    let junk = NewAuthority {
        hub_name: "lab".to_owned(),
        cert: vec![1, 2, 3],
    };
    assert_eq!(refusal(admin.call::<AddCa>(&junk).await), Some(38));
    let curve = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let curve = NewAuthority {
        hub_name: "lab".to_owned(),
        cert: named("curve").self_signed(&curve).unwrap().der().to_vec(),
    };
    assert_eq!(refusal(admin.call::<AddCa>(&curve).await), Some(77));
    let nowhere = NewAuthority {
        hub_name: "nowhere".to_owned(),
        ..zeta.trusted_by_lab()
    };
    assert_eq!(refusal(admin.call::<AddCa>(&nowhere).await), Some(8));
    let list = admin.call::<EnumCa>(&of_lab()).await.unwrap();
    assert_eq!(list.authorities.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_a_trusted_authority_lets_its_bearer_in() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &[]).await;
    let (authority, stranger) = (Authority::new("ours"), Authority::new("ours"));
    let mut params = named("Alice");
    params.serial_number = Some(SerialNumber::from(vec![1, 2, 3]));
    let alice = Bearer::of(&authority, &params);
    // The same names and another key.
    let mallory = Bearer::of(&stranger, &params);
    admin.call::<CreateUser>(&signed(None, None)).await.unwrap();
    assert!(!alice.is_let_in(&site).await);
    admin.call::<AddCa>(&authority.trusted_by_lab()).await.unwrap();
    assert!(alice.is_let_in(&site).await);
    assert!(!mallory.is_let_in(&site).await);

    for (common_name, serial, outcome) in [
        (Some("ALICE"), None, true),
        (Some("Alic"), None, false),
        (None, Some([1, 2, 3].as_slice()), true),
        (None, Some(&[0, 0, 1, 2, 3]), true),
        (None, Some(&[1, 2]), false),
        (Some("alice"), Some(&[9]), false),
    ] {
        admin.call::<SetUser>(&signed(common_name, serial)).await.unwrap();
        assert_eq!(
            alice.is_let_in(&site).await,
            outcome,
            "{common_name:?} {serial:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_counts_while_it_is_valid() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &[]).await;
    let authority = Authority::new("ours");
    admin.call::<AddCa>(&authority.trusted_by_lab()).await.unwrap();
    let dated = |from, to| {
        let mut params = named("Alice");
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(to, 1, 1);
        Bearer::of(&authority, &params)
    };
    let (past, future) = (dated(2000, 2001), dated(4000, 4001));
    let of = |bearer: &Bearer| User {
        auth_type: AuthType::UserCertificate,
        user_x: Some(bearer.der.clone()),
        ..anonymous("lab", "alice")
    };
    admin.call::<CreateUser>(&signed(None, None)).await.unwrap();
    for bearer in [&past, &future] {
        admin.call::<SetUser>(&signed(None, None)).await.unwrap();
        assert!(!bearer.is_let_in(&site).await);
        admin.call::<SetUser>(&of(bearer)).await.unwrap();
        assert!(!bearer.is_let_in(&site).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_certificate_is_refused_whoever_it_belongs_to() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &[]).await;
    let authority = Authority::new("ours");
    let mut params = named("Alice");
    params.serial_number = Some(SerialNumber::from(vec![1, 2, 3]));
    let alice = Bearer::of(&authority, &params);
    let own = User {
        auth_type: AuthType::UserCertificate,
        user_x: Some(alice.der.clone()),
        ..anonymous("lab", "owner")
    };
    admin.call::<AddCa>(&authority.trusted_by_lab()).await.unwrap();
    let entry = Revocation::default;
    let text = |text: &str| Some(text.to_owned());
    for user in [own, signed(None, None)] {
        admin.call::<CreateUser>(&user).await.unwrap();
        for (what, outcome) in [
            (
                Revocation {
                    common_name: text("alice"),
                    ..entry()
                },
                false,
            ),
            (
                Revocation {
                    common_name: text("alice"),
                    organization: text("Other"),
                    ..entry()
                },
                true,
            ),
            (
                Revocation {
                    serial: Some(vec![0, 1, 2, 3]),
                    ..entry()
                },
                false,
            ),
            (
                Revocation {
                    digest_sha1: Some(vec![7; 20]),
                    ..entry()
                },
                true,
            ),
            // Says nothing, so nothing keeps it from being meant.
            (entry(), false),
        ] {
            let added = revoke(&mut admin, what.clone()).await;
            let came_in = alice.enter(&site, &user.name).await.is_ok();
            assert_eq!(came_in, outcome, "{what:?}");
            admin.call::<DelCrl>(&key(added)).await.unwrap();
        }
        alice.enter(&site, &user.name).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trust_that_ends_ends_the_sessions_that_rest_on_it() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &["bob"]).await;
    let authority = Authority::new("ours");
    admin.call::<AddCa>(&authority.trusted_by_lab()).await.unwrap();
    admin.call::<CreateUser>(&signed(None, None)).await.unwrap();
    let alice = Bearer::of(&authority, &named("Alice"));
    let bob = crate::peer::enter(&site, login("bob")).await.unwrap();
    let first = alice.enter(&site, "alice").await.unwrap();
    let list = admin.call::<EnumCa>(&of_lab()).await.unwrap();
    let authority_key = list.authorities[0].key;
    admin.call::<DeleteCa>(&key(authority_key)).await.unwrap();
    assert_eq!(site.ended("alice").await, reason::ACCESS_REVOKED);
    first.until_no_connection().await;

    admin.call::<AddCa>(&authority.trusted_by_lab()).await.unwrap();
    let second = alice.enter(&site, "alice").await.unwrap();
    let entry = Revocation {
        common_name: Some("Alice".to_owned()),
        ..Revocation::default()
    };
    revoke(&mut admin, entry).await;
    second.until_no_connection().await;
    // Whose session rests on something else stays.
    assert_eq!(bob.tunnel.watch().borrow().connections, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn revocations_are_listed_shown_and_changed() {
    let folder = TempDir::new().unwrap();
    let (_site, mut admin) = lab(&folder, &[]).await;
    let full = Revocation {
        serial: Some(vec![1, 0xAB]),
        common_name: Some("cn".to_owned()),
        state: Some("st".to_owned()),
        digest_md5: Some(vec![0x6D; 16]),
        // Of no length that SHA-1 has.
        digest_sha1: Some(vec![1]),
        ..Revocation::default()
    };
    let added = revoke(&mut admin, full).await;
    let list = admin.call::<EnumCrl>(&of_lab()).await.unwrap().revocations;
    assert!(
        list[0]
            .summary
            .starts_with("Subject=\"CN=cn, S=st\", Serial=\"01 AB\", MD5=\"6D 6D"),
        "{}",
        list[0].summary
    );
    let mut shown = admin.call::<GetCrl>(&key(added)).await.unwrap();
    assert_eq!(
        (shown.serial.as_deref(), shown.digest_sha1.as_deref()),
        (Some([1, 0xAB].as_slice()), None)
    );
    shown.common_name = Some("other".to_owned());
    admin.call::<SetCrl>(&shown).await.unwrap();
    let again = admin.call::<GetCrl>(&key(added)).await.unwrap();
    assert_eq!(again, shown);
    let missing = Revocation {
        key: added ^ 1,
        ..shown
    };
    assert_eq!(refusal(admin.call::<SetCrl>(&missing).await), Some(29));
    assert_eq!(refusal(admin.call::<GetCrl>(&key(added ^ 1)).await), Some(29));
    assert_eq!(refusal(admin.call::<DelCrl>(&key(added ^ 1)).await), Some(29));
    let nowhere = Revocation {
        hub_name: "nowhere".to_owned(),
        ..Revocation::default()
    };
    assert_eq!(refusal(admin.call::<AddCrl>(&nowhere).await), Some(8));
}
