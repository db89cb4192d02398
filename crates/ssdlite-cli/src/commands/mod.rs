//! The commands, a module each.

mod bench;
mod bench_infer;
mod classifier;
mod data;
mod demo;
mod detect;
mod detect_video;
mod detection_json;
mod eval;
mod import;
mod inspect;
mod live;
mod live_args;
mod model_args;
mod save_folder;
mod saved_video;
mod serve;
mod server_args;
mod train;
mod train_options;

use anyhow::Result;
use clap::Subcommand;

/// How a command ended that could be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All that was asked for was done.
    Done,
    /// Something was wrong; it has been said.
    Failed,
}

impl Outcome {
    /// Failed if anything did; says how many.
    pub(crate) fn from_failures(failures: usize) -> Self {
        if failures == 0 {
            return Self::Done;
        }
        let inputs = crate::progress::counted(failures as u64, "input");
        crate::console::error(&format!("{inputs} could not be used"));
        Self::Failed
    }
}

/// The options contradict each other: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct UsageError(pub(crate) String);

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make sample data, train a detector on it, evaluate it and draw what it
    /// finds, all in runs/demo.
    Demo(demo::DemoArgs),
    /// Make, check, describe and split data sets.
    #[command(subcommand)]
    Data(data::DataCommand),
    /// Train, evaluate and use classifiers.
    #[command(subcommand)]
    Classifier(classifier::ClassifierCommand),
    /// Train a detector on images with boxes.
    Train(Box<train::TrainArgs>),
    /// Measure a detector's average precision and detection rates.
    Eval(eval::EvalArgs),
    /// Find objects in images, videos, cameras and streams.
    Detect(detect::DetectArgs),
    /// Watch a camera, a video or a stream with its objects in a web page.
    Live(live::LiveArgs),
    /// Find objects in the pictures that programs send over HTTP.
    Serve(serve::ServeArgs),
    /// Turn a PyTorch file of torchvision's networks into a model file.
    Import(import::ImportArgs),
    /// Show what a model file holds.
    Inspect(inspect::InspectArgs),
    /// Measure how long a network takes on this machine.
    #[command(subcommand)]
    Bench(bench::BenchCommand),
}

impl Command {
    pub(crate) fn run(self) -> Result<Outcome> {
        match self {
            Self::Demo(args) => args.run(),
            Self::Data(command) => command.run(),
            Self::Classifier(command) => command.run(),
            Self::Train(args) => args.run(),
            Self::Eval(args) => args.run(),
            Self::Detect(args) => args.run(),
            Self::Live(args) => args.run(),
            Self::Serve(args) => args.run(),
            Self::Import(args) => args.run(),
            Self::Inspect(args) => args.run(),
            Self::Bench(command) => command.run(),
        }
    }
}
