//! How sure the difference of two detectors' average precision is: a paired bootstrap
//! over images.
//!
//! A resample draws as many images as there are, with replacement, and both detectors
//! are measured on the same ones: what makes an image hard for both cancels out of
//! their difference. The interval goes from one percentile of the differences to the
//! other. It says how much other images of the same kind might change the difference,
//! not what another training run would.
//!
//! Source: Efron, Tibshirani, "An Introduction to the Bootstrap", 1993, chapters 6 and
//! 13.

use std::fmt;

use serde::Serialize;
use ssdlite_core::random::Rng;

use crate::error::{Error, Result};
use crate::evaluation::{Evaluation, IouThreshold};
use crate::matching::{Outcome, Ranked, ranked_per_class};
use crate::voc::{VocMetric, ap_from_precisions};

/// The most resamples: the difference of each is kept for every class.
pub const MOST_RESAMPLES: usize = 100_000;

/// The share of the resamples' differences that lies within an [`Interval`].
pub const CONFIDENCE: f64 = 0.95;

/// One in so many resamples lies beyond either end of the interval: half of what
/// [`CONFIDENCE`] leaves.
const BEYOND_AN_END: usize = 40;

/// How images are resampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bootstrap {
    /// Resamples, 1 to [`MOST_RESAMPLES`].
    pub resamples: usize,
    /// What they are drawn from.
    pub seed: u64,
}

impl Default for Bootstrap {
    /// 1000 resamples, of which 25 lie beyond either end.
    fn default() -> Self {
        Self {
            resamples: 1000,
            seed: 0,
        }
    }
}

/// From where to where a difference is likely, by [`CONFIDENCE`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

impl Interval {
    /// The ends between which the differences lie; none without any.
    fn of(mut differences: Vec<f64>) -> Option<Self> {
        differences.sort_by(f64::total_cmp);
        let beyond = differences.len() / BEYOND_AN_END;
        // As many lie below the lower end as above the upper one, so that detectors
        // that are swapped have the interval mirrored.
        Some(Self {
            low: *differences.get(beyond)?,
            high: *differences.get(differences.len().checked_sub(1 + beyond)?)?,
        })
    }
}

/// Which of two detectors is better, as far as an interval says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// The first one.
    A,
    /// The second one.
    B,
    /// The interval holds 0, or there is none.
    Unknown,
}

impl fmt::Display for Better {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::A => "A is better on images like these",
            Self::B => "B is better on images like these",
            Self::Unknown => "these images do not show which is better",
        })
    }
}

/// The average precision of two detectors, 0 to 1 each, of one class or their mean.
/// All are `None` where there are no objects.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ApDifference {
    /// The first detector's.
    pub a: Option<f64>,
    /// The second one's.
    pub b: Option<f64>,
    /// `b - a`.
    pub difference: Option<f64>,
    /// Where the difference is likely. A resample without objects of the class has no
    /// say.
    pub interval: Option<Interval>,
}

impl ApDifference {
    fn new([a, b]: [Option<f64>; 2], differences: Vec<f64>) -> Self {
        Self {
            a,
            b,
            difference: a.zip(b).map(|(a, b)| b - a),
            interval: Interval::of(differences),
        }
    }

    /// Which detector is better.
    pub fn better(&self) -> Better {
        match self.interval {
            Some(Interval { low, .. }) if low > 0.0 => Better::B,
            Some(Interval { high, .. }) if high < 0.0 => Better::A,
            _ => Better::Unknown,
        }
    }
}

/// What a bootstrap says of all classes.
pub(crate) struct PairedAp {
    /// In the order of the classes' ids.
    pub(crate) per_class: Vec<ApDifference>,
    /// The mean over the classes that have objects.
    pub(crate) map: ApDifference,
}

/// The average precisions of two detectors on the same images, and how sure their
/// differences are.
///
/// # Errors
/// [`Error::Malformed`] for a number of resamples that is 0 or too large.
pub(crate) fn paired_ap(
    pair: [&Evaluation; 2],
    metric: VocMetric,
    iou: IouThreshold,
    bootstrap: Bootstrap,
) -> Result<PairedAp> {
    if !(1..=MOST_RESAMPLES).contains(&bootstrap.resamples) {
        return Err(Error::Malformed(format!(
            "expected 1 to {MOST_RESAMPLES} resamples, found {}",
            bootstrap.resamples
        )));
    }
    let objects = objects_per_image(pair[0]);
    let ranked = pair.map(|evaluation| ranked_per_class(evaluation, iou));
    let classes: Vec<Class<'_>> = (0..objects.len())
        .map(|class| Class {
            objects: &objects[class],
            ranked: [0, 1].map(|side| up_to_last_hit(&ranked[side][class])),
        })
        .collect();

    let images = pair[0].image_count();
    let mut measured = Measured::default();
    let whole = measured.aps(&classes, &vec![1; images], metric);
    let mut differences = vec![Vec::new(); classes.len()];
    let mut mean_differences = Vec::new();
    let mut times = vec![0; images];
    // Where there is nothing to draw from there is no resample.
    let resamples = if images > 0 { bootstrap.resamples } else { 0 };
    for resample in 0..resamples {
        let mut rng = Rng::from_keys(&[bootstrap.seed, resample as u64]);
        times.fill(0);
        for _ in 0..images {
            times[rng.below(images)] += 1;
        }
        let aps = measured.aps(&classes, &times, metric);
        for (differences, ap) in differences.iter_mut().zip(&aps) {
            differences.extend(ap.map(|[a, b]| b - a));
        }
        mean_differences.extend(means(&aps).map(|[a, b]| b - a));
    }
    let per_class = whole.iter().zip(differences);
    Ok(PairedAp {
        per_class: per_class
            .map(|(ap, differences)| ApDifference::new(each(*ap), differences))
            .collect(),
        map: ApDifference::new(each(means(&whole)), mean_differences),
    })
}

fn each(pair: Option<[f64; 2]>) -> [Option<f64>; 2] {
    [pair.map(|[a, _]| a), pair.map(|[_, b]| b)]
}

/// What one class has of both detectors.
struct Class<'a> {
    /// Objects that count, by image.
    objects: &'a [(usize, usize)],
    ranked: [&'a [Ranked]; 2],
}

/// What average precision is taken from: false positives below all hits change nothing.
fn up_to_last_hit(ranked: &[Ranked]) -> &[Ranked] {
    let last = ranked
        .iter()
        .rposition(|found| found.outcome == Outcome::Hit);
    &ranked[..last.map_or(0, |last| last + 1)]
}

/// Takes average precisions; keeps its memory from one to the next.
#[derive(Default)]
struct Measured {
    precisions: Vec<f64>,
}

impl Measured {
    /// Both detectors' average precision of each class in a set in which each image
    /// stands as often as `times` says; none where that has no objects.
    fn aps(
        &mut self,
        classes: &[Class<'_>],
        times: &[usize],
        metric: VocMetric,
    ) -> Vec<Option<[f64; 2]>> {
        let of_class = |class: &Class<'_>| {
            let objects = class.objects.iter();
            let objects: usize = objects.map(|&(image, count)| times[image] * count).sum();
            (objects > 0).then(|| {
                class.ranked.map(|ranked| {
                    precisions_at_hits(ranked, times, &mut self.precisions);
                    ap_from_precisions(&self.precisions, objects, metric)
                })
            })
        };
        classes.iter().map(of_class).collect()
    }
}

/// The precision at each hit, with each detection as often as its image.
fn precisions_at_hits(ranked: &[Ranked], times: &[usize], precisions: &mut Vec<f64>) {
    precisions.clear();
    let mut seen = 0;
    for found in ranked {
        let count = times[found.image];
        match found.outcome {
            Outcome::FalsePositive => seen += count,
            Outcome::Hit => {
                for _ in 0..count {
                    seen += 1;
                    precisions.push((precisions.len() + 1) as f64 / seen as f64);
                }
            }
        }
    }
}

/// The means over the classes that have objects.
fn means(aps: &[Option<[f64; 2]>]) -> Option<[f64; 2]> {
    let known = aps.iter().flatten();
    let count = known.clone().count();
    let sums = known.fold([0.0, 0.0], |sums, ap| [sums[0] + ap[0], sums[1] + ap[1]]);
    (count > 0).then(|| sums.map(|sum| sum / count as f64))
}

/// For each class the images with objects that count, and how many there are.
fn objects_per_image(evaluation: &Evaluation) -> Vec<Vec<(usize, usize)>> {
    let mut classes: Vec<Vec<(usize, usize)>> = vec![Vec::new(); evaluation.classes().len()];
    for (index, image) in evaluation.images().enumerate() {
        for object in image.objects.iter().filter(|object| !object.difficult) {
            let images = &mut classes[object.class.index()];
            match images.last_mut() {
                Some((last, count)) if *last == index => *count += 1,
                _ => images.push((index, 1)),
            }
        }
    }
    classes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_differences_lie_beyond_either_end() {
        let hundred: Vec<f64> = (0..100).rev().map(f64::from).collect();
        let interval = Interval::of(hundred).unwrap();
        assert_eq!((interval.low, interval.high), (2.0, 97.0));
        let few = Interval::of(vec![1.0, -3.0]).unwrap();
        assert_eq!((few.low, few.high), (-3.0, 1.0));
        assert_eq!(Interval::of(Vec::new()), None);
        let single = Interval::of(vec![-0.5]).unwrap();
        assert_eq!((single.low, single.high), (-0.5, -0.5));
    }

    #[test]
    fn a_detector_is_better_where_the_interval_leaves_no_zero() {
        for (differences, better) in [
            (vec![0.1, 0.2], Better::B),
            (vec![-0.1, -0.2], Better::A),
            (vec![-0.1, 0.2], Better::Unknown),
            (vec![0.0, 0.2], Better::Unknown),
            (vec![], Better::Unknown),
        ] {
            let ap = ApDifference::new([Some(0.5), Some(0.6)], differences);
            assert_eq!(ap.better(), better, "{ap:?}");
        }
    }
}
