//! How a cascade connection travels, and the policies of its session.

use super::{CASCADE, change, read, write};
use crate::{
    command::{Command, Scope, policy},
    failure::Outcome,
    params::{Arguments, Param},
    shell::Shell,
};

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "CascadeEncryptEnable",
        title: "Have a cascade connection encrypted",
        help: "What the connection carries is encrypted. That is how cascades begin.",
        params: &[CASCADE],
        scope: Scope::Hub,
        run: |shell, arguments| change(shell, arguments, |link| link.use_encrypt = true),
    },
    Command {
        name: "CascadeEncryptDisable",
        title: "Have a cascade connection not encrypted",
        help: "Everybody on the way can read and change what the connection carries.",
        params: &[CASCADE],
        scope: Scope::Hub,
        run: |shell, arguments| change(shell, arguments, |link| link.use_encrypt = false),
    },
    Command {
        name: "CascadeCompressEnable",
        title: "Have a cascade connection compress",
        help: "Compresses what the connection carries, for slow lines.",
        params: &[CASCADE],
        scope: Scope::Hub,
        run: |shell, arguments| change(shell, arguments, |link| link.use_compress = true),
    },
    Command {
        name: "CascadeCompressDisable",
        title: "Have a cascade connection not compress",
        help: "Sends everything as it is. That is how cascades begin.",
        params: &[CASCADE],
        scope: Scope::Hub,
        run: |shell, arguments| change(shell, arguments, |link| link.use_compress = false),
    },
    Command {
        name: "CascadeDetailSet",
        title: "Set how a cascade connects",
        help: "Sets all of it at once. It counts from the next connection on.",
        params: &[
            CASCADE,
            Param::named("MAXTCP", "How many TCP connections carry the session, 1 to 32.")
                .ask("Number of TCP Connections to Use in VPN Communication: ")
                .check(connections),
            Param::named(
                "INTERVAL",
                "Seconds between opening one TCP connection and the next.",
            )
            .ask("Interval between Establishing Each TCP Connection: ")
            .check(interval),
            Param::named("TTL", "Seconds that a TCP connection lives; 0 for ever.")
                .ask("Connection Life of Each TCP Connection (0 for no keep-alive): "),
            Param::named("HALF", "yes: each TCP connection carries one direction.")
                .ask("Enable half-duplex mode (yes/no): "),
            Param::named("NOQOS", "yes: no frames are preferred.")
                .ask("Disable QoS Control Function (yes/no): "),
        ],
        scope: Scope::Hub,
        run: set_details,
    },
    Command {
        name: "CascadePolicySet",
        title: "Set one policy of a cascade connection",
        help: "Sets what the session of the cascade may do in this hub. PolicyList shows the policies, and which of them \
               cascades have.",
        params: &[
            CASCADE,
            Param::named("NAME", "The name of the policy.")
                .ask("Name of Policy Whose Value you want to Change: ")
                .check(crate::check::not_empty),
            policy::VALUE,
        ],
        scope: Scope::Hub,
        run: set_policy,
    },
];

fn connections(value: &str) -> Result<(), String> {
    let number = crate::text::leading_number(value);
    if (1..=32).contains(&number) {
        Ok(())
    } else {
        Err("The number of TCP connections is 1 to 32.".to_owned())
    }
}

fn interval(value: &str) -> Result<(), String> {
    if crate::text::leading_number(value) > 0 {
        Ok(())
    } else {
        Err("The interval is a second or more.".to_owned())
    }
}

fn set_details(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    change(shell, arguments, |link| {
        link.max_connection = arguments.number("MAXTCP");
        link.additional_connection_interval = arguments.number("INTERVAL");
        link.connection_disconnect_span = arguments.number("TTL");
        link.half_connection = arguments.yes("HALF");
        link.disable_qos = arguments.yes("NOQOS");
    })
}

fn set_policy(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let mut link = read(shell, arguments)?;
    policy::set_for_cascade(&mut link.policy, arguments)?;
    write(shell, &link)
}
