//! Two detectors side by side on the same images.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Serialize, Serializer};

use crate::bootstrap::{ApDifference, Bootstrap, CONFIDENCE, Interval, paired_ap};
use crate::error::{Error, Result};
use crate::evaluation::{Evaluation, IouThreshold};
use crate::mistakes::JudgedImage;
use crate::table::{Table, share};
use crate::threshold::ScorePoint;
use crate::voc::VocMetric;

/// How two detectors are compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ComparisonOptions {
    /// Which average precision.
    pub metric: VocMetric,
    /// The least IoU of a hit.
    pub iou: IouThreshold,
    /// The least score of a detection that counts in F1 and as a mistake, of the first
    /// detector and of the second: what each one's user sees.
    pub min_scores: [f32; 2],
    /// How the interval of the difference is found.
    pub bootstrap: Bootstrap,
}

/// One of two detectors, over all classes together.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Side {
    /// What it does from its own least score on.
    #[serde(flatten)]
    pub point: ScorePoint,
    /// The greatest F1 at any score; `None` without detections.
    pub best_f1: Option<f64>,
    /// The score from which on it has that.
    pub best_score: Option<f32>,
}

/// One class of two detectors.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassComparison {
    /// The class.
    #[serde(skip)]
    pub name: String,
    /// Objects to be found, without difficult ones.
    pub objects: usize,
    /// Average precision.
    pub ap: ApDifference,
    /// F1 from each detector's least score on, 0 to 1; `None` without detections and
    /// objects.
    pub f1: [Option<f64>; 2],
}

/// How much two detectors differ in an image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ImageDifference {
    /// The image's place in the evaluations.
    pub image: usize,
    /// [`JudgedImage::cost`] of the first detector and of the second.
    pub costs: [f64; 2],
    /// Their mistakes.
    pub mistakes: [usize; 2],
}

impl ImageDifference {
    /// By how much the second detector is worse; below 0 if it is better.
    pub fn difference(&self) -> f64 {
        self.costs[1] - self.costs[0]
    }
}

/// Two detectors, `a` and `b`, on the same images. Differences are `b - a`.
///
/// Prints as tables; its JSON has the classes by name, and leaves out the images.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Which average precision.
    pub metric: VocMetric,
    /// The least IoU of a hit.
    pub iou: IouThreshold,
    /// The number of images.
    pub images: usize,
    /// The number of objects to be found, without difficult ones.
    pub objects: usize,
    /// The first detector.
    pub a: Side,
    /// The second detector.
    pub b: Side,
    /// The mean of average precision over the classes that have objects.
    pub map: ApDifference,
    /// All classes in the order of their ids; in JSON `{name: {...}}`.
    #[serde(serialize_with = "serialize_by_name")]
    pub per_class: Vec<ClassComparison>,
    /// How many resamples the intervals are from.
    pub resamples: usize,
    /// The images in which the detectors find other objects or differ in cost, those in
    /// which they differ most in that first.
    #[serde(skip)]
    pub differing: Vec<ImageDifference>,
}

impl Comparison {
    /// Compares two detectors by what they found in the same images.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the evaluations have other classes or other images than
    /// each other, which is told by their objects, for a least score that is not from 0
    /// to 1, and for a number of resamples that is 0 or too large.
    pub fn new(a: &Evaluation, b: &Evaluation, options: &ComparisonOptions) -> Result<Self> {
        expect_same_images(a, b)?;
        let iou = options.iou;
        let [score_a, score_b] = options.min_scores;
        let judged = [
            a.judged_images(score_a, iou)?,
            b.judged_images(score_b, iou)?,
        ];
        let aps = paired_ap([a, b], options.metric, iou, options.bootstrap)?;
        // The curves reach down to whatever was added.
        let curves = [a, b].map(|evaluation| evaluation.score_curves(iou, 0.0));
        let side = |side: usize| {
            let all = &curves[side].all;
            let best = all.best();
            Side {
                point: all.at(options.min_scores[side]),
                best_f1: best.and_then(|point| point.f1),
                best_score: best.map(|point| point.score),
            }
        };
        let classes = aps.per_class.into_iter().enumerate();
        let per_class = classes.map(|(class, ap)| {
            let curve = |side: usize| &curves[side].per_class[class];
            ClassComparison {
                name: curve(0).name.clone(),
                objects: curve(0).objects,
                ap,
                f1: [0, 1].map(|side| curve(side).at(options.min_scores[side]).f1),
            }
        });
        Ok(Self {
            metric: options.metric,
            iou,
            images: a.image_count(),
            objects: a.object_count(),
            a: side(0),
            b: side(1),
            map: aps.map,
            per_class: per_class.collect(),
            resamples: options.bootstrap.resamples,
            differing: differing([&judged[0], &judged[1]]),
        })
    }
}

fn differing(judged: [&[JudgedImage]; 2]) -> Vec<ImageDifference> {
    let pairs = judged[0].iter().zip(judged[1]).enumerate();
    let pairs = pairs.filter(|(_, (a, b))| a.cost() != b.cost() || found(a) != found(b));
    let differences = pairs.map(|(image, (a, b))| ImageDifference {
        image,
        costs: [a.cost(), b.cost()],
        mistakes: [a.mistakes.len(), b.mistakes.len()],
    });
    let mut differing: Vec<ImageDifference> = differences.collect();
    differing.sort_by(|a, b| b.difference().abs().total_cmp(&a.difference().abs()));
    differing
}

/// The objects that were found, by their indices.
fn found(image: &JudgedImage) -> BTreeSet<usize> {
    image.hits.iter().map(|hit| hit.object).collect()
}

fn expect_same_images(a: &Evaluation, b: &Evaluation) -> Result<()> {
    if a.classes() != b.classes() {
        return Err(Error::Malformed(format!(
            "expected both evaluations to have the same classes, found {} and {}",
            a.classes(),
            b.classes()
        )));
    }
    if a.image_count() != b.image_count() {
        return Err(Error::Malformed(format!(
            "expected both evaluations to have the same images, found {} and {} of them",
            a.image_count(),
            b.image_count()
        )));
    }
    let mut pairs = a.images().zip(b.images());
    match pairs.position(|(a, b)| a.objects != b.objects) {
        None => Ok(()),
        Some(image) => Err(Error::Malformed(format!(
            "expected both evaluations to have the same images, found other objects in image \
             {image}"
        ))),
    }
}

fn serialize_by_name<S: Serializer>(
    classes: &[ClassComparison],
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_map(classes.iter().map(|class| (&class.name, class)))
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (metric, iou) = (self.metric, self.iou.get());
        writeln!(f, "{metric} at IoU {iou}, images: {}", self.images)?;
        let interval = format!("{:.0}% interval", 1e2 * CONFIDENCE);
        let mut table = Table::new([
            "class",
            "objects",
            "AP A",
            "AP B",
            "B - A",
            interval.as_str(),
            "F1 A",
            "F1 B",
        ]);
        let mut row = |name: &str, objects: usize, ap: &ApDifference, f1: [Option<f64>; 2]| {
            let [f1_a, f1_b] = f1.map(share);
            table.row(vec![
                name.to_owned(),
                objects.to_string(),
                share(ap.a),
                share(ap.b),
                signed(ap.difference),
                interval_text(ap.interval),
                f1_a,
                f1_b,
            ]);
        };
        for class in &self.per_class {
            row(&class.name, class.objects, &class.ap, class.f1);
        }
        let f1 = [self.a.point.f1, self.b.point.f1];
        row("mean AP, all F1", self.objects, &self.map, f1);
        table.fmt(f)?;
        writeln!(f, "\nAll classes together")?;
        let mut table = Table::new(["", "A", "B"]);
        let mut row = |name: &str, of: fn(&Side) -> String| {
            table.row(vec![name.to_owned(), of(&self.a), of(&self.b)]);
        };
        row("least score", |side| side.point.score.to_string());
        row("precision", |side| share(side.point.precision));
        row("recall", |side| share(side.point.recall));
        row("F1", |side| share(side.point.f1));
        row("best F1", |side| share(side.best_f1));
        row("at score", |side| share(side.best_score.map(f64::from)));
        table.fmt(f)
    }
}

/// A difference with its sign and four digits.
fn signed(difference: Option<f64>) -> String {
    difference.map_or_else(|| share(None), |value| format!("{value:+.4}"))
}

fn interval_text(interval: Option<Interval>) -> String {
    interval.map_or_else(
        || share(None),
        |Interval { low, high }| format!("{low:+.4} to {high:+.4}"),
    )
}
