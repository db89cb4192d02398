//! The commands, a module each.

mod bench;
mod classifier;
mod compare;
mod completions;
mod data;
mod demo;
mod detect;
mod eval;
mod export;
mod import;
mod inspect;
mod live;
mod man;
mod serve;
mod train;

use anyhow::Result;
use clap::Subcommand;

use crate::outcome::Outcome;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make sample data, train a detector on it, evaluate it and draw what it
    /// finds, all in runs/demo.
    Demo(demo::DemoArgs),
    /// Make, check, describe, split and convert data sets, and pick what to label next.
    #[command(subcommand)]
    Data(data::DataCommand),
    /// Train, evaluate and use classifiers.
    #[command(subcommand)]
    Classifier(classifier::ClassifierCommand),
    /// Train a detector on images with boxes.
    Train(Box<train::TrainArgs>),
    /// Measure a detector's average precision and detection rates.
    Eval(eval::EvalArgs),
    /// Set two detectors against each other: scores, speed and size.
    Compare(compare::CompareArgs),
    /// Find objects in images, videos, cameras and streams.
    Detect(detect::DetectArgs),
    /// Watch a camera, a video or a stream with its objects in a web page.
    Live(live::LiveArgs),
    /// Find objects in the images that programs send over HTTP.
    Serve(serve::ServeArgs),
    /// Turn a PyTorch file of torchvision's networks into a model file.
    Import(import::ImportArgs),
    /// Turn a model file into ONNX for other engines, or into a PyTorch file.
    Export(export::ExportArgs),
    /// Show what a model file holds.
    Inspect(inspect::InspectArgs),
    /// Measure how long a network takes on this machine.
    #[command(subcommand)]
    Bench(bench::BenchCommand),
    /// Print a script that completes commands and options in a shell.
    Completions(completions::CompletionsArgs),
    /// Write manual pages, one for each command.
    Man(man::ManArgs),
}

impl Command {
    pub(crate) fn run(self) -> Result<Outcome> {
        match self {
            Self::Demo(args) => args.run(),
            Self::Data(command) => command.run(),
            Self::Classifier(command) => command.run(),
            Self::Train(args) => args.run(),
            Self::Eval(args) => args.run(),
            Self::Compare(args) => args.run(),
            Self::Detect(args) => args.run(),
            Self::Live(args) => args.run(),
            Self::Serve(args) => args.run(),
            Self::Import(args) => args.run(),
            Self::Export(args) => args.run(),
            Self::Inspect(args) => args.run(),
            Self::Bench(command) => command.run(),
            Self::Completions(args) => args.run(),
            Self::Man(args) => args.run(),
        }
    }
}
