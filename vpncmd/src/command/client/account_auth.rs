//! How an account proves who its user is.

use protocol::{
    error::ErrorCode,
    password,
    rpc::{
        Secret,
        cascade::LinkAuthType,
        client::account::{Account, ConnectionAuth},
    },
};

use super::{ACCOUNT, LOAD_CERT, SAVE_CERT, account, internal, save_certificate};
use crate::{
    check,
    command::{Command, Scope, certificate},
    failure::{Failure, Outcome},
    params::{Arguments, Param},
    shell::Shell,
};

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "AccountUsernameSet",
        title: "Set the user name of an account",
        help: "Sets whom the account logs in as. The standard password belongs to the name: set it again afterwards.",
        params: &[
            ACCOUNT,
            Param::named("USERNAME", "The user on the server's hub.")
                .ask("Connecting User Name: ")
                .check(check::not_empty),
        ],
        scope: Scope::Client,
        run: set_username,
    },
    Command {
        name: "AccountAnonymousSet",
        title: "Have an account log in without proof",
        help: "For users that the server lets in anonymously.",
        params: &[ACCOUNT],
        scope: Scope::Client,
        run: set_anonymous,
    },
    Command {
        name: "AccountPasswordSet",
        title: "Have an account log in with a password",
        help: "Of a standard password only a hash is kept and a proof of it sent. The other type, radius, sends the \
               password itself: for servers that ask RADIUS or an NT domain, and for Hubward servers.",
        params: &[
            ACCOUNT,
            Param::named("PASSWORD", "The password.").secret(),
            Param::named("TYPE", "standard or radius.")
                .ask("Specify standard or radius: ")
                .check(check::not_empty),
        ],
        scope: Scope::Client,
        run: set_password,
    },
    Command {
        name: "AccountCertSet",
        title: "Have an account log in with a certificate",
        help: "Sets the certificate of the user and its private key, which must belong together.",
        params: &[
            ACCOUNT,
            LOAD_CERT,
            Param::named("LOADKEY", "The file with its private key, in PEM format.")
                .ask("Read private key from file name: ")
                .check(check::file),
        ],
        scope: Scope::Client,
        run: set_certificate,
    },
    Command {
        name: "AccountCertGet",
        title: "Save the user's certificate of an account",
        help: "Writes the certificate that the account logs in with to a file.",
        params: &[ACCOUNT, SAVE_CERT],
        scope: Scope::Client,
        run: get_certificate,
    },
    Command {
        name: "AccountSecureCertSet",
        title: "Have an account log in with a smart card",
        help: "Names the certificate and the private key on the card. SecureSelect says which card reader.",
        params: &[
            ACCOUNT,
            Param::named("CERTNAME", "The certificate's name on the card.")
                .ask("Name of Certificate Object on Smart Card: ")
                .check(check::not_empty),
            Param::named("KEYNAME", "The private key's name on the card.")
                .ask("Name of Private Key Object on Smart Card: ")
                .check(check::not_empty),
        ],
        scope: Scope::Client,
        run: set_smart_card,
    },
    Command {
        name: "AccountOpensslEngineCertSet",
        title: "Have an account log in with a key in an OpenSSL engine",
        help: "The certificate is in a file, its private key in hardware that an engine of OpenSSL knows. Client \
               services know it from version 5.02 on.",
        params: &[
            ACCOUNT,
            LOAD_CERT,
            Param::named("KEYNAME", "The key's name in the engine.")
                .ask("Name of Private Key in the Engine: ")
                .check(check::not_empty),
            Param::named("ENGINENAME", "The engine's name.")
                .ask("Name of OpenSSL Engine: ")
                .check(check::not_empty),
        ],
        scope: Scope::Client,
        run: set_engine,
    },
];

fn set_username(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let name = arguments.text("USERNAME").to_owned();
    let account = account::change(shell, arguments, |account| account.auth.username = name)?;
    if account.auth.auth_type == LinkAuthType::Password {
        shell.console.remark(
            "The account's standard password was made for the former user name. Set it again with AccountPasswordSet.",
        );
    }
    Ok(())
}

/// Puts a new proof in place of the old one, of which nothing stays but the user name.
fn prove(account: &mut Account, proof: ConnectionAuth) {
    account.auth = ConnectionAuth {
        username: std::mem::take(&mut account.auth.username),
        ..proof
    };
}

fn set_anonymous(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    account::change(shell, arguments, |account| {
        prove(account, ConnectionAuth::default());
    })
    .map(drop)
}

/// As the stock tool, looks at the first letter of the type, and only after it has seen the account.
fn set_password(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let mut account = account::read(shell, arguments)?;
    let password = arguments.text("PASSWORD");
    let proof = match arguments.text("TYPE").to_ascii_lowercase().as_str() {
        kind if "standard".starts_with(kind) => {
            let hash = password::user_hash(password.as_bytes(), &account.auth.username);
            ConnectionAuth {
                auth_type: LinkAuthType::Password,
                hashed_password: Some(Secret::new(hash.as_bytes().to_vec())),
                ..ConnectionAuth::default()
            }
        }
        kind if "radius".starts_with(kind) || "ntdomain".starts_with(kind) => ConnectionAuth {
            auth_type: LinkAuthType::PlainPassword,
            plain_password: Some(Secret::new(password.to_owned())),
            ..ConnectionAuth::default()
        },
        _ => {
            return Err(Failure::Failed {
                code: ErrorCode::InvalidParameter,
                text: "The type is standard or radius.".to_owned(),
            });
        }
    };
    prove(&mut account, proof);
    account::write(shell, account).map(drop)
}

fn set_certificate(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let (cert, key) = certificate::load_pair(arguments.text("LOADCERT"), arguments.text("LOADKEY"))?;
    let proof = ConnectionAuth {
        auth_type: LinkAuthType::Certificate,
        client_x: Some(cert),
        client_k: Some(Secret::new(key)),
        ..ConnectionAuth::default()
    };
    account::change(shell, arguments, |account| prove(account, proof)).map(drop)
}

fn get_certificate(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let account = account::read(shell, arguments)?;
    let certificate = account.auth.client_x;
    let certificate =
        certificate.ok_or_else(|| internal("The account does not log in with a certificate.".to_owned()))?;
    save_certificate(arguments.text("SAVECERT"), &certificate)
}

fn set_smart_card(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let proof = ConnectionAuth {
        auth_type: LinkAuthType::SmartCard,
        secure_public_cert_name: Some(arguments.text("CERTNAME").to_owned()),
        secure_private_key_name: Some(arguments.text("KEYNAME").to_owned()),
        ..ConnectionAuth::default()
    };
    account::change(shell, arguments, |account| prove(account, proof)).map(drop)
}

/// An older service would take the account for one without proof.
fn set_engine(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let certificate = certificate::load(arguments.text("LOADCERT"))?;
    let mut account = account::read(shell, arguments)?;
    if account.add_default_ca.is_none() {
        return Err(ErrorCode::NotSupported.into());
    }
    let proof = ConnectionAuth {
        auth_type: LinkAuthType::OpensslEngine,
        client_x: Some(certificate),
        openssl_engine_private_key_name: Some(arguments.text("KEYNAME").to_owned()),
        openssl_engine_name: Some(arguments.text("ENGINENAME").to_owned()),
        ..ConnectionAuth::default()
    };
    prove(&mut account, proof);
    account::write(shell, account).map(drop)
}
