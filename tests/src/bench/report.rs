//! The page docs/benchmarks.md: what a run measured stands between two marks, and what people wrote around it stays.

use std::path::Path;

use anyhow::{Context, Result};

const BEGIN: &str = "<!-- measured: begin (make bench writes what is between these marks) -->";
const END: &str = "<!-- measured: end -->";

/// The page when there is none yet.
const EMPTY: &str = "\
# Benchmarks

`make bench` measures our server and client beside the stock SoftEther software and OpenVPN, in one run on one machine, device to device in
network namespaces; [testing.md](testing.md) says how. Only ratios within a run mean something elsewhere.

<!-- measured: begin (make bench writes what is between these marks) -->
<!-- measured: end -->

## What holds back what
";

/// Puts `text` between the marks of `page`.
pub fn save(page: &Path, text: &str) -> Result<()> {
    let before = match std::fs::read_to_string(page) {
        Ok(before) => before,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => EMPTY.to_owned(),
        Err(error) => return Err(error).with_context(|| page.display().to_string()),
    };
    std::fs::write(page, renewed(&before, text)).with_context(|| page.display().to_string())
}

/// `page` with `text` between its marks; a page without marks gets them behind its first heading's paragraph, at its end.
fn renewed(page: &str, text: &str) -> String {
    let section = format!("{BEGIN}\n\n{}\n\n{END}", text.trim());
    if let (Some(begin), Some(end)) = (page.find(BEGIN), page.find(END))
        && begin < end
    {
        return format!("{}{section}{}", &page[..begin], &page[end + END.len()..]);
    }
    format!("{}\n\n{section}\n", page.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_replaces_what_the_last_one_measured_and_nothing_else() {
        let first = renewed(EMPTY, "one");
        assert!(first.contains("\none\n") && first.ends_with("## What holds back what\n"));
        let written = format!("{first}\nThe TAP device.\n");
        let second = renewed(&written, "two");
        assert_eq!(second, written.replace("\none\n", "\ntwo\n"));
    }

    #[test]
    fn page_without_marks_keeps_its_text() {
        assert_eq!(
            renewed("# Mine\n", "one"),
            format!("# Mine\n\n{BEGIN}\n\none\n\n{END}\n")
        );
    }
}
