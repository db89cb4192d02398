//! Detectors evaluated.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Result;
use serde::Serialize;
use ssdlite_data::split::Split;
use ssdlite_data::voc::MAIN_LISTS;
use ssdlite_data::{DetectionFolder, DetectionSet};
use ssdlite_eval::{Evaluation, IouThreshold, ScoreCurves, VocMetric};
use ssdlite_evaluate::{DetectorEvaluator, Evaluated};
use ssdlite_image::encode;
use ssdlite_infer::{Detector, DetectorOptions, ModelFile};
use ssdlite_train::{DetectorConfig, RunData, RunFolder};

use super::{SHOWN_SCORE, once_on_all_cores, save_report, until_done, until_stopped};
use crate::models::run_options;
use crate::output::charts;
use crate::output::run_end::BestModel;
use crate::output::shell;

/// Runs a detector on all images; returns how many could not be used as well.
pub(crate) fn evaluate(detector: &Detector, set: Arc<DetectionSet>) -> Result<(Evaluated, usize)> {
    let evaluator = DetectorEvaluator::new(set, once_on_all_cores());
    until_done(|watch| evaluator.evaluate(detector, watch))
}

/// Runs two detectors on all images; returns how many could not be used by either as
/// well.
pub(crate) fn evaluate_both(
    detectors: [&Detector; 2],
    set: Arc<DetectionSet>,
) -> Result<([Evaluated; 2], usize)> {
    let [a, b] = detectors;
    let evaluator = DetectorEvaluator::new(set, once_on_all_cores());
    let (of_a, failures_a) = until_done(|watch| evaluator.evaluate(a, watch))?;
    // An evaluator names an image that can't be used once.
    let (of_b, failures_b) = until_done(|watch| evaluator.evaluate(b, watch))?;
    Ok(([of_a, of_b], failures_a + failures_b))
}

/// Evaluates a run's best model on its validation set, if there is one, as
/// the run itself did, and saves all of it in the run's folder. None if it was
/// stopped.
pub(crate) fn evaluate_run(
    config: &DetectorConfig,
    data: RunData<DetectionSet>,
    run: &RunFolder,
    stop: &AtomicBool,
) -> Result<Option<BestModel>> {
    let model = ModelFile::read(&run.best_model())?;
    let best = with_test(BestModel::new(model.info()), config);
    let Some(set) = data.validation.filter(|set| set.has_countable()) else {
        return Ok(Some(best));
    };
    let post_processing = config.evaluation.post_processing();
    let options = DetectorOptions {
        run: run_options(Some(NonZeroUsize::MIN)),
        post_processing: Some(post_processing),
        tiles: None,
    };
    let detector = Detector::new(&model, &options)?;
    let evaluator = DetectorEvaluator::new(set, once_on_all_cores());
    let (evaluated, _) = until_stopped(stop, |watch| evaluator.evaluate(&detector, watch))?;
    let Some(Evaluated { evaluation, .. }) = evaluated else {
        return Ok(None);
    };
    let curves = evaluation.score_curves(IouThreshold::HALF, post_processing.score_threshold);
    save(&evaluation, &curves, &run.evaluation())?;
    let report = evaluation.voc(VocMetric::ElevenPoint, IouThreshold::HALF);
    Ok(Some(best.with_detections(
        &report,
        &curves.all,
        config.data.val_split,
    )))
}

/// With the test split of the run's data, if there is one that it has not seen.
fn with_test(best: BestModel, config: &DetectorConfig) -> BestModel {
    let data = &config.data;
    let is_seen = [data.train_split, data.val_split].contains(&Split::Test);
    let folder = DetectionFolder::open(&data.path, data.format.asked())
        .and_then(|folder| folder.with_lists(&data.lists));
    if is_seen || !folder.is_ok_and(|folder| folder.has_split(Split::Test)) {
        return best;
    }
    let mut options = String::new();
    if let Some(format) = data.format.asked() {
        options += &format!(" --format {}", format.name());
    }
    if data.voc_zero_based {
        options += " --voc-zero-based";
    }
    if data.lists != MAIN_LISTS {
        options += &format!(" --lists {}", shell::word(Path::new(&data.lists)));
    }
    best.with_test(&data.path, &options)
}

#[derive(Serialize)]
struct AllNumbers<'a, R, C, T, M> {
    voc07: R,
    voc: R,
    coco: C,
    detection_rates: T,
    confusion: M,
    thresholds: &'a ScoreCurves,
}

/// Writes `evaluation.json`, `precision_recall.png`, `f1.png` and `confusion.png`.
pub(crate) fn save(evaluation: &Evaluation, curves: &ScoreCurves, folder: &Path) -> Result<()> {
    let half = IouThreshold::HALF;
    let numbers = AllNumbers {
        voc07: evaluation.voc(VocMetric::ElevenPoint, half),
        voc: evaluation.voc(VocMetric::Area, half),
        coco: evaluation.coco()?,
        detection_rates: evaluation.detection_rates(SHOWN_SCORE, half)?,
        confusion: evaluation.confusion(SHOWN_SCORE, half)?,
        thresholds: curves,
    };
    save_report(folder, &numbers, &numbers.confusion)?;
    encode::save(&folder.join("f1.png"), &charts::f1(curves))?;
    let (curves, voc) = (evaluation.precision_recall(half), &numbers.voc);
    let chart = charts::precision_recall(&curves, &voc.per_class, voc.map);
    Ok(encode::save(&folder.join("precision_recall.png"), &chart)?)
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
        let ended = evaluate_run(&config, data.clone(), &run, &stopped);
        assert!(ended.unwrap().is_none());
        assert!(!numbers.exists());
        let going_on = AtomicBool::new(false);
        let ended = evaluate_run(&config, data, &run, &going_on);
        assert!(ended.unwrap().is_some());
        assert!(numbers.exists());
    }
}
