//! The server's certificate, key and ciphers.

use protocol::{
    error::ErrorCode,
    rpc::{
        Nothing, Secret, Text, Values,
        certificate::KeyPair,
        method::{
            GetServerCert, GetServerCipher, GetServerCipherList, RegenerateServerCert, SetServerCert,
            SetServerCipher,
        },
    },
};

use serde_json::json;

use crate::{
    check,
    command::{Command, Scope, certificate, server},
    failure::Outcome,
    params::{Arguments, Param},
    shell::Shell,
    text,
};

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "ServerCertGet",
        title: "Save the server's certificate",
        help: "Writes the certificate that the server shows in TLS to a file in PEM format. Give it to users: a \
               client that is told to believe it knows the server from others.",
        params: &[Param::word("cert", "The file to write.")
            .ask("Save X.509 certificate to file name: ")
            .check(check::not_empty)],
        scope: Scope::Server,
        run: save_certificate,
    },
    Command {
        name: "ServerKeyGet",
        title: "Save the server's private key",
        help: "Writes the key that belongs to the server's certificate to a file in PEM format that only you can \
               read. Who has it can pose as the server. A Hubward server does not give its key away.",
        params: &[Param::word("key", "The file to write.")
            .ask("Save private key to file name: ")
            .check(check::not_empty)],
        scope: Scope::Server,
        run: save_key,
    },
    Command {
        name: "ServerCertSet",
        title: "Give the server a certificate",
        help: "Gives the server a certificate and its key. Sessions that exist go on; new connections see the new \
               certificate.",
        params: &[
            Param::named("LOADCERT", "The certificate's file, in PEM or DER format.")
                .ask("Read X.509 certificate from file name: ")
                .check(check::file),
            Param::named(
                "LOADKEY",
                "The private key's file, in PEM format, without a pass phrase.",
            )
            .ask("Read private key from file name: ")
            .check(check::file),
        ],
        scope: Scope::Server,
        run: set,
    },
    Command {
        name: "ServerCertRegenerate",
        title: "Have the server make a new certificate",
        help: "Has the server make a new key and a certificate for it, signed by itself. Clients that remembered \
               the old one will refuse the server until they are told.",
        params: &[Param::word("CN", "The common name, best the server's host name.")
            .ask("Value of Common Name (CN): ")
            .check(check::not_empty)],
        scope: Scope::Server,
        run: regenerate,
    },
    Command {
        name: "ServerCipherGet",
        title: "Show the TLS ciphers",
        help: "Shows the cipher that the server prefers, and those it knows.",
        params: &[],
        scope: Scope::Server,
        run: cipher,
    },
    Command {
        name: "ServerCipherSet",
        title: "Set the TLS cipher that is preferred",
        help: "Sets one of the ciphers that ServerCipherGet lists.",
        params: &[Param::word("name", "The name of the cipher.")
            .ask("Encrypted Algorithm Name to Specify: ")
            .check(check::not_empty)],
        scope: Scope::Server,
        run: set_cipher,
    },
];

fn save_certificate(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let pair = shell.call::<GetServerCert>(&Nothing {})?;
    let der = pair.cert.ok_or(ErrorCode::ObjectNotFound)?;
    server::save(arguments.text("cert"), &certificate::pem("CERTIFICATE", &der))
}

fn save_key(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let pair = shell.call::<GetServerCert>(&Nothing {})?;
    // To the administrator of a hub, and from a Hubward server, the key does not come.
    let key = pair
        .key
        .filter(|key| !key.is_blank())
        .ok_or(ErrorCode::NotEnoughRights)?;
    server::save_secret(arguments.text("key"), &certificate::pem("RSA PRIVATE KEY", &key))
}

fn set(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let cert = certificate::load(arguments.text("LOADCERT"))?;
    let key = certificate::load_key(arguments.text("LOADKEY"))?;
    shell.call::<SetServerCert>(&KeyPair {
        cert: Some(cert),
        key: Some(Secret::new(key)),
        ..KeyPair::default()
    })?;
    Ok(())
}

fn regenerate(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    shell.call::<RegenerateServerCert>(&Values {
        str: arguments.text("CN").to_owned(),
        ..Values::default()
    })?;
    Ok(())
}

fn cipher(shell: &mut Shell, _: &Arguments) -> Outcome {
    let preferred = shell.call::<GetServerCipher>(&Nothing {})?;
    let all = shell.call::<GetServerCipherList>(&Nothing {})?;
    if shell.console.style.json {
        let answer = json!({ "Preferred_str": preferred.string, "Known_str": all.string });
        shell.console.json(&answer);
        return Ok(());
    }
    shell.console.print_line(&format!(
        "The cipher that the server prefers:\n {}\n",
        text::printable(&preferred.string)
    ));
    shell.console.print_line("The ciphers that it knows:");
    for name in all.string.split(';').filter(|name| !name.is_empty()) {
        shell.console.print_line(&format!(" {}", text::printable(name)));
    }
    Ok(())
}

fn set_cipher(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    shell.call::<SetServerCipher>(&Text {
        string: arguments.text("name").to_owned(),
    })?;
    Ok(())
}
