//! Local bridges between hubs and Ethernet devices of the server.

use protocol::rpc::{
    Nothing,
    bridge::{LocalBridge, LocalBridgeRow},
    method::{AddLocalBridge, DeleteLocalBridge, EnumEthernet, EnumLocalBridge, SetLocalBridge},
};

use crate::{
    check,
    command::{Command, Scope},
    failure::{Failure, Outcome},
    names::Names,
    network,
    params::{Arguments, Param},
    shell::Shell,
    table::Table,
    text,
};

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "BridgeDeviceList",
        title: "List the Ethernet devices that can be bridged",
        help: "Lists the Ethernet devices of the server that BridgeCreate takes.",
        params: &[],
        scope: Scope::Server,
        run: devices,
    },
    Command {
        name: "BridgeList",
        title: "List the local bridges",
        help: "Lists the bridges between hubs and Ethernet devices, and whether they work.",
        params: &[],
        scope: Scope::Server,
        run: list,
    },
    Command {
        name: "BridgeCreate",
        title: "Bridge a hub to an Ethernet device",
        help: "Joins a hub with an Ethernet device of the server as with a cable, or with a new TAP device, named \
               tap_ and the name given.\n\
               BridgeCreate lab /DEVICE:lab /TAP:yes /IP:192.168.30.1/24 gives the server an address on tap_lab and lets it \
               route; both go with the bridge.\n\
               Past an interface with addresses of the server, stations of the hub reach every host but the server \
               itself. For both, make a Linux bridge of the interface (ip link add br0 type bridge; ip link set eth0 \
               master br0), move the addresses to br0, and give br0 as the device.\n\
               Virtual machines and clouds often drop frames with foreign MAC addresses: there use a TAP device and \
               routing, or SecureNAT.",
        params: &[
            Param::word("hubname", "The name of the hub.")
                .ask("Virtual Hub Name to Create Bridge: ")
                .check(check::not_empty)
                .of(Names::Hub),
            Param::named(
                "DEVICE",
                "The Ethernet device, or the name of the TAP device without tap_.",
            )
            .ask("Bridge Destination Device Name: ")
            .check(check::not_empty),
            Param::named("TAP", "Whether a new TAP device is meant: yes or no."),
            Param::named(
                "IP",
                "The server's address on the TAP device and the length of its network, as in 192.168.30.1/24; none when \
                 left out.",
            )
            .check(is_address_or_none),
        ],
        scope: Scope::Server,
        run: create,
    },
    Command {
        name: "BridgeSet",
        title: "Change the server's address on a TAP device",
        help: "Gives the TAP device of a bridge another address, or none, while frames go on. What connections of the \
               server itself used the former address end.",
        params: &[
            Param::word("hubname", "The name of the hub.")
                .ask("Virtual Hub Name of Bridge: ")
                .check(check::not_empty)
                .of(Names::Hub),
            Param::named("DEVICE", "The device, as it was given to BridgeCreate.")
                .ask("Bridge Device Name: ")
                .check(check::not_empty),
            Param::named(
                "IP",
                "The address and the length of its network, as in 192.168.30.1/24, or 'none'.",
            )
            .ask("IP Address (such as 192.168.30.1/24, or none): ")
            .check(is_address_or_none),
        ],
        scope: Scope::Server,
        run: set,
    },
    Command {
        name: "BridgeDelete",
        title: "End a local bridge",
        help: "Parts a hub from an Ethernet device. A TAP device that was made for the bridge is removed.",
        params: &[
            Param::word("hubname", "The name of the hub.")
                .ask("Virtual Hub Name to Delete Bridge: ")
                .check(check::not_empty)
                .of(Names::Hub),
            Param::named("DEVICE", "The device, as BridgeList shows it.")
                .ask("Bridge Device Name to Delete: ")
                .check(check::not_empty),
        ],
        scope: Scope::Server,
        run: delete,
    },
];

fn devices(shell: &mut Shell, _: &Arguments) -> Outcome {
    let list = shell.call::<EnumEthernet>(&Nothing {})?;
    if shell.json(&list) {
        return Ok(());
    }
    for device in list.devices {
        shell.console.print_line(&text::printable(&device.device_name));
    }
    Ok(())
}

fn list(shell: &mut Shell, _: &Arguments) -> Outcome {
    let list = shell.call::<EnumLocalBridge>(&Nothing {})?;
    if shell.json(&list) {
        return Ok(());
    }
    // The stock table, unless there is more to show.
    let mut columns = vec![
        "Number",
        "Virtual Hub Name",
        "Network Adapter or Tap Device Name",
        "Status",
    ];
    let has_addresses = list.bridges.iter().any(|bridge| address(bridge).is_some());
    if has_addresses {
        columns.push("IP Address");
    }
    let mut table = Table::new(&columns);
    for (index, bridge) in list.bridges.iter().enumerate() {
        let status = match bridge {
            _ if !bridge.online => "Offline",
            _ if bridge.active => "Operating",
            _ => "Error",
        };
        let mut cells = vec![
            (index + 1).to_string(),
            bridge.hub_name.clone(),
            bridge.device_name.clone(),
            status.to_owned(),
        ];
        if has_addresses {
            cells.push(address(bridge).unwrap_or("-").to_owned());
        }
        table.row(cells);
    }
    shell.console.table(&table);
    for bridge in list.bridges.iter().filter(|bridge| bridge.online) {
        if let Some(problem) = bridge.problem.as_deref().filter(|problem| !problem.is_empty()) {
            let line = format!("{}: {problem}", bridge.device_name);
            shell.console.remark(&text::printable(&line));
        }
    }
    Ok(())
}

/// The server's address on the device; where others in a list have one, none is an empty text.
fn address(bridge: &LocalBridgeRow) -> Option<&str> {
    bridge.host_address.as_deref().filter(|text| !text.is_empty())
}

fn is_address_or_none(value: &str) -> Result<(), String> {
    let known = is_none(value) || network::is_host_address(value);
    known.then_some(()).ok_or_else(|| {
        "An address with the length of its network is required here, such as 192.168.30.1/24, or 'none'."
            .to_owned()
    })
}

fn is_none(value: &str) -> bool {
    value.is_empty() || value.eq_ignore_ascii_case("none")
}

fn bridge(arguments: &Arguments) -> LocalBridge {
    LocalBridge {
        hub_name: arguments.text("hubname").to_owned(),
        device_name: arguments.text("DEVICE").to_owned(),
        tap_mode: arguments.yes("TAP"),
        host_address: arguments
            .given("IP")
            .filter(|text| !is_none(text))
            .map(str::to_owned),
        advice: None,
    }
}

fn create(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let bridge = bridge(arguments);
    if bridge.host_address.is_some() && !bridge.tap_mode {
        return Err(Failure::Invalid(
            "An interface gets its address from the system's own tools; /IP goes with /TAP:yes.".to_owned(),
        ));
    }
    let made = shell.call::<AddLocalBridge>(&bridge)?;
    if let Some(advice) = &made.advice {
        shell.console.remark(&text::printable(advice));
    }
    tell_of_trouble(shell, &bridge)
}

fn set(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let bridge = bridge(arguments);
    shell.call::<SetLocalBridge>(&bridge)?;
    tell_of_trouble(shell, &bridge)
}

/// What was made is kept in any case, and works as soon as it can; why it does not yet is worth a line at once.
fn tell_of_trouble(shell: &mut Shell, bridge: &LocalBridge) -> Outcome {
    if bridge.host_address.is_none() {
        return Ok(());
    }
    let list = shell.call::<EnumLocalBridge>(&Nothing {})?;
    let row = list.bridges.iter().find(|row| {
        row.hub_name.eq_ignore_ascii_case(&bridge.hub_name) && row.device_name == bridge.device_name
    });
    match row {
        None => Ok(()),
        Some(row) if address(row).is_none() => {
            shell.console.remark(
                "This server knows no addresses of TAP devices; give it with the system's own tools.",
            );
            Ok(())
        }
        Some(row) => {
            if let Some(problem) = row.problem.as_deref().filter(|problem| !problem.is_empty()) {
                let line = format!("It is kept, but not in force: {problem}");
                shell.console.remark(&text::printable(&line));
            }
            Ok(())
        }
    }
}

fn delete(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    shell.call::<DeleteLocalBridge>(&bridge(arguments))?;
    Ok(())
}
