//! Several stock servers as one. Our server has no clusters and says so; stock servers are administered with these.

use protocol::{
    error::ErrorCode,
    password,
    rpc::{
        HubRequest, Nothing, Secret,
        cluster::{FarmMemberRequest, FarmSetting},
        hub::HubType,
        method::{
            EnumFarmMember, GetFarmConnectionStatus, GetFarmInfo, GetFarmSetting, GetHub, SetFarmSetting,
            SetHub,
        },
        server::ServerType,
    },
};

use crate::{
    check,
    command::{Command, Scope, certificate, server},
    failure::Outcome,
    params::{Arguments, Param},
    shell::Shell,
    table::Table,
    text,
};

/// How much a server does of the work, unless something else is said.
const USUAL_WEIGHT: u32 = 100;

const WEIGHT: Param = Param::named(
    "WEIGHT",
    "How much of the work this server does; 100 unless given.",
);
const HUB: Param = Param::word("name", "The hub.")
    .ask("Name of Virtual Hub to change setting: ")
    .check(check::not_empty);

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "ClusterSettingGet",
        title: "Show what the server is to a cluster",
        help: "Shows whether the server works alone, and otherwise how it works with others.",
        params: &[],
        scope: Scope::Server,
        run: show_setting,
    },
    Command {
        name: "ClusterSettingStandalone",
        title: "Have the server work alone",
        help: "Takes the server out of its cluster. All connections to it end.",
        params: &[],
        scope: Scope::Server,
        run: |shell, _| {
            let setting = FarmSetting {
                member_password: no_password(),
                ..FarmSetting::default()
            };
            shell.call::<SetFarmSetting>(&setting).map(drop)
        },
    },
    Command {
        name: "ClusterSettingController",
        title: "Have the server lead a cluster",
        help: "Makes the server a cluster's controller. All connections to it end.",
        params: &[
            WEIGHT,
            Param::named("ONLY", "yes: it leads, and has no hubs of its own."),
        ],
        scope: Scope::Server,
        run: lead,
    },
    Command {
        name: "ClusterSettingMember",
        title: "Have the server be a member of a cluster",
        help: "Has the server work for a controller. Its hubs and users are those of the controller then.",
        params: &[
            Param::word("controller", "The controller, HOST:PORT.")
                .ask("Destination Controller Host Name and Port Number: ")
                .check(check::host_and_port),
            Param::named(
                "IP",
                "The address that clients reach this server at; empty for the one it has.",
            )
            .ask("Public IP Address: ")
            .check(check::ipv4_or_none),
            Param::named(
                "PORTS",
                "The ports that clients reach it at, separated by commas.",
            )
            .ask("Public Port Number: ")
            .check(ports),
            Param::named("PASSWORD", "The controller's password.").secret(),
            WEIGHT,
        ],
        scope: Scope::Server,
        run: follow,
    },
    Command {
        name: "ClusterMemberList",
        title: "List the members of the cluster",
        help: "Lists the servers of the cluster that this server leads.",
        params: &[],
        scope: Scope::Server,
        run: list_members,
    },
    Command {
        name: "ClusterMemberInfoGet",
        title: "Show a member of the cluster",
        help: "Shows one of the servers of ClusterMemberList.",
        params: &[
            Param::word("id", "The ID that ClusterMemberList shows.").ask("Cluster Member ID to Get Info: ")
        ],
        scope: Scope::Server,
        run: show_member,
    },
    Command {
        name: "ClusterMemberCertGet",
        title: "Save the certificate of a member of the cluster",
        help: "Writes the certificate of one of the servers of ClusterMemberList to a file.",
        params: &[
            Param::word("id", "The ID that ClusterMemberList shows.")
                .ask("Cluster Member ID to Get Certificate: "),
            Param::named("SAVECERT", "The file to write it to, in PEM format.")
                .ask("Save X.509 certificate to file name: ")
                .check(check::not_empty),
        ],
        scope: Scope::Server,
        run: save_certificate,
    },
    Command {
        name: "ClusterConnectionStatusGet",
        title: "Show the connection to the cluster's controller",
        help: "Shows whether this member of a cluster reaches its controller.",
        params: &[],
        scope: Scope::Server,
        run: show_connection,
    },
    Command {
        name: "HubSetStatic",
        title: "Have a Virtual Hub of a cluster be static",
        help: "Lets the hub live on every member of the cluster.",
        params: &[HUB],
        scope: Scope::Server,
        run: |shell, arguments| set_type(shell, arguments, HubType::Static),
    },
    Command {
        name: "HubSetDynamic",
        title: "Have a Virtual Hub of a cluster be dynamic",
        help: "Lets the hub live on one member of the cluster at a time.",
        params: &[HUB],
        scope: Scope::Server,
        run: |shell, arguments| set_type(shell, arguments, HubType::Dynamic),
    },
];

fn port_list(text: &str) -> Option<Vec<u32>> {
    let ports = text.split([',', ' ', ';']).filter(|part| !part.is_empty());
    let ports: Vec<u32> = ports
        .map(|part| part.parse::<u16>().ok().filter(|port| *port != 0).map(u32::from))
        .collect::<Option<_>>()?;
    (!ports.is_empty()).then_some(ports)
}

fn ports(value: &str) -> Result<(), String> {
    port_list(value)
        .map(drop)
        .ok_or_else(|| "Port numbers are required here, such as 443,992,5555.".to_owned())
}

fn weight(arguments: &Arguments) -> u32 {
    match arguments.number("WEIGHT") {
        0 => USUAL_WEIGHT,
        weight => weight,
    }
}

/// A hash has its length also where there is none.
fn no_password() -> Secret<Vec<u8>> {
    Secret::new(vec![0; 20])
}

fn type_name(kind: ServerType) -> String {
    match kind {
        ServerType::Standalone => "Standalone Server".to_owned(),
        ServerType::FarmController => "Cluster Controller".to_owned(),
        ServerType::FarmMember => "Cluster Member".to_owned(),
        ServerType::Other(number) => number.to_string(),
    }
}

fn show_setting(shell: &mut Shell, _: &Arguments) -> Outcome {
    let mut setting = shell.call::<GetFarmSetting>(&Nothing {})?;
    (setting.member_password, setting.member_password_plaintext) = (Secret::default(), Secret::default());
    if shell.json(&setting) {
        return Ok(());
    }
    let mut table = Table::items();
    table.item("Current Configuration", type_name(setting.server_type));
    if setting.server_type == ServerType::FarmController {
        table.item("Controller Function Only", text::yes_no(setting.controller_only));
    }
    if setting.server_type == ServerType::FarmMember {
        let ports: Vec<String> = setting.ports.iter().map(u32::to_string).collect();
        let address = match setting.public_ip {
            address if address.is_unspecified() => "None".to_owned(),
            address => address.to_string(),
        };
        table
            .item("Public IP Address", address)
            .item("Public Port List", ports.join(", "))
            .item(
                "Controller to Connect",
                format!("{}:{}", setting.controller_name, setting.controller_port),
            );
    }
    if setting.server_type != ServerType::Standalone {
        table.item("Performance Standard in Cluster", setting.weight.to_string());
    }
    shell.console.table(&table);
    Ok(())
}

fn lead(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let setting = FarmSetting {
        server_type: ServerType::FarmController,
        weight: weight(arguments),
        controller_only: arguments.yes("ONLY"),
        member_password: no_password(),
        ..FarmSetting::default()
    };
    shell.call::<SetFarmSetting>(&setting).map(drop)
}

fn follow(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    // The checks have read all of it once already.
    let (host, port) = text::parse_host(arguments.text("controller"), 0).unwrap_or_default();
    let hash = password::admin_hash(arguments.text("PASSWORD").as_bytes());
    let mut setting = FarmSetting {
        server_type: ServerType::FarmMember,
        controller_name: host,
        controller_port: u32::from(port),
        ports: port_list(arguments.text("PORTS")).unwrap_or_default(),
        member_password: Secret::new(hash.as_bytes().to_vec()),
        weight: weight(arguments),
        ..FarmSetting::default()
    };
    if let Ok(address) = arguments.text("IP").parse() {
        setting.public_ip = address;
    }
    shell.call::<SetFarmSetting>(&setting).map(drop)
}

fn list_members(shell: &mut Shell, _: &Arguments) -> Outcome {
    let list = shell.call::<EnumFarmMember>(&Nothing {})?;
    if shell.json(&list) {
        return Ok(());
    }
    let mut table = Table::new(&[
        "ID",
        "Type",
        "Connection Started at",
        "Host Name",
        "Point",
        "Number of Sessions",
        "Number of TCP Connections",
        "Number of Operating Hubs",
        "Using Client Connection Licenses",
        "Using Bridge Connection Licenses",
    ]);
    table.right(&[0, 4, 5, 6, 7, 8, 9]);
    for row in list.members {
        table.row([
            row.id.to_string(),
            if row.controller { "Controller" } else { "Member" }.to_owned(),
            shell.calendar.long(row.connected_time),
            row.hostname,
            row.point.to_string(),
            row.num_sessions.to_string(),
            row.num_tcp_connections.to_string(),
            row.num_hubs.to_string(),
            row.assigned_client_license.to_string(),
            row.assigned_bridge_license.to_string(),
        ]);
    }
    shell.console.table(&table);
    Ok(())
}

fn member(arguments: &Arguments) -> FarmMemberRequest {
    FarmMemberRequest {
        id: arguments.number("id"),
    }
}

fn show_member(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let member = shell.call::<GetFarmInfo>(&member(arguments))?;
    if shell.json(&member) {
        return Ok(());
    }
    let kind = if member.controller {
        ServerType::FarmController
    } else {
        ServerType::FarmMember
    };
    let mut table = Table::items();
    table
        .item("Server Type", type_name(kind))
        .item(
            "Connection Established at",
            shell.calendar.long(member.connected_time),
        )
        .item("IP Address", member.ip.to_string())
        .item("Host Name", member.hostname)
        .item("Point", member.point.to_string())
        .item("Performance Standard Ratio", member.weight.to_string())
        .item("Number of Public Ports", member.ports.len().to_string());
    for (index, port) in member.ports.iter().enumerate() {
        table.item(&format!("Public Port #{} (TCP/IP)", index + 1), port.to_string());
    }
    table.item("Number of Running Virtual Hubs", member.hubs.len().to_string());
    for (index, hub) in member.hubs.into_iter().enumerate() {
        table.item(&format!("Virtual Hub #{}", index + 1), hub.hub_name);
    }
    table
        .item("Number of Sessions", member.num_sessions.to_string())
        .item(
            "Number of TCP Connections",
            member.num_tcp_connections.to_string(),
        );
    shell.console.table(&table);
    Ok(())
}

fn save_certificate(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let certificate = shell.call::<GetFarmInfo>(&member(arguments))?.server_cert;
    let der = certificate.ok_or(ErrorCode::ObjectNotFound)?;
    server::save(arguments.text("SAVECERT"), &certificate::pem("CERTIFICATE", &der))
}

fn show_connection(shell: &mut Shell, _: &Arguments) -> Outcome {
    let connection = shell.call::<GetFarmConnectionStatus>(&Nothing {})?;
    if shell.json(&connection) {
        return Ok(());
    }
    let calendar = &shell.calendar;
    let state = match connection.last_error {
        _ if connection.online => "Online (Connected)".to_owned(),
        0 => "Connecting".to_owned(),
        error => format!("Error {error}: {}", ErrorCode::from_code(error)),
    };
    let mut table = Table::items();
    table
        .item("Controller IP Address", connection.ip.to_string())
        .item("Port Number", connection.port.to_string())
        .item("Connection Status", state)
        .item("Connection Started at", calendar.long(connection.started_time))
        .item(
            "First Connection Established at",
            calendar.long_or(connection.first_connected_time, "-"),
        )
        .item(
            "Current Connection Established at",
            calendar.long_or(connection.current_connected_time, "-"),
        )
        .item("Number of Attempted Connections", connection.num_try.to_string())
        .item(
            "Number of Established Connections",
            connection.num_connected.to_string(),
        )
        .item("Number of Failed Connections", connection.num_failed.to_string());
    shell.console.table(&table);
    Ok(())
}

fn set_type(shell: &mut Shell, arguments: &Arguments, kind: HubType) -> Outcome {
    let hub_name = arguments.text("name").to_owned();
    let mut hub = shell.call::<GetHub>(&HubRequest { hub_name })?;
    hub.hub_type = kind;
    shell.call::<SetHub>(&hub).map(drop)
}
