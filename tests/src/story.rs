//! Telling a story on a terminal: numbered steps, the commands as they run, what they said, and how long they took.

use std::io::IsTerminal;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::host::Host;
use crate::process::{self, Answer};

/// The teller. Everything goes to the standard output, in colour where that is a terminal.
#[derive(Debug)]
pub struct Story {
    step: usize,
    title: String,
    colour: bool,
}

impl Story {
    /// Begins with a title.
    pub fn new(title: &str) -> Self {
        let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let story = Self {
            step: 0,
            title: title.into(),
            colour,
        };
        println!("{}\n", story.bold(title));
        story
    }

    /// The step being told, for the message when it fails.
    pub fn place(&self) -> String {
        format!("step {}, {}", self.step, self.title)
    }

    /// Begins the next step.
    pub fn step(&mut self, title: &str) {
        self.step += 1;
        self.title = title.into();
        println!("\n{}", self.bold(&format!("{}. {title}", self.step)));
    }

    /// A sentence.
    pub fn say(&self, text: &str) {
        for line in text.trim_matches('\n').lines() {
            println!("   {line}");
        }
    }

    /// Something that came true, and how long it took.
    pub fn done(&self, what: &str, took: Duration) {
        println!(
            "   {} {what} {}",
            self.paint("32", "✓"),
            self.dim(&format!("({})", human(took)))
        );
    }

    /// Shows a command on a host without running it here.
    pub fn show(&self, host: &Host, line: &str) {
        println!("   {} {line}", self.dim(&format!("{}#", host.name())));
    }

    /// Shows a command of several words and runs it on `host`.
    pub fn answer(
        &self,
        host: &Host,
        program: &std::path::Path,
        arguments: &[&str],
    ) -> Result<(Answer, Duration)> {
        self.show(host, &command_line(program, arguments));
        let begun = Instant::now();
        let mut command: Command = host.command(program);
        let answer = process::answer(command.args(arguments))?;
        Ok((answer, begun.elapsed()))
    }

    /// Shows and runs a command that must succeed; returns what it printed.
    pub fn run(&self, host: &Host, program: &std::path::Path, arguments: &[&str]) -> Result<String> {
        let (answer, took) = self.answer(host, program, arguments)?;
        if answer.code != 0 {
            let said = format!("{}{}", answer.stdout, answer.stderr);
            bail!(
                "{} ended with {}:\n{}",
                command_line(program, arguments),
                answer.code,
                said.trim()
            );
        }
        self.done("done", took);
        Ok(answer.stdout)
    }

    /// Shows and runs a shell line that must succeed; returns what it printed.
    pub fn sh(&self, host: &Host, line: &str) -> Result<String> {
        self.show(host, line);
        host.sh(line).context("a step of the story failed")
    }

    /// Indents what a command printed, under it.
    pub fn quote(&self, text: &str) {
        for line in text
            .trim_matches('\n')
            .lines()
            .filter(|line| !line.trim().is_empty())
        {
            println!("      {}", self.dim(line.trim_end()));
        }
    }

    /// The line that says what was proven.
    pub fn end(&self, line: &str) {
        println!("\n{}", self.paint("1;32", line));
    }

    fn bold(&self, text: &str) -> String {
        self.paint("1", text)
    }

    fn dim(&self, text: &str) -> String {
        self.paint("2", text)
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.into()
        }
    }
}

/// The command as a person would type it: the program by its name, not by where cargo put it.
fn command_line(program: &std::path::Path, arguments: &[&str]) -> String {
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    let words = arguments.iter().map(|word| process::quoted(word));
    std::iter::once(name.into_owned())
        .chain(words)
        .collect::<Vec<_>>()
        .join(" ")
}

/// A duration as one would say it.
pub fn human(took: Duration) -> String {
    match took.as_millis() {
        millis @ 0..1000 => format!("{millis} ms"),
        _ => format!("{:.1} s", took.as_secs_f32()),
    }
}
