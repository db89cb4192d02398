//! From a detector's raw outputs to detections.

use serde::{Deserialize, Serialize};

use crate::box_coder::BoxCoder;
use crate::classes::ClassId;
use crate::default_boxes::DefaultBoxes;
use crate::detection::Detection;
use crate::detector::BOX_NUMBERS;
use crate::error::{Error, Result};
use crate::geometry::{Fractions, ImageSize};
use crate::nms::{Scored, nms, soft_nms};
use crate::scores::Scores;

/// The most candidates a class and detections an image. Suppression compares
/// candidates with each other, so that their number counts squared.
pub const MOST_BOXES: usize = 10_000;

/// How boxes of a class that overlap compete.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Suppression {
    /// A box goes when its IoU with a better one is above this.
    Hard {
        /// The IoU, 0 to 1.
        max_iou: f32,
    },
    /// A box loses score by `exp(-iou^2 / sigma)` for each better one.
    Soft {
        /// Width of the Gaussian; 0.5 in the paper.
        sigma: f32,
    },
}

/// Which of a detector's boxes become detections.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostProcessing {
    /// Least score of a detection, 0 to 1.
    pub score_threshold: f32,
    /// How overlapping boxes of a class compete.
    pub suppression: Suppression,
    /// Most boxes a class that compete, the best by score; 1 to [`MOST_BOXES`].
    pub candidates_per_class: usize,
    /// Most detections an image, the best by score; 1 to [`MOST_BOXES`].
    pub max_detections: usize,
}

impl Default for PostProcessing {
    /// For looking at images: score 0.3, IoU 0.45, 1000 candidates a class
    /// and 300 detections an image.
    ///
    /// A head that learns many boxes an object scores as many for each, so that 300
    /// candidates are those of a few objects. With 1000 the mAP@.5:.95 on BCCD rises by
    /// 0.008, with 3000 by less than 0.001 more.
    fn default() -> Self {
        Self {
            score_threshold: 0.3,
            suppression: Suppression::Hard {
                max_iou: Self::USUAL_MAX_IOU,
            },
            candidates_per_class: 1000,
            max_detections: 300,
        }
    }
}

impl PostProcessing {
    /// Least score of a detection that counts in an evaluation: average
    /// precision wants the whole curve.
    pub const EVALUATION_SCORE_THRESHOLD: f32 = 0.01;

    /// IoU above which the worse of two boxes goes, as in SSD: arXiv
    /// 1512.02325, section 3.7.
    pub const USUAL_MAX_IOU: f32 = 0.45;

    /// Checks the numbers.
    ///
    /// # Errors
    /// [`Error::Malformed`] for a score threshold or an IoU outside 0 to 1, a
    /// sigma that is not positive, or a limit of 0; [`Error::OverLimit`] for
    /// more than [`MOST_BOXES`].
    pub fn validate(&self) -> Result<()> {
        let unit = 0.0..=1.0;
        if !unit.contains(&self.score_threshold) {
            return Err(Error::Malformed(format!(
                "expected a score threshold of 0 to 1, found {}",
                self.score_threshold
            )));
        }
        match self.suppression {
            Suppression::Hard { max_iou } if !unit.contains(&max_iou) => {
                return Err(Error::Malformed(format!(
                    "expected an NMS IoU of 0 to 1, found {max_iou}"
                )));
            }
            Suppression::Soft { sigma } if !(sigma > 0.0 && sigma.is_finite()) => {
                return Err(Error::Malformed(format!(
                    "expected a positive soft-NMS sigma, found {sigma}"
                )));
            }
            _ => {}
        }
        if self.candidates_per_class == 0 || self.max_detections == 0 {
            return Err(Error::Malformed(
                "expected at least one candidate a class and one detection an image, found 0"
                    .into(),
            ));
        }
        let most = self.candidates_per_class.max(self.max_detections);
        if most > MOST_BOXES {
            return Err(Error::OverLimit(format!(
                "expected at most {MOST_BOXES} candidates a class and detections an image, \
                 found {} and {}",
                self.candidates_per_class, self.max_detections
            )));
        }
        Ok(())
    }
}

/// A detector's raw outputs for one image.
#[derive(Clone, Copy, Debug)]
pub struct RawOutputs<'a> {
    /// `[default boxes, logits a box]`, row-major.
    pub logits: &'a [f32],
    /// What the logits say.
    pub scores: Scores,
    /// `[default boxes, 4]`, row-major: `dx, dy, dw, dh` of the box coder.
    pub regressions: &'a [f32],
}

/// The detections in one image, best first.
///
/// Boxes are clipped
/// to the image and given in pixels of `image`; those that lie outside are
/// dropped.
///
/// # Errors
/// [`Error::Malformed`] when the outputs do not have one row a default box,
/// or hold a number that is not finite.
pub fn detections_from_outputs(
    outputs: RawOutputs<'_>,
    default_boxes: &DefaultBoxes,
    coder: &BoxCoder,
    settings: &PostProcessing,
    image: ImageSize,
) -> Result<Vec<Detection>> {
    let boxes = default_boxes.len();
    let width = logits_per_box(outputs, boxes)?;
    let mut candidates = candidates_by_class(outputs, width, settings)?;
    let mut detections = Vec::new();
    for (class, candidates) in candidates.iter_mut().enumerate() {
        keep_best(candidates, settings.candidates_per_class);
        let mut scored: Vec<Scored<Fractions>> = candidates
            .iter()
            .filter_map(|candidate| {
                let row = candidate.index as usize * BOX_NUMBERS;
                let numbers: [f32; BOX_NUMBERS] = outputs.regressions[row..row + BOX_NUMBERS]
                    .try_into()
                    .ok()?;
                let default = &default_boxes.centers()[candidate.index as usize];
                let bbox = coder.decode(numbers, default).clipped();
                bbox.is_valid().then_some(Scored {
                    bbox,
                    score: candidate.score,
                    index: candidate.index,
                })
            })
            .collect();
        match settings.suppression {
            Suppression::Hard { max_iou } => nms(&mut scored, max_iou),
            Suppression::Soft { sigma } => {
                soft_nms(&mut scored, sigma, settings.score_threshold);
            }
        }
        detections.extend(scored.iter().map(|scored| Detection {
            class: ClassId::from_index(class),
            score: scored.score,
            bbox: scored.bbox.to_pixels(image),
        }));
        if detections.len() >= settings.max_detections.saturating_mul(2) {
            keep_best_detections(&mut detections, settings.max_detections);
        }
    }
    keep_best_detections(&mut detections, settings.max_detections);
    Ok(detections)
}

fn keep_best_detections(detections: &mut Vec<Detection>, most: usize) {
    // A stable sort: equal scores stay in the order of classes and boxes.
    detections.sort_by(|a, b| b.score.total_cmp(&a.score));
    detections.truncate(most);
}

#[derive(Clone, Copy)]
struct Candidate {
    score: f32,
    index: u32,
}

fn logits_per_box(outputs: RawOutputs<'_>, boxes: usize) -> Result<usize> {
    let per_box = outputs.logits.len().checked_div(boxes).unwrap_or(0);
    let fits = per_box > outputs.scores.background_logits()
        && per_box * boxes == outputs.logits.len()
        && outputs.regressions.len() == boxes * BOX_NUMBERS;
    if fits {
        Ok(per_box)
    } else {
        Err(Error::Malformed(format!(
            "expected outputs for {boxes} default boxes, found {} logits and {} regressions",
            outputs.logits.len(),
            outputs.regressions.len()
        )))
    }
}

/// The boxes of each class whose score reaches the threshold, of more than
/// twice the candidates that compete only the best.
struct Candidates {
    by_class: Vec<Vec<Candidate>>,
    threshold: f32,
    /// The most of a class that compete.
    most: usize,
}

impl Candidates {
    fn offer(&mut self, class: usize, score: f32, index: usize) {
        if score < self.threshold {
            return;
        }
        let candidates = &mut self.by_class[class];
        let index = index as u32;
        candidates.push(Candidate { score, index });
        if candidates.len() >= self.most.saturating_mul(2) {
            keep_best(candidates, self.most);
        }
    }
}

fn candidates_by_class(
    outputs: RawOutputs<'_>,
    width: usize,
    settings: &PostProcessing,
) -> Result<Vec<Vec<Candidate>>> {
    if outputs.regressions.iter().any(|number| !number.is_finite()) {
        return Err(not_finite("box regressions"));
    }
    let mut candidates = Candidates {
        by_class: vec![Vec::new(); width - outputs.scores.background_logits()],
        threshold: settings.score_threshold,
        most: settings.candidates_per_class,
    };
    match outputs.scores {
        Scores::Softmax => offer_softmax(outputs.logits, width, &mut candidates)?,
        Scores::Sigmoid => offer_sigmoid(outputs.logits, width, &mut candidates)?,
    }
    Ok(candidates.by_class)
}

/// The least logit of a sigmoid that reaches the threshold, or the least lead
/// over one other logit of a softmax.
fn logit_from_score(score: f32) -> f32 {
    (score / (1.0 - score)).ln()
}

fn offer_softmax(logits: &[f32], width: usize, candidates: &mut Candidates) -> Result<()> {
    // softmax_c <= e^c / (e^c + e^background), so a class can only reach the
    // threshold t where its logit leads the background's by ln(t / (1 - t)).
    let least_lead = logit_from_score(candidates.threshold) - LEAD_MARGIN;
    for (index, row) in logits.chunks_exact(width).enumerate() {
        let mut highest = f32::NEG_INFINITY;
        let mut finite = row[0].is_finite();
        for &logit in &row[1..] {
            highest = highest.max(logit);
            finite &= logit.is_finite();
        }
        if !finite {
            return Err(not_finite("class logits"));
        }
        if highest - row[0] < least_lead {
            continue;
        }
        let largest = highest.max(row[0]);
        let sum: f32 = row.iter().map(|logit| (logit - largest).exp()).sum();
        for (class, logit) in row[1..].iter().enumerate() {
            candidates.offer(class, (logit - largest).exp() / sum, index);
        }
    }
    Ok(())
}

fn offer_sigmoid(logits: &[f32], width: usize, candidates: &mut Candidates) -> Result<()> {
    let least = logit_from_score(candidates.threshold) - LEAD_MARGIN;
    for (index, row) in logits.chunks_exact(width).enumerate() {
        if row.iter().any(|logit| !logit.is_finite()) {
            return Err(not_finite("class logits"));
        }
        for (class, &logit) in row.iter().enumerate() {
            if logit >= least {
                candidates.offer(class, 1.0 / (1.0 + (-logit).exp()), index);
            }
        }
    }
    Ok(())
}

/// Keeps the filters by logits from losing a class to rounding.
const LEAD_MARGIN: f32 = 1e-3;

fn not_finite(what: &str) -> Error {
    Error::Malformed(format!(
        "expected finite {what}, found NaN or infinity: the weights or the input are broken"
    ))
}

fn keep_best(candidates: &mut Vec<Candidate>, most: usize) {
    let order =
        |a: &Candidate, b: &Candidate| b.score.total_cmp(&a.score).then(a.index.cmp(&b.index));
    if candidates.len() > most {
        candidates.select_nth_unstable_by(most, order);
        candidates.truncate(most);
    }
    candidates.sort_unstable_by(order);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::default_boxes::DefaultBoxSizes;
    use crate::unit::MapSize;

    const IMAGE: ImageSize = ImageSize::new(640, 480);

    fn default_boxes() -> DefaultBoxes {
        let maps = [MapSize::new(2, 3); 6];
        DefaultBoxes::new(&DefaultBoxSizes::default(), &maps)
    }

    fn run(logits: &[f32], settings: &PostProcessing) -> Result<Vec<Detection>> {
        run_scores(logits, Scores::Softmax, settings)
    }

    fn run_scores(
        logits: &[f32],
        scores: Scores,
        settings: &PostProcessing,
    ) -> Result<Vec<Detection>> {
        let boxes = default_boxes();
        let regressions = vec![0.0; boxes.len() * BOX_NUMBERS];
        let outputs = RawOutputs {
            logits,
            scores,
            regressions: &regressions,
        };
        detections_from_outputs(outputs, &boxes, &BoxCoder::default(), settings, IMAGE)
    }

    fn background() -> Vec<f32> {
        [5.0, -5.0, -5.0].repeat(default_boxes().len())
    }

    #[test]
    fn background_gives_nothing() {
        let found = run(&background(), &PostProcessing::default()).unwrap();
        assert!(found.is_empty());
    }

    #[test]
    fn one_sure_box_is_found_where_its_default_box_is() {
        let mut logits = background();
        logits[3 * 7..3 * 8].copy_from_slice(&[0.0, 1.0, 9.0]);
        let found = run(&logits, &PostProcessing::default()).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].class, ClassId(1));
        assert!(found[0].score > 0.99);
        let expected = default_boxes().corners()[7].clipped().to_pixels(IMAGE);
        for (a, b) in found[0].bbox.to_array().iter().zip(expected.to_array()) {
            assert!((a - b).abs() < 1e-3);
        }
    }

    #[test]
    fn classes_do_not_suppress_each_other() {
        let mut logits = background();
        logits[21..24].copy_from_slice(&[0.0, 4.0, 4.0]);
        let settings = PostProcessing {
            score_threshold: 0.4,
            ..PostProcessing::default()
        };
        let found = run(&logits, &settings).unwrap();
        let classes: Vec<_> = found.iter().map(|detection| detection.class).collect();
        assert_eq!(classes, [ClassId(0), ClassId(1)]);
    }

    #[test]
    fn limits_hold() {
        let logits = [0.0, 3.0, 3.0].repeat(default_boxes().len());
        let settings = PostProcessing {
            score_threshold: 0.1,
            suppression: Suppression::Hard { max_iou: 1.0 },
            candidates_per_class: 4,
            max_detections: 7,
        };
        assert_eq!(run(&logits, &settings).unwrap().len(), 7);
        let fewer = PostProcessing {
            max_detections: 300,
            ..settings
        };
        assert_eq!(run(&logits, &fewer).unwrap().len(), 8);
    }

    /// Scores that rise, fall and are equal again and again.
    fn wavy(classes: usize) -> Vec<f32> {
        let rows = 0..default_boxes().len();
        rows.flat_map(|row| {
            let others = (1..=classes).map(move |class| (row * 7 * class % 13) as f32 / 4.0);
            std::iter::once(1.0).chain(others)
        })
        .collect()
    }

    #[test]
    fn what_is_dropped_on_the_way_is_not_missed() {
        let all = PostProcessing {
            score_threshold: 0.05,
            suppression: Suppression::Hard { max_iou: 1.0 },
            candidates_per_class: MOST_BOXES,
            max_detections: MOST_BOXES,
        };
        let logits = wavy(4);
        let everything = run(&logits, &all).unwrap();
        for most in [1, 3, 10, 50] {
            let fewer = PostProcessing {
                max_detections: most,
                ..all
            };
            assert_eq!(run(&logits, &fewer).unwrap(), everything[..most]);
            let of_class = |found: &[Detection], class| -> Vec<Detection> {
                let found = found.iter().filter(|found| found.class == ClassId(class));
                found.copied().collect()
            };
            let competing = PostProcessing {
                candidates_per_class: most,
                ..all
            };
            let found = run(&logits, &competing).unwrap();
            for class in 0..4 {
                let expected = of_class(&everything, class);
                assert!(expected.len() > 100);
                assert_eq!(of_class(&found, class), expected[..most]);
            }
        }
    }

    #[test]
    fn a_threshold_of_zero_or_one_is_no_trap() {
        let logits = [0.0, 1.0, -1.0].repeat(default_boxes().len());
        for (score_threshold, any) in [(0.0, true), (1.0, false)] {
            let settings = PostProcessing {
                score_threshold,
                ..PostProcessing::default()
            };
            assert_eq!(!run(&logits, &settings).unwrap().is_empty(), any);
        }
    }

    #[test]
    fn wrong_lengths_and_nan_are_errors() {
        let logits = background();
        let settings = PostProcessing::default();
        assert!(run(&logits[1..], &settings).is_err());
        assert!(run(&[], &settings).is_err());
        for bad in [f32::NAN, f32::INFINITY] {
            for position in 0..3 {
                let mut logits = background();
                logits[position] = bad;
                assert!(run(&logits, &settings).is_err());
            }
        }
    }

    /// Against a background of 0, two classes of which one is out of the question
    /// have the same softmax as sigmoid.
    #[test]
    fn a_sigmoid_is_the_softmax_against_a_background_of_zero() {
        let rows = default_boxes().len();
        let logit = |row: usize| (row * 7 % 13) as f32 / 4.0 - 2.0;
        let sigmoid: Vec<f32> = (0..rows).flat_map(|row| [logit(row), -100.0]).collect();
        let softmax: Vec<f32> = (0..rows)
            .flat_map(|row| [0.0, logit(row), -100.0])
            .collect();
        for score_threshold in [0.1, 0.3, 0.6] {
            let settings = PostProcessing {
                score_threshold,
                ..PostProcessing::default()
            };
            let expected = run(&softmax, &settings).unwrap();
            let found = run_scores(&sigmoid, Scores::Sigmoid, &settings).unwrap();
            assert!(!expected.is_empty());
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(&expected) {
                assert_eq!((found.class, found.bbox), (expected.class, expected.bbox));
                assert!((found.score - expected.score).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn one_class_needs_one_sigmoid_and_every_number_finite() {
        let rows = default_boxes().len();
        let settings = PostProcessing::default();
        let mut logits = vec![-9.0; rows];
        logits[7] = 3.0;
        let found = run_scores(&logits, Scores::Sigmoid, &settings).unwrap();
        assert_eq!(found.len(), 1);
        assert!((found[0].score - 0.952_574).abs() < 1e-5);
        assert!(run(&logits, &settings).is_err());
        assert!(run_scores(&[], Scores::Sigmoid, &settings).is_err());
        for bad in [f32::NAN, f32::NEG_INFINITY] {
            logits[5] = bad;
            assert!(run_scores(&logits, Scores::Sigmoid, &settings).is_err());
        }
    }

    #[test]
    fn bad_settings_are_refused() {
        let good = PostProcessing::default();
        assert!(good.validate().is_ok());
        let bad = [
            PostProcessing {
                score_threshold: f32::NAN,
                ..good
            },
            PostProcessing {
                suppression: Suppression::Hard { max_iou: 1.5 },
                ..good
            },
            PostProcessing {
                suppression: Suppression::Soft { sigma: 0.0 },
                ..good
            },
            PostProcessing {
                max_detections: 0,
                ..good
            },
            PostProcessing {
                max_detections: MOST_BOXES + 1,
                ..good
            },
            PostProcessing {
                candidates_per_class: usize::MAX,
                ..good
            },
        ];
        assert!(bad.iter().all(|settings| settings.validate().is_err()));
    }
}
