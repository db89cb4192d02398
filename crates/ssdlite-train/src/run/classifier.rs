//! A classifier's training run.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use ssdlite_core::ModelInfo;
use ssdlite_data::augment::ClassifierAugment;
use ssdlite_data::loader::{ClassificationBatch, ClassificationRecipe, Loader};
use ssdlite_data::{ClassificationSet, SplitShares};
use ssdlite_evaluate::ClassifierEvaluator;
use ssdlite_image::RgbImage;
use ssdlite_infer::{Classifier, RunOptions};
use ssdlite_model::ModelFile;

use super::run_folder::RunFolder;
use super::session::{Outcome, Session, Start};
use super::task::{Task, evaluation_options, loader_options, training_notes, watched};
use super::trainer::{Plan, train};
use super::{RunData, Validation, charts, images};
use crate::config::ClassifierConfig;
use crate::error::Result;
use crate::step::loss::CrossEntropy;
use crate::step::{CLASSIFIER_MOMENTUM, Objective};

/// Trains a classifier as `config` says, on the data that
/// [`RunData::of_classifier`] read for it. On a resumed run, `config` must be
/// that of the run's folder.
///
/// # Errors
/// As [`crate::train_detector`].
pub fn train_classifier(
    config: &ClassifierConfig,
    data: &RunData<ClassificationSet>,
    start: &Start,
    run: &mut Session<'_>,
) -> Result<Outcome> {
    config.validate()?;
    let task = ClassifierTask::new(config, data)?;
    let plan = Plan {
        training: &config.training,
        evaluate_every: config.evaluation.every,
        config: config.clone().with_absolute_paths()?.to_toml()?,
        training_images: data.training.images.len(),
        validation_images: data.validation.as_ref().map(|set| set.images.len()),
    };
    train(&task, plan, start, run)
}

/// Where a model tells how its images were divided at random.
const TRAINVAL: &str = "trainval share";
const TRAIN: &str = "train share";
const SPLIT_SEED: &str = "split seed";

/// How the images that a model learnt from were told apart from the others of
/// their folder; none if that was not left to chance.
pub fn division_from_info(info: &ModelInfo) -> Option<SplitShares> {
    let text = |name: &str| info.training.get(name);
    Some(SplitShares {
        trainval: text(TRAINVAL)?.parse().ok()?,
        train: text(TRAIN)?.parse().ok()?,
        seed: text(SPLIT_SEED)?.parse().ok()?,
    })
}

fn info_from_config(config: &ClassifierConfig, data: &RunData<ClassificationSet>) -> ModelInfo {
    let set = &data.training;
    let mut info = ModelInfo::classifier(
        config.model.mobilenet(),
        set.classes.clone(),
        config.model.size,
    );
    let notes = training_notes(&config.training, &config.model, set.images.len());
    let division = data.division.map(|shares| {
        [
            (TRAINVAL, shares.trainval.to_string()),
            (TRAIN, shares.train.to_string()),
            (SPLIT_SEED, shares.seed.to_string()),
        ]
    });
    for (name, value) in notes.into_iter().chain(division.into_iter().flatten()) {
        info.training.insert(name.into(), value);
    }
    info
}

struct ClassifierTask {
    /// The folder of the data set.
    root: PathBuf,
    set: Arc<ClassificationSet>,
    loader: Loader<ClassificationBatch>,
    info: ModelInfo,
    loss: CrossEntropy,
    evaluator: Option<ClassifierEvaluator>,
}

impl ClassifierTask {
    fn new(config: &ClassifierConfig, data: &RunData<ClassificationSet>) -> Result<Self> {
        let info = info_from_config(config, data);
        let recipe = ClassificationRecipe {
            set: Arc::clone(&data.training),
            preprocessing: info.preprocessing,
            augment: ClassifierAugment {
                padding: config.augment.padding,
                mirror: config.augment.mirror,
            },
        };
        let options = loader_options(&config.training, &config.loader);
        let evaluation = evaluation_options(&config.training, &config.loader)?;
        let validation = data.validation.as_ref();
        let evaluator = validation.map(|set| ClassifierEvaluator::new(Arc::clone(set), evaluation));
        Ok(Self {
            root: config.data.path.clone(),
            set: Arc::clone(&data.training),
            loader: Loader::for_classification(recipe, options)?,
            info,
            loss: CrossEntropy {
                label_smoothing: config.loss.label_smoothing,
            },
            evaluator,
        })
    }
}

impl Task for ClassifierTask {
    type Batch = ClassificationBatch;

    fn loader(&self) -> &Loader<ClassificationBatch> {
        &self.loader
    }

    fn cached_bytes(&self) -> u64 {
        0
    }

    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn objective(&self) -> Objective {
        Objective::CrossEntropy(self.loss)
    }

    fn momentum(&self) -> f64 {
        CLASSIFIER_MOMENTUM
    }

    fn names(&self) -> Vec<String> {
        let paths = self.set.images.iter().map(|image| &image.path);
        let within = paths.map(|path| path.strip_prefix(&self.root).unwrap_or(path));
        within
            .map(|path| path.to_string_lossy().into_owned())
            .collect()
    }

    fn path(&self, sample: usize) -> PathBuf {
        self.set.images[sample].path.clone()
    }

    fn grid_of_batch(&self, batch: &ClassificationBatch) -> RgbImage {
        images::grid_of_inputs(batch, &self.info)
    }

    fn chart_of_labels(&self) -> RgbImage {
        charts::labels_of_classification(&self.set)
    }

    fn has_validation(&self) -> bool {
        self.evaluator.is_some()
    }

    fn validate(&self, model: &ModelFile, run: &mut Session<'_>) -> Result<Option<Validation>> {
        let Some(evaluator) = &self.evaluator else {
            return Ok(None);
        };
        let classifier = Classifier::new(model, &RunOptions::threads(NonZeroUsize::MIN))?;
        let report = watched(run, |watch| evaluator.evaluate(&classifier, watch))?;
        Ok(report.as_ref().map(Validation::from_classification))
    }

    fn draw_best(&self, _model: &ModelFile, _folder: &RunFolder) -> Result<()> {
        Ok(())
    }
}
