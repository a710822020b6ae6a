//! The server as a whole.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
};

use protocol::{
    password,
    rpc::{
        Nothing, Secret, Values,
        method::{Flush, GetCaps, GetServerInfo, GetServerStatus, SetServerPassword},
        server::{ServerPassword, ServerType},
        traffic::Traffic,
    },
};

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
        name: "ServerInfoGet",
        title: "Show the server's product, version and system",
        help: "Shows what the server is: its product name, version and build, the name of its machine, and the \
               operating system below it.",
        params: &[],
        scope: Scope::Server,
        run: info,
    },
    Command {
        name: "ServerStatusGet",
        title: "Show the server's counters",
        help: "Shows how many hubs, sessions, users and table entries the server has, what it has carried since it \
               was started, and its clock.",
        params: &[],
        scope: Scope::Server,
        run: status,
    },
    Command {
        name: "ServerPasswordSet",
        title: "Set the server administrator's password",
        help: "Sets the password that administrators of the whole server log in with. Without a value it is asked \
               for twice and not shown. Only its hash is sent.\nUntil a Hubward server has a password it can be \
               administered on its own machine alone.",
        params: &[Param::word("password", "The new password.").secret()],
        scope: Scope::Server,
        run: set_password,
    },
    Command {
        name: "Caps",
        title: "List what the server can do",
        help: "Lists the abilities and the limits of the server, as administration tools ask for them before they \
               offer a function.",
        params: &[],
        scope: Scope::Server,
        run: caps,
    },
    Command {
        name: "Flush",
        title: "Have the server write its configuration now",
        help: "Has the server write everything it keeps to its disk, and shows the size. A Hubward server has \
               every change on the disk before it acknowledges it, so this is for stock servers.",
        params: &[],
        scope: Scope::Server,
        run: flush,
    },
];

fn info(shell: &mut Shell, _: &Arguments) -> Outcome {
    let info = shell.call::<GetServerInfo>(&Nothing {})?;
    if shell.json(&info) {
        return Ok(());
    }
    let mut table = Table::items();
    table
        .item("Product Name", info.server_product_name)
        .item("Version", info.server_version_string)
        .item("Build", info.server_build_info_string)
        .item("Host Name", info.server_host_name)
        .item("Server Type", server_type(info.server_type))
        .item("Type of Operating System", info.os_system_name);
    if info.os_service_pack != 0 {
        table.item("Service Pack", format!("Service Pack {}", info.os_service_pack));
    }
    table
        .item("Product Name of Operating System", info.os_product_name)
        .item("Operating System Vendor", info.os_vendor_name)
        .item("Operating System Version", info.os_version)
        .item("Type of OS Kernel", info.kernel_name)
        .item("Version of OS Kernel", info.kernel_version);
    shell.console.table(&table);
    Ok(())
}

fn status(shell: &mut Shell, _: &Arguments) -> Outcome {
    let status = shell.call::<GetServerStatus>(&Nothing {})?;
    if shell.json(&status) {
        return Ok(());
    }
    let mut table = Table::items();
    table
        .item("Server Type", server_type(status.server_type))
        .item("Number of Active Sockets", status.num_tcp_connections.to_string())
        .item("Number of Virtual Hubs", status.num_hub_total.to_string())
        .item("Number of Sessions", status.num_sessions_total.to_string())
        .item("Number of MAC Address Tables", status.num_mac_tables.to_string())
        .item("Number of IP Address Tables", status.num_ip_tables.to_string())
        .item("Number of Users", status.num_users.to_string())
        .item("Number of Groups", status.num_groups.to_string())
        .item(
            "Using Client Connection Licenses (This Server)",
            status.assigned_client_licenses.to_string(),
        )
        .item(
            "Using Bridge Connection Licenses (This Server)",
            status.assigned_bridge_licenses.to_string(),
        );
    traffic(&mut table, &status.traffic);
    table
        .item("Server Started at", shell.calendar.long(status.start_time))
        .item("Current Time", shell.calendar.precise(status.current_time))
        .item(
            "64 bit High-Precision Logical System Clock",
            status.current_tick.to_string(),
        );
    // Servers that do not say send zeros.
    if status.total_memory != 0 {
        table
            .item("Total Logical Memory Size", text::bytes(status.total_memory))
            .item("Used Logical Memory Size", text::bytes(status.used_memory))
            .item("Free Logical Memory Size", text::bytes(status.free_memory))
            .item("Total Physical Memory Size", text::bytes(status.total_phys))
            .item("Used Physical Memory Size", text::bytes(status.used_phys))
            .item("Free Physical Memory Size", text::bytes(status.free_phys));
    }
    shell.console.table(&table);
    Ok(())
}

/// The eight rows of traffic counters that many commands show.
pub(super) fn traffic(table: &mut Table, traffic: &Traffic) {
    table
        .item(
            "Outgoing Unicast Packets",
            text::packets(traffic.send_unicast_count),
        )
        .item(
            "Outgoing Unicast Total Size",
            text::bytes(traffic.send_unicast_bytes),
        )
        .item(
            "Outgoing Broadcast Packets",
            text::packets(traffic.send_broadcast_count),
        )
        .item(
            "Outgoing Broadcast Total Size",
            text::bytes(traffic.send_broadcast_bytes),
        )
        .item(
            "Incoming Unicast Packets",
            text::packets(traffic.recv_unicast_count),
        )
        .item(
            "Incoming Unicast Total Size",
            text::bytes(traffic.recv_unicast_bytes),
        )
        .item(
            "Incoming Broadcast Packets",
            text::packets(traffic.recv_broadcast_count),
        )
        .item(
            "Incoming Broadcast Total Size",
            text::bytes(traffic.recv_broadcast_bytes),
        );
}

fn server_type(kind: ServerType) -> String {
    match kind {
        ServerType::Standalone => "Standalone Server".to_owned(),
        ServerType::FarmController => "Cluster Controller".to_owned(),
        ServerType::FarmMember => "Cluster Member Server".to_owned(),
        ServerType::Other(number) => format!("Type {number}"),
    }
}

fn set_password(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let hash = password::admin_hash(arguments.text("password").as_bytes());
    let hashed_password = Secret::new(hash.as_bytes().to_vec());
    shell.call::<SetServerPassword>(&ServerPassword {
        hashed_password,
        ..ServerPassword::default()
    })?;
    Ok(())
}

/// Abilities that the stock tool always lists, with the value that a server that does not name them has.
const ALWAYS_LISTED: &[(&str, &str)] = &[
    ("b_beta_version", "Beta Version (Pre-release build)"),
    ("b_bridge", "Works as VPN Bridge Software"),
    ("b_cluster_controller", "Cluster Controller Mode"),
    ("b_cluster_member", "Cluster Member Mode"),
    (
        "b_support_cluster_controller",
        "Operating as a Cluster Controller",
    ),
    ("b_support_license", "Management of Licenses is Supported"),
    (
        "b_support_network_connection_name",
        "Getting Network Friendly Name is Supported",
    ),
    ("b_support_vgs", "VPN Gate Service Server Functions are Supported"),
    (
        "b_support_vgs_in_client",
        "VPN Gate Service Server Functions (VPN Client integrated)",
    ),
    (
        "b_using_selow_driver",
        "SoftEther Lightweight Kernel-mode Ethernet Driver is Active",
    ),
    (
        "b_virtual_nat_disabled",
        "Virtual NAT is Disabled (only DHCP Enabled)",
    ),
];

fn caps(shell: &mut Shell, _: &Arguments) -> Outcome {
    let caps = shell.call::<GetCaps>(&Nothing {})?;
    if shell.json(&caps) {
        return Ok(());
    }
    let mut rows: Vec<(String, String, u32)> = Vec::new();
    for cap in caps.caps {
        let item = if cap.description.is_empty() {
            cap.name.clone()
        } else {
            cap.description
        };
        rows.push((cap.name.to_ascii_uppercase(), item, cap.value));
    }
    for (name, item) in ALWAYS_LISTED {
        rows.push((name.to_ascii_uppercase(), (*item).to_owned(), 0));
    }
    rows.sort_by(|left, right| left.0.cmp(&right.0));
    // Stock servers name one ability twice.
    rows.dedup_by(|later, first| later.0 == first.0);
    let mut table = Table::items();
    for (name, item, value) in rows {
        table.item(
            &item,
            if name.starts_with("B_") {
                text::yes_no(value != 0).to_owned()
            } else {
                value.to_string()
            },
        );
    }
    shell.console.table(&table);
    Ok(())
}

fn flush(shell: &mut Shell, _: &Arguments) -> Outcome {
    if !shell.console.style.json {
        shell.console.print_line("The server writes its configuration.");
    }
    let size = shell.call::<Flush>(&Values::default())?;
    if !shell.json(&size) {
        let size = text::bytes(u64::from(size.int));
        shell
            .console
            .print_line(&format!("Saving completed. The file size is {size}."));
    }
    Ok(())
}

/// Writes a file that a command was asked for.
pub(super) fn save(path: &str, text: &str) -> Outcome {
    save_bytes(path, text.as_bytes())
}

/// As [`save`], for what is no text.
pub(super) fn save_bytes(path: &str, bytes: &[u8]) -> Outcome {
    fs::write(path, bytes).map_err(|error| Failure::Local(format!("Cannot write {path}: {error}.")))
}

/// Writes a file that nobody else may read.
pub(super) fn save_secret(path: &str, text: &str) -> Outcome {
    let wrong = |error: io::Error| Failure::Local(format!("Cannot write {path}: {error}."));
    // A file that others can read already would stay so.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(wrong(error)),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(wrong)?;
    file.write_all(text.as_bytes()).map_err(wrong)
}
