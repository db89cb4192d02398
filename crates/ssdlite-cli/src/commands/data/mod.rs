//! `data`: make, check, describe, split and convert data sets, and pick what to label next.

mod check;
mod convert;
mod pick;
mod sample;
mod split;
mod stats;

use anyhow::Result;
use clap::Subcommand;

use self::check::CheckArgs;
use self::convert::ConvertArgs;
use self::pick::PickArgs;
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
    /// Write images with boxes anew in another format.
    Convert(ConvertArgs),
    /// Choose the photos that are most worth labelling, and say why.
    Pick(PickArgs),
}

impl DataCommand {
    pub(crate) fn run(self) -> Result<Outcome> {
        match self {
            Self::Sample(args) => args.run(),
            Self::Check(args) => args.run(),
            Self::Stats(args) => args.run(),
            Self::Split(args) => args.run(),
            Self::Convert(args) => args.run(),
            Self::Pick(args) => args.run(),
        }
    }
}
