//! Options of the commands that run a detector.

use clap::Args;
use ssdlite_core::post_processing::MOST_BOXES;
use ssdlite_core::{PostProcessing, Suppression};

use super::number::{positive, probability, whole};
use super::tiles::TilesArgs;

/// Which boxes become detections.
#[derive(Args, Default)]
#[command(next_help_heading = "Detections")]
pub(crate) struct PostProcessingArgs {
    #[arg(
        long,
        visible_alias = "conf",
        value_parser = probability,
        help = format!(
            "Least score of a detection, 0 to 1 [default: as the model says, usually {}; {} to \
             evaluate]",
            PostProcessing::default().score_threshold,
            PostProcessing::EVALUATION_SCORE_THRESHOLD
        )
    )]
    score: Option<f32>,
    #[arg(
        long,
        value_name = "IOU",
        value_parser = probability,
        conflicts_with = "soft_nms",
        help = format!(
            "IoU above which the worse of two boxes of a class goes [default: as the model says, \
             usually {}]",
            PostProcessing::USUAL_MAX_IOU
        )
    )]
    nms: Option<f32>,
    /// Lower the score of overlapping boxes instead of dropping them, with this
    /// sigma
    #[arg(long, value_name = "SIGMA", value_parser = positive)]
    soft_nms: Option<f32>,
    #[arg(
        long,
        value_parser = whole(1..=MOST_BOXES),
        help = format!(
            "Most boxes a class that compete [default: as the model says, usually {}]",
            PostProcessing::default().candidates_per_class
        )
    )]
    candidates: Option<usize>,
    #[arg(
        long,
        value_parser = whole(1..=MOST_BOXES),
        help = format!(
            "Most detections an image [default: as the model says, usually {}]",
            PostProcessing::default().max_detections
        )
    )]
    max_detections: Option<usize>,
    #[command(flatten)]
    pub(crate) tiles: TilesArgs,
}

impl PostProcessingArgs {
    /// Asks for this least score.
    pub(crate) fn ask_for_score(&mut self, score: f32) {
        self.score = Some(score);
    }

    /// `settings` with the options that were given.
    pub(crate) fn over(&self, mut settings: PostProcessing) -> PostProcessing {
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
