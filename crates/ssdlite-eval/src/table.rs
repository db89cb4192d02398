//! Aligned text tables: the first column to the left, all others to the right.

use std::fmt;

/// What stands where there is no number.
const NONE: &str = "-";

/// Rows of cells under a row of headings.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with one column for each heading.
    pub(crate) fn new<I>(headings: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        let headings = headings.into_iter().map(Into::into).collect();
        Self {
            rows: vec![headings],
        }
    }

    /// Adds a row of as many cells as there are headings.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        debug_assert_eq!(cells.len(), self.rows[0].len());
        self.rows.push(cells);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut widths = vec![0; self.rows[0].len()];
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        for row in &self.rows {
            for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
                if column == 0 {
                    write!(f, "{cell:<width$}")?;
                } else {
                    write!(f, "  {cell:>width$}")?;
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// A share from 0 to 1 with four digits.
pub(crate) fn share(value: Option<f64>) -> String {
    value.map_or_else(|| NONE.to_owned(), |value| format!("{value:.4}"))
}

/// `part / whole`, or `None` of nothing.
pub(crate) fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// `part / whole` in whole percent, where only 0 is "0%" and only all of it "100%".
pub(crate) fn percent(part: u64, whole: u64) -> String {
    match ratio(part, whole) {
        None => NONE.to_owned(),
        Some(share) if share > 0.0 && share < 0.005 => "<1%".to_owned(),
        Some(share) if (0.995..1.0).contains(&share) => ">99%".to_owned(),
        Some(share) => format!("{:.0}%", share * 100.0),
    }
}

/// `text`, or its beginning with an ellipsis if it has more than `length`
/// characters.
pub(crate) fn cut(text: &str, length: usize) -> String {
    if text.chars().count() <= length {
        return text.to_owned();
    }
    let beginning: String = text.chars().take(length.saturating_sub(1)).collect();
    format!("{}…", beginning.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_nothing_is_0_percent_and_only_everything_100() {
        let texts = [(0, 7), (1, 1000), (1, 3), (999, 1000), (7, 7), (0, 0)];
        let texts = texts.map(|(part, whole)| percent(part, whole));
        assert_eq!(texts, ["0%", "<1%", "33%", ">99%", "100%", "-"]);
    }

    #[test]
    fn what_is_cut_has_the_length_and_says_so() {
        assert_eq!(cut("Äpfel", 5), "Äpfel");
        assert_eq!(cut("Äpfel und Birnen", 7), "Äpfel…");
        assert_eq!(cut("日本語の", 3), "日本…");
    }

    #[test]
    fn columns_are_aligned_by_characters() {
        let mut table = Table::new(["class", "AP"]);
        table.row(vec!["Äpfel und Birnen".into(), share(Some(0.5))]);
        table.row(vec!["x".into(), share(ratio(0, 0))]);
        let text = table.to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "class                 AP");
        assert_eq!(lines[1], "Äpfel und Birnen  0.5000");
        assert_eq!(lines[2], "x                      -");
    }
}
