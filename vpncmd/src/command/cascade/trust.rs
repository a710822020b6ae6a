//! Which servers a cascade connection believes.

use super::{CASCADE, LOAD_CERT, SAVE_CERT, change, read};
use crate::{
    command::{Command, Scope, certificate, server},
    failure::{Failure, Outcome},
    params::Arguments,
    shell::Shell,
};

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "CascadeServerCertEnable",
        title: "Have a cascade connection check the server's certificate",
        help: "Connects only to a server whose certificate is that of CascadeServerCertSet or signed by an authority \
               that the hub trusts (CAAdd).",
        params: &[CASCADE],
        scope: Scope::Hub,
        run: |shell, arguments| change(shell, arguments, |link| link.check_server_cert = true),
    },
    Command {
        name: "CascadeServerCertDisable",
        title: "Have a cascade connection believe every server",
        help: "Whoever answers at the server's address is believed. That is how cascades begin.",
        params: &[CASCADE],
        scope: Scope::Hub,
        run: |shell, arguments| change(shell, arguments, |link| link.check_server_cert = false),
    },
    Command {
        name: "CascadeDefaultCAEnable",
        title: "Have a cascade connection believe the system's authorities",
        help: "Besides what CascadeServerCertEnable says, the authorities that the server's system trusts count. \
               Servers before version 5.02 do not know this.",
        params: &[CASCADE],
        scope: Scope::Hub,
        run: |shell, arguments| change(shell, arguments, |link| link.add_default_ca = Some(true)),
    },
    Command {
        name: "CascadeDefaultCADisable",
        title: "Have a cascade connection not believe the system's authorities",
        help: "Undoes CascadeDefaultCAEnable.",
        params: &[CASCADE],
        scope: Scope::Hub,
        run: |shell, arguments| change(shell, arguments, |link| link.add_default_ca = Some(false)),
    },
    Command {
        name: "CascadeServerCertSet",
        title: "Have a cascade connection believe one certificate",
        help: "Sets the certificate that the server must show once CascadeServerCertEnable has been given.",
        params: &[CASCADE, LOAD_CERT],
        scope: Scope::Hub,
        run: set,
    },
    Command {
        name: "CascadeServerCertDelete",
        title: "Forget the one certificate that a cascade connection believes",
        help: "Undoes CascadeServerCertSet.",
        params: &[CASCADE],
        scope: Scope::Hub,
        run: |shell, arguments| change(shell, arguments, |link| link.server_cert = None),
    },
    Command {
        name: "CascadeServerCertGet",
        title: "Save the one certificate that a cascade connection believes",
        help: "Writes the certificate of CascadeServerCertSet to a file.",
        params: &[CASCADE, SAVE_CERT],
        scope: Scope::Hub,
        run: get,
    },
];

fn set(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let der = certificate::load(arguments.text("LOADCERT"))?;
    change(shell, arguments, |link| link.server_cert = Some(der))
}

fn get(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let certificate = read(shell, arguments)?.server_cert.filter(|der| !der.is_empty());
    let der = certificate.ok_or_else(|| Failure::Local("No certificate is set.".to_owned()))?;
    server::save(arguments.text("SAVECERT"), &certificate::pem("CERTIFICATE", &der))
}
