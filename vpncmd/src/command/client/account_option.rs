//! How an account connects: its TCP connections, its attempts, what the service does with it by itself.

use protocol::rpc::client::account::{Account, RETRY_FOR_EVER};

use super::{ACCOUNT, account};
use crate::{
    check,
    command::{Command, Scope},
    failure::Outcome,
    params::{Arguments, Param},
    shell::Shell,
    text,
};

/// What the stock language writes for "without end".
const FOR_EVER: u32 = 999;

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "AccountEncryptEnable",
        title: "Encrypt an account's connection",
        help: "Has the frames travel in TLS, as they should.",
        params: &[ACCOUNT],
        scope: Scope::Client,
        run: |shell, arguments| change(shell, arguments, |account| account.option.use_encrypt = true),
    },
    Command {
        name: "AccountEncryptDisable",
        title: "Do not encrypt an account's connection",
        help: "Has the frames travel readable for everybody on the way, once the login is done. A Hubward server \
               does not serve such connections.",
        params: &[ACCOUNT],
        scope: Scope::Client,
        run: |shell, arguments| change(shell, arguments, |account| account.option.use_encrypt = false),
    },
    Command {
        name: "AccountCompressEnable",
        title: "Compress what an account sends",
        help: "Spends processor time to send less.",
        params: &[ACCOUNT],
        scope: Scope::Client,
        run: |shell, arguments| change(shell, arguments, |account| account.option.use_compress = true),
    },
    Command {
        name: "AccountCompressDisable",
        title: "Do not compress what an account sends",
        help: "Ends what AccountCompressEnable has begun.",
        params: &[ACCOUNT],
        scope: Scope::Client,
        run: |shell, arguments| change(shell, arguments, |account| account.option.use_compress = false),
    },
    Command {
        name: "AccountDetailSet",
        title: "Set how an account connects",
        help: "Sets all of it at once. It counts from the next connection on.",
        params: &[
            ACCOUNT,
            Param::named("MAXTCP", "How many TCP connections carry the session, 1 to 32.")
                .ask("Number of TCP Connections to Use in VPN Communication: ")
                .check(connections),
            Param::named(
                "INTERVAL",
                "Seconds between opening one TCP connection and the next.",
            )
            .ask("Interval between Establishing Each TCP Connection: ")
            .check(positive),
            Param::named("TTL", "Seconds that a TCP connection lives; 0 for ever.")
                .ask("Connection Life of Each TCP Connection (0 for no keep-alive): "),
            Param::named("HALF", "yes: each TCP connection carries one direction.")
                .ask("Enable Half-Duplex Mode (yes/no): "),
            Param::named("BRIDGE", "yes: other machines may be behind the client.")
                .ask("Enable Bridge / Router Mode (yes/no): "),
            Param::named(
                "MONITOR",
                "yes: the client receives a copy of every frame of the hub.",
            )
            .ask("Enable Monitoring Mode (yes/no): "),
            Param::named("NOTRACK", "yes: the service leaves the routing table alone.")
                .ask("Disable Adjustment of Routing Table (yes/no): "),
            Param::named("NOQOS", "yes: no frames are preferred.")
                .ask("Disable QoS Control Function (yes/no): "),
            Param::named("DISABLEUDP", "yes: TCP alone, never UDP acceleration.")
                .ask("Disable UDP Acceleration Function (yes/no): "),
        ],
        scope: Scope::Client,
        run: set_details,
    },
    Command {
        name: "AccountRetrySet",
        title: "Set when an account tries again",
        help: "Sets how often, and after how long, an attempt that failed or a connection that broke is repeated.",
        params: &[
            ACCOUNT,
            Param::named("NUM", "How many times; 999 for ever.")
                .ask("Reconnection Count (\"999\" is unlimited): ")
                .check(check::not_empty),
            Param::named("INTERVAL", "Seconds between two attempts, 5 or more.")
                .ask("Reconnection Interval (Seconds): ")
                .check(retry_interval),
        ],
        scope: Scope::Client,
        run: set_retries,
    },
    Command {
        name: "AccountStartupSet",
        title: "Have an account connect when the service starts",
        help: "The account is connected whenever the client service starts.",
        params: &[ACCOUNT],
        scope: Scope::Client,
        run: |shell, arguments| change(shell, arguments, |account| account.startup = true),
    },
    Command {
        name: "AccountStartupRemove",
        title: "Have an account wait to be connected",
        help: "Ends what AccountStartupSet has begun.",
        params: &[ACCOUNT],
        scope: Scope::Client,
        run: |shell, arguments| change(shell, arguments, |account| account.startup = false),
    },
    Command {
        name: "AccountStatusShow",
        title: "Show windows while an account connects",
        help: "For services with a desktop: shows the progress and the errors of connecting.",
        params: &[ACCOUNT],
        scope: Scope::Client,
        run: |shell, arguments| hide_windows(shell, arguments, false),
    },
    Command {
        name: "AccountStatusHide",
        title: "Show no windows while an account connects",
        help: "For services with a desktop: connecting is silent.",
        params: &[ACCOUNT],
        scope: Scope::Client,
        run: |shell, arguments| hide_windows(shell, arguments, true),
    },
];

fn connections(value: &str) -> Result<(), String> {
    if (1..=32).contains(&text::leading_number(value)) {
        Ok(())
    } else {
        Err("The number of TCP connections is one from 1 to 32.".to_owned())
    }
}

fn positive(value: &str) -> Result<(), String> {
    if text::leading_number(value) > 0 {
        Ok(())
    } else {
        Err("A number of seconds is required here, 1 or more.".to_owned())
    }
}

fn retry_interval(value: &str) -> Result<(), String> {
    if text::leading_number(value) >= 5 {
        Ok(())
    } else {
        Err("Attempts are repeated after 5 seconds or more.".to_owned())
    }
}

fn change(shell: &mut Shell, arguments: &Arguments, change: impl FnOnce(&mut Account)) -> Outcome {
    account::change(shell, arguments, change).map(drop)
}

fn hide_windows(shell: &mut Shell, arguments: &Arguments, hidden: bool) -> Outcome {
    change(shell, arguments, |account| {
        account.option.hide_status_window = hidden;
        account.option.hide_nic_info_window = hidden;
    })
}

fn set_details(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    change(shell, arguments, |account| {
        let option = &mut account.option;
        option.max_connection = arguments.number("MAXTCP");
        option.additional_connection_interval = arguments.number("INTERVAL");
        option.connection_disconnect_span = arguments.number("TTL");
        option.half_connection = arguments.yes("HALF");
        option.require_bridge_routing_mode = arguments.yes("BRIDGE");
        option.require_monitor_mode = arguments.yes("MONITOR");
        option.no_routing_tracking = arguments.yes("NOTRACK");
        option.disable_qos = arguments.yes("NOQOS");
        option.no_udp_acceleration = arguments.yes("DISABLEUDP");
    })
}

fn set_retries(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    change(shell, arguments, |account| {
        account.option.num_retry = match arguments.number("NUM") {
            FOR_EVER => RETRY_FOR_EVER,
            times => times,
        };
        account.option.retry_interval = arguments.number("INTERVAL");
    })
}
