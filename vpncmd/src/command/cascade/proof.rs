//! As whom a cascade connection logs in, and how it proves it.

use protocol::{
    password,
    rpc::{
        Secret,
        cascade::{Link, LinkAuthType},
    },
};

use super::{CASCADE, LOAD_CERT, SAVE_CERT, change, read, write};
use crate::{
    check,
    command::{Command, Scope, certificate, server},
    failure::{Failure, Outcome},
    params::{Arguments, Param},
    shell::Shell,
};

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "CascadeUsernameSet",
        title: "Change as whom a cascade connection logs in",
        help: "Changes the user's name. A standard password has to be set again then, since the name is part of what is \
               kept of it.",
        params: &[
            CASCADE,
            Param::named("USERNAME", "The user on the other hub.")
                .ask("Connecting User Name: ")
                .check(check::not_empty),
        ],
        scope: Scope::Hub,
        run: set_username,
    },
    Command {
        name: "CascadeAnonymousSet",
        title: "Have a cascade connection log in without proof",
        help: "For users of the other hub who need none.",
        params: &[CASCADE],
        scope: Scope::Hub,
        run: |shell, arguments| change(shell, arguments, |link| prove(link, LinkAuthType::Anonymous)),
    },
    Command {
        name: "CascadePasswordSet",
        title: "Have a cascade connection log in with a password",
        help: "Standard passwords are kept and sent as a hash; those that a RADIUS server or an NT domain checks are kept \
               and sent as they are.",
        params: &[
            CASCADE,
            Param::named("PASSWORD", "The password.").secret(),
            Param::named("TYPE", "standard or radius.")
                .ask("Specify standard or radius: ")
                .check(check::not_empty),
        ],
        scope: Scope::Hub,
        run: set_password,
    },
    Command {
        name: "CascadeCertSet",
        title: "Have a cascade connection log in with a certificate",
        help: "Sets the certificate and the key that the cascade proves with who it is.",
        params: &[
            CASCADE,
            LOAD_CERT,
            Param::named("LOADKEY", "The file with its private key, in PEM format.")
                .ask("Read private key from file name: ")
                .check(check::file),
        ],
        scope: Scope::Hub,
        run: set_certificate,
    },
    Command {
        name: "CascadeCertGet",
        title: "Save the certificate that a cascade connection logs in with",
        help: "Writes the certificate of CascadeCertSet to a file.",
        params: &[CASCADE, SAVE_CERT],
        scope: Scope::Hub,
        run: get_certificate,
    },
];

/// Puts a new proof in place of the old one, of which nothing stays but the user's name.
fn prove(link: &mut Link, proof: LinkAuthType) {
    link.auth_type = Some(proof);
    (link.hashed_password, link.plain_password) = (None, None);
    (link.client_x, link.client_k) = (None, None);
    (link.secure_public_cert_name, link.secure_private_key_name) = (None, None);
}

fn set_username(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let mut link = read(shell, arguments)?;
    link.username = Some(arguments.text("USERNAME").to_owned());
    write(shell, &link)?;
    if link.auth_type == Some(LinkAuthType::Password) {
        shell.console.remark(
            "The standard password was made for the former user name. Set it again with CascadePasswordSet.",
        );
    }
    Ok(())
}

/// As the stock tool, looks at the type only after it has seen the cascade.
fn set_password(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let mut link = read(shell, arguments)?;
    let password = arguments.text("PASSWORD");
    match arguments.text("TYPE").to_ascii_lowercase().as_str() {
        kind if "standard".starts_with(kind) => {
            prove(&mut link, LinkAuthType::Password);
            let user = link.username.as_deref().unwrap_or_default();
            let hash = password::user_hash(password.as_bytes(), user);
            link.hashed_password = Some(Secret::new(hash.as_bytes().to_vec()));
        }
        kind if "radius".starts_with(kind) || "ntdomain".starts_with(kind) => {
            prove(&mut link, LinkAuthType::PlainPassword);
            link.plain_password = Some(Secret::new(password.to_owned()));
        }
        _ => {
            return Err(Failure::NoSuchType("The type is standard or radius.".to_owned()));
        }
    }
    write(shell, &link)
}

fn set_certificate(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let (cert, key) = certificate::load_pair(arguments.text("LOADCERT"), arguments.text("LOADKEY"))?;
    change(shell, arguments, |link| {
        prove(link, LinkAuthType::Certificate);
        link.client_x = Some(cert);
        link.client_k = Some(Secret::new(key));
    })
}

fn get_certificate(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let link = read(shell, arguments)?;
    let certificate = link
        .client_x
        .filter(|_| link.auth_type == Some(LinkAuthType::Certificate));
    let der = certificate
        .ok_or_else(|| Failure::Local("The cascade does not log in with a certificate.".to_owned()))?;
    server::save(arguments.text("SAVECERT"), &certificate::pem("CERTIFICATE", &der))
}
