//! The certificate and the ciphers of a running server.

use protocol::error::ErrorCode;
use protocol::rpc::certificate::KeyPair as Pair;
use protocol::rpc::method::{
    EnumSession, GetServerCert, GetServerCipher, GetServerCipherList, RegenerateServerCert, SetServerCert,
    SetServerCipher,
};
use protocol::rpc::{HubRequest, Nothing, Text, Values};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256};
use rustls::pki_types::CertificateDer;
use tempfile::TempDir;
use transport::admin::AdminError;
use transport::tls::Fingerprint;
use vpnserver::identity::{Identity, Source};

use crate::peer::{enter, login};
use crate::site::{Site, lab};

fn refusal<T>(answer: Result<T, AdminError>) -> u32 {
    match answer {
        Err(AdminError::Refused(code)) => code.code(),
        Err(other) => panic!("{other}"),
        Ok(_) => 0,
    }
}

/// A self-signed certificate with its key.
fn made(algorithm: &'static rcgen::SignatureAlgorithm, ca: bool) -> Pair {
    let key = KeyPair::generate_for(algorithm).unwrap();
    let mut params = CertificateParams::new(vec!["vpn.example".to_owned()]).unwrap();
    if ca {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    Pair {
        cert: Some(params.self_signed(&key).unwrap().der().to_vec()),
        key: Some(key.serialize_der().into()),
        ..Pair::default()
    }
}

fn pin(pair: &Pair) -> Fingerprint {
    Fingerprint::of(&CertificateDer::from(pair.cert.clone().unwrap()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_is_shown_at_once_and_sessions_stay() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &["alice"]).await;
    let _alice = enter(&site, login("alice")).await.unwrap();
    for algorithm in [&PKCS_RSA_SHA256, &PKCS_ECDSA_P256_SHA256] {
        let pair = made(algorithm, true);
        let answer = admin.call::<SetServerCert>(&pair).await.unwrap();
        assert_eq!(answer.flag1, 1, "it is its own issuer");
        assert_eq!(site.server.identity().fingerprint(), pin(&pair));
        site.dial().await; // which believes that certificate alone
        let read = admin.call::<GetServerCert>(&Nothing {}).await.unwrap();
        assert_eq!((&read.cert, &read.key), (&pair.cert, &pair.key));
    }
    let sessions = admin
        .call::<EnumSession>(&HubRequest {
            hub_name: "lab".to_owned(),
        })
        .await
        .unwrap();
    assert_eq!(sessions.sessions.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_survives_a_restart_with_its_key_sealed() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &[]).await;
    let pair = made(&PKCS_ECDSA_P256_SHA256, false);
    let intermediate = made(&PKCS_ECDSA_P256_SHA256, true).cert.unwrap();
    let given = Pair {
        chain: vec![intermediate.clone()],
        ..pair.clone()
    };
    let answer = admin.call::<SetServerCert>(&given).await.unwrap();
    assert_eq!(answer.flag1, 1, "its issuers are there");
    drop(admin);
    site.stop().await;
    let key = pair.key.clone().unwrap();
    let written = std::fs::read(folder.path().join("hubward.db")).unwrap();
    assert!(
        !written.windows(key.len()).any(|bytes| bytes == key.as_slice()),
        "the key lies in the clear"
    );
    let site = Site::start(&folder).await;
    assert_eq!(site.server.identity().fingerprint(), pin(&pair));
    let read = site
        .admin()
        .await
        .call::<GetServerCert>(&Nothing {})
        .await
        .unwrap();
    assert_eq!(read.chain, [intermediate]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_cannot_be_shown_is_refused_and_the_old_one_stays() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &[]).await;
    let before = site.server.identity().fingerprint();
    let (one, other) = (made(&PKCS_ECDSA_P256_SHA256, true), made(&PKCS_RSA_SHA256, true));
    for wrong in [
        Pair {
            key: other.key.clone(),
            ..one.clone()
        },
        Pair {
            key: None,
            ..one.clone()
        },
        Pair {
            cert: None,
            ..one.clone()
        },
        Pair {
            cert: Some(vec![1, 2, 3]),
            ..one.clone()
        },
        Pair {
            key: Some(vec![1, 2, 3].into()),
            ..one.clone()
        },
    ] {
        assert_eq!(
            refusal(admin.call::<SetServerCert>(&wrong).await),
            ErrorCode::Protocol.code()
        );
    }
    assert_eq!(site.server.identity().fingerprint(), before);
    site.dial().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hubs_administrator_sees_the_certificate_without_its_key() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &[]).await;
    assert!(
        admin
            .call::<GetServerCert>(&Nothing {})
            .await
            .unwrap()
            .key
            .is_some()
    );
    let mut of_hub = site.local_admin(Some("lab")).await.unwrap();
    let shown = of_hub.call::<GetServerCert>(&Nothing {}).await.unwrap();
    assert!(shown.cert.is_some() && shown.key.is_none());
    assert_eq!(refusal(of_hub.call::<SetServerCert>(&shown).await), 52);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_made_for_a_name() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &[]).await;
    let named = |name: &str| Values {
        str: name.to_owned(),
        ..Values::default()
    };
    admin
        .call::<RegenerateServerCert>(&named("vpn.example"))
        .await
        .unwrap();
    let subject = |site: &Site| {
        let der = site.server.identity().certificate;
        let (_, certificate) = x509_parser::parse_x509_certificate(&der).unwrap();
        certificate.subject().to_string()
    };
    assert!(subject(&site).contains("CN=vpn.example"), "{}", subject(&site));
    let before = site.server.identity().fingerprint();
    assert_eq!(
        refusal(admin.call::<RegenerateServerCert>(&named(&"x".repeat(65))).await),
        38
    );
    assert_eq!(site.server.identity().fingerprint(), before);
    admin.call::<RegenerateServerCert>(&named("")).await.unwrap();
    assert_ne!(site.server.identity().fingerprint(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_the_command_line_is_not_changed_over_the_wire() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &[]).await;
    let given = Identity {
        source: Source::Files,
        ..site.server.identity()
    };
    site.server.set_identity(given);
    let pair = made(&PKCS_ECDSA_P256_SHA256, true);
    assert_eq!(refusal(admin.call::<SetServerCert>(&pair).await), 33);
    assert_eq!(
        refusal(admin.call::<RegenerateServerCert>(&Values::default()).await),
        33
    );
    assert!(
        admin
            .call::<GetServerCert>(&Nothing {})
            .await
            .unwrap()
            .key
            .is_none()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preferred_cipher_comes_first_and_an_unknown_one_is_refused() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &[]).await;
    let text = |name: &str| Text {
        string: name.to_owned(),
    };
    assert_eq!(
        admin.call::<GetServerCipher>(&Nothing {}).await.unwrap(),
        text("~DEFAULT~")
    );
    let list = admin
        .call::<GetServerCipherList>(&Nothing {})
        .await
        .unwrap()
        .string;
    assert!(
        list.split(';').any(|name| name == "ECDHE-RSA-AES128-GCM-SHA256"),
        "{list}"
    );
    let fingerprint = site.server.identity().fingerprint();
    admin
        .call::<SetServerCipher>(&text("tls_chacha20_poly1305_sha256"))
        .await
        .unwrap();
    let tls = site.server.identity().tls;
    let first = tls.crypto_provider().cipher_suites[0].suite();
    assert_eq!(first, rustls::CipherSuite::TLS13_CHACHA20_POLY1305_SHA256);
    assert!(tls.ignore_client_order);
    assert_eq!(
        refusal(admin.call::<SetServerCipher>(&text("AES128-SHA")).await),
        56
    );
    assert_eq!(refusal(admin.call::<SetServerCipher>(&text("")).await), 38);
    let preferred = admin.call::<GetServerCipher>(&Nothing {}).await.unwrap();
    assert_eq!(preferred, text("TLS_CHACHA20_POLY1305_SHA256"));
    admin.call::<SetServerCipher>(&text("~DEFAULT~")).await.unwrap();
    assert!(!site.server.identity().tls.ignore_client_order);
    assert_eq!(site.server.identity().fingerprint(), fingerprint);
    site.dial().await;
}
