//! The audit log of our servers.

use protocol::{
    error::ErrorCode,
    rpc::{
        audit::{AuditRequest, AuditRow},
        method::EnumAudit,
    },
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

/// How many lines there are unless `/MAX` says otherwise.
const USUAL_LINES: u32 = 50;

pub(super) const COMMANDS: &[Command] = &[Command {
    name: "AuditList",
    title: "List what administrators did",
    help: "Lists the newest lines of the audit log: every change that was made or refused, by whom, from where and over \
           what, and the logins of administrators that were refused. With a hub selected, or for its administrator, the \
           lines about that hub. Stock servers have no such log.",
    params: &[
        Param::named("MAX", "How many lines at most; 50 unless given.").check(check::number_or_none),
        Param::named(
            "BEFORE",
            "Only lines older than the one with this number, to go back page by page.",
        )
        .check(check::number_or_none),
    ],
    scope: Scope::Server,
    run: list,
}];

fn list(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let number = |name: &str| match arguments.text(name) {
        "" => Ok(None),
        text => text.parse::<u64>().map(Some).map_err(|_| ErrorCode::BadCommand),
    };
    let max = number("MAX")?.map_or(Ok(USUAL_LINES), u32::try_from);
    let request = AuditRequest {
        hub_name: shell.hub.clone().unwrap_or_default(),
        max: max.map_err(|_| ErrorCode::BadCommand)?,
        before: number("BEFORE")?.unwrap_or_default(),
    };
    let list = shell.call::<EnumAudit>(&request)?;
    if shell.json(&list) {
        return Ok(());
    }
    let mut table = Table::new(&["ID", "Time", "Who", "From", "Command", "Hub", "Object", "Result"]);
    for line in list.lines {
        let result = result(&line);
        table.row([
            line.id.to_string(),
            shell.calendar.short(line.time),
            who(&line),
            format!("{} ({})", line.from, line.transport),
            line.method,
            line.hub,
            line.object,
            result,
        ]);
    }
    shell.console.table(&table);
    Ok(())
}

fn who(line: &AuditRow) -> String {
    match line.who.as_str() {
        "server" => "Administrator".to_owned(),
        "hub" => format!("Administrator of {}", line.who_name),
        "user" => format!("User {}", line.who_name),
        "tool" => format!("Program {}", line.who_name),
        "stranger" => "Nobody known".to_owned(),
        other => other.to_owned(),
    }
}

fn result(line: &AuditRow) -> String {
    let outcome = match line.result {
        0 => "Done".to_owned(),
        code => format!("Refused ({code})"),
    };
    match line.left_out {
        0 => outcome,
        left_out => format!("{outcome}, after {} more", text::thousands(left_out)),
    }
}
