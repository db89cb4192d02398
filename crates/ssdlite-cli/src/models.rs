//! Model files that commands run.

use std::num::NonZeroUsize;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;
use ssdlite_core::inventory::parameter_count;
use ssdlite_core::{ModelInfo, PostProcessing, Task, Variant};
use ssdlite_infer::{Detector, DetectorOptions, ModelFile, RunOptions};
use ssdlite_serve::{Model, ModelOptions};

use crate::args::model::ModelArg;
use crate::args::post_processing::PostProcessingArgs;
use crate::console::{self, counted};

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
    let detector = Detector::new(&file, &options).with_context(|| path.display().to_string())?;
    console::detail(&detector_text(path, &detector));
    Ok(detector)
}

/// Which detector runs, and how.
fn detector_text(path: &Path, detector: &Detector) -> String {
    let info = detector.info();
    format!(
        "{}: {}, input {}, {}; scores from {} on, tiles {}; {} with {}",
        path.display(),
        info.backbone.variant.name(),
        info.preprocessing.size,
        counted(detector.classes().len(), "class"),
        detector.post_processing().score_threshold,
        detector.tiles(),
        counted(detector.threads(), "thread"),
        detector.isa()
    )
}

/// Reads a detector that the server gives to clients.
pub(crate) fn load_served(model: &ModelArg, options: &ModelOptions) -> Result<Model> {
    Ok(Model {
        name: model.name(),
        ..Model::load(&model.file()?, options)?
    })
}

/// What a model takes, as its file and its network say.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Costs {
    pub(crate) file_bytes: u64,
    pub(crate) parameters: usize,
    pub(crate) macs: u64,
}

impl Costs {
    /// Those of a model that was read from a file.
    pub(crate) fn of(file: &Path, info: &ModelInfo) -> Result<Self> {
        let metadata = std::fs::metadata(file).with_context(|| file.display().to_string())?;
        Ok(Self {
            file_bytes: metadata.len(),
            parameters: parameter_count(&info.tensors()),
            macs: info.macs(),
        })
    }
}

/// Such as `MobileNetV3-Small, width 0.5`.
pub(crate) fn backbone_text(info: &ModelInfo) -> String {
    let backbone = &info.backbone;
    let mut text = format!(
        "MobileNetV3-{}",
        match backbone.variant {
            Variant::Small => "Small",
            Variant::Large => "Large",
        }
    );
    if backbone.width_multiplier != 1.0 {
        text += &format!(", width {}", backbone.width_multiplier);
    }
    for (is_set, name) in [
        (backbone.reduced_tail, "reduced tail"),
        (backbone.minimalistic, "minimalistic"),
    ] {
        if is_set {
            text += &format!(", {name}");
        }
    }
    text
}

pub(crate) fn run_options(threads: Option<NonZeroUsize>) -> RunOptions {
    RunOptions {
        threads,
        ..RunOptions::default()
    }
}
