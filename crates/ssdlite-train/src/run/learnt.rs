//! Whether a run has learnt anything.
//!
//! Scores of an untrained network are nearly equal, and among nearly equal scores
//! chance gives boxes, and an average precision, that look like a result. So it is
//! not the score alone that is asked: what a network finds must depend on what it
//! is shown.

use ssdlite_core::{ClassId, Detection, GroundTruth, PixelBox};
use ssdlite_files::counted;

use super::results::EpochRow;
use super::usual::ENOUGH_STEPS;

/// The most images that are asked about.
pub(super) const IMAGES: usize = 16;

/// A mean average precision that is next to nothing.
const LEAST_MAP: f64 = 0.05;

/// The share of the first epoch's loss that the last epoch's is below, where
/// something was learnt.
const LOSS_SHARE: f64 = 0.9;

/// The share of one image's boxes that another image has too, from which on they
/// are the same boxes.
const SAME_SHARE: f64 = 0.9;

/// The overlap from which on two boxes are the same.
const SAME_IOU: f32 = 0.9;

/// A box of a class.
pub(super) type Seen = (ClassId, PixelBox);

/// What a detector finds in an image, and what there is.
pub(super) struct Shown {
    found: Vec<Seen>,
    objects: Vec<Seen>,
}

impl Shown {
    pub(super) fn new(found: &[Detection], objects: &[GroundTruth]) -> Self {
        Self {
            found: found.iter().map(|one| (one.class, one.bbox)).collect(),
            objects: objects.iter().map(|one| (one.class, one.bbox)).collect(),
        }
    }
}

/// What is wrong with what a detector finds in images, if it learnt nothing.
pub(super) fn fault_of_detections(images: &[Shown], map: Option<f64>) -> Option<String> {
    if let Some(map) = map.filter(|&map| map < LEAST_MAP) {
        return Some(format!("its best mAP is {map:.3}"));
    }
    let with_objects = images.iter().filter(|image| !image.objects.is_empty());
    if with_objects.count() == 0 {
        return None;
    }
    if images.iter().all(|image| image.found.is_empty()) {
        return Some(format!(
            "it finds nothing in {} at its own threshold",
            counted(images.len(), "image")
        ));
    }
    let repeats = |of: fn(&Shown) -> &[Seen]| {
        let pairs = images.windows(2).map(|pair| (of(&pair[0]), of(&pair[1])));
        images.len() > 1
            && pairs
                .into_iter()
                .all(|(one, other)| are_same(one, other) && are_same(other, one))
    };
    // A camera that always looks at the same things is no fault of the network.
    (repeats(|image| &image.found) && !repeats(|image| &image.objects)).then(|| {
        format!(
            "it finds the same boxes in each of {} images, whatever they show",
            images.len()
        )
    })
}

/// Whether nearly all boxes of one image are there in another.
fn are_same(one: &[Seen], other: &[Seen]) -> bool {
    let again = one.iter().filter(|(class, bbox)| {
        let mut others = other.iter();
        others.any(|(its_class, its)| its_class == class && its.iou(bbox) > SAME_IOU)
    });
    !one.is_empty() && again.count() as f64 >= SAME_SHARE * one.len() as f64
}

/// What is wrong with the classes that a classifier gives images of the classes
/// `truth`, if it learnt nothing.
pub(super) fn fault_of_classes(found: &[ClassId], truth: &[ClassId]) -> Option<String> {
    let is_one = |classes: &[ClassId]| classes.windows(2).all(|pair| pair[0] == pair[1]);
    (!is_one(truth) && is_one(found)).then(|| {
        format!(
            "it gives each of {} images the same class, whatever they show",
            found.len()
        )
    })
}

/// What is wrong with the share of images that are given the right class, if one
/// class for all would do as well.
pub(super) fn fault_of_accuracy(top1: f64, truth: &[ClassId]) -> Option<String> {
    let count = |class: ClassId| truth.iter().filter(|&&one| one == class).count();
    let commonest = truth.iter().map(|&class| count(class)).max()?;
    let share = commonest as f64 / truth.len() as f64;
    (share < 1.0 && top1 <= share).then(|| {
        format!(
            "its best top-1, {top1:.3}, is no better than to give all images the commonest class, \
             {share:.3}"
        )
    })
}

/// What is wrong with the course of a run's losses, if nothing was learnt.
pub(super) fn fault_of_losses(rows: &[EpochRow]) -> Option<String> {
    let (first, last) = (rows.first()?.losses.total(), rows.last()?.losses.total());
    (rows.len() > 1 && last > LOSS_SHARE * first)
        .then(|| format!("its loss was {first:.3} in the first epoch and is {last:.3} in the last"))
}

/// The warning about a run of so many steps at a learning rate.
pub(super) fn warning(fault: &str, steps: u64, lr: f64) -> String {
    let advice = if steps < ENOUGH_STEPS {
        format!(
            "it took {}: more --epochs or a smaller --batch make more, {ENOUGH_STEPS} are usual",
            counted(steps, "step")
        )
    } else {
        format!(
            "see whether train_batch0.jpg in the run's folder shows what is to be learnt as \
             labelled; the learning rate, {lr}, may be too high or too low (--lr), the objects too \
             small for the input (--size); --weights starts from a network that knows something"
        )
    };
    format!("this network has learnt nothing of use: {fault}; {advice}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(x: f32) -> Seen {
        (ClassId(0), PixelBox::new(x, 10.0, x + 40.0, 50.0))
    }

    fn shown(found: &[f32], objects: &[f32]) -> Shown {
        Shown {
            found: found.iter().copied().map(seen).collect(),
            objects: objects.iter().copied().map(seen).collect(),
        }
    }

    #[test]
    fn boxes_that_do_not_depend_on_the_image_are_no_result() {
        let same = [
            shown(&[5.0, 90.0], &[5.0]),
            shown(&[5.0, 90.5], &[60.0]),
            shown(&[5.5, 90.0], &[120.0]),
        ];
        let fault = fault_of_detections(&same, Some(0.45)).unwrap();
        assert!(fault.contains("same boxes"), "{fault}");
        let moving = [shown(&[5.0], &[5.0]), shown(&[60.0], &[61.0])];
        assert_eq!(fault_of_detections(&moving, Some(0.45)), None);
        let fixed = [shown(&[5.0], &[5.0]), shown(&[5.0], &[5.5])];
        assert_eq!(fault_of_detections(&fixed, Some(0.9)), None);
        let one = [shown(&[5.0], &[5.0])];
        assert_eq!(fault_of_detections(&one, Some(0.9)), None);
    }

    #[test]
    fn to_find_nothing_is_no_result() {
        let nothing = [shown(&[], &[5.0]), shown(&[], &[60.0])];
        let fault = fault_of_detections(&nothing, None).unwrap();
        assert!(fault.contains("nothing in 2"), "{fault}");
        let fault = fault_of_detections(&nothing[..1], None).unwrap();
        assert!(fault.contains("nothing in 1 image at"), "{fault}");
        let empty = [shown(&[], &[]), shown(&[], &[])];
        assert_eq!(fault_of_detections(&empty, None), None);
        let found = [shown(&[5.0], &[5.0]), shown(&[60.0], &[61.0])];
        assert!(fault_of_detections(&found, Some(0.01)).is_some());
    }

    #[test]
    fn one_class_for_all_is_no_result() {
        let ids = |ids: &[u32]| ids.iter().map(|&id| ClassId(id)).collect::<Vec<_>>();
        assert!(fault_of_classes(&ids(&[1, 1, 1]), &ids(&[0, 1, 2])).is_some());
        assert!(fault_of_classes(&ids(&[1, 1, 0]), &ids(&[0, 1, 2])).is_none());
        assert!(fault_of_classes(&ids(&[1, 1]), &ids(&[1, 1])).is_none());
        assert!(fault_of_accuracy(0.5, &ids(&[0, 0, 1, 2])).is_some());
        assert!(fault_of_accuracy(0.75, &ids(&[0, 0, 1, 2])).is_none());
        assert!(fault_of_accuracy(1.0, &ids(&[1, 1])).is_none());
    }

    #[test]
    fn the_advice_depends_on_the_steps() {
        let few = warning("it finds nothing", 200, 2e-3);
        assert!(
            few.contains("200 steps") && few.contains("--batch"),
            "{few}"
        );
        let one = warning("it finds nothing", 1, 2e-3);
        assert!(one.contains("1 step:"), "{one}");
        let many = warning("it finds nothing", 1200, 2e-3);
        assert!(many.contains("0.002") && many.contains("--lr"), "{many}");
    }
}
