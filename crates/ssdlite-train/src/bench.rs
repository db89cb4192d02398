//! How long a training step takes: forward, loss, backward and optimizer, on
//! data that is in memory already.

use std::fs;
use std::num::NonZeroUsize;
use std::time::Instant;

use serde::Serialize;
use ssdlite_core::classes::MAX_CLASSES;
use ssdlite_core::detector::BOX_NUMBERS;
use ssdlite_core::geometry::Fractions;
use ssdlite_core::matcher::Assignment;
use ssdlite_core::preprocessing::{MAX_INPUT_SIDE, MIN_INPUT_SIDE};
use ssdlite_core::random::Rng;
use ssdlite_core::{
    BoxCoder, CenterBox, ClassId, ClassNames, DetectorSettings, GroundTruth, ImageSize,
    MobileNetV3, ModelInfo, PixelBox, Task, Variant,
};
use ssdlite_data::loader::{BACKGROUND, DifficultObjects, TargetEncoder};
use ssdlite_kernels::Isa;

use crate::config::{Freeze, HeadKind, OptimizerKind, TrainingOptions};
use crate::error::{Error, Result};
use crate::step::loss::{CrossEntropy, MultiboxLoss};
use crate::step::{
    Batch, Cpu, Objective, Parameters, StepOptions, Targets, TensorLayout, TrainingDevice,
    random_values,
};
use crate::threads::threads_from_option;

/// Steps before the first that counts: memory is fetched and threads start.
const WARM_UP: usize = 3;

/// Objects in each image of a detector's batch.
const OBJECTS: usize = 2;

/// The most images in a batch.
const MOST_IMAGES: usize = 4096;

/// The most steps: the time of each is kept.
pub const MOST_STEPS: usize = 1_000_000;

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
    /// A detector's head; none for a classifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<HeadKind>,
    /// Side of the images in pixels.
    pub size: u32,
    /// torchvision's `num_classes`: for a detector it counts the background.
    pub classes: usize,
    /// Images in a batch.
    pub batch: usize,
    /// Threads that share a step; 0 for all cores.
    pub threads: usize,
    /// Instruction set of the CPU's kernels; the widest of the machine unless given.
    #[serde(skip)]
    pub isa: Option<Isa>,
    /// Steps to measure.
    pub steps: usize,
}

/// What was measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct BenchTrainReport {
    /// The median of the steps' times.
    pub median_s_per_step: f64,
    /// The least of the steps' times.
    pub min_s_per_step: f64,
    /// Images a second at the median.
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
            ("batch", self.batch, 1..=MOST_IMAGES),
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
        if (self.task == BenchTask::Detect) != self.head.is_some() {
            return Err(Error::Config(
                "head: expected one for a detector and none for a classifier".into(),
            ));
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

/// Measures training steps of a new network on random images, with SGD and
/// momentum.
///
/// # Errors
/// [`Error::Config`] for an option that is too small or too large,
/// [`Error::Threads`] if the threads can't start, and what the device refuses.
pub fn bench_train(
    options: &BenchTrainOptions,
    device: &dyn TrainingDevice,
) -> Result<BenchTrainReport> {
    options.validate()?;
    let work = Work::new(options)?;
    let mut seconds = work.step_seconds(options, device)?;
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

/// A network and what it should say of a batch.
struct Work {
    info: ModelInfo,
    objective: Objective,
    /// Class ids of images, or of default boxes with the background counted.
    labels: Vec<i32>,
    /// What the default boxes should say; empty for a classifier.
    regressions: Vec<f32>,
    /// Empty for a classifier.
    default_boxes: Vec<CenterBox<Fractions>>,
}

impl Work {
    fn new(options: &BenchTrainOptions) -> Result<Self> {
        match options.task {
            BenchTask::Classify => Self::classify(options),
            BenchTask::Detect => Self::detect(options),
        }
    }

    fn classify(options: &BenchTrainOptions) -> Result<Self> {
        let labels = (0..options.batch).map(|image| (image % options.classes) as i32);
        Ok(Self {
            info: ModelInfo::classifier(
                MobileNetV3::new(options.backbone),
                class_names(options.classes)?,
                options.size,
            ),
            objective: Objective::CrossEntropy(CrossEntropy::default()),
            labels: labels.collect(),
            regressions: Vec::new(),
            default_boxes: Vec::new(),
        })
    }

    fn detect(options: &BenchTrainOptions) -> Result<Self> {
        let classes = options.classes - 1;
        let backbone = MobileNetV3::new(options.backbone);
        let mut info = ModelInfo::detector(backbone, class_names(classes)?, options.size);
        if let Some(head) = options.head {
            info.task = Task::Detect(DetectorSettings::with_head(head.head()));
        }
        info.validate()?;
        let default_boxes = info
            .default_boxes()
            .ok_or_else(|| Error::InvalidRequest("expected a detector".into()))?;
        let encoder = TargetEncoder {
            default_boxes,
            coder: BoxCoder::default(),
            assignment: Assignment::default(),
            difficult: DifficultObjects::LeaveOut,
        };
        let boxes = encoder.default_boxes.len();
        let mut labels = vec![BACKGROUND; options.batch * boxes];
        let mut regressions = vec![0.0; options.batch * boxes * BOX_NUMBERS];
        let mut random = Rng::from_keys(&[1]);
        let targets = labels.chunks_exact_mut(boxes);
        for (labels, regressions) in targets.zip(regressions.chunks_exact_mut(boxes * BOX_NUMBERS))
        {
            let objects = random_objects(&mut random, options.size, classes);
            let size = ImageSize::square(options.size);
            encoder.write(&objects, size, labels, regressions);
        }
        Ok(Self {
            info,
            objective: Objective::Multibox(MultiboxLoss::default()),
            labels,
            regressions,
            default_boxes: encoder.default_boxes.centers().to_vec(),
        })
    }

    fn targets(&self) -> Targets<'_> {
        match self.objective {
            Objective::CrossEntropy(_) => Targets::Classes(&self.labels),
            Objective::Multibox(_) => Targets::Boxes {
                labels: &self.labels,
                regressions: &self.regressions,
                default_boxes: &self.default_boxes,
            },
        }
    }

    /// Seconds of each step.
    fn step_seconds(
        &self,
        options: &BenchTrainOptions,
        device: &dyn TrainingDevice,
    ) -> Result<Vec<f64>> {
        let mut cpu = Cpu::new(threads_from_option(options.threads)?)?;
        if let Some(isa) = options.isa {
            cpu.isa = isa;
        }
        let mut random = Rng::from_keys(&[0]);
        let numbers = 0..options.numbers();
        let pixels: Vec<f32> = numbers.map(|_| random.uniform(-1.0..1.0)).collect();
        let training = TrainingOptions {
            optimizer: OptimizerKind::Sgd,
            lr: 1e-3,
            epochs: 1,
            ..TrainingOptions::default()
        };
        let schedule = training.schedule((WARM_UP + options.steps) as u64);
        let graph = self.info.graph();
        let layout = TensorLayout::new(&graph, Freeze::None.trained());
        let step_options = StepOptions {
            images: NonZeroUsize::new(options.batch).unwrap_or(NonZeroUsize::MIN),
            input: self.info.input(),
            objective: self.objective,
        };
        let mut step = device.step(&graph, &layout, step_options, &cpu)?;
        let values = random_values(&layout, 0);
        let mut parameters = Parameters::new(layout, values)?;
        let mut seconds = Vec::with_capacity(options.steps);
        for number in 0..WARM_UP + options.steps {
            let start = Instant::now();
            let batch = Batch {
                pixels: &pixels,
                targets: self.targets(),
                random: number as u64,
            };
            step.run(batch, parameters.step_tensors())?;
            let norm = parameters.gradient_norm();
            parameters.update(cpu.context(), &training, &schedule, number as u64, norm);
            if number >= WARM_UP {
                seconds.push(start.elapsed().as_secs_f64());
            }
        }
        Ok(seconds)
    }
}

fn class_names(count: usize) -> Result<ClassNames> {
    Ok(ClassNames::new(
        (0..count).map(|class| format!("class {class}")),
    )?)
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
    use crate::step::OnCpu;

    const SMALLEST: BenchTrainOptions = BenchTrainOptions {
        task: BenchTask::Classify,
        backbone: Variant::Small,
        head: None,
        size: 33,
        classes: 3,
        batch: 2,
        threads: 1,
        isa: None,
        steps: 2,
    };

    #[test]
    fn both_tasks_and_all_heads_are_measured() {
        for (task, head) in [
            (BenchTask::Classify, None),
            (BenchTask::Detect, Some(HeadKind::Ssdlite)),
            (BenchTask::Detect, Some(HeadKind::Fpn)),
        ] {
            let options = BenchTrainOptions {
                task,
                head,
                ..SMALLEST
            };
            let report = bench_train(&options, &OnCpu).unwrap();
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
                head: Some(HeadKind::Fpn),
                ..SMALLEST
            },
            BenchTrainOptions {
                task: BenchTask::Detect,
                head: None,
                ..SMALLEST
            },
            BenchTrainOptions {
                task: BenchTask::Detect,
                head: Some(HeadKind::Ssdlite),
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
            assert!(matches!(
                bench_train(&options, &OnCpu),
                Err(Error::Config(_))
            ));
        }
    }
}
