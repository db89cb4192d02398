//! The loop, which a test runs too.

use std::error::Error;
use std::num::NonZeroUsize;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use ssdlite_core::{
    ClassNames, Detection, ImageSize, MobileNetV3, ModelInfo, PostProcessing, Suppression, Variant,
};
use ssdlite_image::RgbImage;
use ssdlite_infer::bench::arbitrary_model;
use ssdlite_infer::{Detector, DetectorOptions, RunOptions};

/// Readings of the memory, the first of which the others are compared with.
const READINGS: usize = 20;

/// How much memory may grow after the first reading: allocators keep a little
/// more or less.
const MOST_GROWTH_BYTES: u64 = 2 << 20;

/// Makes some detections of arbitrary weights.
const SOME: PostProcessing = PostProcessing {
    score_threshold: 0.06,
    suppression: Suppression::Hard { max_iou: 0.5 },
    candidates_per_class: 100,
    max_detections: 100,
};

/// How much is run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Soak {
    /// Detections in all.
    pub(crate) detections: usize,
    /// Threads that call the detector.
    pub(crate) callers: usize,
    /// Threads of the detector.
    pub(crate) threads: usize,
    /// Side of the network's input.
    pub(crate) side: u32,
}

impl Default for Soak {
    fn default() -> Self {
        Self {
            detections: 100_000,
            callers: 2,
            threads: 2,
            side: 320,
        }
    }
}

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

impl Soak {
    /// Runs all; `report` is told the detections so far and the bytes of
    /// resident memory, where they are known.
    pub(crate) fn run(&self, report: impl Fn(usize, Option<u64>) + Sync) -> Outcome<()> {
        let detector = self.detector()?;
        let images = images()?;
        let expected: Vec<Vec<Detection>> = images
            .iter()
            .map(|image| detector.detect(image))
            .collect::<Result<_, _>>()?;
        if expected.iter().all(Vec::is_empty) {
            return Err("expected detections, found none".into());
        }
        let next = AtomicUsize::new(0);
        let first_reading = OnceLock::new();
        let interval = (self.detections / READINGS).max(1);
        let call = || -> Outcome<()> {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= self.detections {
                    return Ok(());
                }
                let which = index % images.len();
                if detector.detect(&images[which])? != expected[which] {
                    return Err(format!("detection {index} differs from the first").into());
                }
                if (index + 1).is_multiple_of(interval) {
                    let bytes = resident_bytes();
                    report(index + 1, bytes);
                    check_growth(&first_reading, bytes.unwrap_or(0))?;
                }
            }
        };
        thread::scope(|scope| {
            let callers: Vec<_> = (0..self.callers).map(|_| scope.spawn(call)).collect();
            let outcomes = callers.into_iter().map(|caller| {
                let panicked = |_| Err("a caller panicked".into());
                caller.join().unwrap_or_else(panicked)
            });
            // All are waited for, whatever the first says.
            outcomes.collect::<Vec<_>>().into_iter().collect()
        })
    }

    fn detector(&self) -> Outcome<Detector> {
        let classes = ClassNames::new((1..=20).map(|class| format!("class {class}")))?;
        let network = MobileNetV3::new(Variant::Small);
        let info = ModelInfo::detector(network, classes, self.side);
        let threads = NonZeroUsize::new(self.threads).unwrap_or(NonZeroUsize::MIN);
        let options = DetectorOptions {
            run: RunOptions::threads(threads),
            post_processing: Some(SOME),
            tiles: None,
        };
        Ok(Detector::new(&arbitrary_model(&info)?, &options)?)
    }
}

fn check_growth(first_reading: &OnceLock<u64>, bytes: u64) -> Outcome<()> {
    let first = *first_reading.get_or_init(|| bytes);
    if bytes > first + MOST_GROWTH_BYTES {
        return Err(format!(
            "expected about {first} bytes of resident memory as at first, found {bytes}"
        )
        .into());
    }
    Ok(())
}

/// Images of several sizes.
fn images() -> Outcome<Vec<RgbImage>> {
    let sizes = [(640, 480), (33, 250), (320, 320), (500, 375)];
    let image = |(width, height): (u32, u32)| {
        let points = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        let pixels = points.flat_map(|(x, y)| [x * 3 + y, x ^ y, y * 5].map(|v| v as u8));
        Ok(RgbImage::new(
            ImageSize::new(width, height),
            pixels.collect(),
        )?)
    };
    sizes.into_iter().map(image).collect()
}

/// Memory of this process, where the system tells.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}
