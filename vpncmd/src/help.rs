//! What the tool says about itself: the list of commands and the help of each.

use crate::{
    command::Command,
    example,
    params::{Param, shown},
};

/// The width that help is folded to: what fits everywhere.
const WIDTH: usize = 79;

/// The list of commands with their titles.
#[must_use]
pub fn list(commands: &[&Command]) -> String {
    let widest = commands
        .iter()
        .map(|command| command.name.len())
        .max()
        .unwrap_or(0);
    let mut out = String::new();
    for command in commands {
        let start = format!(" {:widest$} - ", command.name);
        out.push_str(&fold(&start, &" ".repeat(start.len()), command.title));
    }
    out
}

/// Everything about one command.
#[must_use]
pub fn of(command: &Command) -> String {
    let mut out = format!("Help for command \"{}\"\n\nPurpose:\n", command.name);
    out.push_str(&fold("  ", "  ", command.title));
    out.push_str("\nDescription:\n");
    for paragraph in command.help.split('\n') {
        out.push_str(&fold("  ", "  ", paragraph));
    }
    let words: Vec<String> = command.params.iter().map(usage).collect();
    let start = format!("  {}", command.name);
    out.push_str("\nUsage:\n");
    out.push_str(&fold(
        &start,
        &" ".repeat(start.len()),
        &format!(" {}", words.join(" ")),
    ));
    if !command.params.is_empty() {
        out.push_str("\nParameters:\n");
        let widest = command
            .params
            .iter()
            .map(|param| shown(param).len())
            .max()
            .unwrap_or(0);
        for param in command.params {
            let start = format!("  {:widest$} - ", shown(param));
            let asked = if param.prompt.is_some() { "" } else { " Optional." };
            out.push_str(&fold(
                &start,
                &" ".repeat(start.len()),
                &format!("{}{asked}", param.help),
            ));
        }
        out.push_str("\nExample:\n");
        out.push_str(&fold("  ", "    ", &example::of(command)));
    }
    out
}

fn usage(param: &Param) -> String {
    if param.positional {
        shown(param)
    } else if param.flag {
        format!("[{}]", param.long())
    } else {
        format!("[{}:{}]", shown(param), param.name.to_ascii_lowercase())
    }
}

/// Folds words into lines: the first starts with `first`, the others with `rest`.
fn fold(first: &str, rest: &str, text: &str) -> String {
    let mut out = first.to_owned();
    let (mut width, mut empty) = (first.len(), true);
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if !empty && width + 1 + length > WIDTH {
            out.push('\n');
            out.push_str(rest);
            (width, empty) = (rest.len(), true);
        }
        if !empty || text.starts_with(' ') && out.len() == first.len() {
            out.push(' ');
            width += 1;
        }
        out.push_str(word);
        (width, empty) = (width + length, false);
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{self, Mode};

    #[test]
    fn help_fits_a_terminal_and_names_every_parameter() {
        for command in Mode::ALL.into_iter().flat_map(command::all) {
            let text = of(command);
            assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
            assert!(
                command.params.iter().all(|param| text.contains(&shown(param))),
                "{text}"
            );
        }
        assert!(
            list(&command::all(Mode::Server))
                .lines()
                .all(|line| line.len() <= WIDTH)
        );
    }

    #[test]
    fn long_text_is_folded_under_itself() {
        let text = fold("  a - ", "      ", &"word ".repeat(20));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(
            lines[0].starts_with("  a - word word") && lines[1].starts_with("      word"),
            "{text}"
        );
    }
}
