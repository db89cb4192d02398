//! Detectors evaluated.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Result;
use serde::Serialize;
use ssdlite_data::DetectionSet;
use ssdlite_eval::{Evaluation, IouThreshold, VocMetric};
use ssdlite_evaluate::DetectorEvaluator;
use ssdlite_image::encode;
use ssdlite_infer::{Detector, DetectorOptions};
use ssdlite_train::{DetectorConfig, RunData, RunFolder};

use super::{SHOWN_SCORE, once_on_all_cores, save_report, until_done, until_stopped};
use crate::models::run_options;
use crate::output::charts;

/// Runs a detector on all images; returns how many could not be used as well.
pub(crate) fn evaluate(detector: &Detector, set: DetectionSet) -> Result<(Evaluation, usize)> {
    let evaluator = DetectorEvaluator::new(Arc::new(set), once_on_all_cores());
    until_done(|watch| evaluator.evaluate(detector, watch))
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
    let Some(set) = data.validation.filter(|set| set.has_countable()) else {
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

#[derive(Serialize)]
struct AllNumbers<R, C, T, M> {
    voc07: R,
    voc: R,
    coco: C,
    detection_rates: T,
    confusion: M,
}

/// Writes `evaluation.json`, `precision_recall.png` and `confusion.png`.
pub(crate) fn save(evaluation: &Evaluation, folder: &Path) -> Result<()> {
    let half = IouThreshold::HALF;
    let numbers = AllNumbers {
        voc07: evaluation.voc(VocMetric::ElevenPoint, half),
        voc: evaluation.voc(VocMetric::Area, half),
        coco: evaluation.coco()?,
        detection_rates: evaluation.detection_rates(SHOWN_SCORE, half)?,
        confusion: evaluation.confusion(SHOWN_SCORE, half)?,
    };
    save_report(folder, &numbers, &numbers.confusion)?;
    let (curves, voc) = (evaluation.precision_recall(half), &numbers.voc);
    let curves = charts::precision_recall(&curves, &voc.per_class, voc.map);
    Ok(encode::save(&folder.join("precision_recall.png"), &curves)?)
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
