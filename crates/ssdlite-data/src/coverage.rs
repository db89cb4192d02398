//! Which objects a detector's default boxes can learn: those that one of them
//! overlaps well enough to be matched, on images and tiles as seen at inference.

use serde::Serialize;
use ssdlite_core::default_boxes::DefaultBoxes;
use ssdlite_core::matcher::MATCH_IOU;
use ssdlite_core::tiles::{Tile, Tiling};
use ssdlite_core::{FractionBox, GroundTruth, ImageSize, PixelBox};

use crate::dataset::DetectionSet;
use crate::loader::DifficultObjects;
use crate::parallel;

/// How many of a class's objects are covered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClassCoverage {
    /// The class's name.
    pub class: String,
    /// Its objects.
    pub objects: usize,
    /// Those that some default box overlaps with an IoU of [`MATCH_IOU`] or more, in the
    /// whole image or in a tile.
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
    /// [`MATCH_IOU`] or more, in a whole image or in one of the tiles that `tiling` looks
    /// at and that show all of the object.
    pub fn new(
        set: &DetectionSet,
        difficult: DifficultObjects,
        default_boxes: &DefaultBoxes,
        tiling: &Tiling,
    ) -> Self {
        let named = set.classes.iter().map(|class| ClassCoverage {
            class: class.to_owned(),
            objects: 0,
            covered: 0,
        });
        let mut classes: Vec<ClassCoverage> = named.collect();
        let found = parallel::map(&set.images, |image| {
            let tiles = tiling.tiles_of(image.size);
            let objects = image.objects.iter();
            let objects = objects.filter(|object| difficult.counts(object));
            let is_covered = |object: &GroundTruth| {
                views_of(object.bbox, image.size, &tiles)
                    .any(|bbox| default_boxes.best_iou(&bbox) >= MATCH_IOU)
            };
            let found = objects.map(|object| (object.class, is_covered(object)));
            found.collect::<Vec<_>>()
        });
        for (class, is_covered) in found.into_iter().flatten() {
            let class = &mut classes[class.index()];
            class.objects += 1;
            class.covered += usize::from(is_covered);
        }
        Self { classes }
    }

    /// The share of all objects that is covered, 0 to 1; none without objects.
    pub fn share(&self) -> Option<f32> {
        let sum = |of: fn(&ClassCoverage) -> usize| self.classes.iter().map(of).sum();
        share(sum(|class| class.covered), sum(|class| class.objects))
    }
}

/// Where an object is in its image, and in the tiles that show all of it.
fn views_of(bbox: PixelBox, image: ImageSize, tiles: &[Tile]) -> impl Iterator<Item = FractionBox> {
    let showing = tiles.iter().filter(move |tile| {
        let area = tile.to_box();
        bbox.x1 >= area.x1 && bbox.y1 >= area.y1 && bbox.x2 <= area.x2 && bbox.y2 <= area.y2
    });
    let in_tiles = showing.map(move |tile| {
        let (left, top) = (tile.left as f32, tile.top as f32);
        bbox.translated(-left, -top).to_fractions(tile.size)
    });
    std::iter::once(bbox.to_fractions(image)).chain(in_tiles)
}

fn share(covered: usize, objects: usize) -> Option<f32> {
    (objects > 0).then(|| covered as f32 / objects as f32)
}
