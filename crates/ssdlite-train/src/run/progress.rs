//! Where a run stands.

use serde::{Deserialize, Serialize};

use super::results::EpochRow;
use crate::step::Losses;

/// Where a run stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Progress {
    /// Epochs completed with their evaluation.
    pub(crate) epochs_done: u32,
    /// Steps taken in the epoch after them.
    pub(crate) steps_in_epoch: u64,
    /// Steps taken in all.
    pub(crate) steps_done: u64,
    /// Sums over the steps of the epoch under way.
    pub(crate) sums: Losses,
    /// Seconds that its steps took.
    pub(crate) seconds: f64,
    /// Seconds that its evaluation took.
    #[serde(skip)]
    pub(crate) seconds_evaluating: f64,
    /// The best score so far.
    pub(crate) best: Option<f64>,
    /// The epoch that had it; 0 before the first evaluation.
    pub(crate) best_epoch: u32,
    /// The epoch from which patience counts: the last one before the run was prolonged.
    /// Unknown in older files, whose runs were not.
    #[serde(default)]
    pub(crate) patience_from: u32,
    /// The completed epochs.
    pub(crate) rows: Vec<EpochRow>,
}

impl Progress {
    /// Counts a step.
    pub(crate) fn add(&mut self, losses: Losses) {
        self.steps_done += 1;
        self.steps_in_epoch += 1;
        self.sums.classification += losses.classification;
        if let Some(regression) = losses.regression {
            *self.sums.regression.get_or_insert(0.0) += regression;
        }
    }

    /// Means over the steps of the epoch under way.
    pub(crate) fn mean_losses(&self) -> Losses {
        let steps = self.steps_in_epoch.max(1) as f64;
        Losses {
            classification: self.sums.classification / steps,
            regression: self.sums.regression.map(|sum| sum / steps),
        }
    }

    /// Takes the network of the epoch under way for the best, whatever its score.
    pub(crate) fn take_newest(&mut self, score: Option<f64>) -> bool {
        self.best = score;
        self.best_epoch = self.epochs_done + 1;
        true
    }

    /// Whether the epoch under way scores better than all before it. Without
    /// a score the newest epoch is the best.
    pub(crate) fn judge(&mut self, score: Option<f64>) -> bool {
        let is_better = match (score, self.best) {
            (Some(score), Some(best)) => score > best,
            _ => true,
        };
        if is_better {
            self.best = score;
            self.best_epoch = self.epochs_done + 1;
        }
        is_better
    }

    /// Epochs since the best one, or since the run was prolonged; none before the first
    /// evaluation.
    pub(crate) fn epochs_without_better(&self) -> u32 {
        match self.best_epoch {
            0 => 0,
            best => self
                .epochs_done
                .saturating_sub(best.max(self.patience_from)),
        }
    }

    /// Ends the epoch under way.
    pub(crate) fn close_epoch(&mut self, row: EpochRow) {
        self.rows.push(row);
        self.epochs_done += 1;
        self.steps_in_epoch = 0;
        self.sums = Losses::default();
        self.seconds = 0.0;
        self.seconds_evaluating = 0.0;
    }
}
