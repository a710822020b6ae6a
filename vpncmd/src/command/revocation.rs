//! Certificates that the hub no longer accepts.

use protocol::rpc::{
    HubKey, HubRequest,
    method::{AddCrl, DelCrl, EnumCrl, GetCrl},
    revocation::Revocation,
};

use crate::{
    check,
    command::{Command, Scope},
    failure::Outcome,
    params::{Arguments, Param},
    shell::Shell,
    table::Table,
    text,
};

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "CrlList",
        title: "List the certificates that the hub no longer accepts",
        help: "Lists the entries by which the hub refuses certificates that an authority it trusts has signed.",
        params: &[],
        scope: Scope::Hub,
        run: list,
    },
    Command {
        name: "CrlAdd",
        title: "Have the hub refuse certificates",
        help: "Adds an entry. Every certificate that is like it in all that the entry says is refused; what is left out \
               does not count.",
        params: &[
            Param::named("SERIAL", "The serial number, in hexadecimal."),
            Param::named("MD5", "The MD5 digest, 32 hexadecimal digits."),
            Param::named("SHA1", "The SHA-1 digest, 40 hexadecimal digits."),
            Param::named("CN", "The common name."),
            Param::named("O", "The organization."),
            Param::named("OU", "The organization's unit."),
            Param::named("C", "The country."),
            Param::named("ST", "The state."),
            Param::named("L", "The locality."),
        ],
        scope: Scope::Hub,
        run: add,
    },
    Command {
        name: "CrlDel",
        title: "Have the hub accept certificates again",
        help: "Removes an entry of CrlList.",
        params: &[Param::word("id", "The ID that CrlList shows.")
            .ask("ID to Delete: ")
            .check(check::not_empty)],
        scope: Scope::Hub,
        run: delete,
    },
    Command {
        name: "CrlGet",
        title: "Show which certificates the hub refuses",
        help: "Shows all that an entry of CrlList says.",
        params: &[Param::word("id", "The ID that CrlList shows.")
            .ask("ID to Get: ")
            .check(check::not_empty)],
        scope: Scope::Hub,
        run: get,
    },
];

fn list(shell: &mut Shell, _: &Arguments) -> Outcome {
    let hub_name = shell.hub_name();
    let list = shell.call::<EnumCrl>(&HubRequest { hub_name })?;
    if shell.json(&list) {
        return Ok(());
    }
    let mut table = Table::new(&["ID", "Certificate Summary"]);
    for row in list.revocations {
        table.row([row.key.to_string(), row.summary]);
    }
    shell.console.blocks(&table);
    Ok(())
}

/// As the stock tool, takes a digest of another length for none.
fn add(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let name = |name| Some(arguments.text(name).to_owned()).filter(|value| !value.is_empty());
    let bytes = |name| text::parse_hex(arguments.text(name)).filter(|value| !value.is_empty());
    let digest = |name, length| bytes(name).filter(|value| value.len() == length);
    let revocation = Revocation {
        hub_name: shell.hub_name(),
        key: 0,
        serial: bytes("SERIAL"),
        common_name: name("CN"),
        organization: name("O"),
        unit: name("OU"),
        country: name("C"),
        state: name("ST"),
        locality: name("L"),
        digest_md5: digest("MD5", 16),
        digest_sha1: digest("SHA1", 20),
    };
    shell.call::<AddCrl>(&revocation).map(drop)
}

fn key(shell: &Shell, arguments: &Arguments) -> HubKey {
    HubKey {
        hub_name: shell.hub_name(),
        key: arguments.number("id"),
    }
}

fn delete(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let request = key(shell, arguments);
    shell.call::<DelCrl>(&request).map(drop)
}

fn get(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let request = key(shell, arguments);
    let entry = shell.call::<GetCrl>(&request)?;
    if shell.json(&entry) {
        return Ok(());
    }
    let names = [
        ("Common Name (CN)", &entry.common_name),
        ("Organization (O)", &entry.organization),
        ("Organization Unit (OU)", &entry.unit),
        ("Country (C)", &entry.country),
        ("State (ST)", &entry.state),
        ("Locality (L)", &entry.locality),
    ];
    let digits = [
        ("Serial Number (Hexadecimal)", &entry.serial),
        ("MD5 Digest Value (Hexadecimal, 128 bit)", &entry.digest_md5),
        ("SHA-1 Digest Value (Hexadecimal, 160 bit)", &entry.digest_sha1),
    ];
    let mut table = Table::items();
    for (item, value) in names {
        if let Some(value) = value.as_ref().filter(|value| !value.is_empty()) {
            table.item(item, value.as_str());
        }
    }
    for (item, value) in digits {
        if let Some(value) = value.as_ref().filter(|value| !value.is_empty()) {
            table.item(item, text::hex_spaced(value));
        }
    }
    shell.console.table(&table);
    Ok(())
}
