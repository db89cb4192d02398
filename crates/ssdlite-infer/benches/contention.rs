//! Inference on a machine that has other things to do.
//!
//! `cargo bench -p ssdlite-infer --bench contention -- [NAME...]` with names of
//! [`NETWORKS`]; `rounds=N` sets how often each is run in a turn, and `--test` runs
//! everything once. For each network it prints the median and the ninth decile of
//! its times in milliseconds, on one thread and on all cores, while the machine is
//! idle, while other programs keep one core busy, and while a second network
//! of the same kind runs beside it on as many threads; and on twice as many threads
//! as there are cores. All take turns, so that what else the machine does falls on all.

#![allow(clippy::print_stdout)]

use std::error::Error;
use std::hint::black_box;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ssdlite_core::{ClassNames, ImageSize, MobileNetV3, ModelInfo, Task, Variant};
use ssdlite_image::RgbImage;
use ssdlite_infer::bench::arbitrary_model;
use ssdlite_infer::{Classifier, Detector, DetectorOptions, RunOptions};
use ssdlite_model::ModelFile;

/// Name, network, side of the images, and classes.
const NETWORKS: [(&str, Variant, u32, usize); 4] = [
    ("detector-large-320", Variant::Large, 320, 20),
    ("detector-small-320", Variant::Small, 320, 20),
    ("classifier-large-224", Variant::Large, 224, 30),
    ("classifier-small-224", Variant::Small, 224, 30),
];

/// Turns of each measurement.
const TURNS: usize = 6;

const ROUNDS: usize = 60;

/// What else the machine does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Company {
    Nobody,
    /// A thread that computes all the time.
    Busy,
    /// The same network, on as many threads.
    Twin,
}

/// What is measured: how many threads, and beside what.
struct Row {
    name: &'static str,
    threads: usize,
    company: Company,
    times: Vec<Duration>,
}

/// Stops what runs beside the measurement when it is dropped.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut rounds = ROUNDS;
    let mut names = Vec::new();
    for argument in std::env::args().skip(1) {
        match argument.split_once('=') {
            Some(("rounds", value)) => rounds = value.parse()?,
            None if argument == "--test" => rounds = 1,
            // Cargo adds it.
            None if argument == "--bench" => {}
            None if NETWORKS.iter().any(|(name, ..)| *name == argument) => names.push(argument),
            _ => {
                let known = NETWORKS.map(|(name, ..)| name).join(", ");
                return Err(
                    format!("expected {known}, rounds=N or --test, found {argument}").into(),
                );
            }
        }
    }
    let cores = thread::available_parallelism()?.get();
    println!("{cores} cores; milliseconds, median and ninth decile");
    for (name, variant, side, classes) in NETWORKS {
        if names.is_empty() || names.iter().any(|wanted| wanted == name) {
            println!("{name}");
            run(name, variant, side, classes, rounds)?;
        }
    }
    Ok(())
}

/// Measures and prints one network.
fn run(
    name: &str,
    variant: Variant,
    side: u32,
    classes: usize,
    rounds: usize,
) -> Result<(), Box<dyn Error>> {
    let classes = ClassNames::new((1..=classes).map(|class| format!("class{class}")))?;
    let backbone = MobileNetV3::new(variant);
    let info = if name.starts_with("detector") {
        ModelInfo::detector(backbone, classes, side)
    } else {
        ModelInfo::classifier(backbone, classes, side)
    };
    let file = arbitrary_model(&info)?;
    let image = RgbImage::filled(ImageSize::new(side, side), [97, 130, 201]);
    let cores = thread::available_parallelism()?.get();
    let mut rows = [
        ("idle, 1 thread", 1, Company::Nobody),
        ("idle, all cores", cores, Company::Nobody),
        ("one core busy, 1 thread", 1, Company::Busy),
        ("one core busy, all cores", cores, Company::Busy),
        ("two at once, all cores each", cores, Company::Twin),
        ("idle, twice as many threads", 2 * cores, Company::Nobody),
    ]
    .map(|(name, threads, company)| Row {
        name,
        threads,
        company,
        times: Vec::new(),
    });
    for _ in 0..TURNS {
        for row in &mut rows {
            turn(row, &file, &image, rounds)?;
        }
    }
    for mut row in rows {
        row.times.sort_unstable();
        let at = |tenth: usize| {
            let time = row.times[(row.times.len() - 1) * tenth / 10];
            time.as_secs_f64() * 1e3
        };
        println!("  {:<28} {:>7.2} {:>7.2}", row.name, at(5), at(9));
    }
    Ok(())
}

/// Adds the times of some runs to a row.
fn turn(
    row: &mut Row,
    file: &ModelFile,
    image: &RgbImage,
    rounds: usize,
) -> Result<(), Box<dyn Error>> {
    let network = Network::new(file, row.threads)?;
    let twin = match row.company {
        Company::Twin => Some(Network::new(file, row.threads)?),
        _ => None,
    };
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let _stop = Stop(&ended);
        let is_over = || ended.load(Ordering::Relaxed);
        if row.company == Company::Busy {
            scope.spawn(move || {
                while !is_over() {
                    std::hint::spin_loop();
                }
            });
        }
        if let Some(twin) = &twin {
            scope.spawn(move || while !is_over() && twin.run(image).is_ok() {});
        }
        // The first runs don't count: caches fill, and threads find their cores.
        for round in 0..rounds + rounds / 4 {
            let start = Instant::now();
            network.run(image)?;
            if round >= rounds / 4 {
                row.times.push(start.elapsed());
            }
        }
        Ok(())
    })
}

/// A network as it is used, from pixels to results.
enum Network {
    Detector(Detector),
    Classifier(Classifier),
}

impl Network {
    fn new(file: &ModelFile, threads: usize) -> Result<Self, Box<dyn Error>> {
        let run = RunOptions::threads(NonZeroUsize::new(threads).ok_or("no threads")?);
        Ok(match file.info().task {
            Task::Classify => Self::Classifier(Classifier::new(file, &run)?),
            Task::Detect(_) => {
                let options = DetectorOptions {
                    run,
                    ..DetectorOptions::default()
                };
                Self::Detector(Detector::new(file, &options)?)
            }
        })
    }

    fn run(&self, image: &RgbImage) -> Result<(), Box<dyn Error>> {
        match self {
            Self::Detector(detector) => drop(black_box(detector.detect(image)?)),
            Self::Classifier(classifier) => drop(black_box(classifier.classify(image)?)),
        }
        Ok(())
    }
}
