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
    /// Adds a row.
    pub fn add(&mut self, what: impl Into<String>, ours: impl Into<String>, stock: impl Into<String>) {
        let row = [what.into(), ours.into(), stock.into()];
        println!("{:<64}{:>20}{:>20}", row[0], row[1], row[2]);
        self.rows.push(row);
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
