//! How much a detector doubts what it finds, and how much two of them differ.

use ssdlite_core::{ClassNames, Detection};

/// Least score of a box that may be an object: what is below says little of an image,
/// and there is much of it.
pub(super) const LEAST_SCORE: f32 = 0.1;

/// IoU from which two boxes of a class are of one object: VOC's.
const LEAST_IOU: f32 = 0.5;

/// About how many of these boxes an annotator would decide otherwise than the detector
/// does: taken for the probability that there is an object, a score p errs with
/// `min(p, 1 - p)`.
pub(super) fn doubtful_labels(detections: &[Detection]) -> f64 {
    let scores = detections
        .iter()
        .map(|detection| f64::from(detection.score));
    // Of none at all `sum` makes -0.
    scores.fold(0.0, |sum, score| sum + score.min(1.0 - score).max(0.0))
}

/// What one detector finds in an image.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found<'a> {
    /// Best first.
    pub(super) detections: &'a [Detection],
    pub(super) classes: &'a ClassNames,
}

/// By about how many objects two detectors differ: boxes of one class that overlap are
/// of one object and differ by their scores, others differ by all of theirs.
pub(super) fn disagreement(one: Found<'_>, other: Found<'_>) -> f64 {
    let mut left: Vec<&Detection> = other.detections.iter().collect();
    let mut sum = 0.0;
    for detection in one.detections {
        let class = one.classes.get(detection.class);
        let overlap = |candidate: &Detection| {
            let is_same = class.is_some() && other.classes.get(candidate.class) == class;
            let iou = detection.bbox.iou(&candidate.bbox);
            (is_same && iou >= LEAST_IOU).then_some(iou)
        };
        let overlapping = left.iter().enumerate();
        let best = overlapping
            .filter_map(|(place, candidate)| Some((place, overlap(candidate)?)))
            .max_by(|(_, one), (_, other)| one.total_cmp(other));
        sum += match best {
            Some((place, _)) => {
                let partner = left.remove(place);
                f64::from((detection.score - partner.score).abs())
            }
            None => f64::from(detection.score),
        };
    }
    let alone = left.iter().map(|detection| f64::from(detection.score));
    sum + alone.sum::<f64>()
}

#[cfg(test)]
mod tests {
    use ssdlite_core::{ClassId, PixelBox};

    use super::*;

    fn detection(class: u32, score: f32, left: f32) -> Detection {
        Detection {
            class: ClassId(class),
            score,
            bbox: PixelBox::new(left, 10.0, left + 30.0, 57.0),
        }
    }

    fn differ(one: &[Detection], other: &[Detection], other_classes: [&str; 2]) -> f64 {
        let classes = ClassNames::new(["cat", "dog"]).unwrap();
        let other_classes = ClassNames::new(other_classes).unwrap();
        let one = Found {
            detections: one,
            classes: &classes,
        };
        let other = Found {
            detections: other,
            classes: &other_classes,
        };
        let found = disagreement(one, other);
        assert!((found - disagreement(other, one)).abs() < 1e-6);
        found
    }

    #[test]
    fn doubt_is_greatest_in_the_middle() {
        let doubt = |scores: &[f32]| {
            let detections = scores.iter().map(|&score| detection(0, score, 0.0));
            doubtful_labels(&detections.collect::<Vec<_>>())
        };
        assert_eq!(doubt(&[]).to_bits(), 0.0_f64.to_bits());
        assert_eq!(doubt(&[1.0, 0.5]), 0.5);
        for (score, expected) in [(0.75, 0.25), (0.25, 0.25), (1.0, 0.0)] {
            assert!((doubt(&[score]) - expected).abs() < 1e-6);
        }
        assert!(doubt(&[0.5, 0.5, 0.75]) > 1.2);
    }

    #[test]
    fn boxes_of_one_class_and_place_are_one_object() {
        let same = ["cat", "dog"];
        let one = [detection(0, 0.75, 0.0), detection(1, 0.5, 100.0)];
        assert_eq!(differ(&one, &one, same), 0.0);
        assert_eq!(differ(&one, &[], same), 1.25);
        assert_eq!(differ(&[], &[], same), 0.0);
        // A little aside with another score; another class; another place.
        assert_eq!(differ(&one[..1], &[detection(0, 0.25, 3.0)], same), 0.5);
        assert_eq!(differ(&one[..1], &[detection(1, 0.25, 0.0)], same), 1.0);
        assert_eq!(differ(&one[..1], &[detection(0, 0.25, 29.0)], same), 1.0);
        // Classes are told by their names.
        assert_eq!(
            differ(&one[..1], &[detection(1, 0.75, 0.0)], ["dog", "cat"]),
            0.0
        );
        assert_eq!(
            differ(&one[..1], &[detection(0, 0.75, 0.0)], ["dog", "cat"]),
            1.5
        );
    }

    #[test]
    fn a_box_has_one_partner() {
        let two = [detection(0, 0.75, 0.0), detection(0, 0.5, 2.0)];
        let one = [detection(0, 0.75, 0.0)];
        assert_eq!(differ(&two, &one, ["cat", "dog"]), 0.5);
    }
}
