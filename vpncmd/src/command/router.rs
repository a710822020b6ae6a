//! Layer 3 switches: routers between hubs.

use protocol::rpc::{
    Named, Nothing,
    method::{
        AddL3If, AddL3Switch, AddL3Table, DelL3If, DelL3Switch, DelL3Table, EnumL3If, EnumL3Switch,
        EnumL3Table, StartL3Switch, StopL3Switch,
    },
    router::{SwitchInterface, SwitchRoute, SwitchRouteRow},
};

use crate::{
    check,
    command::{Command, Scope},
    failure::Outcome,
    network,
    params::{Arguments, Param},
    shell::Shell,
    table::Table,
};

const SWITCH: Param = Param::word("name", "The Layer 3 switch.")
    .ask("Name of Virtual Layer 3 Switch: ")
    .check(check::not_empty);
const HUB: Param = Param::named("HUB", "The hub that the interface is on.")
    .ask("Destination Virtual Hub Name of Virtual Interface: ")
    .check(check::not_empty);
const NETWORK: Param = Param::named("NETWORK", "The network, NETWORK/MASK.")
    .ask("Network Address/Subnet Mask: ")
    .check(is_network);
const GATEWAY: Param = Param::named("GATEWAY", "Who leads there.")
    .ask("Gateway Address: ")
    .check(check::ipv4);
const METRIC: Param = Param::named("METRIC", "The cost of the route: the lowest one is taken.")
    .ask("Metric Value: ")
    .check(metric);

const fn switch(prompt: &'static str) -> Param {
    SWITCH.ask(prompt)
}

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "RouterList",
        title: "List the Layer 3 switches",
        help: "Lists the routers between hubs, and whether they work.",
        params: &[],
        scope: Scope::Server,
        run: list,
    },
    Command {
        name: "RouterAdd",
        title: "Make a Layer 3 switch",
        help: "Makes a router between hubs. It has no interfaces yet (RouterIfAdd) and is stopped (RouterStart).",
        params: &[switch("Name of Virtual Layer 3 Switch to Create: ")],
        scope: Scope::Server,
        run: |shell, arguments| shell.call::<AddL3Switch>(&named(arguments)).map(drop),
    },
    Command {
        name: "RouterDelete",
        title: "Delete a Layer 3 switch",
        help: "Stops a router and forgets it with its interfaces and routes.",
        params: &[switch("Name of Virtual Layer 3 Switch to Delete: ")],
        scope: Scope::Server,
        run: |shell, arguments| shell.call::<DelL3Switch>(&named(arguments)).map(drop),
    },
    Command {
        name: "RouterStart",
        title: "Start a Layer 3 switch",
        help: "Starts a router. It must have an interface.",
        params: &[switch("Name of Virtual Layer 3 Switch to Start: ")],
        scope: Scope::Server,
        run: |shell, arguments| shell.call::<StartL3Switch>(&named(arguments)).map(drop),
    },
    Command {
        name: "RouterStop",
        title: "Stop a Layer 3 switch",
        help: "Stops a router. Interfaces and routes can be changed only then.",
        params: &[switch("Name of Virtual Layer 3 Switch to Stop: ")],
        scope: Scope::Server,
        run: |shell, arguments| shell.call::<StopL3Switch>(&named(arguments)).map(drop),
    },
    Command {
        name: "RouterIfList",
        title: "List the interfaces of a Layer 3 switch",
        help: "Lists on which hubs a router is, and under which addresses.",
        params: &[SWITCH],
        scope: Scope::Server,
        run: list_interfaces,
    },
    Command {
        name: "RouterIfAdd",
        title: "Give a Layer 3 switch an interface",
        help: "Puts a router on a hub, under an address of the hub's network. A router has one interface per hub.",
        params: &[
            SWITCH,
            HUB,
            Param::named("IP", "The router's address there, ADDRESS/MASK.")
                .ask("IP Address/Subnet Mask: ")
                .check(is_interface),
        ],
        scope: Scope::Server,
        run: add_interface,
    },
    Command {
        name: "RouterIfDel",
        title: "Take an interface from a Layer 3 switch",
        help: "Takes a router off a hub.",
        params: &[SWITCH, HUB],
        scope: Scope::Server,
        run: delete_interface,
    },
    Command {
        name: "RouterTableList",
        title: "List the routes of a Layer 3 switch",
        help: "Lists the networks beyond those of a router's own interfaces.",
        params: &[SWITCH],
        scope: Scope::Server,
        run: list_routes,
    },
    Command {
        name: "RouterTableAdd",
        title: "Give a Layer 3 switch a route",
        help: "Says over whom a network is reached.",
        params: &[SWITCH, NETWORK, GATEWAY, METRIC],
        scope: Scope::Server,
        run: |shell, arguments| shell.call::<AddL3Table>(&route(arguments)).map(drop),
    },
    Command {
        name: "RouterTableDel",
        title: "Take a route from a Layer 3 switch",
        help: "Forgets the route that is the same in everything.",
        params: &[SWITCH, NETWORK, GATEWAY, METRIC],
        scope: Scope::Server,
        run: |shell, arguments| shell.call::<DelL3Table>(&route(arguments)).map(drop),
    },
];

fn is_network(value: &str) -> Result<(), String> {
    let known = network::parse_v4(value).is_some_and(|(address, mask)| address & mask == address);
    known
        .then_some(())
        .ok_or_else(|| "A network is required here, such as 10.1.0.0/16 or 10.1.0.0/255.255.0.0.".to_owned())
}

fn is_interface(value: &str) -> Result<(), String> {
    network::parse_v4(value).map(drop).ok_or_else(|| {
        "An address with its mask is required here, such as 10.1.0.1/16 or 10.1.0.1/255.255.0.0.".to_owned()
    })
}

fn metric(value: &str) -> Result<(), String> {
    if crate::text::leading_number(value) > 0 {
        Ok(())
    } else {
        Err("The metric is a number from 1 on.".to_owned())
    }
}

fn named(arguments: &Arguments) -> Named {
    Named {
        name: arguments.text("name").to_owned(),
    }
}

fn list(shell: &mut Shell, _: &Arguments) -> Outcome {
    let list = shell.call::<EnumL3Switch>(&Nothing {})?;
    if shell.json(&list) {
        return Ok(());
    }
    let mut table = Table::new(&[
        "Layer 3 Switch Name",
        "Running Status",
        "Interfaces",
        "Routing Tables",
    ]);
    table.right(&[2, 3]);
    for row in list.switches {
        let status = match (row.active, row.online) {
            (false, _) => "Stop",
            (true, false) => "Start (Error)",
            (true, true) => "Start (Running)",
        };
        table.row([
            row.name,
            status.to_owned(),
            row.num_interfaces.to_string(),
            row.num_tables.to_string(),
        ]);
    }
    shell.console.table(&table);
    Ok(())
}

fn list_interfaces(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let list = shell.call::<EnumL3If>(&named(arguments))?;
    if shell.json(&list) {
        return Ok(());
    }
    let mut table = Table::new(&["IP Address", "Subnet Mask", "Virtual Hub Name"]);
    for row in list.interfaces {
        table.row([
            row.ip_address.to_string(),
            row.subnet_mask.to_string(),
            row.hub_name,
        ]);
    }
    shell.console.table(&table);
    Ok(())
}

fn add_interface(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let mut interface = interface(arguments);
    // The check has read it once already.
    if let Some((address, mask)) = network::parse_v4(arguments.text("IP")) {
        (interface.ip_address, interface.subnet_mask) = (address.into(), mask.into());
    }
    shell.call::<AddL3If>(&interface).map(drop)
}

fn delete_interface(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    shell.call::<DelL3If>(&interface(arguments)).map(drop)
}

fn interface(arguments: &Arguments) -> SwitchInterface {
    SwitchInterface {
        name: arguments.text("name").to_owned(),
        hub_name: arguments.text("HUB").to_owned(),
        ..SwitchInterface::default()
    }
}

fn list_routes(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let list = shell.call::<EnumL3Table>(&named(arguments))?;
    if shell.json(&list) {
        return Ok(());
    }
    let mut table = Table::new(&["Network Address", "Subnet Mask", "Gateway Address", "Metric"]);
    table.right(&[3]);
    for row in list.routes {
        table.row([
            row.network_address.to_string(),
            row.subnet_mask.to_string(),
            row.gateway_address.to_string(),
            row.metric.to_string(),
        ]);
    }
    shell.console.table(&table);
    Ok(())
}

fn route(arguments: &Arguments) -> SwitchRoute {
    let mut route = SwitchRouteRow {
        metric: arguments.number("METRIC"),
        ..SwitchRouteRow::default()
    };
    // The checks have read both once already.
    if let Some((address, mask)) = network::parse_v4(arguments.text("NETWORK")) {
        (route.network_address, route.subnet_mask) = (address.into(), mask.into());
    }
    if let Ok(gateway) = arguments.text("GATEWAY").parse() {
        route.gateway_address = gateway;
    }
    SwitchRoute {
        name: arguments.text("name").to_owned(),
        route,
    }
}
