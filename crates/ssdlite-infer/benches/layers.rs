//! Inference, layer by layer, on the shapes of the networks.
//!
//! `cargo bench -p ssdlite-infer --bench layers -- [NAME...]` with names of
//! [`NETWORKS`]; `threads=N` and `rounds=N` set these, and `--test` runs each
//! layer once. For each layer as it is run, fused with its neighbours, it prints
//! the median time in milliseconds in the course of the whole network, its
//! share, and the rate.

#![allow(clippy::print_stdout)]

use std::error::Error;
use std::num::NonZeroUsize;
use std::time::Duration;

use ssdlite_core::{ClassNames, MobileNetV3, ModelInfo, Variant};
use ssdlite_infer::bench::{BenchOptions, Report, arbitrary_model, measure};
use ssdlite_infer::{Classifier, Detector, DetectorOptions, RunOptions};

/// Name, network, side of the images, and classes.
const NETWORKS: [(&str, Variant, u32, usize); 4] = [
    ("detector-large-320", Variant::Large, 320, 20),
    ("detector-small-320", Variant::Small, 320, 20),
    ("classifier-large-224", Variant::Large, 224, 1000),
    ("classifier-small-224", Variant::Small, 224, 1000),
];

const ROUNDS: usize = 100;

const THREADS: NonZeroUsize = NonZeroUsize::new(2).unwrap();

/// What to measure.
struct Arguments {
    rounds: usize,
    threads: NonZeroUsize,
    /// Names of networks; none for all.
    names: Vec<String>,
}

impl Arguments {
    fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut parsed = Self {
            rounds: ROUNDS,
            threads: THREADS,
            names: Vec::new(),
        };
        for argument in arguments {
            let wrong = || {
                let known = NETWORKS.map(|(name, ..)| name).join(", ");
                format!("expected {known}, threads=N, rounds=N or --test, found {argument}")
            };
            match argument.split_once('=') {
                Some(("rounds", value)) => parsed.rounds = value.parse().map_err(|_| wrong())?,
                Some(("threads", value)) => parsed.threads = value.parse().map_err(|_| wrong())?,
                None if argument == "--test" => parsed.rounds = 1,
                // Cargo adds it.
                None if argument == "--bench" => {}
                None if NETWORKS.iter().any(|(name, ..)| *name == argument) => {
                    parsed.names.push(argument);
                }
                _ => return Err(wrong()),
            }
        }
        Ok(parsed)
    }

    fn wants(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|wanted| wanted == name)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse(std::env::args().skip(1))?;
    for (name, variant, side, classes) in NETWORKS {
        if arguments.wants(name) {
            let options = BenchOptions {
                runs: arguments.rounds,
                batch: 1,
            };
            let run = RunOptions::threads(arguments.threads);
            let classes = ClassNames::new((1..=classes).map(|class| format!("class {class}")))?;
            let backbone = MobileNetV3::new(variant);
            let report = if name.starts_with("detector") {
                let info = ModelInfo::detector(backbone, classes, side);
                let model_options = DetectorOptions {
                    run,
                    ..DetectorOptions::default()
                };
                measure(
                    &Detector::new(&arbitrary_model(&info)?, &model_options)?,
                    options,
                )?
            } else {
                let info = ModelInfo::classifier(backbone, classes, side);
                measure(&Classifier::new(&arbitrary_model(&info)?, &run)?, options)?
            };
            print(name, arguments.threads, &report);
        }
    }
    Ok(())
}

fn print(name: &str, threads: NonZeroUsize, report: &Report) {
    let milliseconds = |time: Duration| 1e3 * time.as_secs_f64();
    let total: Duration = report.layers.iter().map(|time| time.median).sum();
    println!(
        "{name} on {threads} threads: {:.3} ms, of {:.0} GFLOP/s",
        milliseconds(report.median),
        report.peak_flops / 1e9
    );
    for time in &report.layers {
        let layer = &time.layer;
        let shape = layer.shape_text();
        println!(
            "  {:40} {:24} {shape:28} {:7.3} {:5.1}% {:7.1}",
            layer.key,
            layer.operation,
            milliseconds(time.median),
            1e2 * time.median.as_secs_f64() / total.as_secs_f64().max(f64::MIN_POSITIVE),
            time.flops() / 1e9
        );
    }
}
