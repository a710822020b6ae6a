//! Other protocols that lead into the hubs of a stock server: OpenVPN, SSTP, L2TP, EtherIP, WireGuard, ICMP and DNS.
//! Our server has none of them and says so; a stock server is administered with these.

use protocol::{
    error::ErrorCode,
    rpc::{
        Nothing, Secret,
        doors::{
            EtherIp, IpsecServices, OptionType, ProtocolOption, ProtocolOptions, ProtocolRequest,
            WireGuardKey, WireGuardKeys,
        },
        listener::SpecialListener,
        method::{
            AddEtherIpId, AddWgk, DeleteEtherIpId, DeleteWgk, EnumEtherIpId, EnumWgk, GetIPsecServices,
            GetProtoOptions, GetSpecialListener, MakeOpenVpnConfigFile, SetIPsecServices, SetProtoOptions,
            SetSpecialListener,
        },
    },
};

use crate::{
    check,
    command::{Command, Scope, server},
    failure::{Failure, Outcome},
    params::{Arguments, Param},
    shell::Shell,
    table::Table,
    text,
};

const PROTOCOL: Param = Param::word("protocol", "OpenVPN or SSTP.").ask("Protocol: ");
const KEY: Param = Param::word("key", "The peer's public key.").ask("Key: ");

const fn yes_no(name: &'static str, help: &'static str, prompt: &'static str) -> Param {
    Param::named(name, help).ask(prompt).check(check::not_empty)
}

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "ProtoOptionsGet",
        title: "List the options of another protocol",
        help: "Lists how a stock server speaks another VPN protocol.",
        params: &[PROTOCOL],
        scope: Scope::Server,
        run: list_options,
    },
    Command {
        name: "ProtoOptionsSet",
        title: "Change an option of another protocol",
        help: "Changes one of the options that ProtoOptionsGet lists. Flags are true or false.",
        params: &[
            PROTOCOL,
            Param::named("NAME", "The name of the option.")
                .ask("Option: ")
                .check(check::not_empty),
            Param::named("VALUE", "Its new value.").ask("Value: "),
        ],
        scope: Scope::Server,
        run: set_option,
    },
    Command {
        name: "OpenVpnMakeConfig",
        title: "Save settings for OpenVPN clients",
        help: "Writes a ZIP file with samples of settings for OpenVPN clients of the server.",
        params: &[Param::word("file", "The file to write.")
            .ask("Output Filename of Setting Files (ZIP compressed file): ")],
        scope: Scope::Server,
        run: make_config,
    },
    Command {
        name: "VpnOverIcmpDnsEnable",
        title: "Switch VPN over ICMP and over DNS on or off",
        help: "Lets clients in that can send nothing but pings or questions for names.",
        params: &[
            yes_no(
                "ICMP",
                "yes: over ICMP.",
                "Enable VPN over ICMP Server (yes / no): ",
            ),
            yes_no("DNS", "yes: over DNS.", "Enable VPN over DNS Server (yes / no): "),
        ],
        scope: Scope::Server,
        run: |shell, arguments| {
            let listener = SpecialListener {
                vpn_over_icmp: arguments.yes("ICMP"),
                vpn_over_dns: arguments.yes("DNS"),
            };
            shell.call::<SetSpecialListener>(&listener).map(drop)
        },
    },
    Command {
        name: "VpnOverIcmpDnsGet",
        title: "Show whether VPN over ICMP and over DNS is on",
        help: "Shows what VpnOverIcmpDnsEnable has set.",
        params: &[],
        scope: Scope::Server,
        run: show_special,
    },
    Command {
        name: "IPsecEnable",
        title: "Switch L2TP and EtherIP on or off",
        help: "Sets all of it at once: who may come in, with which key, and into which hub those come who name none.",
        params: &[
            yes_no(
                "L2TP",
                "yes: L2TP over IPsec.",
                "Enable L2TP over IPsec Server Function (yes / no): ",
            ),
            yes_no(
                "L2TPRAW",
                "yes: L2TP without encryption.",
                "Enable Raw L2TP Server Function (yes / no): ",
            ),
            yes_no(
                "ETHERIP",
                "yes: EtherIP and L2TPv3 over IPsec.",
                "Enable EtherIP / L2TPv3 over IPsec Server Function (yes / no): ",
            ),
            yes_no(
                "PSK",
                "The key that all clients share.",
                "Pre Shared Key for IPsec (Recommended: 9 letters at maximum): ",
            ),
            yes_no(
                "DEFAULTHUB",
                "The hub of those who name none.",
                "Default Virtual HUB in a case of omitting the HUB on the Username: ",
            ),
        ],
        scope: Scope::Server,
        run: set_ipsec,
    },
    Command {
        name: "IPsecGet",
        title: "Show whether L2TP and EtherIP are on",
        help: "Shows what IPsecEnable has set, the shared key included.",
        params: &[],
        scope: Scope::Server,
        run: show_ipsec,
    },
    Command {
        name: "EtherIpClientAdd",
        title: "Let an EtherIP device in",
        help: "Says into which hub, and as which user, a device comes that gives this name in IKE.",
        params: &[
            Param::word("id", "The name that the device gives; * for every name.")
                .ask("ISAKMP Phase 1 ID ('*' is a wildcard): "),
            Param::named("HUB", "The hub.")
                .ask("Virtual Hub Name: ")
                .check(check::not_empty),
            Param::named("USERNAME", "The user.")
                .ask("Username to Login Virtual Hub: ")
                .check(check::not_empty),
            Param::named("PASSWORD", "The user's password.")
                .ask("Password to Login Virtual Hub: ")
                .check(check::not_empty),
        ],
        scope: Scope::Server,
        run: add_etherip,
    },
    Command {
        name: "EtherIpClientDelete",
        title: "Let an EtherIP device in no longer",
        help: "Forgets what EtherIpClientAdd has set.",
        params: &[Param::word("id", "The name that the device gives.").ask("ISAKMP Phase 1 ID: ")],
        scope: Scope::Server,
        run: |shell, arguments| {
            let id = arguments.text("id").to_owned();
            let client = EtherIp {
                id,
                ..EtherIp::default()
            };
            shell.call::<DeleteEtherIpId>(&client).map(drop)
        },
    },
    Command {
        name: "EtherIpClientList",
        title: "List the EtherIP devices that are let in",
        help: "Lists what EtherIpClientAdd has set, without the passwords.",
        params: &[],
        scope: Scope::Server,
        run: list_etherip,
    },
    Command {
        name: "WgkAdd",
        title: "Let a WireGuard peer in",
        help: "Says into which hub, and as which user, the peer with this key comes. Servers from version 5.02 know it.",
        params: &[
            KEY,
            Param::named("HUB", "The hub.").ask("Hub: "),
            Param::named("USER", "The user.").ask("User: "),
        ],
        scope: Scope::Server,
        run: |shell, arguments| {
            let text = |name| arguments.text(name).to_owned();
            let key = WireGuardKey {
                key: text("key"),
                hub: text("HUB"),
                user: text("USER"),
            };
            let keys = vec![key];
            shell.call::<AddWgk>(&WireGuardKeys { keys }).map(drop)
        },
    },
    Command {
        name: "WgkDelete",
        title: "Let a WireGuard peer in no longer",
        help: "Forgets what WgkAdd has set. Servers from version 5.02 know it.",
        params: &[KEY],
        scope: Scope::Server,
        run: |shell, arguments| {
            let key = WireGuardKey {
                key: arguments.text("key").to_owned(),
                ..WireGuardKey::default()
            };
            let keys = vec![key];
            shell.call::<DeleteWgk>(&WireGuardKeys { keys }).map(drop)
        },
    },
    Command {
        name: "WgkEnum",
        title: "List the WireGuard peers that are let in",
        help: "Lists what WgkAdd has set. Servers from version 5.02 know it.",
        params: &[],
        scope: Scope::Server,
        run: list_wireguard,
    },
];

fn options(shell: &mut Shell, arguments: &Arguments) -> Outcome<ProtocolOptions> {
    let protocol = arguments.text("protocol").to_owned();
    shell.call::<GetProtoOptions>(&ProtocolRequest { protocol })
}

/// Texts travel as bytes that end with a zero, flags as one byte.
fn value(option: &ProtocolOption) -> String {
    match option.kind {
        OptionType::Flag => {
            let on = option.value.first().is_some_and(|byte| *byte != 0);
            if on { "True" } else { "False" }.to_owned()
        }
        _ => String::from_utf8_lossy(&option.value)
            .trim_end_matches('\0')
            .to_owned(),
    }
}

fn list_options(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let list = options(shell, arguments)?;
    if shell.json(&list) {
        return Ok(());
    }
    let mut table = Table::new(&["Name", "Type", "Value", "Description"]);
    for option in &list.options {
        let kind = match option.kind {
            OptionType::Text => "String".to_owned(),
            OptionType::Flag => "Boolean".to_owned(),
            OptionType::Other(number) => number.to_string(),
        };
        table.row([
            option.name.clone(),
            kind,
            value(option),
            about(&option.name).to_owned(),
        ]);
    }
    shell.console.table(&table);
    Ok(())
}

/// What is known of an option.
fn about(option: &str) -> &'static str {
    match option {
        "DefaultClientOption" => "What clients are taken to have said that do not say how they are set.",
        "Obfuscation" => "Scrambles packets for firewalls that look for OpenVPN; clients must do the same.",
        "ObfuscationMask" => "With what packets are scrambled.",
        "PushDummyIPv4AddressOnL2Mode" => {
            "Gives TAP clients an address that none has, so that they bring the device up."
        }
        _ => "",
    }
}

fn set_option(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let mut list = options(shell, arguments)?;
    let name = arguments.text("NAME");
    let option = list
        .options
        .iter_mut()
        .find(|option| option.name.eq_ignore_ascii_case(name))
        .ok_or(ErrorCode::ObjectNotFound)?;
    let text = arguments.text("VALUE");
    option.value = match option.kind {
        OptionType::Flag => vec![u8::from(text::parse_yes(text))],
        _ => text.bytes().chain([0]).collect(),
    };
    shell.call::<SetProtoOptions>(&list).map(drop)
}

fn make_config(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let file = shell.call::<MakeOpenVpnConfigFile>(&Nothing {})?;
    let path = arguments.text("file");
    let is_zip = path.len() > 4 && path.to_ascii_lowercase().ends_with(".zip");
    let path = if is_zip {
        path.to_owned()
    } else {
        format!("{path}.zip")
    };
    let zip = file
        .buffer
        .ok_or_else(|| Failure::Local("The server sent nothing.".to_owned()))?;
    server::save_bytes(&path, &zip)?;
    shell.console.remark(&format!("The samples are in \"{path}\"."));
    Ok(())
}

fn show_special(shell: &mut Shell, _: &Arguments) -> Outcome {
    let listener = shell.call::<GetSpecialListener>(&Nothing {})?;
    if shell.json(&listener) {
        return Ok(());
    }
    let mut table = Table::items();
    table
        .item(
            "VPN over ICMP Server Enabled",
            text::yes_no(listener.vpn_over_icmp),
        )
        .item("VPN over DNS Server Enabled", text::yes_no(listener.vpn_over_dns));
    shell.console.table(&table);
    Ok(())
}

fn set_ipsec(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let services = IpsecServices {
        l2tp_raw: arguments.yes("L2TPRAW"),
        l2tp_ipsec: arguments.yes("L2TP"),
        etherip_ipsec: arguments.yes("ETHERIP"),
        ipsec_secret: Secret::new(arguments.text("PSK").to_owned()),
        l2tp_default_hub: arguments.text("DEFAULTHUB").to_owned(),
    };
    shell.call::<SetIPsecServices>(&services).map(drop)
}

fn show_ipsec(shell: &mut Shell, _: &Arguments) -> Outcome {
    let services = shell.call::<GetIPsecServices>(&Nothing {})?;
    if shell.json(&services) {
        return Ok(());
    }
    let mut table = Table::items();
    table
        .item(
            "L2TP over IPsec Server Function Enabled",
            text::yes_no(services.l2tp_ipsec),
        )
        .item(
            "Raw L2TP Server Function Enabled",
            text::yes_no(services.l2tp_raw),
        )
        .item(
            "EtherIP / L2TPv3 over IPsec Server Function Enabled",
            text::yes_no(services.etherip_ipsec),
        )
        .item("IPsec Pre-Shared Key String", services.ipsec_secret.as_str())
        .item("Name of Default Virtual Hub", services.l2tp_default_hub);
    shell.console.table(&table);
    Ok(())
}

fn add_etherip(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let client = EtherIp {
        id: arguments.text("id").to_owned(),
        hub_name: arguments.text("HUB").to_owned(),
        user_name: arguments.text("USERNAME").to_owned(),
        password: Secret::new(arguments.text("PASSWORD").to_owned()),
    };
    shell.call::<AddEtherIpId>(&client).map(drop)
}

fn list_etherip(shell: &mut Shell, _: &Arguments) -> Outcome {
    let mut list = shell.call::<EnumEtherIpId>(&Nothing {})?;
    for client in &mut list.clients {
        client.password = Secret::default();
    }
    if shell.json(&list) {
        return Ok(());
    }
    let mut table = Table::new(&["ISAKMP Phase 1 ID", "Virtual Hub Name", "User Name"]);
    for client in list.clients {
        table.row([client.id, client.hub_name, client.user_name]);
    }
    shell.console.table(&table);
    Ok(())
}

fn list_wireguard(shell: &mut Shell, _: &Arguments) -> Outcome {
    let list = shell.call::<EnumWgk>(&Nothing {})?;
    if shell.json(&list) {
        return Ok(());
    }
    let mut table = Table::new(&["Key", "Hub", "User"]);
    for peer in list.keys {
        table.row([peer.key, peer.hub, peer.user]);
    }
    shell.console.table(&table);
    Ok(())
}
