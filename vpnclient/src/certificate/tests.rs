use std::path::PathBuf;

use super::*;

/// The files were made by the openssl program, version 3.0; `legacy.p12` with `-legacy`, as version 1 writes them.
fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/certificates")
        .join(name)
}

fn known() -> Result<Zeroizing<String>, Failure> {
    Ok(Zeroizing::new("Fuji-3776".to_owned()))
}

fn wrong() -> Result<Zeroizing<String>, Failure> {
    Ok(Zeroizing::new("Fuji-3777".to_owned()))
}

fn not_asked() -> Result<Zeroizing<String>, Failure> {
    panic!("asked for a password that is not needed")
}

/// The certificate of a proof, which has a key that belongs to it.
fn certificate_of(proof: &Proof) -> Vec<u8> {
    match proof {
        Proof::Certificate { certificate, key } => {
            assert!(belong_together(certificate, key));
            certificate.clone()
        }
        other => panic!("{other:?}"),
    }
}

fn alice() -> Vec<u8> {
    tls::certificates_from_file(&data("user.pem")).unwrap()[0].to_vec()
}

#[test]
fn pem_keys_are_read_in_every_form() {
    for (key, unlock) in [
        ("pkcs8.key", &mut not_asked as Unlock<'_>),
        ("pkcs1.key", &mut not_asked),
        ("encrypted.key", &mut known),
    ] {
        let proof = from_pem(&data("user.pem"), &data(key), unlock).unwrap();
        assert_eq!(certificate_of(&proof), alice(), "{key}");
    }
}

#[test]
fn pkcs12_of_both_generations_of_openssl_gives_the_users_certificate_and_not_the_authoritys() {
    for (file, unlock) in [
        ("modern.p12", &mut known as Unlock<'_>),
        ("legacy.p12", &mut known),
        ("without_password.p12", &mut not_asked),
    ] {
        let proof = from_pkcs12(&data(file), unlock).unwrap();
        assert_eq!(certificate_of(&proof), alice(), "{file}");
    }
}

#[test]
fn a_wrong_password_is_named_as_such() {
    for refused in [
        from_pkcs12(&data("modern.p12"), &mut wrong),
        from_pkcs12(&data("legacy.p12"), &mut wrong),
        from_pem(&data("user.pem"), &data("encrypted.key"), &mut wrong),
    ] {
        let said = refused.unwrap_err().to_string();
        assert!(said.contains("does not open with this password"), "{said}");
        assert!(!said.contains("Fuji"), "{said}");
    }
}

#[test]
fn files_that_will_not_do_say_what_would() {
    let user = data("user.pem");
    for (refused, hint) in [
        (
            from_pem(&user, &data("other.key"), &mut not_asked),
            "not that of the certificate",
        ),
        (from_pem(&user, &data("elliptic.key"), &mut not_asked), "RSA"),
        (
            from_pem(&user, &data("before_pkcs8.key"), &mut not_asked),
            "openssl pkcs8 -topk8",
        ),
        (from_pem(&user, &data("ca.pem"), &mut not_asked), "private key"),
        (
            from_pem(&data("missing.pem"), &data("pkcs8.key"), &mut not_asked),
            "missing.pem",
        ),
        (
            from_pkcs12(&data("without_key.p12"), &mut known),
            "no private key",
        ),
        (from_pkcs12(&user, &mut not_asked), "--cert"),
        (from_pkcs12(&data("missing.p12"), &mut not_asked), "missing.p12"),
        (from_pkcs12(Path::new("/dev/zero"), &mut not_asked), "too large"),
    ] {
        let failure = refused.unwrap_err();
        assert!(matches!(failure, Failure::Usage(_)), "{failure:?}");
        assert!(failure.to_string().contains(hint), "{failure} lacks {hint:?}");
    }
}
