//! What only the vendor's own servers and services have: licences, dynamic DNS, VPN Azure; and two commands for those
//! who mend a server.

use protocol::{
    error::ErrorCode,
    rpc::{
        Nothing, Values,
        method::{
            AddLicenseKey, ChangeDDnsClientHostname, Crash, Debug, DelLicenseKey, EnumLicenseKey,
            GetAzureStatus, GetDDnsClientStatus, GetLicenseStatus, SetAzureStatus,
        },
        vendor::AzureStatus,
    },
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
        name: "LicenseAdd",
        title: "Give the server a licence key",
        help: "Only servers that are sold know licences.",
        params: &[Param::word("key", "The licence key.").ask("License Key: ")],
        scope: Scope::Server,
        run: |shell, arguments| {
            let value = Values {
                str: arguments.text("key").to_owned(),
                ..Values::default()
            };
            shell.call::<AddLicenseKey>(&value).map(drop)
        },
    },
    Command {
        name: "LicenseDel",
        title: "Take a licence key from the server",
        help: "Removes a key of LicenseList.",
        params: &[Param::word("id", "The number that LicenseList shows.").ask("License Number to Delete: ")],
        scope: Scope::Server,
        run: |shell, arguments| {
            let value = Values {
                int: arguments.number("id"),
                ..Values::default()
            };
            shell.call::<DelLicenseKey>(&value).map(drop)
        },
    },
    Command {
        name: "LicenseList",
        title: "List the licence keys of the server",
        help: "Lists the keys that LicenseAdd has given.",
        params: &[],
        scope: Scope::Server,
        run: list_licenses,
    },
    Command {
        name: "LicenseStatus",
        title: "Show what the server's licences allow",
        help: "Shows what all keys of LicenseList together allow.",
        params: &[],
        scope: Scope::Server,
        run: show_license,
    },
    Command {
        name: "DynamicDnsGetStatus",
        title: "Show the server's name in dynamic DNS",
        help: "Shows the name under which the vendor's DNS has a stock server.",
        params: &[],
        scope: Scope::Server,
        run: show_dns,
    },
    Command {
        name: "DynamicDnsSetHostname",
        title: "Change the server's name in dynamic DNS",
        help: "Asks the vendor's DNS for another name, of 3 to 31 characters.",
        params: &[Param::word("hostname", "The new name.").ask("Dynamic DNS Hostname (3 - 31 letters): ")],
        scope: Scope::Server,
        run: |shell, arguments| {
            let value = Values {
                str: arguments.text("hostname").to_owned(),
                ..Values::default()
            };
            shell.call::<ChangeDDnsClientHostname>(&value).map(drop)
        },
    },
    Command {
        name: "VpnAzureGetStatus",
        title: "Show whether the server is reached through VPN Azure",
        help: "Shows whether the vendor's relay leads to a stock server.",
        params: &[],
        scope: Scope::Server,
        run: show_azure,
    },
    Command {
        name: "VpnAzureSetEnable",
        title: "Switch VPN Azure on or off",
        help: "Has the vendor's relay lead to a stock server, or no longer.",
        params: &[Param::word("yes|no", "yes: it leads there.")
            .ask("Enable VPN Azure (yes / no): ")
            .check(check::not_empty)],
        scope: Scope::Server,
        run: |shell, arguments| {
            let status = AzureStatus {
                is_enabled: arguments.yes("yes|no"),
                ..AzureStatus::default()
            };
            shell.call::<SetAzureStatus>(&status).map(drop)
        },
    },
    Command {
        name: "Debug",
        title: "Have a stock server do one of its tests",
        help: "The numbers are the server's own; 0 lists them. Our server has none.",
        params: &[
            Param::word("id", "The number of the test."),
            Param::named("ARG", "What the test is given."),
        ],
        scope: Scope::Server,
        run: debug,
    },
    Command {
        name: "Crash",
        title: "End a stock server at once",
        help: "Ends the server without anything being saved, for those who look for faults in it. Our server does not \
               know this.",
        params: &[Param::word("yes", "The word yes.").ask("Input \"yes\" if it is ok: ")],
        scope: Scope::Server,
        run: crash,
    },
];

fn list_licenses(shell: &mut Shell, _: &Arguments) -> Outcome {
    let list = shell.call::<EnumLicenseKey>(&Nothing {})?;
    if shell.json(&list) {
        return Ok(());
    }
    let mut table = Table::new(&[
        "Number",
        "License Key",
        "License Type Name",
        "Status",
        "Expiration Date",
        "License ID",
        "License Type ID",
        "Server ID",
        "Serial ID",
    ]);
    for row in list.keys {
        table.row([
            row.id.to_string(),
            row.license_key,
            row.license_name,
            row.status.to_string(),
            shell.calendar.long_or(row.expires, "(None)"),
            row.license_id,
            row.product_id.to_string(),
            row.system_id.to_string(),
            row.serial_id.to_string(),
        ]);
    }
    shell.console.blocks(&table);
    Ok(())
}

fn show_license(shell: &mut Shell, _: &Arguments) -> Outcome {
    let status = shell.call::<GetLicenseStatus>(&Nothing {})?;
    if shell.json(&status) {
        return Ok(());
    }
    let mut table = Table::items();
    table
        .item("Product Edition Name", status.edition_str)
        .item("Current System ID", status.system_id.to_string())
        .item(
            "Expiration Date",
            shell.calendar.long_or(status.system_expires, "(None)"),
        )
        .item(
            "Maximum Number of User Creation",
            status.num_user_creation_license.to_string(),
        )
        .item(
            "Maximum Number of Client Connections",
            status.num_client_connect_license.to_string(),
        )
        .item(
            "Maximum Number of Bridge Connections",
            status.num_bridge_connect_license.to_string(),
        );
    shell.console.table(&table);
    Ok(())
}

fn or_none(text: String) -> String {
    if text.is_empty() {
        "(None)".to_owned()
    } else {
        text
    }
}

fn show_dns(shell: &mut Shell, _: &Arguments) -> Outcome {
    let status = shell.call::<GetDDnsClientStatus>(&Nothing {})?;
    if shell.json(&status) {
        return Ok(());
    }
    let address = |address: String, error: u32| match error {
        0 => or_none(address),
        error => ErrorCode::from_code(error).to_string(),
    };
    let mut table = Table::items();
    table
        .item(
            "Assigned Dynamic DNS Hostname (Full)",
            or_none(status.current_fqdn),
        )
        .item(
            "Assigned Dynamic DNS Hostname (Hostname)",
            or_none(status.current_host_name),
        )
        .item("DNS Suffix", or_none(status.dns_suffix))
        .item(
            "Global IPv4 Address",
            address(status.current_ipv4, status.error_ipv4),
        )
        .item(
            "Global IPv6 Address",
            address(status.current_ipv6, status.error_ipv6),
        );
    shell.console.table(&table);
    Ok(())
}

fn show_azure(shell: &mut Shell, _: &Arguments) -> Outcome {
    let status = shell.call::<GetAzureStatus>(&Nothing {})?;
    if shell.json(&status) {
        return Ok(());
    }
    let mut table = Table::items();
    table.item("VPN Azure Function is Enabled", text::yes_no(status.is_enabled));
    if status.is_enabled {
        table.item(
            "Connection to VPN Azure Cloud Server is Established",
            text::yes_no(status.is_connected),
        );
    }
    shell.console.table(&table);
    Ok(())
}

fn debug(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let request = Values {
        int: arguments.number("id"),
        str: arguments.text("ARG").to_owned(),
        ..Values::default()
    };
    let answer = shell.call::<Debug>(&request)?;
    shell.console.print_line(&answer.str);
    Ok(())
}

/// As the stock tool, takes every other word for a change of mind, which is no failure.
fn crash(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    if !arguments.text("yes").eq_ignore_ascii_case("yes") {
        shell.console.remark("Nothing has been done.");
        return Ok(());
    }
    shell.call::<Crash>(&Values::default()).map(drop)
}
