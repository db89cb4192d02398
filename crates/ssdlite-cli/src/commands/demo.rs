//! `demo`: the main job from end to end on sample data.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Result;
use clap::Args;
use ssdlite_data::sample::{DetectionSampleOptions, write_detection_sample_until};
use ssdlite_data::split::Split;
use ssdlite_data::{DetectionFolder, DetectionFolderOptions, DetectionSet, Overwrite};
use ssdlite_eval::{IouThreshold, VocMetric};
use ssdlite_image::draw::grid;
use ssdlite_image::{ImageSize, Limits, RgbImage, encode};
use ssdlite_infer::Detector;
use ssdlite_train::config::DetectorConfig;
use ssdlite_train::{End, OnCpu, RunData, RunFolder, Session, Start, train_detector};

use crate::args::post_processing::PostProcessingArgs;
use crate::console;
use crate::evaluation::detector::{evaluate, evaluate_run};
use crate::evaluation::words::map_text;
use crate::models::{Purpose, load_detector};
use crate::outcome::Outcome;
use crate::output::found::{Found, draw_found};
use crate::output::save_folder::SaveFolder;
use crate::output::training_progress::TrainingProgress;
use crate::signals::stop_on_signal;

/// Where everything goes, under the current folder.
const FOLDER: &str = "runs/demo";

/// Images whose detections are drawn.
const IMAGES: usize = 12;

/// Columns and cells of the sheet with all of them.
const COLUMNS: u32 = 4;
const CELL: ImageSize = ImageSize::new(320, 240);

#[derive(Args)]
pub(crate) struct DemoArgs {}

impl DemoArgs {
    pub(crate) fn run(self) -> Result<Outcome> {
        let folder = Path::new(FOLDER);
        let stop = stop_on_signal("stopping after this step")?;
        let data = folder.join("data");
        if !data.exists() {
            console::note(&format!("rendering sample data in {}", data.display()));
            write_detection_sample_until(&data, &DetectionSampleOptions::default(), &stop)?;
        }
        let run = RunFolder::create(folder.join("run"), Overwrite::Allow)?;
        if train(&data, &run, &stop)? == End::Stopped {
            let run = run.path().display();
            console::notice(&format!(
                "stopped; `ssdlite train --resume {run}` goes on with the training"
            ));
            return Ok(Outcome::Failed);
        }
        let model = run.best_model();
        let options = PostProcessingArgs::default();
        let one_thread = Some(NonZeroUsize::MIN);
        let evaluated = load_detector(&model, &options, Purpose::Evaluate, one_thread)?;
        let test = DetectionFolder::open(&data, None)?.read(
            Split::Test,
            &DetectionFolderOptions {
                classes: Some(evaluated.classes().clone()),
                ..DetectionFolderOptions::default()
            },
        )?;
        let detector = Detector::load(&model)?;
        draw_images(&detector, &test.set, folder)?;
        let (found, failures) = evaluate(&evaluated, Arc::new(test.set))?;
        let evaluation = found.evaluation;
        let drawn = detector.post_processing().score_threshold;
        console::table(evaluation.detection_rates(drawn, IouThreshold::HALF)?)?;
        let report = evaluation.voc(VocMetric::ElevenPoint, IouThreshold::HALF);
        console::table(&report)?;
        console::note(&format!(
            "images: {}; model: {}",
            folder.display(),
            model.display()
        ));
        console::text(map_text(&report, Split::Test))?;
        Ok(Outcome::from_failures(failures))
    }
}

/// Trains Small from scratch with the defaults.
fn train(data: &Path, folder: &RunFolder, stop: &AtomicBool) -> Result<End> {
    let mut config = DetectorConfig::new(data);
    // Two and a half times faster than at the usual size; the sample's objects are large.
    config.model.size = 192;
    let mut progress = TrainingProgress::new(folder.path(), false);
    let data = RunData::of_detector(&config, &mut progress)?;
    let outcome = train_detector(
        &config,
        &data,
        &Start::Random,
        &mut Session {
            folder,
            device: &OnCpu,
            observer: &mut progress,
            stop,
        },
    )?;
    if outcome.end != End::Stopped && evaluate_run(&config, data, folder, stop)?.is_none() {
        return Ok(End::Stopped);
    }
    Ok(outcome.end)
}

/// Saves the first test images with what the detector finds in them, each by
/// itself and all on one sheet.
fn draw_images(detector: &Detector, set: &DetectionSet, folder: &Path) -> Result<()> {
    let mut saved = SaveFolder::new(folder)?;
    let mut sheet: Vec<RgbImage> = Vec::new();
    for annotated in set.images.iter().take(IMAGES) {
        let path = &annotated.path;
        let mut image = ssdlite_image::decode::decode_file(path, &Limits::default())?;
        let detections = detector.detect(&image)?;
        let found: Vec<Found> = detections.into_iter().map(Found::from).collect();
        draw_found(&mut image, &found, detector.classes());
        let jpeg = encode::jpeg_from_image(&image, encode::IMAGE_QUALITY)?;
        saved.save_jpeg(path, &jpeg)?;
        sheet.push(image);
    }
    let sheet = grid(&sheet, CELL, COLUMNS);
    Ok(encode::save(&folder.join("detections.jpg"), &sheet)?)
}
