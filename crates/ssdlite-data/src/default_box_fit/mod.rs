//! Default boxes fitted to the objects that a network is trained on.
//!
//! The sizes of objects, in the network's input and after the augmentation, are
//! divided among the feature maps and clustered on each under the distance
//! `1 - IoU` (arXiv 1612.08242, YOLOv2, section 2, "Dimension Clusters"). Of each
//! class the boxes cover at least as many objects as the paper's do, since one of
//! those comes back where a class would lose.
//!
//! Where default boxes lie is not chosen here: a cell's centre, as in the paper.

mod chosen;
mod clusters;
mod sizes;

use std::ops::RangeInclusive;

use ssdlite_core::default_boxes::{BoxSize, DefaultBoxSizes};
use ssdlite_core::unit::MapSize;
use ssdlite_core::{FinestMap, Head, ImageSize};

use crate::augment::DetectorAugment;
use crate::dataset::{DetectionImage, DetectionSet};
use crate::loader::DifficultObjects;
use chosen::{Chosen, Objects, Placed};
use clusters::{SizeSample, cluster};
use sizes::collect_sizes;

/// Boxes at a cell of a map of stride 16 or more: the paper's number.
const USUAL_BOXES: usize = 6;

/// Boxes at a cell of stride 8, of which there are more than of all others together.
const FINER_BOXES: RangeInclusive<usize> = 2..=3;

/// Boxes at each cell of maps that share their head, if one is of stride 8.
const SHARED_BOXES: usize = 3;

/// The side of the least object of a map, in its strides: with its centre half a stride
/// off in both directions, a square of side `a` has an IoU of at least 0.5 with its like
/// if `(a - s / 2)^2 >= (2 / 3) a^2`, so from 2.7 strides `s` on.
pub const LEAST_STRIDES: f32 = 2.7;

/// The least sizes to make a cluster of: fewer say nothing of what is typical.
const SIZES_PER_CLUSTER: usize = 4;

/// The share of a class's objects that a further box at each cell must add: it costs
/// its time on all images.
const WORTH_A_BOX: f32 = 0.03;

/// Sizes are rounded to this part of the image's side: a tenth of a pixel of 1000.
const ROUNDING: f32 = 1e4;

/// What default boxes are fitted to.
#[derive(Clone, Debug)]
pub struct DefaultBoxFit {
    /// The network's input.
    pub input: ImageSize,
    /// The sizes of its feature maps, the largest first.
    pub maps: Vec<MapSize>,
    /// How many boxes a cell of each map may have, at most six.
    pub boxes_per_cell: Vec<RangeInclusive<usize>>,
    /// The first of them.
    pub finest: FinestMap,
    /// How images are changed while the network is trained.
    pub augment: DetectorAugment,
    /// Which objects it learns.
    pub difficult: DifficultObjects,
    /// What views of the images are drawn from.
    pub seed: u64,
}

/// Default boxes fitted to a data set.
#[derive(Clone, Debug, PartialEq)]
pub struct FittedBoxes {
    /// The boxes; the paper's if the set has no object.
    pub sizes: DefaultBoxSizes,
    /// The paper's for maps with as many boxes at a cell.
    pub paper: DefaultBoxSizes,
    /// The objects that the boxes were fitted to: all that are learnt.
    pub objects: usize,
}

impl DefaultBoxFit {
    /// The fit for a network with this head on these maps, for training without
    /// augmentation and difficult objects.
    ///
    /// A cell has six boxes, one of stride 8 two or three. Maps that share their head
    /// have as many each.
    pub fn new(input: ImageSize, maps: &[MapSize], head: Head, finest: FinestMap) -> Self {
        let usual = USUAL_BOXES..=USUAL_BOXES;
        let boxes = |map: usize| match (finest, head) {
            (FinestMap::Stride8, Head::Fpn { .. }) => SHARED_BOXES..=SHARED_BOXES,
            (FinestMap::Stride8, Head::Ssdlite) if map == 0 => FINER_BOXES,
            _ => usual.clone(),
        };
        Self {
            input,
            maps: maps.to_vec(),
            boxes_per_cell: (0..maps.len()).map(boxes).collect(),
            finest,
            augment: DetectorAugment::none(),
            difficult: DifficultObjects::LeaveOut,
            seed: 0,
        }
    }

    /// Fits boxes to a set. On images seen whole they cover at least as many objects of
    /// each class as the paper's do.
    pub fn fit(&self, set: &DetectionSet) -> FittedBoxes {
        let objects = self.objects(set);
        let samples = self.samples_by_map(set);
        let ranges = &self.boxes_per_cell;
        let most = ranges.iter().enumerate();
        let most = most.map(|(map, range)| self.boxes_of_map(map, *range.end(), &samples[map]));
        let mut chosen = Chosen::new(&self.maps, &most.collect::<Vec<_>>(), &objects);
        for (map, range) in ranges.iter().enumerate() {
            for count in range.clone().take_while(|count| count < range.end()) {
                let fewer = self.boxes_of_map(map, count, &samples[map]);
                if chosen.replace_if_enough(map, &fewer, WORTH_A_BOX) {
                    break;
                }
            }
        }
        let paper = DefaultBoxSizes::paper_per_cell(&chosen.per_cell(), self.finest);
        chosen.keep_up_with(&paper);
        FittedBoxes {
            sizes: chosen.in_order_of(&paper),
            paper,
            objects: objects.placed.len(),
        }
    }

    /// The objects that are learnt, on images seen whole.
    fn objects(&self, set: &DetectionSet) -> Objects {
        let of_image = |image: &DetectionImage| {
            let learnt = image.objects.iter();
            let learnt = learnt.filter(|object| self.difficult.counts(object));
            let placed = learnt.map(|object| Placed {
                class: object.class.index(),
                bbox: object.bbox.to_fractions(image.size),
            });
            placed.collect::<Vec<_>>()
        };
        Objects {
            placed: set.images.iter().flat_map(of_image).collect(),
            classes: set.classes.len(),
        }
    }

    /// The sizes of objects by the map that is to find them: the coarsest on whose
    /// cells they are large enough, else the finest.
    ///
    /// For what is too small for that one, a box of its size covers it where its centre
    /// is near a cell's: by and large from a share of all places that falls with the
    /// square of its side. So does its weight.
    fn samples_by_map(&self, set: &DetectionSet) -> Vec<Vec<SizeSample>> {
        let input = self.input;
        let least: Vec<f32> = (self.maps.iter())
            .map(|&map| LEAST_STRIDES * stride(input, map))
            .collect();
        let mut by_map = vec![Vec::new(); self.maps.len()];
        for mut sample in collect_sizes(self, set) {
            let BoxSize { width, height } = sample.size;
            let side = (width * height * input.width as f32 * input.height as f32).sqrt();
            match least.iter().rposition(|&least| side >= least) {
                Some(map) => by_map[map].push(sample),
                None => {
                    sample.weight *= f64::from(side / least[0]).powi(2);
                    by_map[0].push(sample);
                }
            }
        }
        by_map
    }

    /// So many boxes for a map: clusters of the sizes on it, and the paper's in the places
    /// that are left.
    fn boxes_of_map(&self, map: usize, count: usize, samples: &[SizeSample]) -> Vec<BoxSize> {
        let clusters = count.min(samples.len() / SIZES_PER_CLUSTER);
        let found = cluster(samples, clusters, &[self.seed, map as u64]);
        let mut sizes: Vec<BoxSize> = found.into_iter().map(rounded).collect();
        let left = count - sizes.len();
        if left > 0 {
            let per_cell = vec![left; self.maps.len()];
            let mut paper = DefaultBoxSizes::paper_per_cell(&per_cell, self.finest);
            sizes.append(&mut paper.maps[map]);
        }
        sizes
    }
}

/// The pixels of the input from one cell of a map to the next, the geometric mean of
/// both directions.
fn stride(input: ImageSize, map: MapSize) -> f32 {
    let of = |pixels: u32, cells: usize| pixels as f32 / cells.max(1) as f32;
    (of(input.width, map.width) * of(input.height, map.height)).sqrt()
}

/// A size as `config.toml` shows it.
fn rounded(size: BoxSize) -> BoxSize {
    let side = |side: f32| ((side * ROUNDING).round() / ROUNDING).clamp(1.0 / ROUNDING, 1.0);
    BoxSize {
        width: side(size.width),
        height: side(size.height),
    }
}
