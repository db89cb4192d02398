//! Times the way from a photo's bytes to detections, stage by stage.
//!
//! ```text
//! cargo run --release -p ssdlite-infer --example photo -- \
//!     MODEL PHOTO [threads=1] [runs=100] [score=0.3]
//! ```
//!
//! Prints one JSON object: the detections of the photo, and the median times in
//! milliseconds of decoding, resizing, the network and post-processing, each
//! measured by itself, and of the way as a whole.

#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::error::Error;
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use ssdlite_image::{Limits, Preprocessor, decode};
use ssdlite_infer::{Detector, DetectorOptions, RunOptions};

const WARM_UP_RUNS: usize = 5;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, photo, settings @ ..] = arguments.as_slice() else {
        eprintln!("usage: photo MODEL PHOTO [threads=1] [runs=100] [score=0.3]");
        return ExitCode::from(2);
    };
    match Settings::parse(settings).and_then(|settings| time(model, photo, settings)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

#[derive(Clone, Copy)]
struct Settings {
    threads: NonZeroUsize,
    runs: usize,
    score: f32,
}

impl Settings {
    fn parse(words: &[String]) -> Result<Self, Box<dyn Error>> {
        let mut settings = Self {
            threads: NonZeroUsize::MIN,
            runs: 100,
            score: 0.3,
        };
        for word in words {
            match word.split_once('=') {
                Some(("threads", number)) => settings.threads = number.parse()?,
                Some(("runs", number)) => settings.runs = number.parse()?,
                Some(("score", number)) => settings.score = number.parse()?,
                _ => return Err(format!("expected NAME=NUMBER, found {word}").into()),
            }
        }
        Ok(settings)
    }
}

fn time(model: &str, photo: &str, settings: Settings) -> Result<(), Box<dyn Error>> {
    let options = DetectorOptions {
        run: RunOptions::threads(settings.threads),
        ..DetectorOptions::default()
    };
    let mut detector = Detector::load_with(Path::new(model), &options)?;
    let mut post_processing = *detector.post_processing();
    post_processing.score_threshold = settings.score;
    detector.set_post_processing(post_processing)?;

    let bytes = std::fs::read(photo)?;
    let limits = Limits::default();
    let image = decode::decode(&bytes, &limits)?;
    let mut preprocessor = Preprocessor::new(&detector.info().preprocessing)?;
    let mut fitted = Preprocessor::new(&detector.info().preprocessing)?;
    let input = fitted.fit(&image);
    let outputs = detector.outputs(&image)?;
    let runs = settings.runs;

    let whole = median_ms(runs, || {
        Ok(detector.detect(&decode::decode(&bytes, &limits)?)?.len())
    })?;
    let decode = median_ms(runs, || Ok(decode::decode(&bytes, &limits)?))?;
    let resize = median_ms(runs, || {
        preprocessor.fit(&image);
        Ok(())
    })?;
    let network = median_ms(runs, || Ok(detector.run_network(&input, |_| {})?))?;
    let post = median_ms(runs, || {
        Ok(detector.detections_from_outputs(&outputs, image.size())?)
    })?;
    println!(
        "{}",
        serde_json::json!({
            "detections": detector.detect(&image)?.len(),
            "median_ms": whole,
            "decode_ms": decode,
            "resize_ms": resize,
            "network_ms": network,
            "post_processing_ms": post,
        })
    );
    Ok(())
}

fn median_ms<T>(
    runs: usize,
    mut run: impl FnMut() -> Result<T, Box<dyn Error>>,
) -> Result<f64, Box<dyn Error>> {
    for _ in 0..WARM_UP_RUNS {
        std::hint::black_box(run()?);
    }
    let mut times = Vec::with_capacity(runs);
    for _ in 0..runs {
        let start = Instant::now();
        std::hint::black_box(run()?);
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    times
        .get(runs / 2)
        .copied()
        .ok_or_else(|| "expected at least one run".into())
}
