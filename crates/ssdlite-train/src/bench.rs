//! How long a training step takes: forward, loss, backward and optimizer, on
//! data that is in memory already.

use std::fs;
use std::num::NonZeroUsize;
use std::time::Instant;

use burn::tensor::{Device, Tensor};
use serde::Serialize;
use ssdlite_core::classes::MAX_CLASSES;
use ssdlite_core::preprocessing::{MAX_INPUT_SIDE, MIN_INPUT_SIDE};
use ssdlite_core::{
    BoxCoder, ClassId, ClassNames, GroundTruth, ImageSize, MobileNetV3, ModelInfo, PixelBox,
    Variant,
};
use ssdlite_data::loader::{DifficultObjects, TargetEncoder};
use ssdlite_data::rng::Rng;
use ssdlite_nn::ops::set_cpu_threads;
use ssdlite_nn::{Classifier, Detector, Network};

use crate::config::{DeviceKind, OptimizerKind, TrainingOptions};
use crate::device::device_from_kind;
use crate::error::{Error, Result};
use crate::loss::{CrossEntropy, MultiboxLoss, MultiboxTargets, surrogate};
use crate::parameters::Parameters;
use crate::tensors::{floats, images_tensor};
use crate::threads::threads_from_option;

/// Steps before the first that counts: memory is fetched and threads start.
const WARM_UP: usize = 3;

/// Objects in each picture of a detector's batch.
const OBJECTS: usize = 2;

/// The most pictures in a batch.
const MOST_PICTURES: usize = 4096;

/// The most steps: the time of each is kept.
const MOST_STEPS: usize = 1_000_000;

/// The most numbers of a batch: 1 GiB.
const MOST_NUMBERS: usize = 1 << 28;

/// Numbers of a pixel.
const COLORS: usize = 3;

/// What the network is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BenchTask {
    /// A classifier.
    Classify,
    /// A detector.
    Detect,
}

/// What to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct BenchTrainOptions {
    /// What the network is for.
    pub task: BenchTask,
    /// Its backbone.
    pub backbone: Variant,
    /// Side of the pictures in pixels.
    pub size: u32,
    /// torchvision's `num_classes`: for a detector it counts the background.
    pub classes: usize,
    /// Pictures in a batch.
    pub batch: usize,
    /// Threads that share a step; 0 for all cores.
    pub threads: usize,
    /// Steps to measure.
    pub steps: usize,
    /// Where the steps are done.
    pub device: DeviceKind,
}

/// What was measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct BenchTrainReport {
    /// The median of the steps' times.
    pub median_s_per_step: f64,
    /// The least of the steps' times.
    pub min_s_per_step: f64,
    /// Pictures a second at the median.
    pub images_per_second: f64,
    /// The most memory that the process has had, where the system tells it.
    pub peak_memory_bytes: Option<u64>,
    /// What was asked for.
    #[serde(flatten)]
    pub options: BenchTrainOptions,
}

impl BenchTrainOptions {
    fn validate(&self) -> Result<()> {
        let classes = match self.task {
            BenchTask::Classify => 1..=MAX_CLASSES,
            BenchTask::Detect => 2..=MAX_CLASSES + 1,
        };
        let sides = MIN_INPUT_SIDE as usize..=MAX_INPUT_SIDE as usize;
        for (name, value, range) in [
            ("classes", self.classes, classes),
            ("batch", self.batch, 1..=MOST_PICTURES),
            ("steps", self.steps, 1..=MOST_STEPS),
            ("size", self.size as usize, sides),
        ] {
            if !range.contains(&value) {
                return Err(Error::Config(format!(
                    "{name}: expected {} to {}, found {value}",
                    range.start(),
                    range.end()
                )));
            }
        }
        if self.numbers() > MOST_NUMBERS {
            return Err(Error::Config(format!(
                "batch and size: expected at most {MOST_NUMBERS} numbers, found {}",
                self.numbers()
            )));
        }
        Ok(())
    }

    /// Numbers of a batch.
    fn numbers(&self) -> usize {
        self.batch * ImageSize::square(self.size).pixels() as usize * COLORS
    }
}

/// Measures training steps of a new network on random pictures, with SGD and
/// momentum.
///
/// # Errors
/// [`Error::Config`] for an option that is too small or too large,
/// [`Error::InvalidRequest`] for a device that this build has not, and
/// [`Error::Network`] if the threads can't start.
pub fn bench_train(options: &BenchTrainOptions) -> Result<BenchTrainReport> {
    options.validate()?;
    set_cpu_threads(threads_from_option(options.threads)?)?;
    let device = device_from_kind(options.device)?.autodiff();
    let mut seconds = match options.task {
        BenchTask::Classify => classifier_seconds(options, &device)?,
        BenchTask::Detect => detector_seconds(options, &device)?,
    };
    seconds.sort_by(f64::total_cmp);
    let median = seconds[seconds.len() / 2];
    Ok(BenchTrainReport {
        median_s_per_step: median,
        min_s_per_step: seconds[0],
        images_per_second: options.batch as f64 / median,
        peak_memory_bytes: peak_memory(),
        options: *options,
    })
}

fn classifier_seconds(options: &BenchTrainOptions, device: &Device) -> Result<Vec<f64>> {
    let table = MobileNetV3::new(options.backbone).classifier(options.classes);
    let network = Classifier::new(&table, 0, device);
    let labels: Vec<i32> = (0..options.batch)
        .map(|image| (image % options.classes) as i32)
        .collect();
    let loss = CrossEntropy {
        label_smoothing: 0.0,
    };
    step_seconds(options, device, network, |network, images| {
        let logits = network.forward(images);
        let loss = loss.evaluate(&floats(logits.clone()), &labels);
        surrogate(logits, loss.gradient)
    })
}

fn detector_seconds(options: &BenchTrainOptions, device: &Device) -> Result<Vec<f64>> {
    let classes = options.classes - 1;
    let backbone = MobileNetV3::new(options.backbone);
    let names = ClassNames::new((0..classes).map(|class| format!("class {class}")))?;
    let info = ModelInfo::detector(backbone, names, options.size);
    info.validate()?;
    let default_boxes = info
        .default_boxes()
        .ok_or_else(|| Error::InvalidRequest("expected a detector".into()))?;
    let encoder = TargetEncoder {
        default_boxes,
        coder: BoxCoder::default(),
        difficult: DifficultObjects::LeaveOut,
    };
    let (mut labels, mut regressions) = (Vec::new(), Vec::new());
    let mut random = Rng::from_keys(&[1]);
    for _ in 0..options.batch {
        let objects = random_objects(&mut random, options.size, classes);
        let size = ImageSize::square(options.size);
        encoder.append(&objects, size, &mut labels, &mut regressions);
    }
    let targets = MultiboxTargets {
        labels: &labels,
        regressions: &regressions,
        images: NonZeroUsize::new(options.batch).unwrap_or(NonZeroUsize::MIN),
    };
    let loss = MultiboxLoss::default();
    let threads = threads_from_option(options.threads)?;
    let network = Detector::new(&backbone.detector(classes), 0, device);
    step_seconds(options, device, network, |network, images| {
        let output = network.forward(images);
        let loss = loss.evaluate(
            &floats(output.logits.clone()),
            &floats(output.regressions.clone()),
            targets,
            threads,
        );
        surrogate(output.logits, loss.logit_gradient)
            + surrogate(output.regressions, loss.regression_gradient)
    })
}

fn random_objects(random: &mut Rng, size: u32, classes: usize) -> [GroundTruth; OBJECTS] {
    let side = size as f32;
    std::array::from_fn(|_| {
        let (x, y) = (random.unit() * side / 2.0, random.unit() * side / 2.0);
        let (width, height) = (
            random.uniform(side / 8.0..side / 2.0),
            random.uniform(side / 8.0..side / 2.0),
        );
        GroundTruth {
            class: ClassId::from_index(random.below(classes)),
            bbox: PixelBox::new(x, y, x + width, y + height),
            difficult: false,
        }
    })
}

/// Seconds of each step.
fn step_seconds<N: Network>(
    options: &BenchTrainOptions,
    device: &Device,
    mut network: N,
    objective: impl Fn(&N, Tensor<4>) -> Tensor<1>,
) -> Result<Vec<f64>> {
    let size = ImageSize::square(options.size);
    let mut random = Rng::from_keys(&[0]);
    let numbers = 0..options.numbers();
    let pixels = numbers.map(|_| random.uniform(-1.0..1.0)).collect();
    let images = images_tensor(pixels, options.batch, size, device);
    let training = TrainingOptions {
        optimizer: OptimizerKind::Sgd,
        lr: 1e-3,
        ..TrainingOptions::detector()
    };
    let mut parameters = Parameters::new(&network)?;
    let mut seconds = Vec::with_capacity(options.steps);
    for step in 0..WARM_UP + options.steps {
        let start = Instant::now();
        let mut gradients = objective(&network, images.clone()).backward();
        parameters.read(&network, &mut gradients);
        let norm = parameters.gradient_norm();
        parameters.update(&training, step as u64, 1.0, norm);
        network = parameters.write(network);
        if step >= WARM_UP {
            seconds.push(start.elapsed().as_secs_f64());
        }
    }
    Ok(seconds)
}

/// Linux's high-water mark of resident memory.
fn peak_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALLEST: BenchTrainOptions = BenchTrainOptions {
        task: BenchTask::Classify,
        backbone: Variant::Small,
        size: 33,
        classes: 3,
        batch: 2,
        threads: 1,
        steps: 2,
        device: DeviceKind::Cpu,
    };

    #[test]
    fn both_tasks_are_measured() {
        for task in [BenchTask::Classify, BenchTask::Detect] {
            let options = BenchTrainOptions { task, ..SMALLEST };
            let report = bench_train(&options).unwrap();
            assert!(report.min_s_per_step > 0.0);
            assert!(report.min_s_per_step <= report.median_s_per_step);
            assert_eq!(report.options, options);
        }
    }

    #[test]
    fn options_are_checked() {
        for options in [
            BenchTrainOptions {
                batch: 0,
                ..SMALLEST
            },
            BenchTrainOptions {
                steps: 0,
                ..SMALLEST
            },
            BenchTrainOptions {
                size: 0,
                ..SMALLEST
            },
            BenchTrainOptions {
                task: BenchTask::Detect,
                classes: 1,
                ..SMALLEST
            },
            BenchTrainOptions {
                classes: usize::MAX,
                ..SMALLEST
            },
            BenchTrainOptions {
                batch: usize::MAX,
                ..SMALLEST
            },
            BenchTrainOptions {
                steps: usize::MAX,
                ..SMALLEST
            },
            BenchTrainOptions {
                size: u32::MAX,
                ..SMALLEST
            },
            BenchTrainOptions {
                batch: 4096,
                size: 2048,
                ..SMALLEST
            },
            BenchTrainOptions {
                threads: usize::MAX,
                ..SMALLEST
            },
        ] {
            assert!(matches!(bench_train(&options), Err(Error::Config(_))));
        }
    }
}
