//! Every captured command line, given by the stock tool and by ours, to the stock server and to ours.
//!
//! Each of the four runs has a server of its own. Compared are the exit codes and the normalised outputs
//! (`tests/src/conformance/normal.rs`): of either tool at both servers, and of both tools at the stock server.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use hubward_tests::conformance::exceptions::{
    CAPS, NOT_YET_IN_OUR_SERVER, NOT_YET_IN_OUR_TOOL, OF_VIRTUAL_MACHINES, ON_PURPOSE, REFUSED, TOOLS_DIFFER,
    WORDS_OF_THE_SERVER, refusal,
};
use hubward_tests::conformance::normal::{comparable, comparable_of_ours, format_lines, from_csv};
use hubward_tests::conformance::run::{Driver, Outcome, Place, Tool};
use hubward_tests::conformance::scenario::{self, Line, Mode, Step};
use hubward_tests::host::Host;
use hubward_tests::lab::{self, Lab};
use hubward_tests::ours::{self, Server};
use hubward_tests::process;
use hubward_tests::stock::Stock;

/// The administrator's password that the servers start with.
const FIRST_PASSWORD: &str = "ServerPasswordSet first";

type Outcomes = BTreeMap<u32, Outcome>;

/// The four runs, by tool and server.
struct Runs {
    stock_tool_at_stock: Outcomes,
    stock_tool_at_ours: Outcomes,
    our_tool_at_stock: Outcomes,
    our_tool_at_ours: Outcomes,
}

#[test]
fn both_tools_find_the_same_at_both_servers() {
    lab::run_with_stock(|lab, stock| {
        let steps = scenario::steps()?;
        let runs = drive(lab, stock, &steps)?;
        let lines = scenario::lines(&steps);
        let mut wrong = Vec::new();
        for line in &lines {
            wrong.extend(compare(line, &runs));
        }
        ensure!(
            wrong.is_empty(),
            "{} of {} lines are not as they should be:\n\n{}",
            wrong.len(),
            lines.len(),
            wrong.join("\n")
        );
        Ok(())
    });
}

#[test]
fn exceptions_name_lines_and_commands_of_the_scenario() {
    let steps = scenario::steps().unwrap();
    let lines = scenario::lines(&steps);
    for (command, ..) in REFUSED {
        assert!(lines.iter().any(|line| line.words[0] == *command), "{command}");
    }
    let of_lines = ON_PURPOSE.iter().map(|(number, ..)| number);
    for number in of_lines.chain(NOT_YET_IN_OUR_SERVER).chain(NOT_YET_IN_OUR_TOOL) {
        assert!(lines.iter().any(|line| line.number == *number), "{number}");
    }
}

fn drive(lab: &Lab, stock: &Stock, steps: &[Step]) -> Result<Runs> {
    let certificates = lab.folder().join("certificates");
    std::fs::create_dir_all(&certificates)?;
    ours::make_certificates(&lab.host("maker")?, &certificates)?;
    let run = |name: &str,
               tool,
               server: fn(&Host, &Stock) -> Result<Running>,
               is_stock: bool|
     -> Result<Outcomes> {
        let place = Place::new(lab, name)?;
        for file in std::fs::read_dir(&certificates)? {
            let file = file?;
            std::fs::copy(file.path(), place.folder.join(file.file_name()))?;
        }
        let _server = server(&place.server, stock)?;
        let absent = |line: &Line| is_stock && REFUSED.iter().any(|row| row.0 == line.words[0]);
        Driver::new(tool, &place)
            .drive(steps, absent)
            .with_context(|| name.to_owned())
    };
    std::thread::scope(|scope| {
        let stock_stock = scope.spawn(|| run("stockstock", Tool::Stock(stock), start_stock, true));
        let stock_ours = scope.spawn(|| run("stockours", Tool::Stock(stock), start_ours, false));
        let ours_stock = scope.spawn(|| run("oursstock", Tool::Ours, start_stock, true));
        let ours_ours = scope.spawn(|| run("oursours", Tool::Ours, start_ours, false));
        let join = |run: std::thread::ScopedJoinHandle<'_, Result<Outcomes>>| {
            run.join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        Ok(Runs {
            stock_tool_at_stock: join(stock_stock)?,
            stock_tool_at_ours: join(stock_ours)?,
            our_tool_at_stock: join(ours_stock)?,
            our_tool_at_ours: join(ours_ours)?,
        })
    })
}

/// A server that ends when it is dropped.
enum Running {
    Stock { _daemon: process::Daemon },
    Ours { _server: Server },
}

/// Without the hub that the stock server starts with.
fn start_stock(host: &Host, stock: &Stock) -> Result<Running> {
    let daemon = stock.server(host)?;
    for command in ["HubDelete DEFAULT", FIRST_PASSWORD] {
        stock.administer(host, "localhost:443", &[], command)?.success()?;
    }
    host.sh("rm -rf /var/log/softether/security_log/DEFAULT")?;
    Ok(Running::Stock { _daemon: daemon })
}

fn start_ours(host: &Host, _: &Stock) -> Result<Running> {
    let server = Server::start(host, &[])?;
    ours::administer(host, "", &[FIRST_PASSWORD])?;
    Ok(Running::Ours { _server: server })
}

/// What is wrong with a line: different where it should be the same, or listed as not there yet and the same after all.
fn compare(line: &Line, runs: &Runs) -> Vec<String> {
    let (command, number) = (line.words[0].as_str(), line.number);
    let mut wrong = Vec::new();
    if let Some(code) = refusal(number, command) {
        for run in [&runs.stock_tool_at_ours, &runs.our_tool_at_ours] {
            let outcome = &run[&number];
            if outcome.exit != code {
                let title = format!("ends with {}, and is to be refused with {code}", outcome.exit);
                wrong.push(complaint(line, &title, &outcome.output));
            }
        }
        return settle(line, "our server", NOT_YET_IN_OUR_SERVER, wrong);
    }
    let text = |outcome: &Outcome| match line.mode {
        Mode::Csv => from_csv(&outcome.output),
        _ => outcome.output.clone(),
    };
    let at_stock = &runs.stock_tool_at_stock[&number];
    if at_stock.exit != line.exit {
        let title = format!(
            "ends with {} at the stock server, not {}",
            at_stock.exit, line.exit
        );
        wrong.push(complaint(line, &title, &at_stock.output));
    }
    let pairs = [
        ("the stock tool", at_stock, &runs.stock_tool_at_ours[&number]),
        (
            "our tool",
            &runs.our_tool_at_stock[&number],
            &runs.our_tool_at_ours[&number],
        ),
    ];
    let mut of_server = Vec::new();
    for (tool, at_stock, at_ours) in pairs {
        let stock = with_exit(at_stock.exit, comparable(command, &text(at_stock)));
        let ours = with_exit(at_ours.exit, comparable_of_ours(command, &text(at_ours)));
        let own_words = (tool == "our tool" && WORDS_OF_THE_SERVER.iter().any(|row| row.0 == number))
            || (OF_VIRTUAL_MACHINES.contains(&number) && !is_virtual_to_stock(runs));
        if stock != ours && !(own_words && stock[0] == ours[0]) {
            let title = format!("{tool} finds otherwise at our server (+) than at the stock one (-)");
            of_server.push(complaint(line, &title, &difference(&stock, &ours)));
        }
    }
    wrong.extend(settle(line, "our server", NOT_YET_IN_OUR_SERVER, of_server));
    let format =
        |outcome: &Outcome| with_exit(outcome.exit, format_lines(&comparable(command, &text(outcome))));
    let (stock, ours) = (format(at_stock), format(&runs.our_tool_at_stock[&number]));
    let mut of_tool = Vec::new();
    if stock != ours {
        let title = "our tool (+) does not say what the stock tool (-) says";
        of_tool.push(complaint(line, title, &difference(&stock, &ours)));
    }
    if TOOLS_DIFFER.iter().all(|(number, _)| *number != line.number) {
        wrong.extend(settle(line, "our tool", NOT_YET_IN_OUR_TOOL, of_tool));
    } else if of_tool.is_empty() {
        wrong.push(complaint(line, "the tools do not differ", ""));
    }
    wrong
}

/// Whether the stock server has found out that it runs in a virtual machine.
fn is_virtual_to_stock(runs: &Runs) -> bool {
    let caps = runs.stock_tool_at_stock.get(&CAPS);
    caps.is_some_and(|outcome| {
        let mut lines = outcome.output.lines();
        lines.any(|line| line.contains("Running on VM") && line.contains("Yes"))
    })
}

/// A listed line must be wrong, any other must not.
fn settle(line: &Line, list: &str, not_yet: &[u32], wrong: Vec<String>) -> Vec<String> {
    match (not_yet.contains(&line.number), wrong.is_empty()) {
        (false, _) => wrong,
        (true, false) => Vec::new(),
        (true, true) => vec![complaint(
            line,
            &format!("passes: take it from what is not yet in {list}"),
            "",
        )],
    }
}

fn complaint(line: &Line, title: &str, text: &str) -> String {
    let indented: String = text.lines().map(|line| format!("    {line}\n")).collect();
    format!("{:03} {}\n  {title}\n{indented}", line.number, line.text())
}

fn with_exit(exit: i32, lines: Vec<String>) -> Vec<String> {
    std::iter::once(format!("exit {exit}")).chain(lines).collect()
}

/// The lines that only one of the two has, in their order.
fn difference(a: &[String], b: &[String]) -> String {
    let same_start = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let (a, b) = (&a[same_start..], &b[same_start..]);
    let same_end = a
        .iter()
        .rev()
        .zip(b.iter().rev())
        .take_while(|(a, b)| a == b)
        .count();
    let (a, b) = (&a[..a.len() - same_end], &b[..b.len() - same_end]);
    let short = |line: &String| line.chars().take(160).collect::<String>();
    let only = |sign: &str, of: &[String], other: &[String]| -> Vec<String> {
        let unlike = of
            .iter()
            .filter(|line| a.len() != b.len() || !other.contains(line));
        unlike.map(|line| format!("{sign} {}", short(line))).collect()
    };
    [only("-", a, b), only("+", b, a)].concat().join("\n")
}
