//! `eval`: how good a detector is.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use serde::Serialize;
use ssdlite_data::DetectionSet;
use ssdlite_data::split::Split;
use ssdlite_data::voc::{VocFolder, VocOptions};
use ssdlite_eval::{Evaluation, IouThreshold, VocMetric};
use ssdlite_evaluate::{DetectorEvaluator, EvaluationOptions, Watch};
use ssdlite_files::write_atomically;
use ssdlite_image::encode;
use ssdlite_infer::{Detector, DetectorOptions, all_cores};
use ssdlite_train::{DetectorConfig, RunData, RunFolder};

use super::Outcome;
use super::data::{coordinates, warn_of};
use super::model_args::{PostProcessingArgs, Purpose, load_detector, run_options};
use crate::charts;
use crate::console;

/// Least score of the detections that rates and confusion count: what a user
/// sees unless asked otherwise.
pub(crate) const SHOWN_SCORE: f32 = 0.3;

/// More classes than this make a confusion matrix that no terminal shows.
pub(crate) const MOST_PRINTED_CLASSES: usize = 12;

#[derive(Args)]
pub(crate) struct EvalArgs {
    /// A detector's model file
    model: PathBuf,
    /// A VOC folder (Annotations, ImageSets, JPEGImages)
    data: PathBuf,
    /// train, val, trainval or test
    #[arg(long, default_value_t = Split::Test)]
    split: Split,
    /// Average precision: of VOC 2007 (11 points), of VOC since 2010 (area), or of
    /// COCO (IoU 0.5 to 0.95)
    #[arg(long, value_enum, default_value_t = Metric::Voc07)]
    metric: Metric,
    /// Read boxes as counted from 0 with exclusive right and bottom edges
    #[arg(long)]
    voc_zero_based: bool,
    /// Save precision-recall curves, the confusion matrix and all numbers in this
    /// folder
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
            &self.model,
            &self.post_processing,
            Purpose::Evaluate,
            Some(NonZeroUsize::MIN),
        )?;
        let reading = VocFolder::open(&self.data)?.read(
            self.split,
            &VocOptions {
                coordinates: coordinates(self.voc_zero_based),
                classes: Some(detector.classes().clone()),
            },
        )?;
        warn_of(&reading.findings);
        if !reading.losses.is_none() {
            console::warning(&format!("{}: {}", self.data.display(), reading.losses));
        }
        ensure!(
            has_objects(&reading.set),
            "{}: expected objects of the model's classes ({}) in the split {}, found none",
            self.data.display(),
            detector.classes(),
            self.split
        );
        let (evaluation, failures) = evaluate(&detector, reading.set)?;
        self.print(&evaluation)?;
        if let Some(folder) = &self.save {
            save(&evaluation, folder)?;
        }
        Ok(Outcome::from_failures(
            failures + reading.losses.images_skipped,
        ))
    }

    fn print(&self, evaluation: &Evaluation) -> Result<()> {
        let voc = |metric| evaluation.voc(metric, IouThreshold::HALF);
        if self.json {
            return match self.metric {
                Metric::Voc07 => console::json(&voc(VocMetric::ElevenPoint)),
                Metric::Voc => console::json(&voc(VocMetric::Area)),
                Metric::Coco => console::json(&evaluation.coco()?),
            };
        }
        match self.metric {
            Metric::Voc07 => console::text(voc(VocMetric::ElevenPoint))?,
            Metric::Voc => console::text(voc(VocMetric::Area))?,
            Metric::Coco => console::text(evaluation.coco()?)?,
        }
        console::text(evaluation.detection_rates(SHOWN_SCORE, IouThreshold::HALF)?)?;
        if evaluation.classes().len() <= MOST_PRINTED_CLASSES {
            console::text(evaluation.confusion(SHOWN_SCORE, IouThreshold::HALF)?)?;
        }
        Ok(())
    }
}

/// Evaluates a run's best model on its validation set, if there is one, as
/// the run itself did, and saves all of it in the run's folder. False if it was
/// stopped.
pub(crate) fn evaluate_run(
    config: &DetectorConfig,
    data: RunData<DetectionSet>,
    run: &RunFolder,
    stop: &AtomicBool,
) -> Result<bool> {
    let Some(set) = data.validation.filter(|set| has_objects(set)) else {
        return Ok(true);
    };
    let options = DetectorOptions {
        run: run_options(Some(NonZeroUsize::MIN)),
        post_processing: Some(config.evaluation.post_processing()),
    };
    let detector = Detector::load_with(run.best_model(), &options)?;
    let evaluator = DetectorEvaluator::new(set, once_on_all_cores());
    let (evaluation, _) = until_stopped(stop, |watch| evaluator.evaluate(&detector, watch))?;
    let Some(evaluation) = evaluation else {
        return Ok(false);
    };
    save(&evaluation, &run.evaluation())?;
    Ok(true)
}

fn has_objects(set: &DetectionSet) -> bool {
    let images = &mut set.images.iter();
    images.any(|image| !image.objects.is_empty())
}

/// Runs a detector on all images; returns how many could not be used as well.
pub(crate) fn evaluate(detector: &Detector, set: DetectionSet) -> Result<(Evaluation, usize)> {
    let evaluator = DetectorEvaluator::new(Arc::new(set), once_on_all_cores());
    until_done(|watch| evaluator.evaluate(detector, watch))
}

/// For one evaluation: nothing is kept for another.
pub(crate) fn once_on_all_cores() -> EvaluationOptions {
    EvaluationOptions {
        threads: all_cores(),
        cache_bytes: 0,
    }
}

/// Evaluates without a stop; returns how many images could not be used as well.
pub(crate) fn until_done<T>(
    evaluate: impl FnOnce(&mut Watch<'_>) -> ssdlite_evaluate::Result<Option<T>>,
) -> Result<(T, usize)> {
    let (report, failures) = until_stopped(&AtomicBool::new(false), evaluate)?;
    Ok((report.context("the evaluation was stopped")?, failures))
}

/// Evaluates until the flag is set; returns how many images could not be used
/// as well.
pub(crate) fn until_stopped<T>(
    stop: &AtomicBool,
    evaluate: impl FnOnce(&mut Watch<'_>) -> ssdlite_evaluate::Result<Option<T>>,
) -> Result<(Option<T>, usize)> {
    let mut failures = 0;
    let report = evaluate(&mut Watch {
        stop,
        skipped: &mut |image| {
            console::error(&format!("{}: {}", image.path.display(), image.reason));
            failures += 1;
        },
    })?;
    Ok((report, failures))
}

#[derive(Serialize)]
struct AllNumbers<R, C, T, M> {
    voc07: R,
    voc: R,
    coco: C,
    detection_rates: T,
    confusion: M,
}

/// Writes `evaluation.json`, `precision_recall.png` and `confusion.png`.
fn save(evaluation: &Evaluation, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("can't make the folder {}", folder.display()))?;
    let half = IouThreshold::HALF;
    let confusion = evaluation.confusion(SHOWN_SCORE, half)?;
    let curves = charts::precision_recall(&evaluation.precision_recall(half));
    encode::save(&folder.join("precision_recall.png"), &curves)?;
    encode::save(
        &folder.join("confusion.png"),
        &charts::confusion(&confusion),
    )?;
    let numbers = AllNumbers {
        voc07: evaluation.voc(VocMetric::ElevenPoint, half),
        voc: evaluation.voc(VocMetric::Area, half),
        coco: evaluation.coco()?,
        detection_rates: evaluation.detection_rates(SHOWN_SCORE, half)?,
        confusion,
    };
    let json = serde_json::to_vec_pretty(&numbers)?;
    let path = folder.join("evaluation.json");
    write_atomically(&path, &json).with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use ssdlite_core::ModelInfo;
    use ssdlite_data::Overwrite;
    use ssdlite_data::sample::{DetectionSampleOptions, write_detection_sample};
    use ssdlite_testing::model_from_formula;

    use super::*;

    #[test]
    fn a_stop_ends_the_evaluation_of_a_run() {
        let parent = tempfile::tempdir().unwrap();
        let data = parent.path().join("data");
        let sample = DetectionSampleOptions {
            images: 24,
            ..DetectionSampleOptions::default()
        };
        write_detection_sample(&data, &sample).unwrap();
        let mut config = DetectorConfig::new(&data);
        config.model.width = 0.1;
        let data = RunData::of_detector(&config, &mut ()).unwrap();
        let classes = data.training.classes.clone();
        let info = ModelInfo::detector(config.model.mobilenet(), classes, 64);
        let run = RunFolder::create(parent.path().join("run"), Overwrite::Refuse).unwrap();
        model_from_formula(&info).write(&run.best_model()).unwrap();
        let numbers = run.evaluation().join("evaluation.json");

        let stopped = AtomicBool::new(true);
        assert!(!evaluate_run(&config, data.clone(), &run, &stopped).unwrap());
        assert!(!numbers.exists());
        let going_on = AtomicBool::new(false);
        assert!(evaluate_run(&config, data, &run, &going_on).unwrap());
        assert!(numbers.exists());
    }
}
