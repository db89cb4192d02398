//! `classifier`: train, evaluate and use classifiers.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use serde::Serialize;
use ssdlite_data::ClassificationSet;
use ssdlite_data::folders::{ImageFolder, ImageFolderOptions};
use ssdlite_data::split::Split;
use ssdlite_eval::ClassificationReport;
use ssdlite_evaluate::ClassifierEvaluator;
use ssdlite_files::write_atomically;
use ssdlite_image::{Limits, encode};
use ssdlite_infer::Classifier;
use ssdlite_media::{MediaKind, Source};
use ssdlite_train::{RunData, RunFolder, division_from_info};

use super::Outcome;
use super::data::warn_of;
use super::eval::{MOST_PRINTED_CLASSES, once_on_all_cores, until_done, until_stopped};
use super::model_args::run_options;
use super::train::ClassifierTrainArgs;
use crate::{charts, console};

#[derive(Subcommand)]
pub(crate) enum ClassifierCommand {
    /// Train a classifier on images in class folders.
    Train(Box<ClassifierTrainArgs>),
    /// Measure a classifier's accuracy.
    Eval(ClassifierEvalArgs),
    /// Name what images show.
    Predict(PredictArgs),
}

impl ClassifierCommand {
    pub(crate) fn run(self) -> Result<Outcome> {
        match self {
            Self::Train(args) => args.run(),
            Self::Eval(args) => args.run(),
            Self::Predict(args) => args.run(),
        }
    }
}

#[derive(Args)]
pub(crate) struct PredictArgs {
    /// A classifier's model file
    model: PathBuf,
    /// Images, folders or patterns
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
    /// So many classes an image
    #[arg(long, default_value_t = 5)]
    top: usize,
    /// Threads [default: all cores]
    #[arg(long)]
    threads: Option<NonZeroUsize>,
    /// Print one JSON object an image
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct PredictionJson<'a> {
    image: &'a str,
    top: Vec<ScoreJson<'a>>,
}

#[derive(Serialize)]
struct ScoreJson<'a> {
    class: &'a str,
    score: f32,
}

impl PredictArgs {
    fn run(self) -> Result<Outcome> {
        let classifier = Classifier::load_with(&self.model, &run_options(self.threads))?;
        let mut failures = 0;
        for source in &self.images {
            let files = match image_files(source) {
                Ok(files) => files,
                Err(error) => {
                    console::failure(&error);
                    failures += 1;
                    continue;
                }
            };
            for path in files {
                match self.predict(&classifier, &path) {
                    Err(error) if console::is_closed_pipe(&error) => return Err(error),
                    Err(error) => {
                        console::failure(&error);
                        failures += 1;
                    }
                    Ok(()) => {}
                }
            }
        }
        Ok(Outcome::from_failures(failures))
    }

    fn predict(&self, classifier: &Classifier, path: &Path) -> Result<()> {
        let image = ssdlite_image::decode::decode_file(path, &Limits::default())?;
        let name = path.to_string_lossy();
        let top = classifier
            .top(&image, self.top)
            .with_context(|| name.to_string())?;
        let scores = top.iter().map(|top| ScoreJson {
            class: classifier.classes().get(top.class).unwrap_or_default(),
            score: top.score,
        });
        let prediction = PredictionJson {
            image: &name,
            top: scores.collect(),
        };
        if self.json {
            return console::json(&prediction);
        }
        console::text(format_args!("{name}:"))?;
        for score in &prediction.top {
            console::text(format_args!("  {:.3} {}", score.score, score.class))?;
        }
        Ok(())
    }
}

/// The image files that an argument names.
pub(crate) fn image_files(argument: &str) -> Result<Vec<PathBuf>> {
    let Source::Files(files) = Source::parse(argument)? else {
        anyhow::bail!("{argument}: expected images, found a camera or a stream");
    };
    let images = files
        .into_iter()
        .filter(|file| file.kind == MediaKind::Image);
    let paths: Vec<_> = images.map(|file| file.path).collect();
    anyhow::ensure!(
        !paths.is_empty(),
        "{argument}: expected images, found videos"
    );
    Ok(paths)
}

#[derive(Args)]
pub(crate) struct ClassifierEvalArgs {
    /// A classifier's model file
    model: PathBuf,
    /// A folder of images in class folders, under train, val and test, or alone and
    /// then divided at random as the model's was
    data: PathBuf,
    /// train, val, trainval or test
    #[arg(long, default_value_t = Split::Test)]
    split: Split,
    /// Save the confusion matrix and all numbers in this folder
    #[arg(long, value_name = "DIR")]
    save: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl ClassifierEvalArgs {
    fn run(self) -> Result<Outcome> {
        // Images, not layers, are shared out among threads.
        let options = run_options(Some(NonZeroUsize::MIN));
        let classifier = Classifier::load_with(&self.model, &options)?;
        let reading = ImageFolder::open(&self.data)?.read(
            self.split,
            &ImageFolderOptions {
                classes: Some(classifier.classes().clone()),
                shares: division_from_info(classifier.info()).unwrap_or_default(),
            },
        )?;
        warn_of(&reading.findings);
        if !reading.losses.is_none() {
            console::warning(&format!("{}: {}", self.data.display(), reading.losses));
        }
        let evaluator = ClassifierEvaluator::new(Arc::new(reading.set), once_on_all_cores());
        let (report, failures) = until_done(|watch| evaluator.evaluate(&classifier, watch))?;
        if self.json {
            console::json(&report)?;
        } else {
            console::text(&report)?;
            if classifier.classes().len() <= MOST_PRINTED_CLASSES {
                console::text(&report.confusion)?;
            }
        }
        if let Some(folder) = &self.save {
            save(&report, folder)?;
        }
        Ok(Outcome::from_failures(
            failures + reading.losses.images_skipped,
        ))
    }
}

/// Evaluates a run's best model on its validation images, if there are any, and
/// saves all of it in the run's folder. False if it was stopped.
pub(crate) fn evaluate_run(
    data: RunData<ClassificationSet>,
    run: &RunFolder,
    stop: &AtomicBool,
) -> Result<bool> {
    let Some(set) = data.validation else {
        return Ok(true);
    };
    let options = run_options(Some(NonZeroUsize::MIN));
    let classifier = Classifier::load_with(run.best_model(), &options)?;
    let evaluator = ClassifierEvaluator::new(set, once_on_all_cores());
    let (report, _) = until_stopped(stop, |watch| evaluator.evaluate(&classifier, watch))?;
    let Some(report) = report else {
        return Ok(false);
    };
    save(&report, &run.evaluation())?;
    Ok(true)
}

/// Writes `evaluation.json` and `confusion.png`.
fn save(report: &ClassificationReport, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("can't make the folder {}", folder.display()))?;
    let chart = charts::confusion(&report.confusion);
    encode::save(&folder.join("confusion.png"), &chart)?;
    let json = serde_json::to_vec_pretty(report)?;
    let path = folder.join("evaluation.json");
    write_atomically(&path, &json).with_context(|| path.display().to_string())
}
