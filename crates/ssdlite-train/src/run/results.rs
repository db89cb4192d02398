//! The course of a run, epoch by epoch: `results.csv`.

use serde::{Deserialize, Serialize};

use crate::step::Losses;

/// An epoch of the course.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct EpochRow {
    /// Counted from 1.
    pub(crate) epoch: u32,
    /// Steps taken since the start of the run.
    pub(crate) steps: u64,
    /// Means over the epoch.
    pub(crate) losses: Losses,
    pub(crate) lr: f64,
    pub(crate) images_per_second: f64,
    pub(crate) seconds: f64,
    /// When it ended, in seconds since 1970; 0 in the checkpoints of older versions.
    #[serde(default)]
    pub(crate) ended: f64,
    /// What the evaluation found, by the metric's name; empty without one.
    pub(crate) scores: Vec<(String, f64)>,
}

/// The rows as a table with a heading. A row without evaluation has empty
/// cells.
pub(crate) fn csv_from_rows(rows: &[EpochRow]) -> String {
    let with_scores = rows.iter().find(|row| !row.scores.is_empty());
    let metrics: Vec<&str> = with_scores
        .map(|row| row.scores.iter().map(|(name, _)| name.as_str()).collect())
        .unwrap_or_default();
    let boxes = rows.iter().any(|row| row.losses.regression.is_some());
    let mut heading = vec!["epoch", "step", "loss"];
    if boxes {
        heading.extend(["classification_loss", "regression_loss"]);
    }
    heading.extend(["lr", "images_per_second", "seconds"]);
    heading.extend(&metrics);
    let mut csv = heading.join(",") + "\n";
    for row in rows {
        let mut cells = vec![
            row.epoch.to_string(),
            row.steps.to_string(),
            format!("{:.6}", row.losses.total()),
        ];
        if let Some(regression) = row.losses.regression {
            cells.push(format!("{:.6}", row.losses.classification));
            cells.push(format!("{regression:.6}"));
        }
        cells.push(format!("{:.3e}", row.lr));
        cells.push(format!("{:.2}", row.images_per_second));
        cells.push(format!("{:.2}", row.seconds));
        for metric in &metrics {
            let score = row.scores.iter().find(|(name, _)| name == metric);
            cells.push(score.map_or_else(String::new, |(_, score)| format!("{score:.5}")));
        }
        csv += &(cells.join(",") + "\n");
    }
    csv
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_the_headings_columns() {
        let row = |epoch, scores: &[(&str, f64)]| EpochRow {
            epoch,
            steps: u64::from(epoch) * 9,
            losses: Losses {
                classification: 2.0,
                regression: Some(0.5),
            },
            lr: 2e-3,
            images_per_second: 81.5,
            seconds: 3.0,
            ended: 1.75e9,
            scores: scores.iter().map(|&(n, s)| (n.to_owned(), s)).collect(),
        };
        let rows = [
            row(1, &[]),
            row(2, &[("map_voc07", 0.25), ("map_voc", 0.26)]),
        ];
        let csv = csv_from_rows(&rows);
        let lines: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
        assert_eq!(lines.len(), 3);
        assert!(lines.iter().all(|cells| cells.len() == lines[0].len()));
        assert_eq!(lines[0][lines[0].len() - 2], "map_voc07");
        assert_eq!(lines[1].last(), Some(&""));
        assert_eq!(lines[2][2..5], ["2.500000", "2.000000", "0.500000"]);
        assert_eq!(csv_from_rows(&[]).lines().count(), 1);
    }
}
