//! Which detections hit which objects by VOC's rules, class by class.
//!
//! Source: `VOCevaldet.m` of the VOC devkit.

use ssdlite_core::{ClassId, Detection, GroundTruth};

use crate::evaluation::{Evaluation, Image, IouThreshold};

/// What became of a detection that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is the first to hit an object of its class.
    Hit,
    /// It hits nothing, or an object that was hit before.
    FalsePositive,
}

/// The detections of one class over all images, those of highest score first.
pub(crate) struct Ranking {
    /// Objects of the class to be found, without difficult ones.
    pub(crate) objects: usize,
    /// Score and outcome of each detection that counts: those on difficult
    /// objects are left out.
    pub(crate) outcomes: Vec<(f32, Outcome)>,
}

/// What became of a detection, and by which of its image's objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Match {
    /// It is the first to hit this object of its class.
    Hit(usize),
    /// It hits this difficult object of its class, and does not count.
    Difficult,
    /// It hits nothing, or an object that was hit before.
    FalsePositive,
}

/// A detection that counts, among those of all images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ranked {
    /// The image's place in the evaluation.
    pub(crate) image: usize,
    pub(crate) score: f32,
    pub(crate) outcome: Outcome,
}

/// The rankings of all classes, in the order of their ids.
pub(crate) fn rankings(evaluation: &Evaluation, iou: IouThreshold) -> Vec<Ranking> {
    let objects = objects_per_class(evaluation);
    let classes = ranked_per_class(evaluation, iou).into_iter().zip(objects);
    classes
        .map(|(ranked, objects)| Ranking {
            objects,
            outcomes: ranked
                .iter()
                .map(|ranked| (ranked.score, ranked.outcome))
                .collect(),
        })
        .collect()
}

/// The detections that count of each class, in the order of ids, those of highest
/// score first. Among equal scores the earlier image, and in one image the earlier
/// detection, goes first.
pub(crate) fn ranked_per_class(evaluation: &Evaluation, iou: IouThreshold) -> Vec<Vec<Ranked>> {
    let mut classes = vec![Vec::new(); evaluation.classes().len()];
    for (index, image) in evaluation.images().enumerate() {
        for (detection, found) in image.detections.iter().zip(matches(image, iou)) {
            let outcome = match found {
                Match::Hit(_) => Outcome::Hit,
                Match::FalsePositive => Outcome::FalsePositive,
                Match::Difficult => continue,
            };
            classes[detection.class.index()].push(Ranked {
                image: index,
                score: detection.score,
                outcome,
            });
        }
    }
    for ranked in &mut classes {
        // The sort is stable, which keeps equal scores in the order of images.
        ranked.sort_by(|a, b| b.score.total_cmp(&a.score));
    }
    classes
}

/// What becomes of each detection of an image, in their order.
///
/// From the highest score down, a detection is compared with the one object
/// of its class and image that it overlaps most. Below the threshold it is a
/// false positive. On a difficult object it is left out. Otherwise the first
/// one is a hit and every further one a false positive, even if it also
/// overlaps another object enough. Among equal scores the earlier detection
/// goes first.
pub(crate) fn matches(image: Image<'_>, iou: IouThreshold) -> Vec<Match> {
    let mut order: Vec<usize> = (0..image.detections.len()).collect();
    let score = |index: usize| image.detections[index].score;
    order.sort_by(|&a, &b| score(b).total_cmp(&score(a)));
    let mut taken = vec![false; image.objects.len()];
    let mut matches = vec![Match::FalsePositive; image.detections.len()];
    for detection in order {
        let hit = most_overlapped(image.objects, &image.detections[detection])
            .filter(|&(_, overlap)| iou.reached_by(overlap));
        matches[detection] = match hit {
            Some((object, _)) if image.objects[object].difficult => Match::Difficult,
            Some((object, _)) if !taken[object] => {
                taken[object] = true;
                Match::Hit(object)
            }
            _ => Match::FalsePositive,
        };
    }
    matches
}

/// The object of a detection's class that it overlaps most, the first of equals,
/// with its IoU; `None` if it overlaps none.
fn most_overlapped(objects: &[GroundTruth], detection: &Detection) -> Option<(usize, f32)> {
    let mut best = None;
    let mut best_overlap = 0.0;
    for (index, object) in objects.iter().enumerate() {
        if object.class != detection.class {
            continue;
        }
        let overlap = object.bbox.iou(&detection.bbox);
        if overlap > best_overlap {
            best_overlap = overlap;
            best = Some((index, overlap));
        }
    }
    best
}

/// The number of objects of each class to be found, in the order of ids.
pub(crate) fn objects_per_class(evaluation: &Evaluation) -> Vec<usize> {
    let mut counts = vec![0; evaluation.classes().len()];
    for object in evaluation.images().flat_map(|image| image.objects) {
        if !object.difficult {
            counts[object.class.index()] += 1;
        }
    }
    counts
}

/// The number of detections of each class, in the order of ids.
pub(crate) fn detections_per_class(evaluation: &Evaluation) -> Vec<usize> {
    let mut counts = vec![0; evaluation.classes().len()];
    let ids = evaluation.images().flat_map(|image| image.detections);
    for ClassId(class) in ids.map(|detection| detection.class) {
        counts[class as usize] += 1;
    }
    counts
}
