//! `eval`: how good a detector is.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::{Args, ValueEnum};
use serde::Serialize;
use ssdlite_core::{Task, Tiles};
use ssdlite_data::DetectionSet;
use ssdlite_data::split::Split;
use ssdlite_data::voc::{VocFolder, VocOptions};
use ssdlite_eval::{Evaluation, IouThreshold, ScoreCurves, ScorePoint, VocMetric};
use ssdlite_infer::Detector;

use crate::args::model::ModelArg;
use crate::args::post_processing::PostProcessingArgs;
use crate::args::reading::coordinates;
use crate::args::split::split;
use crate::console::{self, counted};
use crate::evaluation::SHOWN_SCORE;
use crate::evaluation::detector::{evaluate, save};
use crate::evaluation::words::{map_text, mean_text, point_text, suggestion_text};
use crate::models::{Purpose, load_detector};
use crate::outcome::Outcome;
use crate::output::findings::{warn_of, warn_of_reading};
use crate::paths::expect_folder_there;
use crate::signals::finish_writing;

#[derive(Args)]
pub(crate) struct EvalArgs {
    /// A detector's model file, or a run's folder for its best model
    model: ModelArg,
    /// A folder of images with boxes (Annotations, ImageSets, JPEGImages)
    data: PathBuf,
    /// Which part of the data
    #[arg(long, default_value_t = Split::Test, value_parser = split())]
    split: Split,
    /// Average precision: of VOC 2007 (11 points), of VOC since 2010 (area), or of
    /// COCO (IoU 0.5 to 0.95)
    #[arg(long, value_enum, default_value_t = Metric::Voc07)]
    metric: Metric,
    /// Read boxes as counted from 0 with exclusive right and bottom edges
    #[arg(long)]
    voc_zero_based: bool,
    /// Save precision-recall curves, F1 over the score, the confusion matrix and all
    /// numbers in this folder
    #[arg(long, value_name = "DIR")]
    save: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    post_processing: PostProcessingArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Metric {
    Voc07,
    Voc,
    Coco,
}

impl EvalArgs {
    pub(crate) fn run(self) -> Result<Outcome> {
        // Images, not layers, are shared out among threads.
        let detector = load_detector(
            &self.model.file()?,
            &self.post_processing,
            Purpose::Evaluate,
            Some(NonZeroUsize::MIN),
        )?;
        expect_folder_there(&self.data)?;
        let folder = VocFolder::open(&self.data)?;
        warn_of(folder.findings());
        let reading = folder.read(
            self.split,
            &VocOptions {
                coordinates: coordinates(self.voc_zero_based),
                classes: Some(detector.classes().clone()),
            },
        )?;
        warn_of_reading(&self.data, &reading);
        ensure!(
            reading.set.has_countable(),
            "{}: expected objects of the model's classes ({}) in the split {}, not all marked \
             difficult, found none",
            self.data.display(),
            detector.classes(),
            self.split
        );
        tell_tiles(&detector, &reading.set);
        let (evaluation, failures) = evaluate(&detector, reading.set)?;
        let least_score = detector.post_processing().score_threshold;
        let curves = evaluation.score_curves(IouThreshold::HALF, least_score);
        // What is not let through to the evaluation is not known.
        let own = own_threshold(&detector).filter(|&score| score >= least_score);
        let own = own.map(|score| curves.all.at(score));
        if self.json {
            self.print_json(&evaluation, &curves, own)?;
        } else {
            self.print_text(&evaluation, &curves, own)?;
        }
        if let Some(folder) = &self.save {
            finish_writing()?;
            save(&evaluation, &curves, folder)?;
        }
        Ok(Outcome::from_failures(
            failures + reading.losses.images_skipped,
        ))
    }

    fn print_json(
        &self,
        evaluation: &Evaluation,
        curves: &ScoreCurves,
        own: Option<ScorePoint>,
    ) -> Result<()> {
        let voc = |metric| evaluation.voc(metric, IouThreshold::HALF);
        match self.metric {
            Metric::Voc07 => self.print_report(voc(VocMetric::ElevenPoint), curves, own),
            Metric::Voc => self.print_report(voc(VocMetric::Area), curves, own),
            Metric::Coco => self.print_report(evaluation.coco()?, curves, own),
        }
    }

    fn print_report(
        &self,
        report: impl Serialize,
        thresholds: &ScoreCurves,
        model_threshold: Option<ScorePoint>,
    ) -> Result<()> {
        console::json(&EvaluationJson {
            report,
            split: self.split.name(),
            model_threshold,
            thresholds,
        })
    }

    fn print_text(
        &self,
        evaluation: &Evaluation,
        curves: &ScoreCurves,
        own: Option<ScorePoint>,
    ) -> Result<()> {
        let (table, summary) = self.metric_texts(evaluation)?;
        console::table(table)?;
        console::table(evaluation.detection_rates(SHOWN_SCORE, IouThreshold::HALF)?)?;
        console::table(evaluation.confusion(SHOWN_SCORE, IouThreshold::HALF)?)?;
        console::table(curves)?;
        console::text(summary)?;
        if let Some(point) = own {
            let score = point.score;
            let words = point_text(&point);
            console::text(format_args!(
                "the model's own score threshold: {score}, {words}"
            ))?;
        }
        console::text(suggestion_text(&curves.all))
    }

    /// The metric's table, and its mean in words.
    fn metric_texts(&self, evaluation: &Evaluation) -> Result<(String, String)> {
        let voc = |metric| {
            let report = evaluation.voc(metric, IouThreshold::HALF);
            (report.to_string(), map_text(&report, self.split))
        };
        Ok(match self.metric {
            Metric::Voc07 => voc(VocMetric::ElevenPoint),
            Metric::Voc => voc(VocMetric::Area),
            Metric::Coco => {
                let report = evaluation.coco()?;
                let counts = [report.images, report.objects];
                let summary = mean_text("COCO", report.map, self.split, counts);
                (report.to_string(), summary)
            }
        })
    }
}

/// Tells how many images are looked at in tiles, if any may be.
fn tell_tiles(detector: &Detector, set: &DetectionSet) {
    if detector.tiles() == Tiles::Off {
        return;
    }
    let tiles = set.images.iter().map(|image| detector.tiles_of(image.size));
    let (mut images, mut all) = (0, 0);
    for tiles in tiles.filter(|tiles| !tiles.is_empty()) {
        images += 1;
        all += tiles.len() as u64;
    }
    console::note(&format!(
        "tiles {}: {} of {} are looked at in tiles too, {} in all",
        detector.tiles(),
        images,
        counted(set.images.len() as u64, "image"),
        counted(all, "tile")
    ));
}

/// The score threshold in the model's file.
fn own_threshold(detector: &Detector) -> Option<f32> {
    match &detector.info().task {
        Task::Detect(settings) => Some(settings.post_processing.score_threshold),
        Task::Classify => None,
    }
}

/// The answer of `--json`.
#[derive(Serialize)]
struct EvaluationJson<'a, R> {
    /// The metric's: "metric", "map", "per_class", "images", "objects" and what else
    /// it has.
    #[serde(flatten)]
    report: R,
    split: &'static str,
    /// All classes at the score threshold in the model's file; null if that is below
    /// `--score`.
    model_threshold: Option<ScorePoint>,
    thresholds: &'a ScoreCurves,
}
