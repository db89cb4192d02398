//! How a run begins and ends, and where it happens.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use super::observer::Observer;
use super::run_folder::RunFolder;
use crate::step::TrainingDevice;

/// Where a run happens and who hears of it.
pub struct Session<'a> {
    /// The run's folder.
    pub folder: &'a RunFolder,
    /// What the network is trained on.
    pub device: &'a dyn TrainingDevice,
    /// Hears of the progress.
    pub observer: &'a mut dyn Observer,
    /// Once it is set, the run ends after the step under way.
    pub stop: &'a AtomicBool,
}

/// How a run begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// At the first step with random weights.
    #[default]
    Random,
    /// At the first step with the weights in this file: a model of ours or a
    /// PyTorch file.
    Weights(PathBuf),
    /// Where the run in the folder stopped.
    Resume,
    /// Where the run in the folder stopped or ended, to the configuration's number of
    /// epochs, which is another than the run's. From there on the learning rate is
    /// that of a run of so many epochs, and patience counts anew.
    Prolong,
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All epochs are done.
    Finished,
    /// The score has not become better for as long as patience allows.
    OutOfPatience,
    /// It was asked to stop, and can be resumed.
    Stopped,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Why.
    pub end: End,
    /// Epochs done with their evaluation.
    pub epochs: u32,
    /// The best score, if there was an evaluation.
    pub best: Option<f64>,
    /// Steps taken since it began or went on.
    pub steps: u64,
}
