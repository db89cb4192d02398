//! Options of the commands that run a model.

use std::num::NonZeroUsize;
use std::path::Path;

use anyhow::{Context, Result};
use clap::Args;
use ssdlite_core::{PostProcessing, Suppression, Task};
use ssdlite_infer::{Detector, DetectorOptions, ModelFile, RunOptions};

/// Which boxes become detections.
#[derive(Args, Default)]
#[command(next_help_heading = "Detections")]
pub(crate) struct PostProcessingArgs {
    /// Least score of a detection, 0 to 1 [default: as the model says, usually 0.3;
    /// 0.01 to evaluate]
    #[arg(long)]
    score: Option<f32>,
    /// IoU above which the worse of two boxes of a class goes [default: as the
    /// model says, usually 0.45]
    #[arg(long, value_name = "IOU", conflicts_with = "soft_nms")]
    nms: Option<f32>,
    /// Lower the score of overlapping boxes instead of dropping them, with this
    /// sigma
    #[arg(long, value_name = "SIGMA")]
    soft_nms: Option<f32>,
    /// Most boxes a class that compete [default: 300]
    #[arg(long)]
    candidates: Option<usize>,
    /// Most detections an image [default: 300]
    #[arg(long)]
    max_detections: Option<usize>,
}

impl PostProcessingArgs {
    /// `settings` with the options that were given.
    fn over(&self, mut settings: PostProcessing) -> PostProcessing {
        if let Some(score) = self.score {
            settings.score_threshold = score;
        }
        if let Some(max_iou) = self.nms {
            settings.suppression = Suppression::Hard { max_iou };
        }
        if let Some(sigma) = self.soft_nms {
            settings.suppression = Suppression::Soft { sigma };
        }
        if let Some(candidates) = self.candidates {
            settings.candidates_per_class = candidates;
        }
        if let Some(most) = self.max_detections {
            settings.max_detections = most;
        }
        settings
    }
}

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
    let options = DetectorOptions {
        run: run_options(threads),
        post_processing: Some(args.over(usual)),
    };
    Detector::new(&file, &options).with_context(|| path.display().to_string())
}

pub(crate) fn run_options(threads: Option<NonZeroUsize>) -> RunOptions {
    RunOptions {
        threads,
        ..RunOptions::default()
    }
}
