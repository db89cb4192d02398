//! Classifiers evaluated.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Result;
use ssdlite_data::ClassificationSet;
use ssdlite_data::folders::ImageFolder;
use ssdlite_data::split::Split;
use ssdlite_eval::ClassificationReport;
use ssdlite_evaluate::ClassifierEvaluator;
use ssdlite_infer::Classifier;
use ssdlite_train::{ClassifierConfig, RunData, RunFolder};

use super::{once_on_all_cores, save_report, until_done, until_stopped};
use crate::models::run_options;
use crate::output::run_end::BestModel;

/// Runs a classifier on all images; returns how many could not be used as well.
pub(crate) fn evaluate(
    classifier: &Classifier,
    set: ClassificationSet,
) -> Result<(ClassificationReport, usize)> {
    let evaluator = ClassifierEvaluator::new(Arc::new(set), once_on_all_cores());
    until_done(|watch| evaluator.evaluate(classifier, watch))
}

/// Evaluates a run's best model on its validation images, if there are any, and
/// saves all of it in the run's folder. None if it was stopped.
pub(crate) fn evaluate_run(
    config: &ClassifierConfig,
    data: RunData<ClassificationSet>,
    run: &RunFolder,
    stop: &AtomicBool,
) -> Result<Option<BestModel>> {
    let options = run_options(Some(NonZeroUsize::MIN));
    let classifier = Classifier::load_with(run.best_model(), &options)?;
    let mut best = BestModel::new(classifier.info());
    let path = &config.data.path;
    if ImageFolder::open(path).is_ok_and(|folder| folder.has_split(Split::Test)) {
        best = best.with_test(path, "");
    }
    let Some(set) = data.validation else {
        return Ok(Some(best));
    };
    let evaluator = ClassifierEvaluator::new(set, once_on_all_cores());
    let (report, _) = until_stopped(stop, |watch| evaluator.evaluate(&classifier, watch))?;
    let Some(report) = report else {
        return Ok(None);
    };
    save(&report, &run.evaluation())?;
    Ok(Some(best.with_classification(&report)))
}

/// Writes `evaluation.json` and `confusion.png`.
pub(crate) fn save(report: &ClassificationReport, folder: &Path) -> Result<()> {
    save_report(folder, report, &report.confusion)
}
