//! Losses, recipes, the training run, checkpoints and the run folder.
//!
//! [`RunData`] reads the data that a configuration names; [`train_detector`] and
//! [`train_classifier`] do a whole run on it: make or load the network, train,
//! evaluate, save. They print nothing and fetch nothing: an [`Observer`] hears of the
//! progress, and a flag of the caller's stops a run so that it can be resumed.
//!
//! Two rooms: [`step`] is one training step and all that it changes, [`run`] what
//! goes on around it. Between them stands [`step::TrainingStep`]: what computes
//! the losses and gradients of a batch is on one side, the loop, the optimizer,
//! the average and the checkpoints on the other.

pub mod bench;
pub mod config;
pub mod error;
mod memory;
pub mod run;
pub mod step;
mod threads;

pub use bench::{BenchTask, BenchTrainOptions, BenchTrainReport, bench_train};
pub use config::{ClassifierConfig, DetectorConfig};
pub use error::{Error, Result};
pub use run::{
    ENOUGH_STEPS, End, EpochReport, Observer, Outcome, Prolonged, RunData, RunFolder, RunStarted,
    Session, Start, StepReport, Validation, division_from_info, train_classifier, train_detector,
};
pub use step::{Losses, OnCpu, TrainingDevice};
