//! `data`: make, check, describe and split data sets.

mod check;
mod sample;
mod split;
mod stats;

use anyhow::Result;
use clap::Subcommand;

use self::check::CheckArgs;
use self::sample::SampleArgs;
use self::split::SplitArgs;
use self::stats::StatsArgs;
use crate::outcome::Outcome;

#[derive(Subcommand)]
pub(crate) enum DataCommand {
    /// Write a rendered sample set: VOC's layout in DIR, class folders in
    /// DIR/classification.
    Sample(SampleArgs),
    /// List everything that is wrong in a data set; exit 1 if anything is.
    Check(CheckArgs),
    /// Count classes, box sizes, and how many boxes a detector can match.
    Stats(StatsArgs),
    /// Divide images with boxes into train, val, trainval and test.
    Split(SplitArgs),
}

impl DataCommand {
    pub(crate) fn run(self) -> Result<Outcome> {
        match self {
            Self::Sample(args) => args.run(),
            Self::Check(args) => args.run(),
            Self::Stats(args) => args.run(),
            Self::Split(args) => args.run(),
        }
    }
}
