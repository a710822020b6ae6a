//! The log files of a server.

use protocol::{
    error::ErrorCode,
    rpc::{
        Nothing,
        log::LogPiece,
        method::{EnumLogFile, ReadLogFile},
    },
};

use crate::{
    check,
    command::{Command, Scope, server},
    failure::{Failure, Outcome},
    params::{Arguments, Param},
    shell::Shell,
    table::Table,
};

/// More than the largest file that stock servers write before they begin another.
const LARGEST: usize = 2 << 30;

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "LogFileList",
        title: "List the log files",
        help: "Lists the log files of the server, or to the administrator of a hub those of the hub.",
        params: &[],
        scope: Scope::Server,
        run: list,
    },
    Command {
        name: "LogFileGet",
        title: "Fetch a log file",
        help: "Fetches a log file, and shows it or saves it.",
        params: &[
            Param::word("name", "The file's name, as LogFileList shows it.")
                .ask("Log file name: ")
                .check(check::not_empty),
            Param::named("SERVER", "The member of a cluster that has it."),
            Param::named("SAVEPATH", "The file to write; without it the log is shown."),
        ],
        scope: Scope::Server,
        run: get,
    },
];

fn list(shell: &mut Shell, _: &Arguments) -> Outcome {
    let list = shell.call::<EnumLogFile>(&Nothing {})?;
    if shell.json(&list) {
        return Ok(());
    }
    let mut table = Table::new(&["Log File Name", "File Size", "Updated on", "Location"]);
    shell
        .console
        .print_line(&format!("There are {} log files.", list.files.len()));
    for file in list.files {
        table.row([
            file.file_path,
            size(u64::from(file.file_size)),
            shell.calendar.short(file.updated_time),
            file.server_name,
        ]);
    }
    shell.console.blocks(&table);
    Ok(())
}

/// `56 Bytes`, `37.58 KBytes`: in the largest unit of which there is one.
fn size(bytes: u64) -> String {
    const UNITS: &[(u64, &str)] = &[(40, "TBytes"), (30, "GBytes"), (20, "MBytes"), (10, "KBytes")];
    for (shift, unit) in UNITS {
        if bytes >> shift > 0 {
            let hundredths = ((u128::from(bytes) * 100) + (1 << (shift - 1))) >> shift;
            return format!("{}.{:02} {unit}", hundredths / 100, hundredths % 100);
        }
    }
    format!("{bytes} Bytes")
}

fn get(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let mut log: Vec<u8> = Vec::new();
    loop {
        let request = LogPiece {
            server_name: arguments.text("SERVER").to_owned(),
            file_path: arguments.text("name").to_owned(),
            offset: u32::try_from(log.len()).map_err(|_| too_large())?,
            buffer: None,
        };
        let piece = shell
            .call::<ReadLogFile>(&request)
            .map_err(not_fetched)?
            .buffer
            .unwrap_or_default();
        if piece.is_empty() {
            break;
        }
        log.extend(piece);
        if log.len() > LARGEST {
            return Err(too_large());
        }
    }
    match arguments.text("SAVEPATH") {
        "" if shell.console.style.json => {
            let answer = LogPiece {
                server_name: arguments.text("SERVER").to_owned(),
                file_path: arguments.text("name").to_owned(),
                offset: 0,
                buffer: Some(log),
            };
            shell.json(&answer);
            Ok(())
        }
        "" => {
            let text = String::from_utf8_lossy(&log);
            for line in text.lines() {
                shell.console.print_line(&crate::text::printable(line));
            }
            Ok(())
        }
        path => server::save_bytes(path, &log),
    }
}

/// The stock tool ends with its number for local troubles, whatever the server said.
fn not_fetched(failure: Failure) -> Failure {
    match failure {
        Failure::Refused(ErrorCode::Disconnected) => failure,
        other => Failure::Local(format!("The log file cannot be fetched. {other}")),
    }
}

fn too_large() -> Failure {
    Failure::Local("The log file is too large to be fetched in one piece.".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_rounded_to_two_places() {
        let cases = [
            (56, "56 Bytes"),
            (1023, "1023 Bytes"),
            (1024, "1.00 KBytes"),
            (6086, "5.94 KBytes"),
            (1522, "1.49 KBytes"),
            (3 << 20, "3.00 MBytes"),
        ];
        for (bytes, text) in cases {
            assert_eq!(size(bytes), text);
        }
    }
}
