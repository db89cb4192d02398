//! Frozen parts get no gradient, keep their statistics and take no memory.

use ssdlite_core::{CenterBox, Graph, MapSize, MobileNetV3, Part, TensorRole, Variant};
use ssdlite_train::step::Targets;

use crate::network::{ALL, CROSS_ENTROPY, MULTIBOX, Network, Options, images};

const SHAPE: [usize; 4] = [2, 3, 64, 80];

fn detector() -> (Graph, Options) {
    let graph = MobileNetV3::new(Variant::Small).detector(2, &[6; 6]);
    let options = Options {
        images: SHAPE[0],
        input: MapSize::new(SHAPE[2], SHAPE[3]),
        objective: MULTIBOX,
    };
    (graph, options)
}

fn classifier() -> (Graph, Options) {
    let (_, options) = detector();
    let graph = MobileNetV3::new(Variant::Small).classifier(5);
    let options = Options {
        objective: CROSS_ENTROPY,
        ..options
    };
    (graph, options)
}

/// Takes a step; those tensors change, or get gradients, whose part trains.
fn assert_trains((graph, options): (Graph, Options), trained: &[Part]) {
    let before = Network::new(&graph, trained, options);
    let mut network = Network::new(&graph, trained, options);
    let boxes: usize = graph
        .feature_maps(options.input)
        .iter()
        .map(|m| 6 * m.cells())
        .sum();
    let mut labels = vec![0; options.images * boxes];
    labels.iter_mut().step_by(7).for_each(|label| *label = 1);
    let regressions = vec![0.5; labels.len() * 4];
    let default_boxes = vec![CenterBox::new(0.5, 0.5, 0.2, 0.3); boxes];
    let targets = match boxes {
        0 => Targets::Classes(&[3, 1]),
        _ => Targets::Boxes {
            labels: &labels,
            regressions: &regressions,
            default_boxes: &default_boxes,
        },
    };
    network.step(&images(SHAPE), targets);
    assert_eq!(network.numbers, before.numbers);
    network.gather_statistics(&images(SHAPE));
    for slot in network.layout.slots() {
        let key = slot.spec.key.as_str();
        let trains = trained.contains(&slot.spec.part);
        let moved = network.values(key) != before.values(key);
        assert_eq!(moved, trains && !slot.spec.role.is_parameter(), "{key}");
        let has_gradient = network.gradient(key).iter().any(|&g| g != 0.0);
        assert_eq!(
            has_gradient,
            trains && slot.spec.role.is_parameter(),
            "{key}"
        );
    }
}

#[test]
fn a_detector_trains_what_is_not_frozen() {
    assert_trains(detector(), &ALL);
    assert_trains(detector(), &[Part::Extra, Part::Head]);
    assert_trains(detector(), &[Part::Head]);
}

#[test]
fn a_classifier_trains_what_is_not_frozen() {
    assert_trains(classifier(), &ALL);
    assert_trains(classifier(), &[Part::Head]);
}

#[test]
fn frozen_parts_take_less_memory() {
    let (graph, options) = detector();
    let bytes = |trained: &[Part]| Network::new(&graph, trained, options).arena_bytes();
    let all = bytes(&ALL);
    assert!(bytes(&[Part::Head]) < all / 2);
    assert!(bytes(&[]) < bytes(&[Part::Head]));
}

#[test]
fn evaluation_changes_nothing_and_repeats_itself() {
    let (graph, options) = classifier();
    let before = Network::new(&graph, &[], options);
    let mut network = Network::new(&graph, &[], options);
    let images = images(SHAPE);
    let outputs = network.forward(&images);
    assert_eq!(outputs, network.forward(&images));
    for role in [TensorRole::RunningMean, TensorRole::BatchesTracked] {
        for key in network.keys(role) {
            assert_eq!(network.values(&key), before.values(&key), "{key}");
        }
    }
}

#[test]
fn a_batch_of_one_trains() {
    let (graph, options) = detector();
    let options = Options {
        images: 1,
        ..options
    };
    let mut network = Network::new(&graph, &ALL, options);
    let one = images([1, 3, 64, 80]);
    assert!(network.forward(&one).concat().iter().all(|x| x.is_finite()));
    network.gather_statistics(&one);
    for key in network.keys(TensorRole::RunningVar) {
        assert!(
            network
                .values(&key)
                .iter()
                .all(|&x| x >= 0.0 && x.is_finite()),
            "{key}"
        );
    }
}
