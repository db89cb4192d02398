//! A classifier's training run.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use ssdlite_core::{ClassId, ModelInfo};
use ssdlite_data::augment::ClassifierAugment;
use ssdlite_data::loader::{ClassificationBatch, ClassificationRecipe, Loader};
use ssdlite_data::{ClassificationSet, SplitShares};
use ssdlite_evaluate::ClassifierEvaluator;
use ssdlite_image::decode::decode_file;
use ssdlite_image::{Limits, RgbImage};
use ssdlite_infer::{Classifier, RunOptions};
use ssdlite_model::ModelFile;

use super::learnt;
use super::run_folder::RunFolder;
use super::session::{Outcome, Session, Start};
use super::task::{Task, evaluation_options, loader_options, training_notes, watched};
use super::trainer::{Plan, train};
use super::usual::Usual;
use super::{RunData, Validation, charts, images};
use crate::config::ClassifierConfig;
use crate::error::Result;
use crate::step::loss::CrossEntropy;
use crate::step::{Cpu, Objective, Targets, TrainingDevice};
use crate::threads::threads_from_option;

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
    let config = &mut config.clone();
    let images = data.training.images.len();
    let every = &mut config.evaluation.every;
    if let Some(note) = Usual::CLASSIFIER.fit(&mut config.training, every, images, start) {
        run.observer.warning(&note);
    }
    let cpu = Cpu::new(threads_from_option(config.training.threads)?)?;
    let task = ClassifierTask::new(config, data, run.device, &cpu)?;
    let plan = Plan {
        cpu,
        training: &config.training,
        evaluate_every: config.evaluation.every,
        config: config.clone().with_absolute_paths()?.to_toml()?,
        training_images: images,
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
    validation: Option<(Arc<ClassificationSet>, ClassifierEvaluator)>,
}

impl ClassifierTask {
    fn new(
        config: &ClassifierConfig,
        data: &RunData<ClassificationSet>,
        device: &dyn TrainingDevice,
        cpu: &Cpu,
    ) -> Result<Self> {
        let info = info_from_config(config, data);
        let recipe = ClassificationRecipe {
            set: Arc::clone(&data.training),
            preprocessing: info.preprocessing,
            augment: ClassifierAugment {
                padding: config.augment.padding,
                mirror: config.augment.mirror,
            },
        };
        let options = loader_options(&config.training, &config.loader, device, cpu);
        let evaluation = evaluation_options(&config.training, &config.loader)?;
        let validation = data.validation.as_ref().map(|set| {
            let evaluator = ClassifierEvaluator::new(Arc::clone(set), evaluation);
            (Arc::clone(set), evaluator)
        });
        Ok(Self {
            root: config.data.path.clone(),
            set: Arc::clone(&data.training),
            loader: Loader::for_classification(recipe, options)?,
            info,
            loss: CrossEntropy {
                label_smoothing: config.loss.label_smoothing,
            },
            validation,
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

    fn targets<'a>(&'a self, batch: &'a ClassificationBatch) -> Targets<'a> {
        Targets::Classes(&batch.labels)
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
        self.validation.is_some()
    }

    fn validate(&self, model: &ModelFile, run: &mut Session<'_>) -> Result<Option<Validation>> {
        let Some((_, evaluator)) = &self.validation else {
            return Ok(None);
        };
        let classifier = on_one_thread(model)?;
        let report = watched(run, |watch| evaluator.evaluate(&classifier, watch))?;
        Ok(report.as_ref().map(Validation::from_classification))
    }

    fn fault(&self, model: &ModelFile, score: Option<f64>) -> Result<Option<String>> {
        let set = self.validation.as_ref().map_or(&self.set, |(set, _)| set);
        let classifier = on_one_thread(model)?;
        let (mut found, mut truth) = (Vec::new(), Vec::new());
        // The images lie class by class.
        let apart = set.images.len().div_ceil(learnt::IMAGES).max(1);
        for labelled in set.images.iter().step_by(apart) {
            // An image that can't be read was told of before.
            if let Ok(image) = decode_file(&labelled.path, &Limits::default()) {
                let scores = classifier.classify(&image)?;
                let best = (0..scores.len()).max_by(|&a, &b| scores[a].total_cmp(&scores[b]));
                found.extend(best.map(ClassId::from_index));
                truth.push(labelled.class);
            }
        }
        let classes: Vec<_> = set.images.iter().map(|image| image.class).collect();
        Ok(learnt::fault_of_classes(&found, &truth)
            .or_else(|| learnt::fault_of_accuracy(score?, &classes)))
    }

    fn draw_best(&self, _model: &ModelFile, _folder: &RunFolder) -> Result<()> {
        Ok(())
    }
}

fn on_one_thread(model: &ModelFile) -> Result<Classifier> {
    Ok(Classifier::new(
        model,
        &RunOptions::threads(NonZeroUsize::MIN),
    )?)
}
