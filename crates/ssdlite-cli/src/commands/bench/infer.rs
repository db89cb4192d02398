//! `bench infer`: how long a network takes to run on this machine.

use std::num::NonZeroUsize;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use serde::Serialize;
use ssdlite_core::{ClassNames, DetectorSettings, MobileNetV3, ModelInfo, Task};
use ssdlite_infer::bench::{self, BenchOptions, Report};
use ssdlite_infer::{Classifier, Detector, DetectorOptions, RunOptions};

use super::{BenchArgs, TaskArg};
use crate::args::number::whole;
use crate::console::{self, counted};
use crate::outcome::Outcome;

#[derive(Args)]
pub(crate) struct BenchInferArgs {
    #[command(flatten)]
    bench: BenchArgs,
    /// Images in a batch
    #[arg(long, default_value_t = 1, value_parser = whole(1..=bench::MOST_IMAGES))]
    batch: usize,
    /// Runs to measure, after a few that don't count
    #[arg(long, default_value_t = 50, value_parser = whole(1..=bench::MOST_RUNS))]
    runs: usize,
    /// Show each layer
    #[arg(long)]
    layers: bool,
}

#[derive(Serialize)]
struct Json {
    median_ms: f64,
    min_ms: f64,
    runs: usize,
    threads: usize,
    isa: String,
    macs: u64,
    peak_gflops: f64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    layers: Vec<LayerJson>,
}

#[derive(Serialize)]
struct LayerJson {
    layer: String,
    operation: String,
    shape: String,
    ms: f64,
    share: f64,
    gflops: f64,
    share_of_peak: f64,
}

impl BenchInferArgs {
    pub(crate) fn run(self) -> Result<Outcome> {
        let args = &self.bench;
        args.check()?;
        let run = RunOptions {
            threads: NonZeroUsize::new(args.threads),
            isa: args.isa,
            ..RunOptions::default()
        };
        let options = BenchOptions {
            runs: self.runs,
            batch: self.batch,
        };
        let backbone = MobileNetV3::new(args.backbone.into());
        let (report, threads, isa) = match args.task {
            TaskArg::Detect => {
                let classes = class_names(args.classes.saturating_sub(1))?;
                let mut info = ModelInfo::detector(backbone, classes, args.size);
                info.task = Task::Detect(DetectorSettings::with_head(args.head().head()));
                let file = bench::arbitrary_model(&info)?;
                let detector_options = DetectorOptions {
                    run,
                    post_processing: None,
                    tiles: None,
                };
                let model = Detector::new(&file, &detector_options)?;
                let report = bench::measure(&model, options)?;
                (report, model.threads(), model.isa())
            }
            TaskArg::Classify => {
                let classes = class_names(args.classes)?;
                let info = ModelInfo::classifier(backbone, classes, args.size);
                let file = bench::arbitrary_model(&info)?;
                let model = Classifier::new(&file, &run)?;
                let report = bench::measure(&model, options)?;
                (report, model.threads(), model.isa())
            }
        };
        let layers = if self.layers {
            layers(&report)
        } else {
            Vec::new()
        };
        let json = Json {
            median_ms: milliseconds(report.median),
            min_ms: milliseconds(report.min),
            runs: report.runs,
            threads,
            isa: isa.to_string(),
            macs: report.macs,
            peak_gflops: report.peak_flops / 1e9,
            layers,
        };
        if args.json {
            console::json(&json)?;
        } else {
            console::table(text(&json, self.batch))?;
        }
        Ok(Outcome::Done)
    }
}

fn class_names(count: usize) -> Result<ClassNames> {
    ClassNames::new((1..=count).map(|class| format!("class {class}"))).context("--classes")
}

fn layers(report: &Report) -> Vec<LayerJson> {
    let total: Duration = report.layers.iter().map(|layer| layer.median).sum();
    let rows = report.layers.iter().map(|time| {
        let layer = &time.layer;
        LayerJson {
            layer: layer.key.clone(),
            operation: layer.operation.clone(),
            shape: layer.shape_text(),
            ms: milliseconds(time.median),
            share: time.median.as_secs_f64() / total.as_secs_f64().max(f64::MIN_POSITIVE),
            gflops: time.flops() / 1e9,
            share_of_peak: time.flops() / report.peak_flops,
        }
    });
    rows.collect()
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn text(report: &Json, batch: usize) -> String {
    let gflops = 2e-6 * report.macs as f64 * batch as f64 / report.median_ms;
    let mut text = format!(
        "{:.2} ms (at best {:.2}) on {} with {}, {gflops:.0} of {:.0} GFLOP/s",
        report.median_ms,
        report.min_ms,
        counted(report.threads as u64, "thread"),
        report.isa,
        report.peak_gflops
    );
    if !report.layers.is_empty() {
        text += &format!(
            "\n{:40} {:24} {:30} {:>7} {:>6} {:>8} {:>6}",
            "layer", "operation", "shape", "ms", "share", "GFLOP/s", "peak"
        );
    }
    for layer in &report.layers {
        text += &format!(
            "\n{:40} {:24} {:30} {:7.3} {:5.1}% {:8.1} {:5.1}%",
            layer.layer,
            layer.operation,
            layer.shape,
            layer.ms,
            1e2 * layer.share,
            layer.gflops,
            1e2 * layer.share_of_peak
        );
    }
    text
}
