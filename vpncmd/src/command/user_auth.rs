//! How users prove who they are, and the policies of users.

use protocol::rpc::user::AuthType;

use crate::{
    check,
    command::{Command, Scope, certificate, policy, server, user},
    failure::{Failure, Outcome},
    params::{Arguments, Param},
    shell::Shell,
    text,
};

const ALIAS: Param = Param::named("ALIAS", "The user's name there; empty for the same.")
    .ask("Alias Name for Authentication (Optional): ");

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "UserAnonymousSet",
        title: "Let a user log in without proof",
        help: "Lets everybody who knows the name log in as this user.",
        params: &[user::USER],
        scope: Scope::Hub,
        run: anonymous,
    },
    Command {
        name: "UserPasswordSet",
        title: "Let a user log in with a password",
        help: "Gives the user a password. Without a value it is asked for twice and not shown. Only its hashes are \
               sent.",
        params: &[user::USER, Param::named("PASSWORD", "The new password.").secret()],
        scope: Scope::Hub,
        run: password,
    },
    Command {
        name: "UserCertSet",
        title: "Let a user log in with one certificate",
        help: "Lets the user log in with this certificate and the key that belongs to it.",
        params: &[
            user::USER,
            Param::named("LOADCERT", "The certificate's file, in PEM or DER format.")
                .ask("Read X.509 certificate from file name: ")
                .check(check::file),
        ],
        scope: Scope::Hub,
        run: set_certificate,
    },
    Command {
        name: "UserCertGet",
        title: "Save a user's certificate",
        help: "Writes the certificate that the user logs in with to a file in PEM format.",
        params: &[
            user::USER,
            Param::named("SAVECERT", "The file to write.")
                .ask("Save X.509 certificate to file name: ")
                .check(check::not_empty),
        ],
        scope: Scope::Hub,
        run: get_certificate,
    },
    Command {
        name: "UserSignedSet",
        title: "Let a user log in with any certificate the hub trusts",
        help: "Lets the user log in with every certificate that an authority trusted by the hub has signed, or only \
               with those of this common name or serial number.",
        params: &[
            user::USER,
            Param::named("CN", "The common name it must have; empty for any.").ask("Limit of CN Value: "),
            Param::named(
                "SERIAL",
                "The serial number it must have, in hexadecimal; empty for any.",
            )
            .ask("Limit of Serial Number Value: ")
            .check(check::hex),
        ],
        scope: Scope::Hub,
        run: signed,
    },
    Command {
        name: "UserRadiusSet",
        title: "Let a RADIUS server check a user's password",
        help: "Lets the user log in with the password that the hub's RADIUS server accepts.",
        params: &[user::USER, ALIAS],
        scope: Scope::Hub,
        run: radius,
    },
    Command {
        name: "UserNTLMSet",
        title: "Let an NT domain check a user's password",
        help: "Lets the user log in with the password of the NT domain that a server on Windows belongs to.",
        params: &[user::USER, ALIAS],
        scope: Scope::Hub,
        run: nt_domain,
    },
    Command {
        name: "UserPolicySet",
        title: "Set one policy of a user",
        help: "Sets one policy of a user. A user who had none gets them all, with their default values: from then \
               on the group's policy no longer counts for them. PolicyList shows the policies.",
        params: &[user::USER, policy::NAME, policy::VALUE],
        scope: Scope::Hub,
        run: set_policy,
    },
    Command {
        name: "UserPolicyRemove",
        title: "Take a user's own policy away",
        help: "Takes the policy of a user away, so that the group's, or the default, counts for them again.",
        params: &[user::USER],
        scope: Scope::Hub,
        run: remove_policy,
    },
];

fn anonymous(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    user::change(shell, arguments.text("name"), |user| {
        user::set_auth(user, AuthType::Anonymous);
        Ok(())
    })
}

fn password(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    user::change(shell, arguments.text("name"), |user| {
        user::set_password(user, arguments.text("PASSWORD"));
        Ok(())
    })
}

fn set_certificate(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let der = certificate::load(arguments.text("LOADCERT"))?;
    user::change(shell, arguments.text("name"), |user| {
        user::set_auth(user, AuthType::UserCertificate);
        user.user_x = Some(der);
        Ok(())
    })
}

fn get_certificate(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let user = user::load(shell, arguments.text("name"))?;
    let certificate = user
        .user_x
        .filter(|der| user.auth_type == AuthType::UserCertificate && !der.is_empty());
    let der = certificate.ok_or_else(|| {
        Failure::Invalid(format!(
            "{} does not log in with a certificate of their own.",
            text::printable(&user.name)
        ))
    })?;
    server::save(arguments.text("SAVECERT"), &certificate::pem("CERTIFICATE", &der))
}

fn signed(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let serial = text::parse_hex(arguments.text("SERIAL")).unwrap_or_default();
    user::change(shell, arguments.text("name"), |user| {
        user::set_auth(user, AuthType::SignedCertificate);
        user.common_name = Some(arguments.text("CN").to_owned());
        user.serial = Some(serial);
        Ok(())
    })
}

fn radius(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    user::change(shell, arguments.text("name"), |user| {
        user::set_auth(user, AuthType::Radius);
        user.radius_username = Some(arguments.text("ALIAS").to_owned());
        Ok(())
    })
}

fn nt_domain(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    user::change(shell, arguments.text("name"), |user| {
        user::set_auth(user, AuthType::NtDomain);
        user.nt_username = Some(arguments.text("ALIAS").to_owned());
        Ok(())
    })
}

fn set_policy(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    user::change(shell, arguments.text("name"), |user| {
        policy::set(&mut user.policy, arguments)
    })
}

fn remove_policy(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    user::change(shell, arguments.text("name"), |user| {
        user.policy = None;
        Ok(())
    })
}
