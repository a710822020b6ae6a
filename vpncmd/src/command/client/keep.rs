//! Traffic that keeps the client's Internet line alive.

use protocol::rpc::{
    Nothing,
    client::{
        method::{GetClientConfig, SetClientConfig},
        service::ServiceConfig,
    },
};

use crate::{
    check,
    command::{Command, Scope, keep},
    failure::Outcome,
    params::{Arguments, Param},
    shell::Shell,
    text,
};

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "KeepEnable",
        title: "Switch the client's keep-alive traffic on",
        help: "Has the client service send a packet now and then to the host that KeepSet sets, for lines that are cut \
               when they are silent.",
        params: &[],
        scope: Scope::Client,
        run: |shell, _| change(shell, |config| config.keep.enabled = true),
    },
    Command {
        name: "KeepDisable",
        title: "Switch the client's keep-alive traffic off",
        help: "Ends what KeepEnable has begun.",
        params: &[],
        scope: Scope::Client,
        run: |shell, _| change(shell, |config| config.keep.enabled = false),
    },
    Command {
        name: "KeepSet",
        title: "Set the client's keep-alive traffic",
        help: "Sets where the packets go, over which protocol, and how often.",
        params: &[
            Param::named("HOST", "The host and its port.")
                .ask("Destination Host Name/IP Address and Port Number: ")
                .check(check::host_and_port),
            Param::named("PROTOCOL", "tcp or udp.")
                .ask("tcp or udp: ")
                .check(keep::is_protocol),
            Param::named("INTERVAL", "Seconds between two packets.")
                .ask("Packet Send Interval (Seconds): ")
                .check(check::not_empty),
        ],
        scope: Scope::Client,
        run: set,
    },
    Command {
        name: "KeepGet",
        title: "Show the client's keep-alive traffic",
        help: "Shows where the packets go, and whether they do.",
        params: &[],
        scope: Scope::Client,
        run: get,
    },
];

/// Reads what the service does by itself, changes it and writes it back.
pub(super) fn change(shell: &mut Shell, change: impl FnOnce(&mut ServiceConfig)) -> Outcome {
    let mut config = shell.call_client::<GetClientConfig>(&Nothing {})?;
    change(&mut config);
    shell.call_client::<SetClientConfig>(&config)?;
    Ok(())
}

fn set(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    // The check has read it once already.
    let (host, port) = text::parse_host(arguments.text("HOST"), 0).unwrap_or_default();
    change(shell, |config| {
        (config.keep.host, config.keep.port) = (host, u32::from(port));
        config.keep.protocol = keep::protocol(arguments.text("PROTOCOL")).unwrap_or_default();
        config.keep.interval = arguments.number("INTERVAL");
    })
}

fn get(shell: &mut Shell, _: &Arguments) -> Outcome {
    let config = shell.call_client::<GetClientConfig>(&Nothing {})?;
    keep::show(shell, config.keep);
    Ok(())
}
