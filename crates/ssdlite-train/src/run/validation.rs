//! What an evaluation during a run says of its network.

use ssdlite_eval::{ClassificationReport, Evaluation, IouThreshold, VocMetric};

/// What an evaluation found.
#[derive(Clone, Debug, PartialEq)]
pub struct Validation {
    /// Scores by their names in `results.csv`, the one that picks the best
    /// network first. A score that is undefined, such as a mean over no
    /// class, is left out.
    pub scores: Vec<(String, f64)>,
    /// Tables to read.
    pub text: String,
    /// The number of images.
    pub images: u64,
}

impl Validation {
    /// What picks the best network.
    pub fn score(&self) -> Option<f64> {
        self.scores.first().map(|&(_, score)| score)
    }

    /// A detector's: VOC07 mAP, then VOC area mAP.
    pub fn from_detections(evaluation: &Evaluation) -> Self {
        let voc07 = evaluation.voc(VocMetric::ElevenPoint, IouThreshold::HALF);
        let area = evaluation.voc(VocMetric::Area, IouThreshold::HALF);
        let scores = [("map_voc07", voc07.map), ("map_voc", area.map)];
        Self {
            scores: defined(&scores),
            text: voc07.to_string(),
            images: voc07.images as u64,
        }
    }

    /// A classifier's: top-1, then top-5.
    pub fn from_classification(report: &ClassificationReport) -> Self {
        Self {
            scores: defined(&[("top1", report.top1), ("top5", report.top5)]),
            text: report.to_string(),
            images: report.images,
        }
    }
}

fn defined(scores: &[(&str, Option<f64>)]) -> Vec<(String, f64)> {
    let known = scores
        .iter()
        .filter_map(|&(name, score)| Some((name, score?)));
    known
        .map(|(name, score)| (name.to_owned(), score))
        .collect()
}
