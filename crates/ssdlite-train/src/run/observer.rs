//! What a run tells while it goes on. This crate prints nothing.

use std::time::Duration;

use super::Validation;
use crate::step::Losses;

/// Hears of a run's progress, on the run's thread.
pub trait Observer {
    /// The data are read and the network is made; the first step follows.
    fn started(&mut self, run: &RunStarted) {
        let _ = run;
    }

    /// A step is done.
    fn step(&mut self, step: &StepReport) {
        let _ = step;
    }

    /// An epoch is done, and evaluated where it was its turn.
    fn epoch(&mut self, epoch: &EpochReport) {
        let _ = epoch;
    }

    /// Something about the run is worth knowing.
    fn note(&mut self, message: &str) {
        let _ = message;
    }

    /// Something is not as it should be, but the run goes on.
    fn warning(&mut self, message: &str) {
        let _ = message;
    }
}

/// Hears nothing.
impl Observer for () {}

/// What a run begins with.
#[derive(Clone, Debug, PartialEq)]
pub struct RunStarted {
    /// Images to learn from.
    pub training_images: usize,
    /// Images to evaluate on; none without such a split.
    pub validation_images: Option<usize>,
    /// Whether the best network is picked by its score on them, or is the last one.
    pub picks_by_score: bool,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// Numbers of the network that are trained.
    pub trained_parameters: usize,
    /// Images a step.
    pub batch: usize,
    /// All epochs of the run.
    pub epochs: u32,
    /// Steps in each of them.
    pub steps_per_epoch: u64,
    /// Steps taken before, by the run that is resumed; else 0.
    pub steps_done: u64,
    /// What was taken over from given weights, if there were any.
    pub weights: Option<String>,
    /// How the run that is resumed is prolonged, if it is.
    pub prolonged: Option<Prolonged>,
}

/// A run that goes on to another number of epochs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prolonged {
    /// Epochs that are done.
    pub epochs_done: u32,
    /// The learning rate of the heads at the end of the last of them, if there is one.
    pub lr_before: Option<f64>,
    /// The learning rate of the heads in the next step.
    pub lr: f64,
}

/// A step of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct StepReport {
    /// The epoch it belongs to, counted from 1.
    pub epoch: u32,
    /// Its number within the epoch, counted from 1.
    pub step: u64,
    /// Steps in each epoch.
    pub steps_per_epoch: u64,
    /// Steps taken in all epochs, this one included.
    pub steps_done: u64,
    /// Its losses.
    pub losses: Losses,
    /// The learning rate of the heads.
    pub lr: f64,
    /// Norm of all gradients before clipping.
    pub gradient_norm: f64,
    /// Images a second, over the last steps.
    pub images_per_second: f64,
    /// Until the end of the run, as far as can be told.
    pub time_left: Duration,
}

/// An epoch of a run.
#[derive(Clone, Debug)]
pub struct EpochReport {
    /// Its number, counted from 1.
    pub epoch: u32,
    /// All epochs of the run.
    pub epochs: u32,
    /// Means over its steps.
    pub losses: Losses,
    /// The learning rate of the heads in its last step.
    pub lr: f64,
    /// Images a second in its steps.
    pub images_per_second: f64,
    /// How long it took with its evaluation.
    pub duration: Duration,
    /// Its evaluation, where it was its turn.
    pub validation: Option<Validation>,
    /// Whether it scored better than all before it.
    pub is_best: bool,
}
