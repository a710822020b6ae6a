//! The syslog server that the server's logs go to.

use protocol::rpc::{
    Nothing,
    log::{Syslog, SyslogSave},
    method::{GetSysLog, SetSysLog},
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

/// The port of syslog over UDP (RFC 5426).
const PORT: u16 = 514;

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "SyslogEnable",
        title: "Send logs to a syslog server",
        help: "Has the server send its logs to a syslog server instead of writing them to its disk.",
        params: &[
            Param::word(
                "1|2|3",
                "1 for the server's log, 2 for the hubs' security logs too, 3 for packet logs too.",
            )
            .ask("Setting to Use syslog Send Function (1-3): ")
            .check(is_extent),
            Param::named("HOST", "The syslog server, with a port if it is not 514.")
                .ask("syslog Server Host Name and Port Number: ")
                .check(check::host),
        ],
        scope: Scope::Server,
        run: enable,
    },
    Command {
        name: "SyslogDisable",
        title: "Send no logs to a syslog server",
        help: "Ends what SyslogEnable has begun. The logs are written to the server's disk again.",
        params: &[],
        scope: Scope::Server,
        run: disable,
    },
    Command {
        name: "SyslogGet",
        title: "Show the syslog server",
        help: "Shows which logs go to a syslog server, and to which.",
        params: &[],
        scope: Scope::Server,
        run: get,
    },
];

fn is_extent(text: &str) -> Result<(), String> {
    if matches!(text, "1" | "2" | "3") {
        Ok(())
    } else {
        Err("A number from 1 to 3 is required here.".to_owned())
    }
}

fn enable(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let (hostname, port) = text::parse_host(arguments.text("HOST"), PORT).unwrap_or_default();
    let save = match arguments.number("1|2|3") {
        1 => SyslogSave::Server,
        2 => SyslogSave::ServerAndSecurity,
        _ => SyslogSave::ServerSecurityAndPackets,
    };
    shell.call::<SetSysLog>(&Syslog {
        save,
        hostname,
        port: u32::from(port),
    })?;
    Ok(())
}

fn disable(shell: &mut Shell, _: &Arguments) -> Outcome {
    let mut syslog = shell.call::<GetSysLog>(&Nothing {})?;
    syslog.save = SyslogSave::Nothing;
    shell.call::<SetSysLog>(&syslog)?;
    Ok(())
}

fn get(shell: &mut Shell, _: &Arguments) -> Outcome {
    let syslog = shell.call::<GetSysLog>(&Nothing {})?;
    if shell.json(&syslog) {
        return Ok(());
    }
    let extent = match syslog.save {
        SyslogSave::Nothing => "Disable Syslog Send Function".to_owned(),
        SyslogSave::Server => "Send Server Logs by Syslog".to_owned(),
        SyslogSave::ServerAndSecurity => "Send Server and Virtual Hub Security Logs by Syslog".to_owned(),
        SyslogSave::ServerSecurityAndPackets => {
            "Send Server, Virtual Hub Security, and Packet Logs by Syslog".to_owned()
        }
        SyslogSave::Other(number) => number.to_string(),
    };
    let mut table = Table::items();
    table.item("Set the Use of syslog Send Function", extent);
    if syslog.save != SyslogSave::Nothing {
        table
            .item("syslog Server Host Name", syslog.hostname)
            .item("syslog Server Port Number", syslog.port.to_string());
    }
    shell.console.table(&table);
    Ok(())
}
