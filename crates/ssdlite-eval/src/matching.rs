//! Which detections hit which objects by VOC's rules, class by class.
//!
//! Source: `VOCevaldet.m` of the VOC devkit.

use std::ops::Range;

use ssdlite_core::{ClassId, Detection, GroundTruth};

use crate::evaluation::{Evaluation, IouThreshold};

/// What became of a detection.
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

/// Something in an image, by the image's place in the evaluation.
struct InImage<'a, T> {
    image: usize,
    item: &'a T,
}

/// The rankings of all classes, in the order of their ids.
///
/// From the highest score down, a detection is compared with the one object
/// of its class and image that it overlaps most. Below the threshold it is a
/// false positive. On a difficult object it is left out. Otherwise the first
/// one is a hit and every further one a false positive, even if it also
/// overlaps another object enough. Among equal scores the earlier image, and
/// in one image the earlier detection, goes first.
pub(crate) fn rankings(evaluation: &Evaluation, iou: IouThreshold) -> Vec<Ranking> {
    let count = evaluation.classes().len();
    let mut objects: Vec<Vec<InImage<'_, GroundTruth>>> = Vec::new();
    let mut detections: Vec<Vec<InImage<'_, Detection>>> = Vec::new();
    objects.resize_with(count, Vec::new);
    detections.resize_with(count, Vec::new);
    for (index, image) in evaluation.images().enumerate() {
        for item in image.objects {
            objects[item.class.index()].push(InImage { image: index, item });
        }
        for item in image.detections {
            detections[item.class.index()].push(InImage { image: index, item });
        }
    }
    let classes = objects.iter().zip(detections);
    classes
        .map(|(objects, detections)| ranking(objects, detections, iou))
        .collect()
}

fn ranking(
    objects: &[InImage<'_, GroundTruth>],
    mut detections: Vec<InImage<'_, Detection>>,
    iou: IouThreshold,
) -> Ranking {
    // The sort is stable, which keeps equal scores in the order of images.
    detections.sort_by(|a, b| b.item.score.total_cmp(&a.item.score));
    let mut taken = vec![false; objects.len()];
    let mut outcomes = Vec::with_capacity(detections.len());
    for detection in &detections {
        let candidates = range_of_image(objects, detection.image);
        let hit = most_overlapped(objects, candidates, detection.item)
            .filter(|&(_, overlap)| iou.reached_by(overlap));
        let outcome = match hit {
            None => Outcome::FalsePositive,
            Some((index, _)) if objects[index].item.difficult => continue,
            Some((index, _)) if taken[index] => Outcome::FalsePositive,
            Some((index, _)) => {
                taken[index] = true;
                Outcome::Hit
            }
        };
        outcomes.push((detection.item.score, outcome));
    }
    let counted = objects.iter().filter(|object| !object.item.difficult);
    Ranking {
        objects: counted.count(),
        outcomes,
    }
}

/// The part of `objects`, which is in the order of images, that lies in one.
fn range_of_image(objects: &[InImage<'_, GroundTruth>], image: usize) -> Range<usize> {
    let start = objects.partition_point(|object| object.image < image);
    let length = objects[start..].partition_point(|object| object.image == image);
    start..start + length
}

/// The object that a detection overlaps most, the first of equals, with its
/// IoU; `None` if it overlaps none.
fn most_overlapped(
    objects: &[InImage<'_, GroundTruth>],
    candidates: Range<usize>,
    detection: &Detection,
) -> Option<(usize, f32)> {
    let mut best = None;
    let mut best_overlap = 0.0;
    for index in candidates {
        let overlap = objects[index].item.bbox.iou(&detection.bbox);
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
