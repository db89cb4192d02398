//! Precision-recall curves: the points that average precision is taken from.

use serde::Serialize;

use crate::evaluation::{Evaluation, IouThreshold};
use crate::matching::{Outcome, Ranking, rankings};

/// Precision and recall of all detections from the highest score down to one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PrPoint {
    /// The score of the last detection counted.
    pub score: f32,
    /// The share of those detections that are correct, 0 to 1.
    pub precision: f64,
    /// The share of objects that they find, 0 to 1.
    pub recall: f64,
}

/// The precision-recall curve of one class.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PrCurve {
    /// The class.
    pub name: String,
    /// Objects to be found, without difficult ones.
    pub objects: usize,
    /// A point for each detection, but those on difficult objects, in falling
    /// order of scores and so with a recall that never falls. Empty for a
    /// class without objects, which has no recall.
    pub points: Vec<PrPoint>,
}

impl Evaluation {
    /// The precision-recall curves of all classes in the order of their ids,
    /// by VOC's matching: see [`Evaluation::voc`].
    pub fn precision_recall(&self, iou: IouThreshold) -> Vec<PrCurve> {
        let names = self.classes().iter();
        let rankings = rankings(self, iou);
        names
            .zip(&rankings)
            .map(|(name, ranking)| PrCurve {
                name: name.to_owned(),
                objects: ranking.objects,
                points: points(ranking),
            })
            .collect()
    }
}

/// The mean of the curves of all classes that have objects, as `(recall, precision)`:
/// at each of 101 recalls from 0 to 1 the mean of the classes' best precisions at that
/// recall or above, 0 where a class does not reach it. Empty if no class has objects.
pub fn mean_precision_recall(curves: &[PrCurve]) -> Vec<(f64, f64)> {
    const STEPS: u8 = 100;
    let with_objects: Vec<&PrCurve> = curves.iter().filter(|curve| curve.objects > 0).collect();
    if with_objects.is_empty() {
        return Vec::new();
    }
    let mut sums = vec![0.0; usize::from(STEPS) + 1];
    for curve in &with_objects {
        let mut better = curve.points.iter().rev().peekable();
        let mut best = 0.0_f64;
        for (step, sum) in (0..=STEPS).zip(&mut sums).rev() {
            let recall = f64::from(step) / f64::from(STEPS);
            while let Some(point) = better.next_if(|point| point.recall >= recall) {
                best = best.max(point.precision);
            }
            *sum += best;
        }
    }
    let means = (0..=STEPS).zip(sums).map(|(step, sum)| {
        let recall = f64::from(step) / f64::from(STEPS);
        (recall, sum / with_objects.len() as f64)
    });
    means.collect()
}

fn points(ranking: &Ranking) -> Vec<PrPoint> {
    if ranking.objects == 0 {
        return Vec::new();
    }
    let mut hits = 0_usize;
    let outcomes = ranking.outcomes.iter().enumerate();
    outcomes
        .map(|(index, &(score, outcome))| {
            if outcome == Outcome::Hit {
                hits += 1;
            }
            PrPoint {
                score,
                precision: hits as f64 / (index + 1) as f64,
                recall: hits as f64 / ranking.objects as f64,
            }
        })
        .collect()
}
