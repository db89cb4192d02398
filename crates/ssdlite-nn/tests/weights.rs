//! Weights in and out of the networks.

use burn::tensor::Device;
use ssdlite_core::{MobileNetV3, Variant};
use ssdlite_model::detector_state_from_classifier;
use ssdlite_nn::{Classifier, Detector, Network};
use ssdlite_testing::state_from_formula;

const SMALL: MobileNetV3 = MobileNetV3::new(Variant::Small);

#[test]
fn networks_have_exactly_the_tensors_of_the_table() {
    let device = Device::flex();
    for variant in [Variant::Small, Variant::Large] {
        for backbone in [
            MobileNetV3::new(variant),
            MobileNetV3::new(variant).with_reduced_tail(),
        ] {
            let (classifier, detector) = (backbone.classifier(7), backbone.detector(7));
            let state = Classifier::new(&classifier, 3, &device).state_dict();
            state
                .check(&classifier.tensors())
                .expect("the table's tensors");
            let state = Detector::new(&detector, 3, &device).state_dict();
            state
                .check(&detector.tensors())
                .expect("the table's tensors");
        }
    }
}

#[test]
fn the_other_shapes_of_the_network_are_built_too() {
    let device = Device::flex();
    let backbone = MobileNetV3 {
        width_multiplier: 0.35,
        minimalistic: true,
        ..SMALL
    };
    let network = backbone.detector(2);
    let state = Detector::new(&network, 3, &device).state_dict();
    state
        .check(&network.tensors())
        .expect("the table's tensors");
}

#[test]
fn first_values_depend_on_the_seed_alone() {
    let network = SMALL.detector(3);
    let device = Device::flex();
    let state = Detector::new(&network, 5, &device).state_dict();
    let (other, again) = (6, 5);
    let on_threads = std::thread::scope(|scope| {
        let build = |seed| {
            let network = &network;
            scope.spawn(move || Detector::new(network, seed, &Device::flex()).state_dict())
        };
        [build(other), build(again)].map(|thread| thread.join().expect("a detector"))
    });
    assert_ne!(state, on_threads[0]);
    assert_eq!(state, on_threads[1]);
}

#[test]
fn loaded_tensors_come_out_again() {
    let network = SMALL.detector(3);
    let state = state_from_formula(&network.tensors());
    for device in [Device::flex(), Device::flex().autodiff()] {
        let detector = Detector::new(&network, 5, &device);
        let detector = detector.load_state_dict(&state).expect("fitting tensors");
        assert_eq!(detector.state_dict(), state);
    }
}

#[test]
fn a_detector_takes_the_backbone_of_a_classifier() {
    for variant in [Variant::Small, Variant::Large] {
        let backbone = MobileNetV3::new(variant);
        let classifier = state_from_formula(&backbone.classifier(11).tensors());
        let state = detector_state_from_classifier(&classifier, &backbone);
        let network = backbone.detector(4);
        let detector = Detector::new(&network, 9, &Device::flex());
        let first = detector.state_dict();
        let (detector, report) = detector.load_matching(&state).expect("a fitting backbone");
        assert!(
            report.different.is_empty() && report.unused.is_empty(),
            "{report}"
        );
        assert!(
            report
                .missing
                .iter()
                .all(|key| !key.starts_with("backbone.features."))
        );
        let loaded = detector.state_dict();
        for (from, to) in backbone
            .classifier(11)
            .tensors()
            .iter()
            .zip(network.tensors())
        {
            if from.key.starts_with("features.") {
                assert_eq!(loaded.get(&to.key), classifier.get(&from.key), "{}", to.key);
            }
        }
        let head = &network.classification[0].output.key;
        let head = format!("{head}.weight");
        assert_eq!(loaded.get(&head), first.get(&head));
    }
}
