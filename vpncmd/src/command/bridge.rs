//! Local bridges between hubs and Ethernet devices of the server.

use protocol::rpc::{
    Nothing,
    bridge::LocalBridge,
    method::{AddLocalBridge, DeleteLocalBridge, EnumEthernet, EnumLocalBridge},
};

use crate::{
    check,
    command::{Command, Scope},
    failure::Outcome,
    names::Names,
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
               tap_ and the name given.\nA device that carries the server's own addresses should not be bridged: \
               give the addresses to a TAP device instead. Virtual machines and clouds often drop frames with \
               foreign MAC addresses: there use a TAP device and routing, or SecureNAT.",
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
        ],
        scope: Scope::Server,
        run: create,
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
    let mut table = Table::new(&[
        "Number",
        "Virtual Hub Name",
        "Network Adapter or Tap Device Name",
        "Status",
    ]);
    for (index, bridge) in list.bridges.into_iter().enumerate() {
        let status = match bridge {
            _ if !bridge.online => "Offline",
            _ if bridge.active => "Operating",
            _ => "Error",
        };
        table.row([
            (index + 1).to_string(),
            bridge.hub_name,
            bridge.device_name,
            status.to_owned(),
        ]);
    }
    shell.console.table(&table);
    Ok(())
}

fn bridge(arguments: &Arguments) -> LocalBridge {
    LocalBridge {
        hub_name: arguments.text("hubname").to_owned(),
        device_name: arguments.text("DEVICE").to_owned(),
        tap_mode: arguments.yes("TAP"),
    }
}

fn create(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    shell.call::<AddLocalBridge>(&bridge(arguments))?;
    Ok(())
}

fn delete(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    shell.call::<DeleteLocalBridge>(&bridge(arguments))?;
    Ok(())
}
