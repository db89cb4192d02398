//! `bench`: how long a network takes on this machine.

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};
use ssdlite_core::mobilenet::Variant;
use ssdlite_train::{BenchTask, BenchTrainOptions, BenchTrainReport, bench_train};

use super::Outcome;
use super::bench_infer::BenchInferArgs;
use crate::console;

#[derive(Subcommand)]
pub(crate) enum BenchCommand {
    /// Time a network on pictures in memory
    Infer(BenchInferArgs),
    /// Time training steps on random pictures.
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

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum TaskArg {
    Detect,
    Classify,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum BackboneArg {
    Small,
    Large,
}

impl From<BackboneArg> for Variant {
    fn from(backbone: BackboneArg) -> Self {
        match backbone {
            BackboneArg::Small => Self::Small,
            BackboneArg::Large => Self::Large,
        }
    }
}

#[derive(Args)]
pub(crate) struct BenchTrainArgs {
    /// What the network is for
    #[arg(long, value_enum, default_value = "detect")]
    task: TaskArg,
    /// Its MobileNetV3
    #[arg(long, value_enum, default_value = "small")]
    backbone: BackboneArg,
    /// Side of the pictures, in pixels
    #[arg(long, default_value_t = 300)]
    size: u32,
    /// Classes; for a detector they count the background, as in torchvision
    #[arg(long, default_value_t = 21)]
    classes: usize,
    /// Pictures in a batch
    #[arg(long, default_value_t = 24)]
    batch: usize,
    /// Threads that share a step; 0 for all cores
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Steps to measure, after a few that don't count
    #[arg(long, default_value_t = 10)]
    steps: usize,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl BenchTrainArgs {
    fn run(self) -> Result<Outcome> {
        let report = bench_train(&BenchTrainOptions {
            task: match self.task {
                TaskArg::Detect => BenchTask::Detect,
                TaskArg::Classify => BenchTask::Classify,
            },
            backbone: self.backbone.into(),
            size: self.size,
            classes: self.classes,
            batch: self.batch,
            threads: self.threads,
            steps: self.steps,
        })?;
        if self.json {
            console::json(&report)?;
        } else {
            console::text(text_from_report(&report))?;
        }
        Ok(Outcome::Done)
    }
}

fn text_from_report(report: &BenchTrainReport) -> String {
    let mut text = format!(
        "{:.1} ms a step (at best {:.1}), {:.0} images a second",
        1e3 * report.median_s_per_step,
        1e3 * report.min_s_per_step,
        report.images_per_second
    );
    if let Some(bytes) = report.peak_memory_bytes {
        text += &format!(", {} MiB at most", bytes >> 20);
    }
    text
}
