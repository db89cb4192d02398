//! `bench train`: how long a training step takes on this machine.

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use ssdlite_infer::bench::MOST_IMAGES;
use ssdlite_train::bench::MOST_STEPS;
use ssdlite_train::config::DeviceKind;
use ssdlite_train::{BenchTask, BenchTrainOptions, BenchTrainReport, bench_train};

use super::{BenchArgs, TaskArg};
use crate::args::network::DeviceArg;
use crate::args::number::whole;
use crate::console;
use crate::device::device_from_kind;
use crate::outcome::{Outcome, UsageError};

#[derive(Args)]
pub(crate) struct BenchTrainArgs {
    #[command(flatten)]
    bench: BenchArgs,
    /// Images in a batch
    #[arg(long, default_value_t = 24, value_parser = whole(1..=MOST_IMAGES))]
    batch: usize,
    /// Steps to measure, after a few that don't count
    #[arg(long, default_value_t = 10, value_parser = whole(1..=MOST_STEPS))]
    steps: usize,
    /// Where the steps are done
    #[arg(long, value_enum, default_value_t = DeviceArg::Cpu)]
    device: DeviceArg,
}

#[derive(Serialize)]
struct Json {
    #[serde(flatten)]
    report: BenchTrainReport,
    device: DeviceKind,
}

impl BenchTrainArgs {
    pub(crate) fn run(self) -> Result<Outcome> {
        let bench = self.bench;
        bench.check()?;
        let options = BenchTrainOptions {
            task: match bench.task {
                TaskArg::Detect => BenchTask::Detect,
                TaskArg::Classify => BenchTask::Classify,
            },
            backbone: bench.backbone.into(),
            head: (bench.task == TaskArg::Detect).then(|| bench.head()),
            size: bench.size,
            classes: bench.classes,
            batch: self.batch,
            threads: bench.threads,
            isa: bench.isa,
            steps: self.steps,
        };
        let device = DeviceKind::from(self.device);
        if device != DeviceKind::Cpu && bench.isa.is_some() {
            let fault = "--isa: this would have no effect: steps on a GPU have no such kernels";
            return Err(UsageError(fault.into()).into());
        }
        let report = bench_train(&options, device_from_kind(device)?.as_ref());
        let report = report.map_err(|error| match error {
            ssdlite_train::Error::Config(message) => UsageError(message).into(),
            other => anyhow::Error::from(other),
        })?;
        if bench.json {
            console::json(&Json { report, device })?;
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
