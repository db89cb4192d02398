//! `bench`: how long a network takes on this machine.

mod infer;
mod train;

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};
use ssdlite_core::classes::MAX_CLASSES;
use ssdlite_core::preprocessing::{MAX_INPUT_SIDE, MIN_INPUT_SIDE};
use ssdlite_infer::{Isa, MOST_THREADS};
use ssdlite_train::config::HeadKind;

use self::infer::BenchInferArgs;
use self::train::BenchTrainArgs;
use crate::args::isa::isa;
use crate::args::network::{BackboneArg, HeadArg};
use crate::args::number::whole;
use crate::outcome::{Outcome, UsageError};

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
    /// A detector's head, on maps from stride 16 on: the paper's SSD-lite, or a feature
    /// pyramid with one head for all maps [default: ssdlite]
    #[arg(long, value_enum)]
    head: Option<HeadArg>,
    /// Side of the images, in pixels
    #[arg(long, default_value_t = 300, value_parser = whole(MIN_INPUT_SIDE..=MAX_INPUT_SIDE))]
    size: u32,
    /// Classes; for a detector they count the background, as in torchvision
    #[arg(long, default_value_t = 21, value_parser = whole(1..=MAX_CLASSES + 1))]
    classes: usize,
    /// Threads that share the work; 0 for all cores
    #[arg(long, default_value_t = 0, value_parser = whole(0..=MOST_THREADS.get()))]
    threads: usize,
    /// Instruction set of the kernels [default: the widest of this machine]
    #[arg(long, value_parser = isa())]
    isa: Option<Isa>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl BenchArgs {
    /// Refuses what the task can't have.
    fn check(&self) -> Result<()> {
        if self.task == TaskArg::Classify && self.head.is_some() {
            let fault = "--head: this would have no effect: a classifier has no such head";
            return Err(UsageError(fault.into()).into());
        }
        let (least, most) = match self.task {
            TaskArg::Classify => (1, MAX_CLASSES),
            TaskArg::Detect => (2, MAX_CLASSES + 1),
        };
        if (least..=most).contains(&self.classes) {
            return Ok(());
        }
        let found = self.classes;
        Err(UsageError(format!(
            "--classes: expected a whole number of {least} to {most}, found {found}"
        ))
        .into())
    }

    /// The head of a detector.
    fn head(&self) -> HeadKind {
        self.head.map_or(HeadKind::Ssdlite, HeadKind::from)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum TaskArg {
    Detect,
    Classify,
}
