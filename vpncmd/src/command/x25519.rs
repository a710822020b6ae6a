//! Keys as WireGuard has them: X25519 (RFC 7748), written in Base64.

use aws_lc_rs::agreement::{PrivateKey, X25519};
use aws_lc_rs::encoding::{AsBigEndian, Curve25519SeedBin};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use zeroize::Zeroizing;

use crate::{
    command::{Command, Scope},
    failure::{Failure, Outcome},
    params::{Arguments, Param},
    shell::Shell,
    table::Table,
    text,
};

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "GenX25519",
        title: "Make a key pair for WireGuard",
        help: "Shows a new private key and the public key that belongs to it, both in Base64. The private key is stored \
               nowhere: who can read the screen has it.",
        params: &[],
        scope: Scope::Local,
        run: generate,
    },
    Command {
        name: "GetPublicX25519",
        title: "Show the public key of a private key for WireGuard",
        help: "Computes the public key from a private key in Base64, as GenX25519 shows it. Leave the private key out to be \
               asked for it without echo: other users of this machine can see what is on a command line.",
        params: &[Param::word("private", "The private key, 32 bytes in Base64.")
            .known_secret("Private Key: ")
            .check(is_key)],
        scope: Scope::Local,
        run: show_public,
    },
];

fn is_key(word: &str) -> Result<(), String> {
    match text::parse_x25519(word.trim()) {
        Some(_) => Ok(()),
        None => Err("A private key is 32 bytes in Base64.".to_owned()),
    }
}

fn generate(shell: &mut Shell, _: &Arguments) -> Outcome {
    let key = PrivateKey::generate(&X25519).map_err(|_| unusable())?;
    let bytes: Curve25519SeedBin<'_> = key.as_be_bytes().map_err(|_| unusable())?;
    let private = Zeroizing::new(STANDARD.encode(bytes.as_ref()));
    let public = public(&key)?;
    if shell.console.style.json {
        shell
            .console
            .json(&json!({ "PrivateKey": private.as_str(), "PublicKey": public }));
        return Ok(());
    }
    let mut table = Table::items();
    table.item("Private Key", private.as_str());
    table.item("Public Key", public);
    shell.console.table(&table);
    Ok(())
}

fn show_public(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let bytes = text::parse_x25519(arguments.text("private").trim()).ok_or_else(unusable)?;
    let key = PrivateKey::from_private_key(&X25519, &bytes).map_err(|_| unusable())?;
    let public = public(&key)?;
    if shell.console.style.json {
        shell.console.json(&json!({ "PublicKey": public }));
        return Ok(());
    }
    let mut table = Table::items();
    table.item("Public Key", public);
    shell.console.table(&table);
    Ok(())
}

fn public(key: &PrivateKey) -> Outcome<String> {
    let public = key.compute_public_key().map_err(|_| unusable())?;
    Ok(STANDARD.encode(public.as_ref()))
}

fn unusable() -> Failure {
    Failure::Local("The key cannot be used or made.".to_owned())
}
