//! What the tests of whole runs share.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use ssdlite_data::Overwrite;
use ssdlite_train::{
    Observer, OnCpu, Outcome, Prolonged, Result, RunFolder, RunStarted, Session, Start, StepReport,
};

/// Writes down what it hears, and stops the run after a number of steps.
#[derive(Default)]
pub(crate) struct Notes {
    /// Classification and regression loss of each step, to the bit.
    pub(crate) losses: Vec<(u64, Option<u64>)>,
    pub(crate) warnings: Vec<String>,
    pub(crate) prolonged: Option<Prolonged>,
    pub(crate) stop_after: Option<u64>,
    pub(crate) stop: AtomicBool,
}

impl Notes {
    pub(crate) fn stopping_after(steps: u64) -> Self {
        Self {
            stop_after: Some(steps),
            ..Self::default()
        }
    }
}

struct Listener<'a> {
    losses: &'a mut Vec<(u64, Option<u64>)>,
    warnings: &'a mut Vec<String>,
    prolonged: &'a mut Option<Prolonged>,
    stop_after: Option<u64>,
    stop: &'a AtomicBool,
}

impl Observer for Listener<'_> {
    fn started(&mut self, run: &RunStarted) {
        *self.prolonged = run.prolonged;
    }

    fn step(&mut self, step: &StepReport) {
        let losses = step.losses;
        let bits = (
            losses.classification.to_bits(),
            losses.regression.map(f64::to_bits),
        );
        self.losses.push(bits);
        if self.stop_after == Some(step.steps_done) {
            self.stop.store(true, Ordering::Relaxed);
        }
    }

    fn warning(&mut self, message: &str) {
        self.warnings.push(message.to_owned());
    }
}

/// Runs `train` in a folder, noting what happens.
pub(crate) fn run(
    path: &Path,
    start: &Start,
    notes: &mut Notes,
    train: impl FnOnce(&Start, &mut Session<'_>) -> Result<Outcome>,
) -> Result<Outcome> {
    let folder = match start {
        Start::Resume | Start::Prolong => RunFolder::open(path)?,
        _ => RunFolder::create(path, Overwrite::Refuse)?,
    };
    let Notes {
        losses,
        warnings,
        prolonged,
        stop_after,
        stop,
    } = notes;
    let stop = &*stop;
    let mut listener = Listener {
        losses,
        warnings,
        prolonged,
        stop_after: *stop_after,
        stop,
    };
    let mut session = Session {
        folder: &folder,
        device: &OnCpu,
        observer: &mut listener,
        stop,
    };
    train(start, &mut session)
}
