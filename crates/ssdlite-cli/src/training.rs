//! What `train` and `classifier train` share: a training run from options to
//! model file.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use ssdlite_core::Variant;
use ssdlite_data::Overwrite;
use ssdlite_train::config::{DeviceKind, Ignored, TrainingOptions, Weights};
use ssdlite_train::{ClassifierConfig, DetectorConfig, End, RunFolder, Session, Start};

use crate::args::config::{blamed, config_text, expect_effect, given_options};
use crate::args::model::ModelArg;
use crate::args::run::RunArgs;
use crate::console;
use crate::device::device_from_kind;
use crate::outcome::{Outcome, UsageError};
use crate::output::run_end::{self, BestModel};
use crate::output::shell;
use crate::output::training_progress::TrainingProgress;
use crate::paths::{expect_folder_there, expect_there};
use crate::signals::stop_on_signal;
use crate::weights::{Store, TrainedOn, published_for};

/// A run's configuration in its folder.
const CONFIG: &str = "config.toml";

/// The option that may stand beside `--resume`.
const EPOCHS: &str = "--epochs";

/// Its key in a configuration.
const EPOCHS_KEY: &str = "training.epochs";

/// What is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    Detector,
    Classifier,
}

impl Task {
    const fn name(self) -> &'static str {
        match self {
            Self::Detector => "detector",
            Self::Classifier => "classifier",
        }
    }

    const fn command(self) -> &'static str {
        match self {
            Self::Detector => "ssdlite train",
            Self::Classifier => "ssdlite classifier train",
        }
    }

    const fn other(self) -> Self {
        match self {
            Self::Detector => Self::Classifier,
            Self::Classifier => Self::Detector,
        }
    }

    /// Whether a text is a configuration of this task.
    fn reads(self, text: &str) -> bool {
        match self {
            Self::Detector => DetectorConfig::from_toml(text).is_ok(),
            Self::Classifier => ClassifierConfig::from_toml(text).is_ok(),
        }
    }
}

impl RunArgs {
    /// The text of a `C`: of a resumed run's configuration, or of that of the file
    /// and the options.
    pub(crate) fn config_text<C: DeserializeOwned>(
        &self,
        options: &impl Serialize,
    ) -> Result<String> {
        let Some(run) = &self.resume else {
            self.config.as_deref().map_or(Ok(()), expect_there)?;
            return config_text::<C>(self.config.as_deref(), options);
        };
        let mut others = given_options(options)?;
        others.retain(|option| option != EPOCHS);
        if !others.is_empty() {
            return Err(UsageError(format!(
                "{} can't stand beside --resume: a resumed run keeps its options, and {EPOCHS} \
                 alone prolongs it",
                others.join(", ")
            ))
            .into());
        }
        expect_there(run)?;
        Ok(RunFolder::read_config(run)?)
    }

    /// The configuration that was read from `text`; a fault is told with the file
    /// that it is in.
    pub(crate) fn checked<C>(
        &self,
        config: ssdlite_train::Result<C>,
        text: &str,
        task: Task,
    ) -> Result<C> {
        let origin = match (&self.resume, &self.config) {
            (None, _) => return Ok(config?),
            (Some(run), _) if config.is_err() && task.other().reads(text) => {
                let (run, other) = (run.display(), task.other());
                let (name, command) = (other.name(), other.command());
                anyhow::bail!(
                    "{run} is no {}'s run but a {name}'s: `{command} --resume {run}` goes on",
                    task.name()
                );
            }
            (Some(run), _) => run.join(CONFIG).display().to_string(),
        };
        config.context(origin)
    }

    /// What went wrong in a run of these options, told of the option or of the file's
    /// line that is to blame.
    pub(crate) fn blamed(&self, error: anyhow::Error, options: &impl Serialize) -> anyhow::Error {
        match (&self.resume, error.downcast_ref()) {
            (None, _) => blamed(error, self.config.as_deref(), options),
            // All other settings are the run's own.
            (
                Some(_),
                Some(ssdlite_train::Error::Setting {
                    key: EPOCHS_KEY,
                    fault,
                }),
            ) => UsageError(format!("{EPOCHS}: {fault}")).into(),
            (Some(_), _) => error,
        }
    }

    /// Refuses options and keys of the file that the others make idle.
    pub(crate) fn expect_effect(
        &self,
        ignored: &[Ignored],
        defaults: &impl Serialize,
        options: &impl Serialize,
    ) -> Result<()> {
        match self.resume {
            Some(_) => Ok(()),
            None => expect_effect(ignored, defaults, self.config.as_deref(), options),
        }
    }

    /// Checks that there is a data folder, before anything is fetched or made.
    pub(crate) fn expect_data(&self, folder: &Path) -> Result<()> {
        let Err(fault) = ssdlite_data::expect_folder(folder) else {
            return Ok(());
        };
        match &self.resume {
            None => expect_folder_there(folder).and(Err(fault.into())),
            Some(run) => anyhow::bail!(
                "{}: {fault}; put it back, or change `path` in the \
                 section [data]",
                run.join(CONFIG).display()
            ),
        }
    }

    /// What the network starts from; published weights are fetched.
    pub(crate) fn start(&self, variant: Variant, weights: &Weights) -> Result<Start> {
        if self.resume.is_some() {
            return Ok(Start::Resume);
        }
        let trained_on = match weights {
            Weights::None => return Ok(Start::Random),
            Weights::File(path) => {
                let expected = "weights: expected `imagenet`, `coco`, `none`, a file or a run";
                let file = ModelArg::from(&**path).file().context(expected)?;
                return Ok(Start::Weights(file));
            }
            Weights::Imagenet => TrainedOn::ImageNet,
            Weights::Coco => TrainedOn::Coco,
        };
        let published = published_for(variant, trained_on).with_context(|| {
            format!(
                "there are no published weights of {} trained on {weights}: use `imagenet`, a \
                 file or `none`",
                variant.name()
            )
        })?;
        Ok(Start::Weights(
            Store::from_environment()?.fetch(&published)?,
        ))
    }

    /// The start of a run that goes on to `epochs`, where they were asked for, which its
    /// options then say.
    pub(crate) fn prolong(
        &self,
        start: Start,
        epochs: Option<u32>,
        training: &mut TrainingOptions,
    ) -> Result<Start> {
        match epochs {
            Some(0) if start == Start::Resume => Err(UsageError(format!(
                "{EPOCHS}: expected a number of epochs for the run to go on to, found 0"
            ))
            .into()),
            Some(epochs) if start == Start::Resume => {
                training.epochs = epochs;
                Ok(Start::Prolong)
            }
            _ => Ok(start),
        }
    }

    /// A run with the evaluation of its best model, which tells whether it got to
    /// its end, on the data that the training gives back.
    pub(crate) fn train<D>(
        &self,
        task: Task,
        device: DeviceKind,
        train: impl FnOnce(&mut Session<'_>) -> ssdlite_train::Result<(ssdlite_train::Outcome, D)>,
        evaluate: impl FnOnce(D, &RunFolder, &AtomicBool) -> Result<Option<BestModel>>,
    ) -> Result<Outcome> {
        let device = device_from_kind(device)?;
        let folder = match &self.resume {
            Some(run) => RunFolder::open(run)?,
            None => RunFolder::create(self.new_folder(task)?, Overwrite::Refuse)?,
        };
        let mut progress = TrainingProgress::new(folder.path(), self.json);
        let stop = stop_on_signal("stopping after this step")?;
        let outcome = train(&mut Session {
            folder: &folder,
            device: device.as_ref(),
            observer: &mut progress,
            stop: &stop,
        });
        let printed = progress.end();
        let (mut outcome, data) = match outcome {
            Ok(done) => done,
            Err(error) => {
                let path = folder.path().to_owned();
                // With the lock goes its file.
                drop(folder);
                if self.resume.is_none() {
                    remove_if_empty(&path);
                }
                return Err(error.into());
            }
        };
        let best = match outcome.end {
            End::Stopped => None,
            End::Finished | End::OutOfPatience => evaluate(data, &folder, &stop)?,
        };
        if best.is_none() {
            outcome.end = End::Stopped;
        }
        let took_no_step = outcome.steps == 0 && outcome.end != End::Stopped;
        let ended = say_end(&outcome, &folder, task);
        let told = run_end::tell(&outcome, &folder, best.as_ref(), self.json);
        if took_no_step {
            say_way_on(&folder, task);
        }
        match printed.and(told) {
            Err(error) if !console::is_closed_pipe(&error) => Err(error),
            _ => Ok(ended),
        }
    }

    fn new_folder(&self, task: Task) -> Result<PathBuf> {
        if let Some(name) = &self.name {
            return Ok(self.runs.join(name));
        }
        let runs = &self.runs;
        std::fs::create_dir_all(runs)
            .with_context(|| format!("can't make the folder {}", runs.display()))?;
        // Of two runs that begin at the same moment one makes the folder.
        for number in 1_u32.. {
            let path = runs.join(format!("{}-{number}", task.name()));
            match std::fs::create_dir(&path) {
                Ok(()) => return Ok(path),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error).context(path.display().to_string()),
            }
        }
        anyhow::bail!("{}: there is no free number for the run", runs.display())
    }
}

fn say_end(outcome: &ssdlite_train::Outcome, folder: &RunFolder, task: Task) -> Outcome {
    if outcome.end == End::Stopped {
        let (command, path) = (task.command(), shell::word(folder.path()));
        console::notice(&format!("stopped; `{command} --resume {path}` goes on"));
        return Outcome::Failed;
    }
    console::note(&run_end::epochs_text(outcome));
    Outcome::Done
}

/// Tells how a run that was asked to go on and had nothing left to do can.
fn say_way_on(folder: &RunFolder, task: Task) {
    let (command, path) = (task.command(), shell::word(folder.path()));
    console::note(&format!(
        "this run had ended before: `{command} --resume {path} {EPOCHS} N` goes on to more epochs"
    ));
}

/// Removes the folder of a run that failed before it wrote anything.
fn remove_if_empty(folder: &Path) {
    let inner = std::fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in inner {
        std::fs::remove_dir(entry.path()).ok();
    }
    std::fs::remove_dir(folder).ok();
}
