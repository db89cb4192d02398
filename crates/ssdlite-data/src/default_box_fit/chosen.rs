//! The boxes that a fit has chosen so far, with the objects that they cover.

use ssdlite_core::FractionBox;
use ssdlite_core::default_boxes::{BoxSize, DefaultBoxSizes, best_iou_on_map};
use ssdlite_core::matcher::MATCH_IOU;
use ssdlite_core::unit::MapSize;

use crate::parallel;

/// An object as inference sees it.
pub(super) struct Placed {
    pub(super) class: usize,
    pub(super) bbox: FractionBox,
}

/// All objects that are to be covered.
pub(super) struct Objects {
    pub(super) placed: Vec<Placed>,
    pub(super) classes: usize,
}

/// A box at each cell of a map.
struct MapBox {
    size: BoxSize,
    is_paper: bool,
    /// Whether it covers each object.
    covers: Vec<bool>,
}

/// Boxes of all maps.
pub(super) struct Chosen<'a> {
    maps: &'a [MapSize],
    objects: &'a Objects,
    boxes: Vec<Vec<MapBox>>,
    /// How many of them cover each object.
    counts: Vec<usize>,
}

impl<'a> Chosen<'a> {
    pub(super) fn new(maps: &'a [MapSize], sizes: &[Vec<BoxSize>], objects: &'a Objects) -> Self {
        let mut chosen = Self {
            maps,
            objects,
            boxes: Vec::new(),
            counts: Vec::new(),
        };
        let of_map = |(map, sizes): (usize, &Vec<BoxSize>)| chosen.boxes_of_map(map, sizes);
        chosen.boxes = sizes.iter().enumerate().map(of_map).collect();
        chosen.count();
        chosen
    }

    /// Boxes at a cell of each map.
    pub(super) fn per_cell(&self) -> Vec<usize> {
        self.boxes.iter().map(Vec::len).collect()
    }

    fn boxes_of_map(&self, map: usize, sizes: &[BoxSize]) -> Vec<MapBox> {
        let covers = |size: BoxSize| {
            let iou = |object: &Placed| best_iou_on_map(self.maps[map], &[size], &object.bbox);
            let objects = self.objects.placed.iter();
            objects.map(|object| iou(object) >= MATCH_IOU).collect()
        };
        parallel::map(sizes, |&size| MapBox {
            size,
            is_paper: false,
            covers: covers(size),
        })
    }

    fn count(&mut self) {
        self.counts = vec![0; self.objects.placed.len()];
        for MapBox { covers, .. } in self.boxes.iter().flatten() {
            for (count, &covers) in self.counts.iter_mut().zip(covers) {
                *count += usize::from(covers);
            }
        }
    }

    /// The objects of each class for which this holds, by their index.
    fn by_class(&self, holds: impl Fn(usize) -> bool) -> Vec<usize> {
        let mut found = vec![0; self.objects.classes];
        for (index, object) in self.objects.placed.iter().enumerate() {
            found[object.class] += usize::from(holds(index));
        }
        found
    }

    fn covered(&self) -> Vec<usize> {
        self.by_class(|index| self.counts[index] > 0)
    }

    /// Takes other boxes for a map, unless a class loses more than this share of its
    /// objects by them. Says whether they were taken.
    pub(super) fn replace_if_enough(&mut self, map: usize, sizes: &[BoxSize], share: f32) -> bool {
        let (shown, before) = (self.by_class(|_| true), self.covered());
        let new = self.boxes_of_map(map, sizes);
        let old = std::mem::replace(&mut self.boxes[map], new);
        self.count();
        let after = self.covered();
        let is_enough = |class: usize| {
            let lost = before[class].saturating_sub(after[class]);
            lost as f32 <= share * shown[class] as f32
        };
        let are_enough = (0..shown.len()).all(is_enough);
        if !are_enough {
            self.boxes[map] = old;
            self.count();
        }
        are_enough
    }

    /// Takes the paper's boxes, one at a time in the place of another one of its map,
    /// until of no class fewer objects are covered than by those alone: at the latest
    /// when there is no other box.
    pub(super) fn keep_up_with(&mut self, paper: &DefaultBoxSizes) {
        let of_map = |(map, sizes): (usize, &Vec<BoxSize>)| self.boxes_of_map(map, sizes);
        let mut paper: Vec<Vec<MapBox>> = paper.maps.iter().enumerate().map(of_map).collect();
        let is_wanted = |index: usize| paper.iter().flatten().any(|other| other.covers[index]);
        let wanted = self.by_class(is_wanted);
        for (boxes, others) in self.boxes.iter_mut().zip(&mut paper) {
            for found in boxes {
                let same = others.iter().position(|other| other.size == found.size);
                found.is_paper = same.map(|other| others.swap_remove(other)).is_some();
            }
        }
        while missing(&wanted, &self.covered()) > 0 {
            let Some(Swap { map, slot, other }) = self.best_swap(&paper, &wanted) else {
                return;
            };
            self.boxes[map][slot] = MapBox {
                is_paper: true,
                ..paper[map].swap_remove(other)
            };
            self.count();
        }
    }

    /// The swap after which the fewest objects are missing, and of those the one after
    /// which the most are covered.
    fn best_swap(&self, paper: &[Vec<MapBox>], wanted: &[usize]) -> Option<Swap> {
        let covered = self.covered();
        // A swap makes no difference to objects that two boxes cover.
        let (counts, all) = (&self.counts, 0..self.counts.len());
        let unsure: Vec<usize> = all.filter(|&index| counts[index] < 2).collect();
        let score = |swap: &Swap| {
            let old = &self.boxes[swap.map][swap.slot].covers;
            let new = &paper[swap.map][swap.other].covers;
            let mut found = covered.clone();
            for &index in &unsure {
                let class = self.objects.placed[index].class;
                match (counts[index], old[index], new[index]) {
                    (0, _, true) => found[class] += 1,
                    (1, true, false) => found[class] -= 1,
                    _ => {}
                }
            }
            let uncovered = counts.len() - found.iter().sum::<usize>();
            (missing(wanted, &found), uncovered)
        };
        self.swaps(paper).into_iter().min_by_key(score)
    }

    fn swaps(&self, paper: &[Vec<MapBox>]) -> Vec<Swap> {
        let mut swaps = Vec::new();
        for (map, (boxes, others)) in self.boxes.iter().zip(paper).enumerate() {
            let fitted = (0..boxes.len()).filter(|&slot| !boxes[slot].is_paper);
            for slot in fitted {
                swaps.extend((0..others.len()).map(|other| Swap { map, slot, other }));
            }
        }
        swaps
    }

    /// The sizes, each map's in the order in which they are most like the paper's: what a
    /// head has learnt for a box of another network is then taken over for one like it.
    pub(super) fn in_order_of(&self, paper: &DefaultBoxSizes) -> DefaultBoxSizes {
        let of_map = |(boxes, paper): (&Vec<MapBox>, &Vec<BoxSize>)| {
            let mut left: Vec<BoxSize> = boxes.iter().map(|found| found.size).collect();
            let next = |wanted: &BoxSize| {
                let likest = (0..left.len()).max_by(|&one, &other| {
                    let like = |index: usize| left[index].iou(*wanted);
                    like(one).total_cmp(&like(other))
                });
                likest.map(|index| left.remove(index))
            };
            paper.iter().filter_map(next).collect()
        };
        DefaultBoxSizes {
            maps: self.boxes.iter().zip(&paper.maps).map(of_map).collect(),
        }
    }
}

/// One of the paper's boxes in the place of a fitted one of its map.
struct Swap {
    map: usize,
    slot: usize,
    other: usize,
}

/// How many objects are found too few, over all classes.
fn missing(wanted: &[usize], found: &[usize]) -> usize {
    let classes = wanted.iter().zip(found);
    classes
        .map(|(wanted, found)| wanted.saturating_sub(*found))
        .sum()
}
