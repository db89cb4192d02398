//! Average precision of the VOC challenges.
//!
//! Sources: Everingham et al., "The Pascal Visual Object Classes (VOC)
//! Challenge", 2010, section 4.2; `VOCevaldet.m` and `VOCap.m` of the devkits
//! of 2007 (11 points) and 2012 (area). IoU is without the devkit's "+1
//! pixel", see [`IouThreshold`].

use std::fmt;

use serde::{Serialize, Serializer};

use crate::evaluation::{Evaluation, IouThreshold};
use crate::matching::{Outcome, Ranking, rankings};
use crate::per_class::{self, ClassAp, class_aps, mean};

/// How average precision is taken from the precision-recall curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VocMetric {
    /// VOC 2007: the mean, over the recalls 0, 0.1, ... 1, of the best
    /// precision at that recall or above. Its JSON name is "voc07".
    ElevenPoint,
    /// VOC 2010 and later: the area under the curve after each precision was
    /// raised to the best at its recall or above. Its JSON name is "voc".
    Area,
}

impl VocMetric {
    /// The name in JSON and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ElevenPoint => "voc07",
            Self::Area => "voc",
        }
    }
}

impl fmt::Display for VocMetric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ElevenPoint => "VOC07 11-point AP",
            Self::Area => "VOC area AP",
        })
    }
}

impl Serialize for VocMetric {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// The average precision of every class by a VOC metric.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VocReport {
    /// The metric.
    pub metric: VocMetric,
    /// The least IoU of a hit.
    pub iou: IouThreshold,
    /// The mean over the classes that have objects; `None` if none has.
    pub map: Option<f64>,
    /// All classes in the order of their ids; in JSON `{name: ap}`.
    #[serde(serialize_with = "per_class::serialize_by_name")]
    pub per_class: Vec<ClassAp>,
    /// The number of images.
    pub images: usize,
    /// The number of objects to be found, without difficult ones.
    pub objects: usize,
}

impl fmt::Display for VocReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (metric, iou) = (self.metric, self.iou.get());
        writeln!(f, "{metric} at IoU {iou}, images: {}", self.images)?;
        per_class::write_table(f, &self.per_class, self.map)
    }
}

impl Evaluation {
    /// VOC average precision.
    ///
    /// From the highest score down, a detection is compared with the one
    /// object of its class that it overlaps most. On a difficult object it is
    /// left out; otherwise it is correct if the IoU reaches `iou` and the
    /// object was not found before. A class without objects (difficult ones
    /// not counted) has no average precision and is left out of the mean.
    pub fn voc(&self, metric: VocMetric, iou: IouThreshold) -> VocReport {
        let aps = rankings(self, iou)
            .iter()
            .map(|ranking| average_precision(ranking, metric))
            .collect();
        let per_class = class_aps(self, aps);
        VocReport {
            metric,
            iou,
            map: mean(&per_class),
            per_class,
            images: self.image_count(),
            objects: self.object_count(),
        }
    }
}

fn average_precision(ranking: &Ranking, metric: VocMetric) -> Option<f64> {
    if ranking.objects == 0 {
        return None;
    }
    let precisions = precisions_at_hits(&ranking.outcomes);
    Some(ap_from_precisions(&precisions, ranking.objects, metric))
}

/// Average precision from the precision at each hit, from the highest score down,
/// and the number of objects, which is not below that of hits and not 0.
pub(crate) fn ap_from_precisions(precisions: &[f64], objects: usize, metric: VocMetric) -> f64 {
    match metric {
        VocMetric::ElevenPoint => eleven_point(precisions, objects),
        VocMetric::Area => area(precisions, objects),
    }
}

/// The precision from the highest score down to each hit.
///
/// Precision falls and recall stays at a false positive, so the best
/// precision from some recall on is always reached at a hit.
fn precisions_at_hits(outcomes: &[(f32, Outcome)]) -> Vec<f64> {
    let mut precisions = Vec::new();
    for (index, (_, outcome)) in outcomes.iter().enumerate() {
        if *outcome == Outcome::Hit {
            let hits = precisions.len() + 1;
            precisions.push(hits as f64 / (index + 1) as f64);
        }
    }
    precisions
}

fn eleven_point(precisions: &[f64], objects: usize) -> f64 {
    let mut best_at_tenth = [0.0_f64; 11];
    for (index, &precision) in precisions.iter().enumerate() {
        // In whole numbers: hits / objects >= k / 10 would miss a recall of
        // 0.3, 0.6 or 0.7 where k / 10 is rounded up.
        let tenth = (index + 1) * 10 / objects;
        best_at_tenth[tenth] = best_at_tenth[tenth].max(precision);
    }
    let mut best = 0.0_f64;
    let mut sum = 0.0;
    for &precision in best_at_tenth.iter().rev() {
        best = best.max(precision);
        sum += best;
    }
    sum / best_at_tenth.len() as f64
}

/// Each hit raises the recall by `1 / objects`.
fn area(precisions: &[f64], objects: usize) -> f64 {
    let mut best = 0.0_f64;
    let mut sum = 0.0;
    for &precision in precisions.iter().rev() {
        best = best.max(precision);
        sum += best;
    }
    sum / objects as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranking(objects: usize, outcomes: &str) -> Ranking {
        let outcomes = outcomes.chars().map(|letter| match letter {
            'h' => (0.5, Outcome::Hit),
            _ => (0.5, Outcome::FalsePositive),
        });
        Ranking {
            objects,
            outcomes: outcomes.collect(),
        }
    }

    fn assert_ap(objects: usize, outcomes: &str, eleven_point: f64, area: f64) {
        let ranking = ranking(objects, outcomes);
        let found = average_precision(&ranking, VocMetric::ElevenPoint).unwrap();
        assert!((found - eleven_point).abs() < 1e-12, "{outcomes}: {found}");
        let found = average_precision(&ranking, VocMetric::Area).unwrap();
        assert!((found - area).abs() < 1e-12, "{outcomes}: {found}");
    }

    #[test]
    fn recall_of_exactly_k_tenths_counts_for_k() {
        for objects in [10, 20, 30, 70, 90] {
            for tenths in 0..=10 {
                let hits = objects / 10 * tenths;
                let expected = if hits == 0 {
                    0.0
                } else {
                    (tenths + 1) as f64 / 11.0
                };
                let recall = hits as f64 / objects as f64;
                assert_ap(objects, &"h".repeat(hits), expected, recall);
            }
        }
    }

    #[test]
    fn one_hit_short_of_k_tenths_does_not() {
        assert_ap(10, "hh", 3.0 / 11.0, 0.2);
        assert_ap(1000, &"h".repeat(299), 3.0 / 11.0, 0.299);
        assert_ap(1000, &"h".repeat(699), 7.0 / 11.0, 0.699);
    }

    #[test]
    fn examples_worked_by_hand() {
        // Precisions at the hits 1, 2/3, 3/5 with recalls 1/3, 2/3, 1.
        assert_ap(
            3,
            "h.h.h",
            (4.0 + 3.0 * 2.0 / 3.0 + 4.0 * 0.6) / 11.0,
            (1.0 + 2.0 / 3.0 + 0.6) / 3.0,
        );
        // 1/2 at recall 1/4 is raised to the 2/3 at recall 1/2.
        assert_ap(4, ".hh..", 6.0 * 2.0 / 3.0 / 11.0, 0.5 * 2.0 / 3.0);
        assert_ap(2, "...", 0.0, 0.0);
        assert_ap(2, "", 0.0, 0.0);
    }

    #[test]
    fn no_objects_no_precision() {
        for metric in [VocMetric::ElevenPoint, VocMetric::Area] {
            assert_eq!(average_precision(&ranking(0, ""), metric), None);
            assert_eq!(average_precision(&ranking(0, ".."), metric), None);
        }
    }
}
