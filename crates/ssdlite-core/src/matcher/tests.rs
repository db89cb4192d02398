use super::*;
use crate::default_boxes::{BoxMap, BoxSize, DefaultBoxSizes};
use crate::random::Rng;
use crate::unit::MapSize;

const BOTH: [Assignment; 2] = [Assignment::Iou, Assignment::Atss];

/// Five boxes side by side and a small one in the middle of all.
fn row_of_boxes() -> DefaultBoxes {
    let size = |width, height| BoxSize { width, height };
    let sizes = DefaultBoxSizes {
        maps: vec![vec![size(0.2, 0.5)], vec![size(0.01, 0.01)]],
    };
    DefaultBoxes::new(&sizes, &[MapSize::new(1, 5), MapSize::new(1, 1)])
}

/// SSD's boxes on maps that are not square.
fn paper_boxes() -> DefaultBoxes {
    let maps = [(7, 9), (4, 5), (2, 3), (2, 2), (1, 2), (1, 1)];
    let maps = maps.map(|(height, width)| MapSize::new(height, width));
    DefaultBoxes::new(&DefaultBoxSizes::default(), &maps)
}

fn random_object(random: &mut Rng, sides: std::ops::Range<f32>) -> FractionBox {
    let (width, height) = (random.uniform(sides.clone()), random.uniform(sides));
    let (x, y) = (random.uniform(-0.1..1.0), random.uniform(-0.1..1.0));
    FractionBox::new(x, y, x + width, y + height)
}

/// Objects of many kinds: of all sizes, tiny, larger than the image, equal to each
/// other or to a default box.
fn random_objects(random: &mut Rng, default_boxes: &DefaultBoxes) -> Vec<FractionBox> {
    let mut objects: Vec<FractionBox> = Vec::new();
    for _ in 0..1 + random.below(60) {
        let object = match random.below(8) {
            0 => random_object(random, 0.001..0.01),
            1 => random_object(random, 0.5..2.0),
            2 => default_boxes.corners()[random.below(default_boxes.len())],
            3 if !objects.is_empty() => objects[random.below(objects.len())],
            _ => random_object(random, 0.02..0.6),
        };
        objects.push(object);
    }
    objects
}

/// Matching as it is defined, without regard to cost: every box by IoU, then all pairs
/// by falling IoU.
fn plainly(
    default_boxes: &DefaultBoxes,
    objects: &[FractionBox],
    mut matches: Vec<Option<u32>>,
) -> Vec<Option<u32>> {
    let mut pairs = Vec::new();
    for (object, bbox) in objects.iter().enumerate() {
        for (slot, default) in default_boxes.corners().iter().enumerate() {
            let iou = default.iou(bbox);
            if iou > 0.0 {
                pairs.push((iou, object, slot));
            }
        }
    }
    pairs.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    let mut is_taken = vec![false; default_boxes.len()];
    let mut has_box = vec![false; objects.len()];
    for (_, object, slot) in pairs {
        if !is_taken[slot] && !has_box[object] {
            is_taken[slot] = true;
            has_box[object] = true;
            matches[slot] = Some(object as u32);
        }
    }
    matches
}

fn by_iou_plainly(default_boxes: &DefaultBoxes, objects: &[FractionBox]) -> Vec<Option<u32>> {
    let best = default_boxes.corners().iter().map(|default| {
        let mut best = (None, 0.0);
        for (object, bbox) in objects.iter().enumerate() {
            let iou = default.iou(bbox);
            if iou > best.1 && iou >= MATCH_IOU {
                best = (Some(object as u32), iou);
            }
        }
        best.0
    });
    plainly(default_boxes, objects, best.collect())
}

fn by_statistics_plainly(
    default_boxes: &DefaultBoxes,
    objects: &[FractionBox],
) -> Vec<Option<u32>> {
    let mut best = vec![(None, 0.0); default_boxes.len()];
    for (object, bbox) in objects.iter().enumerate() {
        let mut candidates = Vec::new();
        for map in default_boxes.maps() {
            let a_cell = map.boxes.len();
            let mut cells: Vec<usize> = (0..map.size.cells())
                .map(|c| map.first + c * a_cell)
                .collect();
            let distance = |slot: &usize| {
                let center = &default_boxes.centers()[*slot];
                let (cx, cy) = bbox.center();
                (center.cx - cx).powi(2) + (center.cy - cy).powi(2)
            };
            cells.sort_by(|a, b| distance(a).total_cmp(&distance(b)));
            let nearest = cells.into_iter().take(9);
            candidates.extend(nearest.flat_map(|first| first..first + a_cell));
        }
        let iou = |slot: usize| default_boxes.corners()[slot].iou(bbox);
        let ious: Vec<f64> = candidates
            .iter()
            .map(|&slot| f64::from(iou(slot)))
            .collect();
        let mean = ious.iter().sum::<f64>() / ious.len() as f64;
        let squares: f64 = ious.iter().map(|iou| (iou - mean).powi(2)).sum();
        let least = mean + (squares / (ious.len() - 1) as f64).sqrt();
        for slot in candidates {
            let center = &default_boxes.centers()[slot];
            let is_inside = bbox.x1 < center.cx
                && bbox.x2 > center.cx
                && bbox.y1 < center.cy
                && bbox.y2 > center.cy;
            if is_inside && f64::from(iou(slot)) >= least && iou(slot) > best[slot].1 {
                best[slot] = (Some(object as u32), iou(slot));
            }
        }
    }
    let best = best.into_iter().map(|(object, _)| object).collect();
    plainly(default_boxes, objects, best)
}

#[test]
fn both_ways_are_those_of_their_definitions() {
    for default_boxes in [paper_boxes(), row_of_boxes()] {
        for seed in 0..300 {
            let mut random = Rng::from_keys(&[seed]);
            let mut objects = random_objects(&mut random, &default_boxes);
            objects.truncate(default_boxes.len());
            let found = Assignment::Iou.assign(&default_boxes, &objects);
            assert_eq!(found, by_iou_plainly(&default_boxes, &objects), "{seed}");
            let found = Assignment::Atss.assign(&default_boxes, &objects);
            assert_eq!(
                found,
                by_statistics_plainly(&default_boxes, &objects),
                "{seed}"
            );
        }
    }
}

#[test]
fn no_object_means_all_background() {
    let none = DefaultBoxes::new(&DefaultBoxSizes::default(), &[]);
    let object = FractionBox::new(0.1, 0.1, 0.3, 0.3);
    for assignment in BOTH {
        assert_eq!(assignment.assign(&row_of_boxes(), &[]), vec![None; 6]);
        assert!(assignment.assign(&none, &[object]).is_empty());
    }
}

#[test]
fn every_object_has_a_box_while_boxes_are_free() {
    let default_boxes = paper_boxes();
    for assignment in BOTH {
        for seed in 0..50 {
            let mut random = Rng::from_keys(&[seed, 1]);
            let side = 0.02 + 0.01 * seed as f32;
            let objects: Vec<_> = (0..150)
                .map(|_| random_object(&mut random, side..2.0 * side))
                .collect();
            let found = assignment.assign(&default_boxes, &objects);
            for (index, object) in objects.iter().enumerate() {
                let has_box = found.contains(&Some(index as u32));
                let mut slots = default_boxes.corners().iter().zip(&found);
                let has_free =
                    slots.any(|(default, found)| found.is_none() && default.iou(object) > 0.0);
                assert!(has_box || !has_free, "object {index} of {seed}");
            }
        }
    }
}

#[test]
fn the_order_of_objects_changes_nothing() {
    let default_boxes = paper_boxes();
    for assignment in BOTH {
        for seed in 0..50 {
            let mut random = Rng::from_keys(&[seed, 2]);
            let objects: Vec<_> = (0..40)
                .map(|_| random_object(&mut random, 0.02..0.5))
                .collect();
            let reversed: Vec<_> = objects.iter().rev().copied().collect();
            let found = assignment.assign(&default_boxes, &objects);
            let back = assignment.assign(&default_boxes, &reversed);
            let back: Vec<_> = back
                .iter()
                .map(|found| found.map(|index| 39 - index))
                .collect();
            assert_eq!(found, back, "{seed}");
        }
    }
}

#[test]
fn the_order_of_maps_changes_nothing() {
    let sizes = DefaultBoxSizes::default();
    let maps = [(7, 9), (4, 5), (2, 3), (2, 2), (1, 2), (1, 1)];
    let maps = maps.map(|(height, width)| MapSize::new(height, width));
    let boxes = DefaultBoxes::new(&sizes, &maps);
    let mut reversed = (sizes.maps, maps);
    reversed.0.reverse();
    reversed.1.reverse();
    let reversed = DefaultBoxes::new(&DefaultBoxSizes { maps: reversed.0 }, &reversed.1);
    let by_map = |boxes: &DefaultBoxes, found: &[Option<u32>]| -> Vec<Vec<Option<u32>>> {
        let of_map = |map: &BoxMap| {
            let count = map.size.cells() * map.boxes.len();
            found[map.first..map.first + count].to_vec()
        };
        boxes.maps().iter().map(of_map).collect()
    };
    for assignment in BOTH {
        for seed in 0..50 {
            let mut random = Rng::from_keys(&[seed, 3]);
            let objects: Vec<_> = (0..20)
                .map(|_| random_object(&mut random, 0.02..0.5))
                .collect();
            let found = by_map(&boxes, &assignment.assign(&boxes, &objects));
            let mut back = by_map(&reversed, &assignment.assign(&reversed, &objects));
            back.reverse();
            assert_eq!(found, back, "{seed}");
        }
    }
}

#[test]
fn a_tiny_object_keeps_its_best_default_box() {
    let tiny = FractionBox::new(0.25, 0.3, 0.26, 0.31);
    for assignment in BOTH {
        let matches = assignment.assign(&row_of_boxes(), &[tiny]);
        assert_eq!(matches, [None, Some(0), None, None, None, None]);
    }
}

#[test]
fn two_objects_never_share_their_best() {
    let a = FractionBox::new(0.21, 0.25, 0.41, 0.75);
    let b = FractionBox::new(0.22, 0.25, 0.42, 0.75);
    let matches = Assignment::Iou.assign(&row_of_boxes(), &[b, a]);
    assert_eq!(matches[1], Some(1));
    assert_eq!(matches[2], Some(0));
}

#[test]
fn an_overlap_of_the_least_iou_counts() {
    let sizes = DefaultBoxSizes {
        maps: vec![vec![[0.25, 0.5].into(); 2], vec![[0.001, 0.001].into()]],
    };
    let default_boxes = DefaultBoxes::new(&sizes, &[MapSize::new(1, 1); 2]);
    let half = FractionBox::new(0.375, 0.25, 0.625, 0.5);
    let matches = Assignment::Iou.assign(&default_boxes, &[half]);
    assert_eq!(matches, [Some(0), Some(0), None]);
    let less = FractionBox::new(0.375, 0.25, 0.625, 0.498);
    let matches = Assignment::Iou.assign(&default_boxes, &[less]);
    assert_eq!(matches, [Some(0), None, None]);
}

#[test]
fn a_box_that_touches_nothing_is_left_out() {
    let outside = FractionBox::new(2.0, 2.0, 3.0, 3.0);
    for assignment in BOTH {
        assert_eq!(
            assignment.assign(&row_of_boxes(), &[outside]),
            vec![None; 6]
        );
    }
}

/// Boxes of a network with a map of stride 8 at 300 pixels.
fn many_boxes() -> DefaultBoxes {
    let maps = [38, 19, 10, 5, 3, 2].map(|side| MapSize::new(side, side));
    let mut sizes = DefaultBoxSizes::default();
    sizes.maps[0].truncate(3);
    DefaultBoxes::new(&sizes, &maps)
}

#[test]
fn more_objects_than_boxes_leave_no_box_that_they_overlap_free() {
    let default_boxes = many_boxes();
    let mut random = Rng::from_keys(&[5]);
    let same = vec![FractionBox::new(0.31, 0.42, 0.4, 0.53); 100_000];
    let others: Vec<_> = (0..100_000)
        .map(|_| random_object(&mut random, 0.01..0.3))
        .collect();
    for assignment in BOTH {
        let found = assignment.assign(&default_boxes, &same);
        for (found, default) in found.iter().zip(default_boxes.corners()) {
            assert_eq!(found.is_some(), default.iou(&same[0]) > 0.0);
        }
    }
    let found = Assignment::Iou.assign(&default_boxes, &others);
    let taken = found.iter().flatten().count();
    assert!(taken > default_boxes.len() * 9 / 10, "{taken}");
}
