//! `classifier`: train, evaluate and use classifiers.

mod eval;
mod predict;
mod train;

use anyhow::Result;
use clap::Subcommand;

use self::eval::ClassifierEvalArgs;
use self::predict::PredictArgs;
use self::train::ClassifierTrainArgs;
use crate::outcome::Outcome;

#[derive(Subcommand)]
pub(crate) enum ClassifierCommand {
    /// Train a classifier on images in class folders.
    Train(Box<ClassifierTrainArgs>),
    /// Measure a classifier's accuracy.
    Eval(ClassifierEvalArgs),
    /// Name what images show.
    Predict(PredictArgs),
}

impl ClassifierCommand {
    pub(crate) fn run(self) -> Result<Outcome> {
        match self {
            Self::Train(args) => args.run(),
            Self::Eval(args) => args.run(),
            Self::Predict(args) => args.run(),
        }
    }
}
