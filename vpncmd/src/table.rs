//! Tables in the stock tool's three forms: columns, one block per row, and CSV.

use unicode_width::UnicodeWidthStr;

use crate::text::printable;

/// A table to be printed.
#[derive(Clone, Debug)]
pub struct Table {
    columns: Vec<String>,
    rows: Vec<Row>,
    /// Positions of the columns whose cells stand at the right.
    right: Vec<usize>,
}

#[derive(Clone, Debug)]
enum Row {
    Cells(Vec<String>),
    /// A dashed line across the table; in CSV a row of `---`.
    Rule,
}

impl Table {
    /// A table with these column headings.
    #[must_use]
    pub fn new(columns: &[&str]) -> Table {
        Table {
            columns: columns.iter().map(|&column| column.to_owned()).collect(),
            rows: Vec::new(),
            right: Vec::new(),
        }
    }

    /// The two-column table of the commands that show one thing.
    #[must_use]
    pub fn items() -> Table {
        Table::new(&["Item", "Value"])
    }

    /// Adds a row; a row that is too short is filled with empty cells when printed.
    pub fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) -> &mut Table {
        self.rows
            .push(Row::Cells(cells.into_iter().map(Into::into).collect()));
        self
    }

    /// Adds an item and its value to a two-column table.
    pub fn item(&mut self, name: &str, value: impl Into<String>) -> &mut Table {
        self.row([name.to_owned(), value.into()])
    }

    /// Puts the cells of these columns at the right, as the stock tool does with some numbers.
    pub fn right(&mut self, columns: &[usize]) -> &mut Table {
        self.right = columns.to_vec();
        self
    }

    /// Adds a dashed line.
    pub fn rule(&mut self) -> &mut Table {
        self.rows.push(Row::Rule);
        self
    }

    /// Columns side by side under a header row.
    #[must_use]
    pub fn grid(&self) -> String {
        let count = self.columns.len();
        let cells: Vec<Option<Vec<String>>> = self
            .rows
            .iter()
            .map(|row| match row {
                Row::Cells(cells) => Some(
                    (0..count)
                        .map(|i| cells.get(i).map_or_else(String::new, |c| printable(c)))
                        .collect(),
                ),
                Row::Rule => None,
            })
            .collect();
        let mut widths: Vec<usize> = self.columns.iter().map(|column| column.width()).collect();
        for row in cells.iter().flatten() {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.width());
            }
        }
        let rule = widths
            .iter()
            .map(|&width| "-".repeat(width))
            .collect::<Vec<_>>()
            .join("+");
        let mut out = format!("{}\n{rule}\n", line(&self.columns, &widths, &self.right));
        for row in &cells {
            out.push_str(
                &row.as_ref()
                    .map_or_else(|| rule.clone(), |row| line(row, &widths, &self.right)),
            );
            out.push('\n');
        }
        out
    }

    /// One block of items per row, blocks separated by a dashed line: what the long lists always use.
    #[must_use]
    pub fn blocks(&self) -> String {
        let mut items = Table::items();
        for (index, row) in self.rows.iter().enumerate() {
            if index > 0 {
                items.rule();
            }
            if let Row::Cells(cells) = row {
                for (column, cell) in self.columns.iter().zip(cells) {
                    items.item(column, cell.as_str());
                }
            }
        }
        items.grid()
    }

    /// A header row and one line per row; a field is quoted only when it holds a comma, a quote or a line break.
    /// Programs read this, so nothing is replaced.
    #[must_use]
    pub fn csv(&self) -> String {
        let rule = vec!["---".to_owned(); self.columns.len()];
        let rows = self.rows.iter().map(|row| match row {
            Row::Cells(cells) => cells,
            Row::Rule => &rule,
        });
        let mut out = String::new();
        for row in std::iter::once(&self.columns).chain(rows) {
            let fields: Vec<String> = row.iter().map(|field| quote(field)).collect();
            out.push_str(&fields.join(","));
            out.push('\n');
        }
        out
    }
}

/// The last cell is not padded behind: nothing stands there.
fn line(cells: &[String], widths: &[usize], right: &[usize]) -> String {
    let mut out = String::new();
    for (index, (cell, width)) in cells.iter().zip(widths).enumerate() {
        if index > 0 {
            out.push('|');
        }
        let padding = " ".repeat(width - cell.width());
        // Nothing stands before an empty end either.
        if right.contains(&index) && !(cell.is_empty() && index + 1 == widths.len()) {
            out.push_str(&padding);
        }
        out.push_str(cell);
        if !right.contains(&index) && index + 1 < widths.len() {
            out.push_str(&padding);
        }
    }
    out
}

fn quote(field: &str) -> String {
    if field.contains([',', '"', '\n']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Table {
        let mut table = Table::new(&["Name", "Bytes"]);
        table.row(["a", "135,950"]).row(["long \"one\"", "0"]);
        table
    }

    #[test]
    fn columns_are_padded_but_the_last_is_not() {
        assert_eq!(
            sample().grid(),
            "Name      |Bytes\n----------+-------\na         |135,950\nlong \"one\"|0\n"
        );
    }

    #[test]
    fn blocks_stand_between_dashed_lines() {
        let text = "Item |Value\n-----+----------\nName |a\nBytes|135,950\n-----+----------\nName |long \"one\"\nBytes|0\n";
        assert_eq!(sample().blocks(), text);
        assert_eq!(Table::new(&["Name"]).blocks(), "Item|Value\n----+-----\n");
    }

    #[test]
    fn csv_quotes_only_what_needs_it() {
        assert_eq!(
            sample().csv(),
            "Name,Bytes\na,\"135,950\"\n\"long \"\"one\"\"\",0\n"
        );
    }

    #[test]
    fn numbers_can_stand_at_the_right() {
        let mut table = Table::new(&["ID", "Text"]);
        table.right(&[0]).row(["1", "a"]).row(["10", "b"]);
        assert_eq!(table.grid(), "ID|Text\n--+----\n 1|a\n10|b\n");
    }

    #[test]
    fn wide_characters_count_twice() {
        let mut table = Table::new(&["N", "V"]);
        table.row(["日本", "x"]).row(["ab", "y"]);
        assert_eq!(table.grid(), "N   |V\n----+-\n日本|x\nab  |y\n");
    }
}
