//! A server's state as a file: bringing the server to it, and writing it.

use std::path::Path;

use protocol::error::ErrorCode;
use serde_json::json;

use crate::{
    check,
    command::{Command, Scope, server},
    declare::{
        diff::{self, Wishes},
        execute, export,
        model::Declaration,
        observe,
        plan::{Plan, Step},
        read,
    },
    failure::{Failure, Outcome},
    params::{Arguments, Param},
    shell::Shell,
};

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "Apply",
        title: "Bring the server to the state that a file declares",
        help: "Reads a TOML file that says which hubs, groups, users, access lists, SecureNATs, bridges, published \
               hosts and ports there shall be, shows what has to change for that, and changes it. What the file \
               does not name stays as it is. Run again, it finds nothing to do.\n\
               Everything is checked before the first change; if a change fails, those before it are taken back.\n\
               With --dry-run nothing is changed, and the exit code says whether anything would be: 0 for no, 200 \
               for yes.",
        params: &[
            Param::word("file", "The TOML file.")
                .ask("File with the declared state: ")
                .check(check::file),
            Param::flag("DRY_RUN", "Only show what would change."),
            Param::flag(
                "PRUNE",
                "Delete what the file's sections do not name: a section that the file does not have is left alone.",
            ),
            Param::flag(
                "SET_PASSWORDS",
                "Set also the passwords of existing users and hubs that the server does not show.",
            ),
        ],
        scope: Scope::Server,
        run: apply,
    },
    Command {
        name: "Export",
        title: "Write the server's state as a file for Apply",
        help: "Writes what the server has as a TOML file that Apply reads: to keep it, to change it, to bring \
               another server to the same state. Passwords are not in it.",
        params: &[Param::word(
            "file",
            "The file to write; left out, the state is shown.",
        )],
        scope: Scope::Server,
        run: export,
    },
];

fn apply(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let path = Path::new(arguments.text("file"));
    let declared = read::file(path, &shell.calendar)?;
    let wishes = Wishes {
        prune: arguments.yes("PRUNE"),
        set_passwords: arguments.yes("SET_PASSWORDS"),
    };
    let plan = compare(shell, path, &declared, wishes)?;
    let json = shell.console.style.json;
    if !json {
        plan.print(&mut shell.console);
    }
    let done = carry_out(shell, &plan, arguments.yes("DRY_RUN"));
    if json && matches!(done, Ok(()) | Err(Failure::WouldChange)) {
        shell.console.json(&plan.to_json());
    }
    done?;
    if plan.is_empty() {
        return Ok(());
    }
    // Whether a password has been set is not to be seen.
    let wishes = Wishes {
        set_passwords: false,
        ..wishes
    };
    let left = compare(shell, path, &declared, wishes)?;
    if left.is_empty() {
        return Ok(());
    }
    let titles: Vec<String> = left.steps.iter().map(Step::title).collect();
    Err(Failure::Failed {
        code: ErrorCode::Internal,
        text: format!(
            "The server has taken every change, and still is not as declared. It would need again:\n  {}",
            titles.join("\n  ")
        ),
    })
}

fn compare(shell: &mut Shell, path: &Path, declared: &Declaration, wishes: Wishes) -> Outcome<Plan> {
    let observed = observe::observe(shell, declared, wishes.prune)?;
    diff::plan(declared, &observed, wishes).map_err(|mistakes| read::failure(path, &mistakes))
}

fn carry_out(shell: &mut Shell, plan: &Plan, dry_run: bool) -> Outcome {
    if plan.is_empty() {
        shell.console.remark("Nothing to do: the server is as declared.");
        return Ok(());
    }
    if dry_run {
        shell.console.remark(&format!("Not done: {}.", plan.summary()));
        return Err(Failure::WouldChange);
    }
    execute::execute(shell, plan)?;
    shell.console.remark(&format!("Done: {}.", plan.summary()));
    Ok(())
}

fn export(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let observed = observe::everything(shell)?;
    let text = export::document(&observed);
    match arguments.text("file") {
        "" if shell.console.style.json => {
            shell.console.json(&json!({ "Document_utf": text }));
            Ok(())
        }
        "" => {
            shell.console.print(&text);
            Ok(())
        }
        path => server::save(path, &text),
    }
}
