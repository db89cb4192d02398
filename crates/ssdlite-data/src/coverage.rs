//! Which objects a detector's default boxes can learn: those that one of them
//! overlaps well enough to be matched, on images seen whole, as at inference.

use serde::Serialize;
use ssdlite_core::default_boxes::DefaultBoxes;
use ssdlite_core::matcher::MATCH_IOU;

use crate::dataset::DetectionSet;
use crate::loader::DifficultObjects;

/// How many of a class's objects are covered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClassCoverage {
    /// The class's name.
    pub class: String,
    /// Its objects.
    pub objects: usize,
    /// Those that some default box overlaps with an IoU of [`MATCH_IOU`] or more.
    pub covered: usize,
}

impl ClassCoverage {
    /// The share that is covered, 0 to 1; none without objects.
    pub fn share(&self) -> Option<f32> {
        share(self.covered, self.objects)
    }
}

/// How many of a set's objects are covered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// The numbers of each class, in the order of the ids.
    pub classes: Vec<ClassCoverage>,
}

impl Coverage {
    /// Counts the objects of a set that some default box overlaps with an IoU of
    /// [`MATCH_IOU`] or more.
    pub fn new(
        set: &DetectionSet,
        difficult: DifficultObjects,
        default_boxes: &DefaultBoxes,
    ) -> Self {
        let named = set.classes.iter().map(|class| ClassCoverage {
            class: class.to_owned(),
            objects: 0,
            covered: 0,
        });
        let mut classes: Vec<ClassCoverage> = named.collect();
        for image in &set.images {
            let objects = image.objects.iter();
            for object in objects.filter(|object| difficult.counts(object)) {
                let class = &mut classes[object.class.index()];
                let bbox = object.bbox.to_fractions(image.size);
                class.objects += 1;
                class.covered += usize::from(default_boxes.best_iou(&bbox) >= MATCH_IOU);
            }
        }
        Self { classes }
    }

    /// The share of all objects that is covered, 0 to 1; none without objects.
    pub fn share(&self) -> Option<f32> {
        let sum = |of: fn(&ClassCoverage) -> usize| self.classes.iter().map(of).sum();
        share(sum(|class| class.covered), sum(|class| class.objects))
    }
}

fn share(covered: usize, objects: usize) -> Option<f32> {
    (objects > 0).then(|| covered as f32 / objects as f32)
}
