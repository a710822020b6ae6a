//! Making, listing, showing, renaming, deleting cascade connections, and switching them on and off.

use protocol::{
    error::ErrorCode,
    policy::Policy,
    rpc::{
        HubRequest, Secret, Timestamp,
        cascade::{Link, LinkAuthType, LinkRename, LinkRow, ProxyType},
        method::{
            CreateLink, DeleteLink, EnumLink, GetLinkStatus, RenameLink, SetLinkOffline, SetLinkOnline,
        },
    },
};

use super::{CASCADE, asked, change, named, read};
use crate::{
    check,
    command::{Command, Scope, certificate, connection_state, policy},
    failure::Outcome,
    params::{Arguments, Param},
    shell::Shell,
    table::Table,
    text,
};

/// How many TCP connections a new cascade uses, as the stock tool has it.
const NEW_CONNECTIONS: u32 = 8;

/// Seconds between attempts of a new cascade; it tries for ever.
const NEW_INTERVAL: u32 = 15;

const SERVER: Param = Param::named("SERVER", "The VPN server and its port, HOST:PORT.")
    .ask("Destination VPN Server Host Name and Port Number: ")
    .check(check::host_and_port);
const HUB: Param = Param::named("HUB", "The Virtual Hub on that server.")
    .ask("Destination Virtual Hub Name: ")
    .check(check::not_empty);

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "CascadeList",
        title: "List the cascade connections of the hub",
        help: "Lists the connections to other hubs, and whether they stand.",
        params: &[],
        scope: Scope::Hub,
        run: list,
    },
    Command {
        name: "CascadeCreate",
        title: "Connect the hub to another one",
        help: "Makes a cascade connection: the hub becomes a client of the other hub, and the two are one Ethernet \
               segment. It begins offline and without a password; CascadePasswordSet or CascadeCertSet gives it a \
               proof, CascadeOnline switches it on.",
        params: &[
            CASCADE,
            SERVER,
            HUB,
            Param::named("USERNAME", "The user on that hub.")
                .ask("Connecting User Name: ")
                .check(check::not_empty),
        ],
        scope: Scope::Hub,
        run: create,
    },
    Command {
        name: "CascadeSet",
        title: "Change where a cascade connection leads to",
        help: "Changes server and hub. A connection that stands is made anew.",
        params: &[CASCADE, SERVER, HUB],
        scope: Scope::Hub,
        run: set,
    },
    Command {
        name: "CascadeGet",
        title: "Show a cascade connection",
        help: "Shows how a cascade connects, and the policies of its session. Passwords and keys are not shown.",
        params: &[CASCADE],
        scope: Scope::Hub,
        run: get,
    },
    Command {
        name: "CascadeDelete",
        title: "Delete a cascade connection",
        help: "Ends a cascade connection and forgets it.",
        params: &[CASCADE],
        scope: Scope::Hub,
        run: |shell, arguments| {
            let request = named(shell, arguments);
            shell.call::<DeleteLink>(&request)?;
            Ok(())
        },
    },
    Command {
        name: "CascadeRename",
        title: "Give a cascade connection another name",
        help: "Changes the name and nothing else. It may be online.",
        params: &[
            Param::word("name", "The cascade connection.")
                .ask("Current Name: ")
                .check(check::not_empty),
            Param::named("NEW", "Its new name.")
                .ask("New Name: ")
                .check(check::not_empty),
        ],
        scope: Scope::Hub,
        run: rename,
    },
    Command {
        name: "CascadeOnline",
        title: "Switch a cascade connection on",
        help: "Connects now, and again whenever the connection breaks.",
        params: &[CASCADE],
        scope: Scope::Hub,
        run: |shell, arguments| {
            let request = named(shell, arguments);
            shell.call::<SetLinkOnline>(&request)?;
            Ok(())
        },
    },
    Command {
        name: "CascadeOffline",
        title: "Switch a cascade connection off",
        help: "Ends the connection until CascadeOnline.",
        params: &[CASCADE],
        scope: Scope::Hub,
        run: |shell, arguments| {
            let request = named(shell, arguments);
            shell.call::<SetLinkOffline>(&request)?;
            Ok(())
        },
    },
    Command {
        name: "CascadeStatusGet",
        title: "Show the state of a cascade connection",
        help: "Shows how far the connection has come, and once it stands what it has carried.",
        params: &[CASCADE],
        scope: Scope::Hub,
        run: status,
    },
];

fn list(shell: &mut Shell, _: &Arguments) -> Outcome {
    let hub_name = shell.hub_name();
    let list = shell.call::<EnumLink>(&HubRequest { hub_name })?;
    if shell.json(&list) {
        return Ok(());
    }
    let mut table = Table::new(&[
        "Setting Name",
        "Status",
        "Established at",
        "Destination VPN Server",
        "Virtual Hub",
    ]);
    for row in list.links {
        table.row([
            row.account_name.clone(),
            state_of(&row),
            since(shell, &row),
            row.hostname,
            row.target_hub_name,
        ]);
    }
    shell.console.blocks(&table);
    Ok(())
}

fn state_of(row: &LinkRow) -> String {
    match row {
        _ if !row.online => "Offline (Stopped)".to_owned(),
        _ if row.connected => "Online (Established)".to_owned(),
        _ if row.last_error == 0 => "Connecting".to_owned(),
        _ => format!(
            "Error {}: {}",
            row.last_error,
            ErrorCode::from_code(row.last_error)
        ),
    }
}

fn since(shell: &Shell, row: &LinkRow) -> String {
    let time = if row.connected {
        row.connected_time
    } else {
        Timestamp::NONE
    };
    shell.calendar.long_or(time, "(None)")
}

/// The server and its port; the check has read them once already.
fn server(arguments: &Arguments) -> (String, u32) {
    let (host, port) = text::parse_host(arguments.text("SERVER"), 0).unwrap_or_default();
    (host, u32::from(port))
}

fn create(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let (hostname, port) = server(arguments);
    let link = Link {
        hub_name: shell.hub_name(),
        account_name: arguments.text("name").to_owned(),
        hostname,
        port,
        remote_hub_name: arguments.text("HUB").to_owned(),
        num_retry: u32::MAX,
        retry_interval: NEW_INTERVAL,
        max_connection: NEW_CONNECTIONS,
        use_encrypt: true,
        additional_connection_interval: 1,
        require_bridge_routing_mode: true,
        host_unique_key: [0; 20],
        auth_type: Some(LinkAuthType::Anonymous),
        username: Some(arguments.text("USERNAME").to_owned()),
        policy: Policy::default(),
        ..Link::default()
    };
    shell.call::<CreateLink>(&link)?;
    Ok(())
}

fn set(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    change(shell, arguments, |link| {
        (link.hostname, link.port) = server(arguments);
        arguments.text("HUB").clone_into(&mut link.remote_hub_name);
    })
}

fn rename(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let request = LinkRename {
        hub_name: shell.hub_name(),
        old_account_name: arguments.text("name").to_owned(),
        new_account_name: arguments.text("NEW").to_owned(),
    };
    shell.call::<RenameLink>(&request)?;
    Ok(())
}

fn get(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let mut link = read(shell, arguments)?;
    if shell.console.style.json {
        // The stock server gives what it keeps; nobody needs to see it on a screen.
        (link.hashed_password, link.plain_password, link.client_k) = (None, None, None);
        link.proxy_password = Secret::default();
        shell.json(&link);
        return Ok(());
    }
    shell.console.table(&settings(&link));
    shell.console.print_line("");
    shell
        .console
        .remark("[Cascade Session Security Policy Setting Value]");
    shell.console.table(&policy::cascade_table(&link.policy));
    Ok(())
}

fn settings(link: &Link) -> Table {
    let mut table = Table::items();
    table
        .item("VPN Connection Setting Name", link.account_name.as_str())
        .item("Destination VPN Server Host Name", link.hostname.as_str())
        .item("Destination VPN Server Port Number", link.port.to_string())
        .item(
            "Destination VPN Server Virtual Hub Name",
            link.remote_hub_name.as_str(),
        )
        .item("Proxy Server Type", proxy(link.proxy_type));
    if link.proxy_type != ProxyType::Direct {
        table
            .item("Proxy Server Host Name", link.proxy_name.as_str())
            .item("Proxy Server Port Number", link.proxy_port.to_string())
            .item("Proxy Server User Name", link.proxy_username.as_str());
    }
    table.item("Verify Server Certificate", able(link.check_server_cert));
    if let Some(der) = link.server_cert.as_ref().filter(|der| !der.is_empty()) {
        table.item(
            "Registered Server Individual Certificate",
            certificate::describe(der),
        );
    }
    table
        .item("Device Name Used for Connection", link.device_name.as_str())
        .item("Authentication Type", proof(link))
        .item("User Name", link.username.as_deref().unwrap_or_default());
    if let Some(der) = link.client_x.as_ref().filter(|der| !der.is_empty()) {
        table.item(
            "Client Certificate for Authentication Use",
            certificate::describe(der),
        );
    }
    details(&mut table, link);
    table
}

fn details(table: &mut Table, link: &Link) {
    let life = match link.connection_disconnect_span {
        0 => "Infinite".to_owned(),
        seconds => seconds.to_string(),
    };
    table
        .item(
            "Number of TCP Connections to Use in VPN Communication",
            link.max_connection.to_string(),
        )
        .item(
            "Interval between Establishing Each TCP Connection",
            link.additional_connection_interval.to_string(),
        )
        .item("Connection Life of Each TCP Connection", life)
        .item("Use Half Duplex Mode", able(link.half_connection))
        .item("Encryption by SSL", able(link.use_encrypt))
        .item("Data Compression", able(link.use_compress))
        .item(
            "Connect by Bridge / Router Mode",
            able(link.require_bridge_routing_mode),
        )
        .item("Connect by Monitoring Mode", able(link.require_monitor_mode))
        .item("No Adjustment for Routing Table", able(link.no_routing_tracking))
        .item("Do not Use QoS Control Function", able(link.disable_qos));
}

fn able(flag: bool) -> &'static str {
    if flag { "Enable" } else { "Disable" }
}

fn proxy(kind: ProxyType) -> &'static str {
    match kind {
        ProxyType::Direct => "Direct TCP/IP Connection",
        ProxyType::Http => "Connection via HTTP Proxy",
        ProxyType::Socks4 => "Connection via SOCKS4 Proxy",
        // The stock tool has no name for it.
        ProxyType::Socks5 => "Connection via SOCKS5 Proxy",
        ProxyType::Other(_) => "Unknown Protocol",
    }
}

fn proof(link: &Link) -> &'static str {
    match link.auth_type.unwrap_or_default() {
        LinkAuthType::Anonymous => "Anonymous Authentication",
        LinkAuthType::Password => "Standard Password Authentication",
        LinkAuthType::PlainPassword => "RADIUS or NT Domain Authentication",
        LinkAuthType::Certificate => "Client Certificate Authentication",
        LinkAuthType::SmartCard => "Smart Card Authentication",
        LinkAuthType::OpensslEngine => "OpenSSL Engine Authentication",
        LinkAuthType::Other(_) => "Unknown Authentication",
    }
}

fn status(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let request = asked(shell, arguments);
    let mut state = shell.call::<GetLinkStatus>(&request)?.state;
    if shell.console.style.json {
        // Whoever has it can join the session.
        state.session_key = Secret::default();
        shell.json(&state);
        return Ok(());
    }
    let table = connection_state::table(&state, shell);
    shell.console.table(&table);
    Ok(())
}
