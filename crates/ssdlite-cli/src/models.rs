//! Model files that commands run.

use std::num::NonZeroUsize;
use std::path::Path;

use anyhow::{Context, Result};
use ssdlite_core::{PostProcessing, Task};
use ssdlite_infer::{Detector, DetectorOptions, ModelFile, RunOptions};
use ssdlite_serve::{Model, ModelOptions};

use crate::args::model::ModelArg;
use crate::args::post_processing::PostProcessingArgs;

/// What detections are for, unless an option says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To be looked at: the model's own settings.
    Show,
    /// To be evaluated: also boxes of low score.
    Evaluate,
}

/// Reads a detector's model file.
pub(crate) fn load_detector(
    path: &Path,
    args: &PostProcessingArgs,
    purpose: Purpose,
    threads: Option<NonZeroUsize>,
) -> Result<Detector> {
    let file = ModelFile::read(path)?;
    let Task::Detect(settings) = &file.info().task else {
        anyhow::bail!(
            "{} is a classifier: it names what an image shows with `ssdlite classifier predict`",
            path.display()
        );
    };
    let mut usual = settings.post_processing;
    if purpose == Purpose::Evaluate {
        usual.score_threshold = PostProcessing::EVALUATION_SCORE_THRESHOLD;
    }
    let post_processing = args.over(usual);
    let options = DetectorOptions {
        run: run_options(threads),
        post_processing: Some(post_processing),
        tiles: args.tiles.asked(),
    };
    Detector::new(&file, &options).with_context(|| path.display().to_string())
}

/// Reads a detector that the server gives to clients.
pub(crate) fn load_served(model: &ModelArg, options: &ModelOptions) -> Result<Model> {
    Ok(Model {
        name: model.name(),
        ..Model::load(&model.file()?, options)?
    })
}

pub(crate) fn run_options(threads: Option<NonZeroUsize>) -> RunOptions {
    RunOptions {
        threads,
        ..RunOptions::default()
    }
}
