//! Lines that an HTTP proxy is told beyond the usual: of cascade connections and of a client's accounts.

use protocol::error::ErrorCode;

use crate::{failure::Outcome, shell::Shell, table::Table};

/// The lines of a header, without those that say nothing.
fn lines(header: &str) -> impl Iterator<Item = &str> {
    header.lines().map(str::trim).filter(|line| !line.is_empty())
}

/// Whether a line gives the value of this name.
fn is_named(line: &str, name: &str) -> bool {
    let (known, _) = line.split_once(':').unwrap_or((line, ""));
    known.trim().eq_ignore_ascii_case(name.trim())
}

/// Every line ends as the stock tool has it.
fn joined<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    lines.flat_map(|line| [line, "\n"]).collect()
}

/// The header with one value more.
pub(super) fn add(header: &str, name: &str, data: &str) -> Outcome<String> {
    // A line break in a value would be a line of its own.
    if name.contains(['\r', '\n', ':']) || data.contains(['\r', '\n']) {
        return Err(ErrorCode::InvalidParameter.into());
    }
    if lines(header).any(|line| is_named(line, name)) {
        return Err(ErrorCode::ObjectExists.into());
    }
    let line = format!("{}: {}", name.trim(), data.trim());
    Ok(joined(lines(header).chain([line.as_str()])))
}

/// The header without the value of this name.
pub(super) fn without(header: &str, name: &str) -> String {
    joined(lines(header).filter(|line| !is_named(line, name)))
}

/// Shows the values.
pub(super) fn list(shell: &mut Shell, header: &str) {
    if shell.console.style.json {
        let lines: Vec<&str> = lines(header).collect();
        shell
            .console
            .json(&serde_json::json!({ "CustomHttpHeader": lines }));
        return;
    }
    let mut table = Table::new(&["Item"]);
    for line in lines(header) {
        table.row([line]);
    }
    shell.console.table(&table);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_goes_and_the_others_stay() {
        let header = add("X-A: 1\r\n", "X-B", "2").unwrap();
        assert_eq!(header, "X-A: 1\nX-B: 2\n");
        assert_eq!(without(&header, "x-a"), "X-B: 2\n");
        assert!(!is_named("X-AB: 1", "X-A"));
    }

    #[test]
    fn a_value_cannot_be_given_twice_nor_bring_lines_of_its_own() {
        assert_eq!(
            add("X-A: 1", "x-a", "2").unwrap_err(),
            ErrorCode::ObjectExists.into()
        );
        for (name, data) in [("X:", "1"), ("X\n", "1"), ("X", "1\r\nHost: other")] {
            assert_eq!(
                add("", name, data).unwrap_err(),
                ErrorCode::InvalidParameter.into()
            );
        }
    }
}
