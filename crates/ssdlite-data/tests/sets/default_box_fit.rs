//! Default boxes fitted to data sets, usual ones and strange ones.

use ssdlite_core::default_boxes::{DefaultBoxSizes, DefaultBoxes};
use ssdlite_core::random::Rng;
use ssdlite_core::tiles::{Tiles, Tiling};
use ssdlite_core::unit::MapSize;
use ssdlite_core::{ClassId, ClassNames, FinestMap, GroundTruth, Head, ImageSize, PixelBox};
use ssdlite_data::augment::DetectorAugment;
use ssdlite_data::coverage::{ClassCoverage, Coverage};
use ssdlite_data::default_box_fit::{DefaultBoxFit, FittedBoxes};
use ssdlite_data::loader::DifficultObjects;
use ssdlite_data::{DetectionImage, DetectionSet};

const INPUT: ImageSize = ImageSize::new(320, 256);

const IMAGE: ImageSize = ImageSize::new(640, 480);

/// The maps of a network without and with one of stride 8.
fn networks() -> [(Vec<MapSize>, FinestMap); 2] {
    let maps = [(16, 20), (8, 10), (4, 5), (2, 3), (1, 2), (1, 1)];
    let maps: Vec<_> = maps
        .map(|(height, width)| MapSize::new(height, width))
        .into();
    let finer = [vec![MapSize::new(32, 40)], maps.clone()].concat();
    [(maps, FinestMap::Stride16), (finer, FinestMap::Stride8)]
}

fn fit_to(maps: &[MapSize], finest: FinestMap) -> DefaultBoxFit {
    DefaultBoxFit {
        augment: DetectorAugment::default(),
        seed: 5,
        ..DefaultBoxFit::new(INPUT, maps, Head::Ssdlite, finest)
    }
}

fn object(class: usize, [x, y, width, height]: [f32; 4]) -> GroundTruth {
    GroundTruth {
        class: ClassId::from_index(class),
        bbox: PixelBox::new(x, y, x + width, y + height),
        difficult: false,
    }
}

/// A set of two classes with these objects in each image.
fn set_of(images: Vec<Vec<GroundTruth>>) -> DetectionSet {
    let image = |(index, objects)| DetectionImage {
        id: format!("{index}"),
        path: format!("{index}.jpg").into(),
        size: IMAGE,
        objects,
    };
    DetectionSet {
        classes: ClassNames::new(["one", "two"]).unwrap(),
        images: images.into_iter().enumerate().map(image).collect(),
    }
}

/// Objects of the first class with sides up to `most` of the image's, anywhere.
fn scattered(count: usize, most: f32, rng: &mut Rng) -> Vec<GroundTruth> {
    let anywhere = |_| {
        let width = rng.uniform(4.0..most * 640.0);
        let height = rng.uniform(4.0..most * 480.0);
        let (x, y) = (rng.unit() * (640.0 - width), rng.unit() * (480.0 - height));
        object(0, [x, y, width, height])
    };
    (0..count).map(anywhere).collect()
}

fn covered(set: &DetectionSet, sizes: &DefaultBoxSizes, maps: &[MapSize]) -> Vec<ClassCoverage> {
    let boxes = DefaultBoxes::new(sizes, maps);
    Coverage::new(set, DifficultObjects::LeaveOut, &boxes, &Tiling::OFF).classes
}

/// Fits boxes for both networks and checks what always holds.
fn fitted(set: &DetectionSet) -> Vec<FittedBoxes> {
    let fit = |(maps, finest): (Vec<MapSize>, FinestMap)| {
        let fit = fit_to(&maps, finest);
        let found = fit.fit(set);
        assert_eq!(found, fit.fit(set));
        let allowed = found.sizes.per_cell().into_iter().zip(&fit.boxes_per_cell);
        assert!(allowed.clone().all(|(count, range)| range.contains(&count)));
        assert_eq!(found.sizes.maps.len(), maps.len());
        for size in found.sizes.maps.iter().flatten() {
            for side in [size.width, size.height] {
                assert!(side > 0.0 && side <= 1.0, "{size:?}");
            }
        }
        let ours = covered(set, &found.sizes, &maps);
        let papers = covered(set, &found.paper, &maps);
        for (ours, paper) in ours.iter().zip(&papers) {
            assert!(ours.covered >= paper.covered, "{ours:?}, paper {paper:?}");
        }
        found
    };
    networks().into_iter().map(fit).collect()
}

#[test]
fn fitted_boxes_cover_as_much_as_the_papers_in_each_class() {
    for seed in 0..8 {
        let mut rng = Rng::from_keys(&[seed]);
        let most = [0.05, 0.2, 0.5, 1.0][seed as usize % 4];
        let mut images: Vec<_> = (0..20).map(|_| scattered(6, most, &mut rng)).collect();
        for image in &mut images {
            let mut other = scattered(1, 1.0, &mut rng);
            other[0].class = ClassId::from_index(1);
            image.append(&mut other);
        }
        fitted(&set_of(images));
    }
}

#[test]
fn small_objects_are_covered_by_a_finer_map() {
    let mut rng = Rng::from_keys(&[1]);
    // 40 x 45 of 640 x 480: 20 x 24 pixels of the input.
    let mut small = |_| {
        let (x, y) = (rng.uniform(0.0..590.0), rng.uniform(0.0..430.0));
        vec![object(0, [x, y, 40.0, 45.0])]
    };
    let set = set_of((0..300).map(&mut small).collect());
    let found = fitted(&set);
    let share = |sizes: &DefaultBoxSizes, network: usize| {
        let maps = &networks()[network].0;
        covered(&set, sizes, maps)[0].share().unwrap()
    };
    assert!(share(&DefaultBoxSizes::default(), 0) < 0.05);
    let (coarse, fine) = (share(&found[0].sizes, 0), share(&found[1].sizes, 1));
    assert!(
        (0.3..0.8).contains(&coarse) && fine > 0.95,
        "{coarse} {fine}"
    );
}

#[test]
fn without_objects_the_boxes_are_the_papers() {
    let difficult = GroundTruth {
        difficult: true,
        ..object(0, [10.0, 10.0, 50.0, 60.0])
    };
    for set in [set_of(vec![]), set_of(vec![vec![], vec![difficult]])] {
        for found in fitted(&set) {
            assert_eq!((&found.sizes, found.objects), (&found.paper, 0));
        }
    }
    let found = fitted(&set_of(vec![]));
    assert_eq!(found[0].sizes, DefaultBoxSizes::default());
}

#[test]
fn one_object_is_covered() {
    let set = set_of(vec![vec![object(1, [100.0, 90.0, 70.0, 60.0])]]);
    for (found, (maps, _)) in fitted(&set).iter().zip(networks()) {
        assert_eq!(covered(&set, &found.sizes, &maps)[1].covered, 1);
    }
}

#[test]
fn objects_of_one_size_have_a_box_of_that_size() {
    let mut rng = Rng::from_keys(&[2]);
    let place = |_| {
        let (x, y) = (rng.uniform(0.0..440.0), rng.uniform(0.0..350.0));
        vec![object(0, [x, y, 200.0, 120.0])]
    };
    let set = set_of((0..50).map(place).collect());
    let (maps, finest) = &networks()[0];
    let fit = DefaultBoxFit {
        augment: DetectorAugment::none(),
        ..fit_to(maps, *finest)
    };
    let found = fit.fit(&set);
    let sizes = found.sizes.maps.iter().flatten();
    let like = sizes.filter(|size| {
        (size.width - 200.0 / 640.0).abs() < 1e-3 && (size.height - 120.0 / 480.0).abs() < 1e-3
    });
    assert_eq!(like.count(), 1, "{:?}", found.sizes);
    assert!(found.sizes.validate().is_ok());
}

#[test]
fn boxes_larger_than_the_image_and_broken_ones_do_no_harm() {
    let images = vec![
        vec![object(0, [-100.0, -200.0, 3000.0, 2000.0]); 5],
        vec![object(0, [0.0, 0.0, 640.0, 480.0])],
        vec![
            object(0, [f32::NAN, 0.0, 10.0, 10.0]),
            object(1, [0.0, 0.0, f32::INFINITY, 10.0]),
            object(1, [5.0, 5.0, 0.0, 0.0]),
            object(1, [9000.0, 9000.0, 20.0, 20.0]),
        ],
    ];
    fitted(&set_of(images));
}

#[test]
fn many_objects_in_one_image_are_enough_for_a_fit() {
    let mut rng = Rng::from_keys(&[3]);
    let mut objects = scattered(100_000, 0.1, &mut rng);
    objects.push(object(1, [10.0, 20.0, 300.0, 280.0]));
    let set = set_of(vec![objects]);
    let (maps, finest) = &networks()[1];
    let found = fit_to(maps, *finest).fit(&set);
    assert_eq!(found.objects, 100_001);
    let ours = covered(&set, &found.sizes, maps);
    let papers = covered(&set, &found.paper, maps);
    assert!(ours[0].covered > papers[0].covered);
    assert!(ours[1].covered >= papers[1].covered);
}

#[test]
fn coverage_counts_by_class_in_any_order() {
    let objects = vec![
        object(0, [200.0, 100.0, 200.0, 200.0]),
        object(0, [10.0, 10.0, 4.0, 4.0]),
        object(1, [300.0, 200.0, 3.0, 3.0]),
    ];
    let reversed = objects.iter().rev().copied().collect();
    let (set, other) = (
        set_of(vec![objects, vec![]]),
        set_of(vec![vec![], reversed]),
    );
    let (maps, _) = &networks()[0];
    let sizes = DefaultBoxSizes::default();
    let found = covered(&set, &sizes, maps);
    assert_eq!(found, covered(&other, &sizes, maps));
    let counts: Vec<_> = found.iter().map(|c| (c.covered, c.objects)).collect();
    assert_eq!(counts, [(1, 2), (0, 1)]);
    let boxes = DefaultBoxes::new(&sizes, maps);
    let all = Coverage::new(&set, DifficultObjects::LeaveOut, &boxes, &Tiling::OFF);
    assert_eq!(
        (all.share(), found[0].share()),
        (Some(1.0 / 3.0), Some(0.5))
    );
    let none = Coverage::new(
        &set_of(vec![]),
        DifficultObjects::LeaveOut,
        &boxes,
        &Tiling::OFF,
    );
    assert_eq!((none.share(), none.classes[1].share()), (None, None));
}

#[test]
fn what_a_tile_shows_large_enough_is_covered() {
    // A half and an eighth of the smallest default box's side; and a half of it in the
    // middle, where four tiles meet.
    let set = set_of(vec![vec![
        object(0, [40.0, 40.0, 64.0, 48.0]),
        object(0, [3.0, 3.0, 16.0, 12.0]),
        object(1, [280.0, 200.0, 64.0, 48.0]),
    ]]);
    let (maps, _) = &networks()[0];
    let boxes = DefaultBoxes::new(&DefaultBoxSizes::default(), maps);
    let covered = |tiling| {
        let found = Coverage::new(&set, DifficultObjects::LeaveOut, &boxes, &tiling);
        found.classes.iter().map(|c| c.covered).collect::<Vec<_>>()
    };
    assert_eq!(covered(Tiling::OFF), [0, 0]);
    let tiling = Tiling::new(Tiles::Parts(2), None, 0.0).unwrap();
    assert_eq!(covered(tiling), [1, 1]);
}

#[test]
fn maps_that_share_their_head_have_as_many_boxes() {
    let mut rng = Rng::from_keys(&[4]);
    let set = set_of(vec![scattered(200, 0.5, &mut rng)]);
    let head = Head::Fpn { channels: 64 };
    for (maps, finest) in networks() {
        let found = DefaultBoxFit::new(INPUT, &maps, head, finest).fit(&set);
        let per_cell = found.sizes.per_cell();
        assert!(
            per_cell.iter().all(|&count| count == per_cell[0]),
            "{per_cell:?}"
        );
    }
}
