//! How long batches of a labelled folder take to make:
//!
//! ```text
//! cargo bench -p ssdlite-data --bench loader -- DATA [size=300] [batch=24] [threads=1] [cache=1024]
//! ```
//!
//! Of the first epoch, in which images are decoded, and of the best of some more, in
//! which those are kept that `cache` (mebibytes) has room for.

#![allow(clippy::print_stdout)]

use std::env;
use std::error::Error;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use ssdlite_core::matcher::Assignment;
use ssdlite_core::mobilenet::Variant;
use ssdlite_core::{BoxCoder, MobileNetV3, ModelInfo, Preprocessing};
use ssdlite_data::augment::DetectorAugment;
use ssdlite_data::loader::{
    DetectionRecipe, DifficultObjects, Loader, LoaderOptions, Makers, TargetEncoder,
};
use ssdlite_data::{DetectionFolder, DetectionFolderOptions, Split};
use ssdlite_kernels::Pool;

/// Epochs after the first.
const EPOCHS: u64 = 4;

fn main() -> Result<(), Box<dyn Error>> {
    let (mut data, mut size, mut batch, mut threads, mut cache) = (None, 300, 24, 1, 1024);
    for argument in env::args().skip(1).filter(|argument| argument != "--bench") {
        match argument.split_once('=') {
            Some(("size", value)) => size = value.parse()?,
            Some(("batch", value)) => batch = value.parse()?,
            Some(("threads", value)) => threads = value.parse()?,
            Some(("cache", value)) => cache = value.parse()?,
            _ => data = Some(argument),
        }
    }
    // Benchmarks are run without arguments too.
    let Some(data) = data else {
        println!("loader: expected a folder of labelled images");
        return Ok(());
    };
    let folder = DetectionFolder::open(Path::new(&data), None)?;
    let reading = folder.read(Split::Train, &DetectionFolderOptions::default())?;
    let info = ModelInfo::detector(
        MobileNetV3::new(Variant::Small),
        reading.set.classes.clone(),
        size,
    );
    let recipe = DetectionRecipe {
        preprocessing: Preprocessing::detector(info.preprocessing.size),
        set: Arc::new(reading.set),
        augment: DetectorAugment::default(),
        targets: TargetEncoder {
            default_boxes: info.default_boxes().ok_or("expected a detector")?,
            coder: BoxCoder::default(),
            assignment: Assignment::default(),
            difficult: DifficultObjects::LeaveOut,
        },
    };
    let options = LoaderOptions {
        batch_size: batch,
        seed: 0,
        makers: Makers::Between(Arc::new(Pool::new(NonZeroUsize::try_from(threads)?)?)),
        cache_bytes: cache << 20,
    };
    let loader = Loader::for_detection(recipe, options)?;
    let images = loader.batches_per_epoch() * batch;
    let milliseconds = |epoch| -> Result<f64, Box<dyn Error>> {
        let start = Instant::now();
        let mut batches = loader.epoch(epoch, 0)?;
        while let Some(made) = batches.next() {
            batches.give_back(made?);
        }
        Ok(start.elapsed().as_secs_f64() * 1e3 / images as f64)
    };
    let first = milliseconds(0)?;
    let mut best = f64::INFINITY;
    for epoch in 1..=EPOCHS {
        best = best.min(milliseconds(epoch)?);
    }
    println!(
        "{images} images an epoch, {size} px, threads {threads}: {first:.2} ms an image in the first epoch, {best:.2} ms later"
    );
    Ok(())
}
