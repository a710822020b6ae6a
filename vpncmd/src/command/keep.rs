//! Traffic that keeps the server's Internet line alive.

use protocol::rpc::{
    Nothing,
    keep::{Keep, KeepProtocol},
    method::{GetKeep, SetKeep},
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
        name: "KeepEnable",
        title: "Switch the keep-alive traffic on",
        help: "Has the server send a packet now and then to the host that KeepSet sets, for lines that are cut when \
               they are silent.",
        params: &[],
        scope: Scope::Server,
        run: enable,
    },
    Command {
        name: "KeepDisable",
        title: "Switch the keep-alive traffic off",
        help: "Ends what KeepEnable has begun.",
        params: &[],
        scope: Scope::Server,
        run: disable,
    },
    Command {
        name: "KeepSet",
        title: "Set the keep-alive traffic",
        help: "Sets where the packets go, over which protocol, and how often.",
        params: &[
            Param::named("HOST", "The host and its port.")
                .ask("Destination Host Name/IP Address and Port Number: ")
                .check(check::host_and_port),
            Param::named("PROTOCOL", "tcp or udp.")
                .ask("tcp or udp: ")
                .check(is_protocol),
            Param::named("INTERVAL", "Seconds between two packets, 5 to 600.")
                .ask("Packet Send Interval (Seconds): ")
                .check(check::keep_interval),
        ],
        scope: Scope::Server,
        run: set,
    },
    Command {
        name: "KeepGet",
        title: "Show the keep-alive traffic",
        help: "Shows where the packets go, and whether they do.",
        params: &[],
        scope: Scope::Server,
        run: get,
    },
];

/// The protocol that a word means.
pub(super) fn protocol(text: &str) -> Option<KeepProtocol> {
    match text.to_ascii_lowercase().as_str() {
        "tcp" => Some(KeepProtocol::Tcp),
        "udp" => Some(KeepProtocol::Udp),
        _ => None,
    }
}

pub(super) fn is_protocol(text: &str) -> Result<(), String> {
    protocol(text)
        .map(drop)
        .ok_or_else(|| "The protocol is tcp or udp.".to_owned())
}

fn change(shell: &mut Shell, change: impl FnOnce(&mut Keep)) -> Outcome {
    let mut keep = shell.call::<GetKeep>(&Nothing {})?;
    change(&mut keep);
    shell.call::<SetKeep>(&keep)?;
    Ok(())
}

fn enable(shell: &mut Shell, _: &Arguments) -> Outcome {
    change(shell, |keep| keep.enabled = true)
}

fn disable(shell: &mut Shell, _: &Arguments) -> Outcome {
    change(shell, |keep| keep.enabled = false)
}

fn set(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let (host, port) = text::parse_host(arguments.text("HOST"), 0).unwrap_or_default();
    change(shell, |keep| {
        (keep.host, keep.port) = (host, u32::from(port));
        keep.protocol = protocol(arguments.text("PROTOCOL")).unwrap_or_default();
        keep.interval = arguments.number("INTERVAL");
    })
}

fn get(shell: &mut Shell, _: &Arguments) -> Outcome {
    let keep = shell.call::<GetKeep>(&Nothing {})?;
    show(shell, keep);
    Ok(())
}

/// Shows the settings of a server or a client.
pub(super) fn show(shell: &mut Shell, keep: Keep) {
    if shell.json(&keep) {
        return;
    }
    let protocol = match keep.protocol {
        KeepProtocol::Tcp => "TCP/IP".to_owned(),
        KeepProtocol::Udp => "UDP/IP".to_owned(),
        KeepProtocol::Other(number) => number.to_string(),
    };
    let mut table = Table::items();
    table
        .item("Host Name", keep.host)
        .item("Port Number", keep.port.to_string())
        .item("Packet Send Interval (Sec)", keep.interval.to_string())
        .item("Protocol", protocol)
        .item("Current Status", text::enabled(keep.enabled));
    shell.console.table(&table);
}
