//! The table, on the screen and in docs/benchmarks.md.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

/// Where this table is in the page.
const BEGIN: &str = "<!-- scale: begin -->";
const END: &str = "<!-- scale: end -->";

/// Rows of what, and the figures of ours and the stock server.
#[derive(Debug, Default)]
pub struct Report {
    rows: Vec<[String; 3]>,
}

impl Report {
    /// Without a row yet; the head of the table is on the screen.
    pub fn begin() -> Self {
        show(["", "ours", "stock"]);
        Self::default()
    }

    /// Adds a row.
    pub fn add(&mut self, what: &str, ours: &str, stock: &str) {
        show([what, ours, stock]);
        // A bar would begin a new cell.
        self.rows
            .push([what, ours, stock].map(|cell| cell.replace('|', "\\|")));
    }

    /// As a table in Markdown.
    pub fn table(&self) -> String {
        let mut table = "| what | ours | stock |\n| --- | --- | --- |\n".to_owned();
        for [what, ours, stock] in &self.rows {
            let _ = writeln!(table, "| {what} | {ours} | {stock} |");
        }
        table
    }

    /// Puts the table between its markers in the page, or behind everything when they are not there.
    pub fn save(&self, page: &Path) -> Result<()> {
        let text = fs::read_to_string(page).unwrap_or_else(|_| "# Benchmarks\n".to_owned());
        let section = format!("{BEGIN}\n{}{END}", self.table());
        let saved = match (text.find(BEGIN), text.find(END)) {
            (Some(begin), Some(end)) if begin < end => {
                format!("{}{section}{}", &text[..begin], &text[end + END.len()..])
            }
            _ => format!("{}\n\n## Scale\n\n{section}\n", text.trim_end()),
        };
        fs::write(page, saved).with_context(|| format!("cannot write {}", page.display()))
    }
}

fn show([what, ours, stock]: [&str; 3]) {
    println!("{what:<74} {ours:>32} {stock:>32}");
}

/// A time as people read it.
pub fn shown(time: Duration) -> String {
    match time {
        long if long >= Duration::from_secs(1) => format!("{:.1} s", long.as_secs_f64()),
        short => format!("{:.2} ms", short.as_secs_f64() * 1000.0),
    }
}

/// Bytes as people read them.
pub fn kibibytes(bytes: f64) -> String {
    format!("{:.1} KiB", bytes / 1024.0)
}

/// Many bytes as people read them.
pub fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_three_columns_whatever_is_in_them() {
        let mut report = Report::begin();
        report.add("stations (MAC Tables |60002)", "1", "-");
        assert_eq!(
            report.table(),
            "| what | ours | stock |\n| --- | --- | --- |\n| stations (MAC Tables \\|60002) | 1 | - |\n"
        );
    }
}
