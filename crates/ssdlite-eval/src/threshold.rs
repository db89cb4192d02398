//! Precision, recall and F1 over the score, and the score threshold that they
//! suggest.
//!
//! The matching is VOC's, in which detections of lower score change nothing
//! for those of higher score: see [`Evaluation::voc`].

use std::fmt;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::evaluation::{Evaluation, IouThreshold};
use crate::matching::{Outcome, Ranking, rankings};
use crate::table::{Table, ratio, share};

/// The name under which all classes are counted together.
const ALL: &str = "all";

/// Thresholds that a model may get. Below them a detector shows nearly all its
/// boxes, above them next to none, whatever a few images say.
const LEAST_THRESHOLD: f32 = 0.05;
const GREATEST_THRESHOLD: f32 = 0.9;

/// Where F1 is below this, a threshold tells nothing. A network that has learnt
/// nothing, and finds the same boxes in every image, reaches 0.17 on images crowded
/// with objects (BCCD, a hundred boxes each); the rest is margin.
pub const LEAST_F1: f64 = 0.25;

/// The share of the best F1 that is kept even where a single object more would
/// excuse less.
const LEAST_SHARE_OF_BEST: f64 = 0.5;

/// What is expected of the threshold before anything was seen, about where it lies for
/// BCCD (0.45 for all classes, 0.41 to 0.55 for each), and for how many objects the
/// expectation counts.
const EXPECTED_THRESHOLD: f64 = 0.45;
const EXPECTED_AS_OBJECTS: f64 = 10.0;

/// The detections from a score on.
///
/// `precision = correct / detections`, `recall = correct / objects` and
/// `F1 = 2 correct / (detections + objects)`, their harmonic mean.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ScorePoint {
    /// The least score of a detection that counts.
    pub score: f32,
    /// Detections that count, but those on difficult objects.
    pub detections: usize,
    /// Those that hit an object which none of higher score hits.
    pub correct: usize,
    /// The share of detections that are correct, 0 to 1; `None` without any.
    pub precision: Option<f64>,
    /// The share of objects that are found, 0 to 1; `None` without any.
    pub recall: Option<f64>,
    /// Their harmonic mean, 0 to 1; `None` without detections and objects.
    pub f1: Option<f64>,
}

/// The score threshold that suits a set of images.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Suggestion {
    /// What the detector does at the threshold.
    #[serde(flatten)]
    pub point: ScorePoint,
    /// The greatest F1 at any score.
    pub best_f1: f64,
    /// From this score on F1 is within a standard error of the best.
    pub from: f32,
    /// Up to this score it is.
    pub to: f32,
}

/// Precision, recall and F1 of one class, or of all classes together, at every
/// score.
///
/// Its JSON is `{"name", "objects", "suggested", "points"}`: a [`Suggestion`] or
/// null, and the [`ScorePoint`]s of [`Self::tenths`].
#[derive(Clone, Debug, PartialEq)]
pub struct ScoreCurve {
    /// The class, or "all".
    pub name: String,
    /// Objects to be found, without difficult ones.
    pub objects: usize,
    least_score: f32,
    steps: Vec<Step>,
}

/// What counts from the score of a detection down to that of the next one.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Step {
    score: f32,
    detections: usize,
    correct: usize,
}

impl ScoreCurve {
    fn new(name: &str, ranking: &Ranking, least_score: f32) -> Self {
        let mut steps: Vec<Step> = Vec::new();
        let mut correct = 0;
        for (index, &(score, outcome)) in ranking.outcomes.iter().enumerate() {
            correct += usize::from(outcome == Outcome::Hit);
            // Of equal scores the last one counts all of them.
            if steps.last().is_some_and(|step| step.score == score) {
                steps.pop();
            }
            steps.push(Step {
                score,
                detections: index + 1,
                correct,
            });
        }
        Self {
            name: name.to_owned(),
            objects: ranking.objects,
            least_score,
            steps,
        }
    }

    /// What counts of the detections that score at least `score`.
    pub fn at(&self, score: f32) -> ScorePoint {
        let counted = self.steps.partition_point(|step| step.score >= score);
        let (detections, correct) = match counted.checked_sub(1) {
            Some(last) => (self.steps[last].detections, self.steps[last].correct),
            None => (0, 0),
        };
        ScorePoint {
            score,
            detections,
            correct,
            precision: ratio(correct as u64, detections as u64),
            recall: ratio(correct as u64, self.objects as u64),
            f1: ratio(2 * correct as u64, (detections + self.objects) as u64),
        }
    }

    /// The points at 0.1, 0.2, ... 0.9, as far as the detections reach down.
    pub fn tenths(&self) -> impl Iterator<Item = ScorePoint> {
        self.at_known((1..10_u8).map(|tenth| f32::from(tenth) / 10.0))
    }

    /// The points at 0, 0.01, ... 1, as far as the detections reach down.
    pub fn hundredths(&self) -> impl Iterator<Item = ScorePoint> {
        self.at_known((0..=100_u8).map(|hundredth| f32::from(hundredth) / 100.0))
    }

    fn at_known(&self, scores: impl Iterator<Item = f32>) -> impl Iterator<Item = ScorePoint> {
        let known = scores.filter(|&score| score >= self.least_score);
        known.map(|score| self.at(score))
    }

    /// The threshold that these images suggest.
    ///
    /// F1 over a few images is a jagged line, and where it is highest is chance.
    /// So the threshold is the middle of the scores around the best one whose F1
    /// is within a standard error of the best: as if, of the hits, fewer had been
    /// made by `sqrt(hits * misses / objects)`, the deviation of a binomial
    /// distribution, and by one at least. Of few objects nearly all scores are such
    /// ones, and the middle is chance too: the mean of it and of 0.45 is taken, weighted
    /// by the objects and by ten, or the nearest of those scores. It is rounded to
    /// hundredths where that leaves it there, and is from 0.05 to 0.9. Source of the rule of one
    /// standard error: Breiman, Friedman, Olshen, Stone, "Classification and
    /// Regression Trees", 1984, section 3.4.3.
    ///
    /// `None` if F1 is below [`LEAST_F1`] there: these scores tell nothing.
    pub fn suggestion(&self) -> Option<Suggestion> {
        let best = self.best_step()?;
        let best_f1 = self.f1(best.correct as f64, best.detections as f64);
        let least = self.least_f1_near(best);
        let is_near = |step: &Step| self.f1(step.correct as f64, step.detections as f64) >= least;
        let place = self.steps.iter().position(|step| step == best)?;
        let above = self.steps[..place].iter().rev();
        let first = place - above.take_while(|step| is_near(step)).count();
        let below = self.steps[place..].iter();
        let after = place + below.take_while(|step| is_near(step)).count();
        let to = self.steps[first].score;
        let next = self.steps.get(after).map(|step| step.score);
        let from = next.unwrap_or(self.least_score).min(to);
        let score = self
            .expected_within(from, to)
            .clamp(LEAST_THRESHOLD, GREATEST_THRESHOLD);
        let point = self.at(score);
        (point.f1? >= LEAST_F1).then_some(Suggestion {
            point,
            best_f1,
            from,
            to,
        })
    }

    /// The threshold for a model: the suggested one. Where there is none and
    /// something was found, it is none that passes for a result: `usual`, or the
    /// next hundredth above all scores if that is greater, 0.9 at most.
    pub fn model_threshold(&self, usual: f32) -> f32 {
        if let Some(suggestion) = self.suggestion() {
            return suggestion.point.score;
        }
        let highest = self.steps.first().map_or(0.0, |step| step.score);
        let above = ((highest * 100.0).floor() + 1.0) / 100.0;
        usual.max(above.min(GREATEST_THRESHOLD))
    }

    /// The score from which on F1 is greatest, of equal ones the greatest score; `None`
    /// without detections. It is where these images have it: for others
    /// [`Self::suggestion`] is the better guess.
    pub fn best(&self) -> Option<ScorePoint> {
        self.best_step().map(|step| self.at(step.score))
    }

    /// The step with the greatest F1, of equal ones that of the greatest score.
    fn best_step(&self) -> Option<&Step> {
        let mut best: Option<(&Step, f64)> = None;
        for step in &self.steps {
            let f1 = self.f1(step.correct as f64, step.detections as f64);
            if best.is_none_or(|(_, most)| f1 > most) {
                best = Some((step, f1));
            }
        }
        best.map(|(step, _)| step)
    }

    /// The F1 that is within a standard error of the best.
    fn least_f1_near(&self, best: &Step) -> f64 {
        let (hits, detections) = (best.correct as f64, best.detections as f64);
        let objects = self.objects as f64;
        let deviation = (hits * (objects - hits) / objects.max(1.0)).sqrt().max(1.0);
        let fewer = self.f1(hits - deviation, detections - deviation);
        fewer.max(self.f1(hits, detections) * LEAST_SHARE_OF_BEST)
    }

    /// Of the scores above `from` up to `to` the middle, or with few objects one nearer
    /// to what is expected.
    fn expected_within(&self, from: f32, to: f32) -> f32 {
        let objects = self.objects as f64;
        let middle = f64::midpoint(from.into(), to.into());
        let sum = objects * middle + EXPECTED_AS_OBJECTS * EXPECTED_THRESHOLD;
        rounded_within(sum / (objects + EXPECTED_AS_OBJECTS), from, to)
    }

    fn f1(&self, correct: f64, detections: f64) -> f64 {
        2.0 * correct / (detections + self.objects as f64).max(1.0)
    }
}

impl Serialize for ScoreCurve {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let points: Vec<ScorePoint> = self.tenths().collect();
        let mut object = serializer.serialize_struct("ScoreCurve", 4)?;
        object.serialize_field("name", &self.name)?;
        object.serialize_field("objects", &self.objects)?;
        object.serialize_field("suggested", &self.suggestion())?;
        object.serialize_field("points", &points)?;
        object.end()
    }
}

/// Of the scores above `from` up to `to` the one nearest to `score`, with as few decimal
/// places, two at least, as leave it there.
fn rounded_within(score: f64, from: f32, to: f32) -> f32 {
    let score = score.clamp(from.into(), to.into());
    let rounded = (2..=6).map(|places| {
        let power = 10_f64.powi(places);
        ((score * power).round() / power) as f32
    });
    let mut within = rounded.filter(|&score| score > from && score <= to);
    within.next().unwrap_or(to)
}

/// Precision, recall and F1 over the score, and the thresholds that they suggest.
///
/// Prints as two tables: all classes at some scores, and each class at its own
/// threshold.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ScoreCurves {
    /// The least IoU of a hit.
    pub iou: IouThreshold,
    /// All classes together.
    pub all: ScoreCurve,
    /// All classes in the order of their ids.
    pub per_class: Vec<ScoreCurve>,
}

impl fmt::Display for ScoreCurves {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let iou = self.iou.get();
        writeln!(f, "All classes over the score, at IoU {iou}")?;
        let headings = [
            "score",
            "detections",
            "correct",
            "precision",
            "recall",
            "F1",
        ];
        let mut table = Table::new(headings);
        for point in self.all.tenths() {
            let mut cells = vec![point.score.to_string()];
            cells.extend([point.detections, point.correct].map(|count| count.to_string()));
            cells.extend([point.precision, point.recall, point.f1].map(share));
            table.row(cells);
        }
        table.fmt(f)?;
        writeln!(f, "\nSuggested score thresholds")?;
        let headings = ["class", "objects", "threshold", "precision", "recall", "F1"];
        let mut table = Table::new(headings);
        for curve in self.per_class.iter().chain([&self.all]) {
            let point = curve.suggestion().map(|suggestion| suggestion.point);
            let threshold = point.map(|point| point.score.to_string());
            let of_point = |value: fn(ScorePoint) -> Option<f64>| share(point.and_then(value));
            table.row(vec![
                curve.name.clone(),
                curve.objects.to_string(),
                threshold.unwrap_or_else(|| share(None)),
                of_point(|point| point.precision),
                of_point(|point| point.recall),
                of_point(|point| point.f1),
            ]);
        }
        table.fmt(f)
    }
}

impl Evaluation {
    /// Precision, recall and F1 over the score.
    ///
    /// `least_score` is that of the detections which were let through to this
    /// evaluation: of lower scores nothing is known.
    pub fn score_curves(&self, iou: IouThreshold, least_score: f32) -> ScoreCurves {
        let rankings = rankings(self, iou);
        let classes = self.classes().iter().zip(&rankings);
        ScoreCurves {
            iou,
            per_class: classes
                .map(|(name, ranking)| ScoreCurve::new(name, ranking, least_score))
                .collect(),
            all: ScoreCurve::new(ALL, &together(&rankings), least_score),
        }
    }
}

/// The detections of all classes, those of highest score first.
fn together(rankings: &[Ranking]) -> Ranking {
    let outcomes = rankings.iter().flat_map(|ranking| &ranking.outcomes);
    let mut outcomes: Vec<(f32, Outcome)> = outcomes.copied().collect();
    outcomes.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    Ranking {
        objects: rankings.iter().map(|ranking| ranking.objects).sum(),
        outcomes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A curve of detections that are hits (`true`) or not.
    fn curve(objects: usize, outcomes: &[(f32, bool)]) -> ScoreCurve {
        let outcomes = outcomes.iter().map(|&(score, is_hit)| match is_hit {
            true => (score, Outcome::Hit),
            false => (score, Outcome::FalsePositive),
        });
        let ranking = Ranking {
            objects,
            outcomes: outcomes.collect(),
        };
        ScoreCurve::new("cat", &together(&[ranking]), 0.01)
    }

    fn suggested(curve: &ScoreCurve) -> f32 {
        curve.suggestion().expect("a suggestion").point.score
    }

    #[test]
    fn an_example_worked_by_hand() {
        let curve = curve(
            4,
            &[
                (0.9, true),
                (0.7, true),
                (0.6, false),
                (0.4, true),
                (0.2, false),
            ],
        );
        let point = curve.at(0.4);
        assert_eq!((point.detections, point.correct), (4, 3));
        assert_eq!((point.precision, point.recall), (Some(0.75), Some(0.75)));
        assert_eq!(point.f1, Some(0.75));
        assert_eq!(curve.at(0.400_001).correct, 2);
        assert_eq!(curve.at(0.95).precision, None);
        assert_eq!(curve.at(0.95).f1, Some(0.0));
        // The best F1 is 0.75, and with one hit fewer 2 * 2 / (3 + 4) = 0.571: 0.9
        // has 2 / 5, 0.7 has 4 / 6, 0.2 has 6 / 9.
        let suggestion = curve.suggestion().unwrap();
        assert_eq!((suggestion.from, suggestion.to), (0.01, 0.7));
        assert_eq!(suggestion.best_f1, 0.75);
        assert_eq!(curve.best(), Some(curve.at(0.4)));
        // (4 * 0.355 + 10 * 0.45) / (4 + 10)
        assert_eq!(suggestion.point, curve.at(0.42));
    }

    #[test]
    fn what_is_told_apart_is_cut_in_the_middle() {
        let mut outcomes: Vec<_> = (0..40).map(|n| (0.8 + n as f32 * 0.004, true)).collect();
        outcomes.extend((0..90).map(|n| (0.02 + n as f32 * 0.002, false)));
        let threshold = suggested(&curve(40, &outcomes));
        assert!((0.45..0.55).contains(&threshold), "{threshold}");
    }

    #[test]
    fn few_objects_say_less_than_what_is_expected() {
        let apart = |objects: usize| {
            let hits = (0..objects).map(|n| (0.2 + n as f32 * 1e-4, true));
            let others = (0..3 * objects).map(|n| (0.04 + n as f32 * 1e-5, false));
            suggested(&curve(objects, &hits.chain(others).collect::<Vec<_>>()))
        };
        // What is expected is above all that was found.
        assert_eq!(apart(2), 0.2);
        assert!((apart(2000) - 0.15).abs() < 0.02, "{}", apart(2000));
        let high = |objects: usize| {
            let hits = (0..objects).map(|n| (0.96 + n as f32 * 1e-5, true));
            let others = (0..objects).map(|n| (0.7 + n as f32 * 1e-5, false));
            suggested(&curve(objects, &hits.chain(others).collect::<Vec<_>>()))
        };
        // Objects by themselves ask for 0.83.
        assert!(high(1) < 0.73 && high(40) > 0.74 && high(1000) > 0.82);
    }

    #[test]
    fn a_single_detection_does_not_move_the_threshold_far() {
        let mut outcomes: Vec<_> = (0..9).map(|n| (0.5 + n as f32 * 0.05, true)).collect();
        outcomes.extend((0..30).map(|n| (0.02 + n as f32 * 0.006, false)));
        let before = suggested(&curve(10, &outcomes));
        for stray in [(0.97, false), (0.6, false), (0.3, false), (0.1, true)] {
            let mut more = outcomes.clone();
            more.push(stray);
            let after = suggested(&curve(10, &more));
            assert!(
                (after - before).abs() < 0.12,
                "{stray:?}: {before} to {after}"
            );
        }
    }

    #[test]
    fn a_threshold_lies_where_its_f1_is_near_the_best() {
        let mut number = 7_u32;
        let mut below = |bound: u32| {
            number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (number >> 8) % bound
        };
        for _ in 0..200 {
            let objects = 1 + below(40) as usize;
            let mut hits = 0;
            let outcomes: Vec<(f32, bool)> = (0..below(120))
                .map(|_| {
                    let is_hit = hits < objects && below(3) > 0;
                    hits += usize::from(is_hit);
                    let score = below(700) + if is_hit { 300 } else { 10 };
                    (score as f32 / 1000.0, is_hit)
                })
                .collect();
            let curve = curve(objects, &outcomes);
            let best = outcomes.iter().filter_map(|&(score, _)| curve.at(score).f1);
            let best = best.fold(0.0, f64::max);
            let Some(found) = curve.suggestion() else {
                continue;
            };
            assert_eq!(found.best_f1, best);
            assert!(found.from <= found.to);
            let score = found.point.score;
            assert!((LEAST_THRESHOLD..=GREATEST_THRESHOLD).contains(&score));
            if score > LEAST_THRESHOLD && score < GREATEST_THRESHOLD {
                assert!(found.from <= score && score <= found.to, "{found:?}");
                assert!(found.point.f1.unwrap() >= best * LEAST_SHARE_OF_BEST);
            }
        }
    }

    #[test]
    fn scores_close_together_are_told_apart() {
        let mut outcomes: Vec<_> = (0..30).map(|n| (0.2002 + n as f32 * 1e-6, true)).collect();
        outcomes.extend((0..30).map(|n| (0.2 + n as f32 * 1e-6, false)));
        let point = curve(30, &outcomes).suggestion().unwrap().point;
        assert_eq!((point.correct, point.detections), (30, 30));
        assert_eq!(rounded_within(0.4, 0.4, 0.4), 0.4);
        assert_eq!(rounded_within(0.4511, 0.1, 0.8), 0.45);
        assert_eq!(rounded_within(0.9, 0.1, 0.8), 0.8);
    }

    #[test]
    fn what_tells_nothing_gets_no_threshold_that_passes_for_a_result() {
        const USUAL: f32 = 0.3;
        let nothing = curve(5, &[]);
        assert_eq!(nothing.suggestion(), None);
        assert_eq!(nothing.model_threshold(USUAL), USUAL);
        // One box in a hundred hits, and all score alike.
        let untrained = |score: f32| -> Vec<(f32, bool)> {
            let outcomes = (0..500).map(|n| (score + n as f32 * 1e-5, n % 100 == 0));
            outcomes.collect()
        };
        let low = curve(5, &untrained(0.16));
        assert_eq!(low.suggestion(), None);
        assert_eq!(low.model_threshold(USUAL), USUAL);
        let high = curve(5, &untrained(0.335));
        let threshold = high.model_threshold(USUAL);
        assert_eq!(threshold, 0.34);
        assert_eq!(high.at(threshold).detections, 0);
        let sure = curve(5, &untrained(0.99));
        assert_eq!(sure.model_threshold(USUAL), GREATEST_THRESHOLD);
        // Nothing to be found, and nothing known below the bounds.
        assert_eq!(curve(0, &[(0.7, false)]).suggestion(), None);
        assert_eq!(curve(2, &[(0.03, true), (0.02, true)]).suggestion(), None);
    }

    #[test]
    fn json_has_what_is_suggested_and_the_tenths() {
        let curve = curve(1, &[(0.5, true)]);
        let json = serde_json::to_value(&curve).unwrap();
        assert_eq!(json["name"], "cat");
        assert_eq!(json["objects"], 1);
        assert_eq!(json["suggested"]["f1"], 1.0);
        assert_eq!(json["suggested"]["best_f1"], 1.0);
        let points = json["points"].as_array().unwrap();
        assert_eq!(points.len(), 9);
        assert_eq!(points[4]["detections"], 1);
        assert!(points[5]["precision"].is_null());
        let seen_from_half = ScoreCurve {
            least_score: 0.5,
            ..curve
        };
        assert_eq!(seen_from_half.tenths().count(), 5);
    }
}
