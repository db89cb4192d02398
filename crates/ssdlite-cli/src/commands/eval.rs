//! `eval`: how good a detector is.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde::Serialize;
use ssdlite_core::Tiles;
use ssdlite_data::DetectionSet;
use ssdlite_eval::{Evaluation, IouThreshold, ScoreCurves, ScorePoint, VocMetric};
use ssdlite_evaluate::Evaluated;
use ssdlite_infer::Detector;
use ssdlite_report::{EvaluatedPage, ReportFolder, ShownData};

use crate::args::model::ModelArg;
use crate::args::post_processing::PostProcessingArgs;
use crate::console::{self, counted};
use crate::evaluation::SHOWN_SCORE;
use crate::evaluation::detector::{evaluate, save};
use crate::evaluation::report::{
    own_threshold, shown_images, shown_model, shown_name, tell_of_page,
};
use crate::evaluation::split::SplitArgs;
use crate::evaluation::words::{map_text, mean_text, point_text, suggestion_text};
use crate::models::{Costs, Purpose, load_detector};
use crate::outcome::Outcome;
use crate::signals::finish_writing;

#[derive(Args)]
pub(crate) struct EvalArgs {
    /// A detector's model file, or a run's folder for its best model
    model: ModelArg,
    #[command(flatten)]
    data: SplitArgs,
    /// Average precision: of VOC 2007 (11 points), of VOC since 2010 (area), or of
    /// COCO (IoU 0.5 to 0.95)
    #[arg(long, value_enum, default_value_t = Metric::Voc07)]
    metric: Metric,
    /// Save precision-recall curves, F1 over the score, the confusion matrix and all
    /// numbers in this folder
    #[arg(long, value_name = "DIR")]
    save: Option<PathBuf>,
    /// Write a page into this folder that shows the scores, the mistakes by kind, and
    /// the labels that are probably wrong
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
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
        let reading = self.data.read(detector.classes())?;
        let report = self
            .report
            .as_deref()
            .map(ReportFolder::create)
            .transpose()?;
        tell_tiles(&detector, &reading.set);
        let set = Arc::new(reading.set);
        let (evaluated, failures) = evaluate(&detector, Arc::clone(&set))?;
        let evaluation = &evaluated.evaluation;
        let least_score = detector.post_processing().score_threshold;
        let curves = evaluation.score_curves(IouThreshold::HALF, least_score);
        // What is not let through to the evaluation is not known.
        let own = own_threshold(&detector).filter(|&score| score >= least_score);
        let own = own.map(|score| curves.all.at(score));
        if self.json {
            self.print_json(evaluation, &curves, own)?;
        } else {
            self.print_text(evaluation, &curves, own)?;
        }
        if self.save.is_some() || report.is_some() {
            finish_writing()?;
        }
        if let Some(folder) = &self.save {
            save(evaluation, &curves, folder)?;
        }
        if let Some(folder) = report {
            let page = self.page(&detector, &set, &evaluated)?;
            tell_of_page(&folder.write_evaluated(&page)?);
        }
        Ok(Outcome::from_failures(
            failures + reading.losses.images_skipped,
        ))
    }

    /// What the page of `--report` shows.
    fn page(
        &self,
        detector: &Detector,
        set: &DetectionSet,
        evaluated: &Evaluated,
    ) -> Result<EvaluatedPage> {
        let data = ShownData {
            name: shown_name(&self.data),
            images: shown_images(set, &evaluated.images),
            known_from: detector.post_processing().score_threshold,
        };
        let costs = Costs::of(&self.model.file()?, detector.info())?;
        let model = shown_model(&self.model, detector, &costs);
        Ok(EvaluatedPage::new(&evaluated.evaluation, model, data)?)
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
            split: self.data.split.name(),
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
            (report.to_string(), map_text(&report, self.data.split))
        };
        Ok(match self.metric {
            Metric::Voc07 => voc(VocMetric::ElevenPoint),
            Metric::Voc => voc(VocMetric::Area),
            Metric::Coco => {
                let report = evaluation.coco()?;
                let counts = [report.images, report.objects];
                let summary = mean_text("COCO", report.map, self.data.split, counts);
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
