//! What an evaluation during a run says of its network.

use ssdlite_core::PostProcessing;
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
    /// The score threshold that the network's file gets; none for a classifier.
    pub score_threshold: Option<f32>,
}

impl Validation {
    /// What picks the best network.
    pub fn score(&self) -> Option<f64> {
        self.scores.first().map(|&(_, score)| score)
    }

    /// A detector's: VOC07 mAP, then VOC area mAP. `least_score` is that of the
    /// detections which were let through to the evaluation.
    pub fn from_detections(evaluation: &Evaluation, least_score: f32) -> Self {
        let voc07 = evaluation.voc(VocMetric::ElevenPoint, IouThreshold::HALF);
        let area = evaluation.voc(VocMetric::Area, IouThreshold::HALF);
        let curves = evaluation.score_curves(IouThreshold::HALF, least_score);
        let usual = PostProcessing::default().score_threshold;
        let scores = [("map_voc07", voc07.map), ("map_voc", area.map)];
        Self {
            scores: defined(&scores),
            text: voc07.to_string(),
            images: voc07.images as u64,
            score_threshold: Some(curves.all.model_threshold(usual)),
        }
    }

    /// A classifier's: top-1, then top-5.
    pub fn from_classification(report: &ClassificationReport) -> Self {
        Self {
            scores: defined(&[("top1", report.top1), ("top5", report.top5)]),
            text: report.to_string(),
            images: report.images,
            score_threshold: None,
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

#[cfg(test)]
mod tests {
    use ssdlite_core::{ClassId, ClassNames, Detection, GroundTruth, PixelBox};

    use super::*;

    /// Images with an object each, found with a score of 0.8, and a false detection
    /// in every corner of each with a score of `noise`.
    fn evaluation(images: u32, is_found: bool, noise: f32) -> Evaluation {
        let class = ClassId(0);
        let mut evaluation = Evaluation::new(ClassNames::new(["cat"]).unwrap());
        for _ in 0..images {
            let bbox = PixelBox::new(3.0, 5.0, 40.0, 30.0);
            let object = GroundTruth {
                class,
                bbox,
                difficult: false,
            };
            let mut detections: Vec<Detection> = (1..=40)
                .map(|place| Detection {
                    class,
                    score: noise,
                    bbox: PixelBox::new(50.0 * place as f32, 0.0, 50.0 * place as f32 + 9.0, 9.0),
                })
                .collect();
            if is_found {
                let score = 0.8;
                detections.push(Detection { class, score, bbox });
            }
            evaluation.add_image(&[object], &detections).unwrap();
        }
        evaluation
    }

    #[test]
    fn a_detectors_file_gets_the_threshold_that_its_evaluation_suggests() {
        let threshold = |images, is_found, noise| {
            let found = evaluation(images, is_found, noise);
            Validation::from_detections(&found, 0.01).score_threshold
        };
        assert_eq!(threshold(9, true, 0.4), Some(0.52));
        assert_eq!(threshold(9, true, 0.1), Some(0.45));
        // Without a hit nothing may pass for one.
        assert_eq!(threshold(9, false, 0.1), Some(0.3));
        assert_eq!(threshold(9, false, 0.4), Some(0.41));
    }
}
