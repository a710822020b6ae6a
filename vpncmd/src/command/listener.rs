//! TCP ports that the server listens on.

use protocol::rpc::{
    Nothing,
    listener::{Listener, UdpPorts},
    method::{CreateListener, DeleteListener, EnableListener, EnumListener, GetPortsUDP, SetPortsUDP},
};

use crate::{
    check,
    command::{Command, Scope},
    failure::Outcome,
    params::{Arguments, Param},
    shell::Shell,
    table::Table,
};

const PORT: &[Param] = &[Param::word("port", "The TCP port, 1 to 65535.")
    .ask("Port number of TCP/IP Listener: ")
    .check(check::port)];

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "ListenerCreate",
        title: "Open a TCP port",
        help: "Has the server listen on one more TCP port, for clients and administrators alike.",
        params: PORT,
        scope: Scope::Server,
        run: create,
    },
    Command {
        name: "ListenerDelete",
        title: "Close a TCP port and forget it",
        help: "Ends the listening on a TCP port for good. Connections that came in over it stay.",
        params: PORT,
        scope: Scope::Server,
        run: delete,
    },
    Command {
        name: "ListenerList",
        title: "List the TCP ports",
        help: "Lists the TCP ports that the server has been told to listen on, and whether it does. A port with an \
               error is in use by another program, or the server may not open it.",
        params: &[],
        scope: Scope::Server,
        run: list,
    },
    Command {
        name: "ListenerEnable",
        title: "Start listening on a stopped TCP port",
        help: "Starts to listen on a TCP port that ListenerDisable has stopped.",
        params: PORT,
        scope: Scope::Server,
        run: enable,
    },
    Command {
        name: "ListenerDisable",
        title: "Stop listening on a TCP port",
        help: "Stops listening on a TCP port and keeps it in the list, for ListenerEnable to start it again.",
        params: PORT,
        scope: Scope::Server,
        run: disable,
    },
    Command {
        name: "PortsUDPGet",
        title: "List the UDP ports",
        help: "Lists the UDP ports that the server listens on, for the protocols that come over UDP.",
        params: &[],
        scope: Scope::Server,
        run: udp_ports,
    },
    Command {
        name: "PortsUDPSet",
        title: "Set the UDP ports",
        help: "Replaces the UDP ports that the server listens on.",
        params: &[
            Param::word("ports", "The ports, separated by commas; 0 for none.")
                .ask("UDP ports, separated by commas (0 for none): ")
                .check(is_port_list),
        ],
        scope: Scope::Server,
        run: set_udp_ports,
    },
];

fn port_list(text: &str) -> Option<Vec<u32>> {
    let ports = text.split([',', ' ']).filter(|port| !port.is_empty());
    let ports: Vec<u16> = ports.map(str::parse).collect::<Result<_, _>>().ok()?;
    // 0 stands for none.
    (!ports.is_empty()).then(|| {
        ports
            .into_iter()
            .filter(|port| *port != 0)
            .map(u32::from)
            .collect()
    })
}

fn is_port_list(text: &str) -> Result<(), String> {
    port_list(text)
        .map(drop)
        .ok_or_else(|| "Ports are numbers up to 65535, separated by commas.".to_owned())
}

fn udp_ports(shell: &mut Shell, _: &Arguments) -> Outcome {
    let answer = shell.call::<GetPortsUDP>(&Nothing {})?;
    if shell.json(&answer) {
        return Ok(());
    }
    let ports: Vec<String> = answer.ports.iter().map(u32::to_string).collect();
    shell
        .console
        .table(Table::items().item("UDP ports", ports.join(", ")));
    Ok(())
}

fn set_udp_ports(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let ports = port_list(arguments.text("ports")).unwrap_or_default();
    shell.call::<SetPortsUDP>(&UdpPorts { ports })?;
    Ok(())
}

fn port(arguments: &Arguments, enable: bool) -> Listener {
    Listener {
        port: arguments.number("port"),
        enable,
    }
}

fn create(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    shell.call::<CreateListener>(&port(arguments, true))?;
    Ok(())
}

fn delete(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    shell.call::<DeleteListener>(&port(arguments, true))?;
    Ok(())
}

fn enable(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    shell.call::<EnableListener>(&port(arguments, true))?;
    Ok(())
}

fn disable(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    shell.call::<EnableListener>(&port(arguments, false))?;
    Ok(())
}

fn list(shell: &mut Shell, _: &Arguments) -> Outcome {
    let list = shell.call::<EnumListener>(&Nothing {})?;
    if shell.json(&list) {
        return Ok(());
    }
    let mut table = Table::new(&["Port Number", "Status"]);
    for listener in list.listeners {
        let status = match listener {
            _ if listener.error => "Error occurred",
            _ if listener.enabled => "Listening",
            _ => "Stopped",
        };
        table.row([format!("TCP {}", listener.port), status.to_owned()]);
    }
    shell.console.table(&table);
    Ok(())
}
