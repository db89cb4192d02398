//! Inference, layer by layer, on the shapes of the networks.
//!
//! `cargo bench -p ssdlite-infer --bench layers -- [NAME...]` with names of
//! [`NETWORKS`]; `threads=N` and `rounds=N` set these, and `--test` runs each
//! layer once. For each layer as it is run, fused with its neighbours, it prints
//! the median time in milliseconds in the course of the whole network, its
//! share, and the rate.

#![allow(clippy::print_stdout)]

use std::num::NonZeroUsize;
use std::time::Duration;

use ssdlite_core::{ClassNames, MobileNetV3, ModelInfo, Variant};
use ssdlite_infer::bench::{BenchOptions, Report, arbitrary_model, classifier, detector};
use ssdlite_infer::{Classifier, Detector, DetectorOptions, Result, RunOptions};

/// Name, network, side of the pictures, and classes.
const NETWORKS: [(&str, Variant, u32, usize); 4] = [
    ("detector-large-320", Variant::Large, 320, 20),
    ("detector-small-320", Variant::Small, 320, 20),
    ("classifier-large-224", Variant::Large, 224, 1000),
    ("classifier-small-224", Variant::Small, 224, 1000),
];

const ROUNDS: usize = 100;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |key: &str, default: usize| {
        arguments
            .iter()
            .find_map(|argument| argument.strip_prefix(key)?.parse().ok())
            .unwrap_or(default)
    };
    let is_test = arguments.iter().any(|argument| argument == "--test");
    let rounds = number("rounds=", if is_test { 1 } else { ROUNDS });
    let threads = NonZeroUsize::new(number("threads=", 2)).unwrap_or(NonZeroUsize::MIN);
    let is_name = |argument: &&String| !argument.contains('=') && !argument.starts_with("--");
    let names: Vec<&String> = arguments.iter().filter(is_name).collect();
    for (name, variant, side, classes) in NETWORKS {
        if names.is_empty() || names.iter().any(|wanted| name == wanted.as_str()) {
            let options = BenchOptions {
                runs: rounds,
                batch: 1,
            };
            let run = RunOptions::threads(threads);
            let classes = ClassNames::new((1..=classes).map(|class| format!("class {class}")))?;
            let backbone = MobileNetV3::new(variant);
            let report = if name.starts_with("detector") {
                let info = ModelInfo::detector(backbone, classes, side);
                let model_options = DetectorOptions {
                    run,
                    ..DetectorOptions::default()
                };
                detector(
                    &Detector::new(&arbitrary_model(&info)?, &model_options)?,
                    options,
                )?
            } else {
                let info = ModelInfo::classifier(backbone, classes, side);
                classifier(&Classifier::new(&arbitrary_model(&info)?, run)?, options)?
            };
            print(name, threads, &report);
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
        let shape = format!(
            "{}x{}x{} -> {}x{}x{}",
            layer.in_channels,
            layer.input.height,
            layer.input.width,
            layer.out_channels,
            layer.output.height,
            layer.output.width
        );
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
