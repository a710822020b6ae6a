//! The table, as Markdown that is also good to read as it is.

use super::Contestant;
use super::measure::Figure;
use super::results::{Results, Spread};

/// Rows of cells, padded so that the columns stand below each other; the first row is the head, the first column to the left.
pub fn markdown(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let cell = |row: &Vec<String>, column: usize| row.get(column).cloned().unwrap_or_default();
    let width = |column| rows.iter().map(|row| cell(row, column).chars().count()).max();
    let widths: Vec<usize> = (0..columns)
        .map(|column| width(column).unwrap_or(0).max(3))
        .collect();
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        for (column, width) in widths.iter().enumerate() {
            let cell = cell(row, column);
            match column {
                0 => text += &format!("| {cell:<width$} "),
                _ => text += &format!("| {cell:>width$} "),
            }
        }
        text += "|\n";
        if number == 0 {
            for (column, width) in widths.iter().enumerate() {
                let end = if column == 0 { "-" } else { ":" };
                text += &format!("| {}{end} ", "-".repeat(width - 1));
            }
            text += "|\n";
        }
    }
    text
}

/// The medians: one row for each contestant, one column for each figure that was measured of anybody.
pub fn medians(results: &Results) -> String {
    figures(results, |figure, spread| figure.shown(spread.median))
}

/// The least and the most of every figure.
pub fn spreads(results: &Results) -> String {
    figures(results, |figure, spread| {
        format!("{} - {}", figure.shown(spread.least), figure.shown(spread.most))
    })
}

/// The medians as multiples of a contestant's.
pub fn ratios(results: &Results, base: Contestant) -> String {
    let rows = |contestant: Contestant, figure: Figure| {
        // The way through a NAT and the way past it are different ways.
        if contestant.is_translated() != base.is_translated() {
            return None;
        }
        let ratio = results.median(contestant, figure)? / results.median(base, figure)?;
        Some(format!("{ratio:.2}"))
    };
    cells(rows)
}

fn figures(results: &Results, shown: impl Fn(Figure, Spread) -> String) -> String {
    cells(|contestant, figure| Some(shown(figure, results.spread(contestant, figure)?)))
}

/// Contestants and figures of which there is anything to say.
fn cells(cell: impl Fn(Contestant, Figure) -> Option<String>) -> String {
    let said = |figure: &Figure| Contestant::ALL.iter().any(|one| cell(*one, *figure).is_some());
    let figures: Vec<Figure> = Figure::ALL.into_iter().filter(said).collect();
    let mut rows = vec![vec![String::new()]];
    rows[0].extend(figures.iter().map(|figure| figure.title().to_owned()));
    for contestant in Contestant::ALL {
        let values: Vec<Option<String>> = figures.iter().map(|figure| cell(contestant, *figure)).collect();
        if values.iter().any(Option::is_some) {
            let mut row = vec![contestant.title().to_owned()];
            row.extend(values.into_iter().map(Option::unwrap_or_default));
            rows.push(row);
        }
    }
    markdown(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_shows_what_was_measured_and_leaves_out_what_was_not() {
        let mut results = Results::default();
        results.add(Contestant::Stock, Figure::Up, 3000.4);
        results.add(Contestant::Ours, Figure::Up, 7500.0);
        results.add(Contestant::Ours, Figure::Frames, 260_000.0);
        let expected = "\
|                         | TCP up | frames/s |
| ----------------------- | -----: | -------: |
| SoftEther, fastest      |   3000 |          |
| vpnserver and vpnclient |   7500 |    260 k |
";
        assert_eq!(medians(&results), expected);
        results.add(Contestant::Ours, Figure::Up, 7000.0);
        assert!(spreads(&results).contains("7000 - 7500"));
        let ratios = ratios(&results, Contestant::Stock);
        assert!(ratios.contains("2.42") && !ratios.contains("frames"), "{ratios}");
    }
}
