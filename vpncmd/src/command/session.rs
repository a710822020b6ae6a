//! Sessions of a hub.

use std::net::IpAddr;

use protocol::rpc::{
    HubObject, HubRequest,
    method::{DeleteSession, EnumSession, GetSessionStatus},
    session::{LinkState, Node, SessionRow},
};

use crate::{
    check,
    command::{Command, Scope, server},
    failure::Outcome,
    names::Names,
    params::{Arguments, Param},
    shell::Shell,
    table::Table,
    text,
};

const NAME: &[Param] = &[
    Param::word("name", "The session's name, as SessionList shows it.")
        .ask("Session name: ")
        .check(check::not_empty)
        .of(Names::Session),
];

/// What stock servers call the connection of a session that has none.
const NO_CONNECTION: &str = "INITING";

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "SessionList",
        title: "List the sessions of the hub",
        help: "Lists everything that is connected to the hub: clients, bridges, cascades, SecureNAT.",
        params: &[],
        scope: Scope::Hub,
        run: list,
    },
    Command {
        name: "SessionGet",
        title: "Show a session",
        help: "Shows who a session belongs to, where it comes from, how it is connected and what it has transferred.",
        params: NAME,
        scope: Scope::Hub,
        run: get,
    },
    Command {
        name: "SessionDisconnect",
        title: "End a session",
        help: "Ends a session. A client that is set to reconnect will, unless its user may not log in any more.",
        params: NAME,
        scope: Scope::Hub,
        run: disconnect,
    },
];

fn list(shell: &mut Shell, _: &Arguments) -> Outcome {
    let hub_name = shell.hub_name();
    let list = shell.call::<EnumSession>(&HubRequest { hub_name })?;
    if shell.json(&list) {
        return Ok(());
    }
    let mut table = Table::new(&[
        "Session Name",
        "VLAN ID",
        "Location",
        "User Name",
        "Source Host Name",
        "TCP Connections",
        "Transfer Bytes",
        "Transfer Packets",
    ]);
    for session in list.sessions {
        let (location, source, connections) = whereabouts(&session);
        table.row([
            session.name,
            vlan(session.vlan_id),
            location,
            session.username,
            source,
            connections,
            text::thousands(session.packet_size),
            text::thousands(session.packet_num),
        ]);
    }
    shell.console.blocks(&table);
    Ok(())
}

/// Where a session is, where it comes from, and over how many TCP connections.
fn whereabouts(session: &SessionRow) -> (String, String, String) {
    let connections = || format!("{} / {}", session.current_num_tcp, session.max_num_tcp);
    let local = if session.remote_session {
        session.remote_hostname.clone()
    } else {
        "Local Session".to_owned()
    };
    let (location, source, connections) = match session {
        _ if session.secure_nat_mode => ("SecureNAT Session", "Virtual Host", None),
        _ if session.link_mode => ("Cascade Connection", "Virtual Host", None),
        _ if session.bridge_mode => (local.as_str(), "Ethernet Bridge", None),
        _ if session.layer3_mode => (local.as_str(), "Virtual Layer 3 Switch", Some(connections())),
        _ => (local.as_str(), session.hostname.as_str(), Some(connections())),
    };
    (
        location.to_owned(),
        source.to_owned(),
        connections.unwrap_or_else(|| "None".to_owned()),
    )
}

/// A VLAN's number, or `-`.
pub(super) fn vlan(id: u32) -> String {
    if id == 0 { "-".to_owned() } else { id.to_string() }
}

/// `5.01` from 501.
pub(super) fn version(number: u32) -> String {
    format!("{}.{:02}", number / 100, number % 100)
}

fn named(shell: &Shell, arguments: &Arguments) -> HubObject {
    HubObject {
        hub_name: shell.hub_name(),
        name: arguments.text("name").to_owned(),
    }
}

fn disconnect(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let request = named(shell, arguments);
    shell.call::<DeleteSession>(&request)?;
    Ok(())
}

fn get(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let request = named(shell, arguments);
    let session = shell.call::<GetSessionStatus>(&request)?;
    if shell.json(&session) {
        return Ok(());
    }
    let mut table = Table::items();
    if !session.client_ip.is_unspecified() {
        table
            .item("Client IP Address", session.client_ip.to_string())
            .item("Client Host Name", session.client_host_name.as_str());
    }
    table.item("User Name (Authentication)", session.username.as_str());
    given(&mut table, "User Name (Database)", &session.real_username);
    given(&mut table, "Group Name", &session.group_name);
    table.item("VLAN ID", vlan(session.link.vlan_id));
    link_head(&mut table, &session.link, shell);
    link_body(&mut table, &session.link);
    if !session.node.client_product_name.is_empty() {
        node(&mut table, &session.node);
    }
    shell.console.table(&table);
    Ok(())
}

/// Adds an item unless its value is empty.
fn given(table: &mut Table, name: &str, value: &str) {
    if !value.is_empty() {
        table.item(name, value);
    }
}

/// What a connection leads to and since when: as a server's session and as a client's account show it.
pub(super) fn link_head(table: &mut Table, link: &LinkState, shell: &Shell) {
    let calendar = &shell.calendar;
    given(table, "Server Product Name", &link.server_product_name);
    table
        .item("Server Version", version(link.server_product_ver))
        .item("Server Build", format!("Build {}", link.server_product_build))
        .item("Connection Started at", calendar.long(link.start_time))
        .item(
            "First Session has been Established since",
            calendar.long_or(link.first_connection_established_time, "-"),
        )
        .item(
            "Current Session has been Established since",
            calendar.long_or(link.current_connection_established_time, "-"),
        );
}

/// How a connection travels and what it has carried.
pub(super) fn link_body(table: &mut Table, link: &LinkState) {
    let half = if link.half_connection {
        "Yes (Half Duplex Mode)"
    } else {
        "No (Full Duplex Mode)"
    };
    table
        .item("Half Duplex TCP Connection Mode", half)
        .item(
            "VoIP / QoS Function",
            if link.qos { "Enabled" } else { "Disabled" },
        )
        .item("Number of TCP Connections", link.num_tcp_connections.to_string())
        .item(
            "Maximum Number of TCP Connections",
            link.max_tcp_connections.to_string(),
        );
    let encryption = match link.cipher_name.as_str() {
        _ if !link.use_encrypt => "Disabled (No Encryption)".to_owned(),
        "" => "Enabled".to_owned(),
        cipher => format!("Enabled (Algorithm: {cipher})"),
    };
    table
        .item("Encryption", encryption)
        .item("Use of Compression", compression(link));
    given(table, "Physical Underlay Protocol", &link.underlay_protocol);
    table
        .item(
            "UDP Acceleration is Supported",
            text::yes_no(link.is_udp_acceleration_enabled),
        )
        .item(
            "UDP Acceleration is Active",
            text::yes_no(link.is_using_udp_acceleration),
        );
    given(table, "Session Name", &link.session_name);
    if link.connection_name != NO_CONNECTION {
        given(table, "Connection Name", &link.connection_name);
    }
    table
        .item("Session Key (160 bit)", text::hex(&link.session_key))
        .item("Bridge / Router Mode", text::yes_no(link.is_bridge_mode))
        .item("Monitoring Mode", text::yes_no(link.is_monitor_mode))
        .item("Outgoing Data Size", text::bytes(link.total_send_size))
        .item("Incoming Data Size", text::bytes(link.total_recv_size));
    server::traffic(table, &link.traffic);
}

/// How much compression saves of what is sent and received.
fn compression(link: &LinkState) -> String {
    if !link.use_compress {
        return "No (No Compression)".to_owned();
    }
    let real = link
        .total_send_size_real
        .saturating_add(link.total_recv_size_real);
    let sent = link.total_send_size.saturating_add(link.total_recv_size);
    let saved = real
        .saturating_sub(sent)
        .saturating_mul(100)
        .checked_div(real)
        .unwrap_or(0);
    format!("Yes (Compression Rate: {saved} %)")
}

fn node(table: &mut Table, node: &Node) {
    table
        .item(
            "Client Product Name (Reported)",
            node.client_product_name.as_str(),
        )
        .item("Client Version (Reported)", version(node.client_product_ver))
        .item(
            "Client Build (Reported)",
            format!("Build {}", node.client_product_build),
        )
        .item("Client OS Name (Reported)", node.client_os_name.as_str())
        .item("Client OS Version (Reported)", node.client_os_ver.as_str())
        .item(
            "Client OS Product ID (Reported)",
            node.client_os_product_id.as_str(),
        )
        .item("Client Host Name (Reported)", node.client_hostname.as_str())
        .item(
            "Client IP Address  (Reported)",
            address(node.client_ip_address, node.client_ip_address6),
        )
        .item("Client Port (Reported)", node.client_port.to_string())
        .item("Server Host Name (Reported)", node.server_hostname.as_str())
        .item(
            "Server IP Address (Reported)",
            address(node.server_ip_address, node.server_ip_address6),
        )
        .item("Server Port (Reported)", node.server_port.to_string());
    if !node.proxy_hostname.is_empty() {
        table
            .item("Proxy Host Name (Reported)", node.proxy_hostname.as_str())
            .item(
                "Proxy IP Address (Reported)",
                address(node.proxy_ip_address, node.proxy_ip_address6),
            )
            .item("Proxy Port (Reported)", node.proxy_port.to_string());
    }
}

/// An address that travels in two forms: the IPv6 one counts when it is not zero.
fn address(either: IpAddr, v6: [u8; 16]) -> String {
    if v6 == [0; 16] {
        either.to_string()
    } else {
        IpAddr::from(v6).to_string()
    }
}
