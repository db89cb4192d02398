//! Laws of merging, on passes whose truth is known.

use super::*;
use crate::classes::ClassId;
use crate::random::Rng;
use crate::tiles::{Tiles, Tiling};

const IMAGE: ImageSize = ImageSize::new(1000, 800);

fn found(class: u32, score: f32, corners: [f32; 4]) -> Detection {
    let [x1, y1, x2, y2] = corners;
    Detection {
        class: ClassId(class),
        score,
        bbox: PixelBox::new(x1, y1, x2, y2),
    }
}

fn tiles() -> Vec<Tile> {
    let tiling = Tiling::new(Tiles::Parts(3), None, 24.0).unwrap();
    tiling.tiles_of(IMAGE)
}

/// What a faultless detector finds of objects: in each tile the part of an object that
/// it shows, if that is a fifth at least; in the whole image those of `least_side`
/// pixels at least. Scores and corners are off a little, each in its own way.
fn passes_of(objects: &[(ClassId, PixelBox)], least_side: f32, seed: u64) -> Vec<Pass> {
    let mut rng = Rng::from_keys(&[seed]);
    let mut find = |tile: Tile, least_side: f32| {
        let (area, mut detections) = (tile.to_box(), Vec::new());
        for &(class, bbox) in objects {
            let seen = PixelBox::new(
                bbox.x1.max(area.x1),
                bbox.y1.max(area.y1),
                bbox.x2.min(area.x2),
                bbox.y2.min(area.y2),
            );
            let is_seen = bbox.intersection(&area) > 0.2 * bbox.area();
            if !is_seen || bbox.width().min(bbox.height()) < least_side {
                continue;
            }
            let mut off = || rng.uniform(-1.0..1.0);
            detections.push(Detection {
                class,
                score: 0.7 + 0.2 * off(),
                bbox: PixelBox::new(
                    (seen.x1 + off()).max(area.x1),
                    (seen.y1 + off()).max(area.y1),
                    (seen.x2 + off()).min(area.x2),
                    (seen.y2 + off()).min(area.y2),
                ),
            });
        }
        Pass { tile, detections }
    };
    let whole = Tile::whole(IMAGE);
    let mut passes = vec![find(whole, least_side)];
    passes.extend(tiles().into_iter().map(|tile| find(tile, 0.0)));
    passes
}

fn merged(passes: Vec<Pass>) -> Vec<Detection> {
    merge_passes(passes, IMAGE, &PostProcessing::default())
}

/// Objects apart from each other, some of any size.
fn objects(rng: &mut Rng) -> Vec<(ClassId, PixelBox)> {
    let mut objects: Vec<(ClassId, PixelBox)> = Vec::new();
    for class in [0, 1, 0, 1, 0, 0, 1, 0, 1, 1, 0, 0] {
        let side = rng.uniform(14.0..330.0);
        let (width, height) = (side, side * rng.uniform(0.7..1.4));
        let (x, y) = (
            rng.unit() * (IMAGE.width as f32 - width),
            rng.unit() * (IMAGE.height as f32 - height),
        );
        let bbox = PixelBox::new(x, y, x + width, y + height).clipped(IMAGE);
        let is_apart = |(_, other): &(ClassId, PixelBox)| bbox.intersection(other) == 0.0;
        if objects.iter().all(is_apart) {
            objects.push((ClassId(class), bbox));
        }
    }
    objects
}

#[test]
fn every_object_is_found_once_and_whole() {
    let mut count = 0;
    for seed in 0..300 {
        let objects = objects(&mut Rng::from_keys(&[seed, 1]));
        // Smaller ones than 90 pixels only tiles see, which overlap by as much.
        let found = merged(passes_of(&objects, 90.0, seed));
        for (class, bbox) in &objects {
            let of_it: Vec<_> = (found.iter())
                .filter(|one| one.class == *class)
                .filter(|one| one.bbox.intersection(bbox) > 0.1 * one.bbox.area())
                .collect();
            assert_eq!(of_it.len(), 1, "seed {seed}: {bbox} gave {of_it:?}");
            assert!(of_it[0].bbox.iou(bbox) > 0.7, "{bbox} gave {of_it:?}");
        }
        assert_eq!(found.len(), objects.len());
        assert!(found.windows(2).all(|pair| pair[0].score >= pair[1].score));
        count += objects.len();
    }
    assert!(count > 1500, "{count}");
}

#[test]
fn one_pass_stays_as_it_is() {
    // Boxes that overlap and scores that are equal, in an order of their own.
    let detections = vec![
        found(1, 0.9, [10.0, 10.0, 300.0, 300.0]),
        found(0, 0.5, [400.0, 20.0, 900.0, 700.0]),
        found(0, 0.5, [20.0, 20.0, 90.0, 70.0]),
        found(0, 0.5, [21.0, 20.0, 90.0, 70.0]),
    ];
    let pass = Pass {
        tile: Tile::whole(IMAGE),
        detections: detections.clone(),
    };
    assert_eq!(merged(vec![pass]), detections);
    assert_eq!(merged(Vec::new()), []);
}

#[test]
fn the_order_of_the_passes_changes_nothing() {
    for seed in 0..100 {
        let mut rng = Rng::from_keys(&[seed, 2]);
        let objects = objects(&mut rng);
        let mut passes = passes_of(&objects, 90.0, seed);
        // What two passes find alike in everything.
        let twice = found(0, 0.5, [330.0, 330.0, 360.0, 350.0]);
        passes[1].detections.push(twice);
        passes[2].detections.push(twice);
        let expected = merged(passes.clone());
        for _ in 0..5 {
            for index in (1..passes.len()).rev() {
                passes.swap(index, rng.below(index + 1));
            }
            assert_eq!(merged(passes.clone()), expected);
        }
    }
}

#[test]
fn a_better_score_saves_no_half() {
    let tiles = tiles();
    let edge = tiles[0].to_box().x2;
    let whole = found(0, 0.4, [edge - 90.0, 20.0, edge + 90.0, 120.0]);
    let half = found(0, 0.95, [edge - 89.0, 21.0, edge - 1.0, 121.0]);
    let passes = |other: Detection| {
        let over_all = Pass {
            tile: Tile::whole(IMAGE),
            detections: vec![other],
        };
        let over_tile = Pass {
            tile: tiles[0],
            detections: vec![half],
        };
        vec![over_all, over_tile]
    };
    assert_eq!(merged(passes(whole)), [whole]);
    // Next to nothing is no reason to drop what is sure.
    let doubtful = Detection {
        score: 0.05,
        ..whole
    };
    assert_eq!(merged(passes(doubtful)), [half]);
    let of_another_class = Detection {
        class: ClassId(1),
        ..whole
    };
    assert_eq!(merged(passes(of_another_class)), [half, of_another_class]);
}

#[test]
fn large_objects_are_those_of_the_whole_image() {
    let tile = tiles()[0];
    let area = tile.to_box();
    let (width, height) = (area.width() * 0.6, area.height() * 0.6);
    let of_tile = found(0, 0.9, [20.0, 20.0, 20.0 + width, 20.0 + height]);
    let of_whole = found(0, 0.5, [15.0, 12.0, 35.0 + width, 10.0 + height]);
    let pass = |tile, one| Pass {
        tile,
        detections: vec![one],
    };
    let both = vec![pass(tile, of_tile), pass(Tile::whole(IMAGE), of_whole)];
    assert_eq!(merged(both), [of_whole]);
}

#[test]
fn an_object_at_the_edge_of_the_image_is_not_cut() {
    let tile = tiles()[0];
    let at_corner = found(0, 0.8, [0.0, 0.0, 60.0, 50.0]);
    let larger = found(0, 0.3, [0.0, 0.0, 130.0, 90.0]);
    let passes = vec![
        Pass {
            tile: Tile::whole(IMAGE),
            detections: vec![larger],
        },
        Pass {
            tile,
            detections: vec![at_corner],
        },
    ];
    assert_eq!(merged(passes), [at_corner, larger]);
}

#[test]
fn the_most_detections_are_the_best() {
    let detection = |index: u32, score: f32| {
        let x = 30.0 * index as f32;
        found(0, score, [x, 500.0, x + 20.0, 520.0])
    };
    let pass = |indices: std::ops::Range<u32>| Pass {
        tile: Tile::whole(IMAGE),
        detections: indices
            .map(|index| detection(index, 0.9 - 0.02 * index as f32))
            .collect(),
    };
    let settings = PostProcessing {
        max_detections: 5,
        ..PostProcessing::default()
    };
    let found = merge_passes(vec![pass(3..15), pass(0..3)], IMAGE, &settings);
    let expected: Vec<_> = (0..5)
        .map(|index| detection(index, 0.9 - 0.02 * index as f32))
        .collect();
    assert_eq!(found, expected);
}
