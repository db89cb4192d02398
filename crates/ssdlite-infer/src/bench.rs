//! How long a network takes, as a whole and layer by layer, against what the
//! machine's arithmetic allows.
//!
//! [`measure`] takes the network alone: input and output are in memory, nothing is
//! decoded, resized or turned into boxes. [`Turns`] takes detectors from pixels to boxes,
//! one against the other.

use std::time::{Duration, Instant};

use ssdlite_core::{ModelInfo, TensorRole};
use ssdlite_image::{AsRgb, RgbImage};
use ssdlite_kernels::infer::multiply_adds;
use ssdlite_model::{Error, ModelFile, Result, StateDict, StateTensor, Values};

use crate::detector::Detector;
use crate::engine::Engine;
use crate::model::{Model, ModelTask};
use crate::plan::LayerInfo;

/// Runs before anything is measured: caches fill, threads wake.
const WARM_UP_RUNS: usize = 5;

/// The most runs: the time of each is kept.
pub const MOST_RUNS: usize = 1_000_000;

/// The most images of a run.
pub const MOST_IMAGES: usize = 4096;

/// How long each measurement of the machine's peak takes at least, and how
/// many there are.
const PEAK_TIME: Duration = Duration::from_millis(10);
const PEAK_MEASUREMENTS: usize = 5;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BenchOptions {
    /// Runs that count.
    pub runs: usize,
    /// Images of a run. Threads share an image where there are fewer
    /// images than threads, and else take one each.
    pub batch: usize,
}

impl Default for BenchOptions {
    fn default() -> Self {
        Self { runs: 50, batch: 1 }
    }
}

impl BenchOptions {
    fn validate(&self) -> Result<()> {
        for (what, most, found) in [
            ("runs", MOST_RUNS, self.runs),
            ("images in a batch", MOST_IMAGES, self.batch),
        ] {
            if !(1..=most).contains(&found) {
                return Err(Error::OverLimit(format!(
                    "expected 1 to {most} {what}, found {found}"
                )));
            }
        }
        Ok(())
    }
}

/// What was measured.
#[derive(Clone, Debug)]
pub struct Report {
    /// Runs that were measured.
    pub runs: usize,
    /// Median time of a run.
    pub median: Duration,
    /// Shortest time of a run.
    pub min: Duration,
    /// Multiplications with addition of an image.
    pub macs: u64,
    /// Multiplications and additions that the threads can do in a second.
    pub peak_flops: f64,
    /// Median times of the layers, from runs of their own on one image.
    pub layers: Vec<LayerTime>,
}

/// The time of a layer.
#[derive(Clone, Debug)]
pub struct LayerTime {
    /// The layer.
    pub layer: LayerInfo,
    /// Its median time.
    pub median: Duration,
}

impl LayerTime {
    /// Multiplications and additions a second.
    pub fn flops(&self) -> f64 {
        2.0 * self.layer.macs as f64 / self.median.as_secs_f64().max(f64::MIN_POSITIVE)
    }
}

/// A model with weights that are arbitrary and keep all numbers in range, for
/// measuring time.
///
/// # Errors
/// [`Error::Malformed`] or [`Error::OverLimit`] for a description that is not
/// sound.
pub fn arbitrary_model(info: &ModelInfo) -> Result<ModelFile> {
    info.validate()?;
    let mut state = 1_u32;
    // The linear congruential generator of Numerical Recipes.
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    let tensors = info.tensors().into_iter();
    let trained = tensors.filter(|spec| spec.role != TensorRole::BatchesTracked);
    let state: StateDict = trained
        .map(|spec| {
            let bound = match spec.role {
                // Keeps the variance of what passes through.
                TensorRole::Weight => {
                    let fan_in: usize = spec.shape[1..].iter().product();
                    (3.0 / fan_in as f32).sqrt()
                }
                _ => 0.1,
            };
            let low = match spec.role {
                TensorRole::BatchNormWeight | TensorRole::RunningVar => 1.0,
                _ => 0.0,
            };
            let numbers = (0..spec.elements()).map(|_| low + bound * next());
            let values = Values::F32(numbers.collect());
            let shape = spec.shape;
            (spec.key, StateTensor { shape, values })
        })
        .collect();
    ModelFile::new(info.clone(), state)
}

/// Measures a model's network.
///
/// # Errors
/// [`Error::OverLimit`] for options that are 0 or too large.
pub fn measure<T: ModelTask>(model: &Model<T>, options: BenchOptions) -> Result<Report> {
    options.validate()?;
    let engine = &model.engine;
    let BenchOptions { runs, batch } = options;
    let image = RgbImage::filled(engine.input_size(), [97, 130, 201]);
    let batch = vec![image.as_rgb(); batch];
    let run = || engine.for_each(&batch, |&image| engine.run_network(image, &mut |_| {}));
    for _ in 0..WARM_UP_RUNS {
        run()?;
    }
    let mut times = Vec::with_capacity(runs);
    for _ in 0..runs {
        let start = Instant::now();
        run()?;
        times.push(start.elapsed());
    }
    let mut layer_times = vec![Vec::with_capacity(runs); engine.layers().len()];
    for _ in 0..runs {
        let mut last = Instant::now();
        engine.run_network(image.as_rgb(), &mut |layer| {
            let now = Instant::now();
            layer_times[layer].push(now - last);
            last = now;
        })?;
    }
    let layers = engine.layers().zip(layer_times);
    let layers = layers.map(|(layer, times)| LayerTime {
        layer: layer.clone(),
        median: median(times),
    });
    Ok(Report {
        runs,
        min: times.iter().copied().min().unwrap_or_default(),
        median: median(times),
        macs: engine.layers().map(|layer| layer.macs).sum(),
        peak_flops: peak_flops(engine),
        layers: layers.collect(),
    })
}

/// How long a detector takes for an image, from pixels to boxes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DetectionTime {
    /// Images that were measured.
    pub runs: usize,
    /// Median time of an image.
    pub median: Duration,
    /// Shortest time of an image.
    pub min: Duration,
}

/// Measures detectors in turns, so that whatever else the machine does meets all of
/// them alike: resizing, the network and its boxes, of images in memory.
#[derive(Debug)]
pub struct Turns<'a> {
    detectors: Vec<&'a Detector>,
    times: Vec<Vec<Duration>>,
}

impl<'a> Turns<'a> {
    /// Turns of these detectors, none of them measured yet.
    pub fn new(detectors: Vec<&'a Detector>) -> Self {
        Self {
            times: vec![Vec::new(); detectors.len()],
            detectors,
        }
    }

    /// Lets every detector find the objects of an image so many times, one after the
    /// other in each round, and once before that does not count. Every second round
    /// goes backwards.
    ///
    /// # Errors
    /// As [`Detector::detect`].
    pub fn run(&mut self, image: &RgbImage, rounds: usize) -> Result<()> {
        for detector in &self.detectors {
            detector.detect(image)?;
        }
        for round in 0..rounds {
            for turn in 0..self.detectors.len() {
                let index = match round % 2 {
                    0 => turn,
                    _ => self.detectors.len() - 1 - turn,
                };
                let start = Instant::now();
                self.detectors[index].detect(image)?;
                self.times[index].push(start.elapsed());
            }
        }
        Ok(())
    }

    /// What was measured, in the order of the detectors.
    pub fn times(self) -> Vec<DetectionTime> {
        let times = self.times.into_iter();
        times
            .map(|times| DetectionTime {
                runs: times.len(),
                min: times.iter().copied().min().unwrap_or_default(),
                median: median(times),
            })
            .collect()
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// The best of some measurements of nothing but fused multiplications and
/// additions, on all threads of the engine.
fn peak_flops(engine: &Engine) -> f64 {
    let context = engine.context();
    let mut best = 0.0_f64;
    for _ in 0..PEAK_MEASUREMENTS {
        let start = Instant::now();
        let mut done = 0;
        while start.elapsed() < PEAK_TIME {
            done += multiply_adds(context);
        }
        best = best.max(2.0 * done as f64 / start.elapsed().as_secs_f64());
    }
    best
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use ssdlite_core::{ClassNames, ImageSize, MobileNetV3, Variant};

    use super::*;
    use crate::classifier::Classifier;
    use crate::options::{DetectorOptions, RunOptions};

    #[test]
    fn options_are_checked() {
        let network = MobileNetV3 {
            width_multiplier: 0.1,
            ..MobileNetV3::new(Variant::Small)
        };
        let classes = ClassNames::new(["cat", "dog"]).expect("distinct names");
        let file = arbitrary_model(&ModelInfo::classifier(network, classes, 32));
        let run = RunOptions::threads(NonZeroUsize::MIN);
        let model = Classifier::new(&file.expect("a sound model"), &run).expect("a sound model");
        let measure = |runs, batch| super::measure(&model, BenchOptions { runs, batch });
        assert_eq!(measure(1, 2).expect("sound options").runs, 1);
        for (runs, batch) in [(0, 1), (1, 0), (usize::MAX, 1), (1, usize::MAX)] {
            let error = measure(runs, batch).expect_err("unsound options");
            assert!(matches!(error, Error::OverLimit(_)), "{error}");
        }
    }

    #[test]
    fn detectors_in_turns_run_equally_often() {
        let network = MobileNetV3 {
            width_multiplier: 0.1,
            ..MobileNetV3::new(Variant::Small)
        };
        let classes = ClassNames::new(["cat", "dog"]).expect("distinct names");
        let detectors = [32, 64].map(|side| {
            let file = arbitrary_model(&ModelInfo::detector(network, classes.clone(), side));
            let options = DetectorOptions {
                run: RunOptions::threads(NonZeroUsize::MIN),
                ..DetectorOptions::default()
            };
            Detector::new(&file.expect("a sound model"), &options).expect("a sound model")
        });
        let mut turns = Turns::new(detectors.iter().collect());
        for side in [50, 70] {
            let image = RgbImage::filled(ImageSize::new(side, 40), [9, 80, 200]);
            turns.run(&image, 3).expect("finite outputs");
        }
        let times = turns.times();
        assert_eq!(
            times.iter().map(|time| time.runs).collect::<Vec<_>>(),
            [6, 6]
        );
        assert!(times.iter().all(|time| time.min <= time.median));
    }

    #[test]
    fn memory_that_can_not_be_had_is_an_error() {
        let classes = ClassNames::new(["cat"]).expect("a name");
        let info = ModelInfo::classifier(MobileNetV3::new(Variant::Small), classes, 32);
        let file = arbitrary_model(&info).expect("a sound model");
        let run = RunOptions::threads(NonZeroUsize::MIN);
        let model = Classifier::new(&file, &run).expect("a sound model");
        for images in [usize::MAX, isize::MAX as usize >> 10] {
            let error = model.engine.expect_memory(images).expect_err("too much");
            assert!(matches!(error, Error::OverLimit(_)), "{error}");
        }
    }

    #[test]
    fn a_side_beyond_all_limits_is_an_error() {
        let classes = ClassNames::new(["cat"]).expect("a name");
        let info = ModelInfo::classifier(MobileNetV3::new(Variant::Small), classes, u32::MAX);
        let error = arbitrary_model(&info).expect_err("too large");
        assert!(matches!(error, Error::OverLimit(_)), "{error}");
    }
}
