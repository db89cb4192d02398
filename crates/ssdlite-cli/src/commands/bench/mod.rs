//! `bench`: how long a network takes on this machine.

mod infer;
mod train;

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};

use self::infer::BenchInferArgs;
use self::train::BenchTrainArgs;
use crate::args::network::BackboneArg;
use crate::outcome::Outcome;

#[derive(Subcommand)]
pub(crate) enum BenchCommand {
    /// Time a network on images in memory.
    Infer(BenchInferArgs),
    /// Time training steps on random images.
    Train(BenchTrainArgs),
}

impl BenchCommand {
    pub(crate) fn run(self) -> Result<Outcome> {
        match self {
            Self::Infer(args) => args.run(),
            Self::Train(args) => args.run(),
        }
    }
}

/// What is timed, and how that is told.
#[derive(Args)]
struct BenchArgs {
    /// What the network is for
    #[arg(long, value_enum, default_value_t = TaskArg::Detect)]
    task: TaskArg,
    /// Its MobileNetV3
    #[arg(long, value_enum, default_value_t = BackboneArg::Small)]
    backbone: BackboneArg,
    /// Side of the images, in pixels
    #[arg(long, default_value_t = 300)]
    size: u32,
    /// Classes; for a detector they count the background, as in torchvision
    #[arg(long, default_value_t = 21)]
    classes: usize,
    /// Threads that share the work; 0 for all cores
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum TaskArg {
    Detect,
    Classify,
}
