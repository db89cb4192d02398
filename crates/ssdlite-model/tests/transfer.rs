//! Weights of one network for another.

use ssdlite_core::detector::DetectorNetwork;
use ssdlite_core::{ClassNames, FinestMap, Head, MobileNetV3, Scores, Variant};
use ssdlite_model::{
    Error, HeadClasses, StateDict, StateTensor, Values, detector_state_from_classifier,
    head_rows_by_class,
};
use ssdlite_testing::state_from_formula;

const SMALL: MobileNetV3 = MobileNetV3::new(Variant::Small);

fn floats<'a>(state: &'a StateDict, key: &str) -> &'a [f32] {
    state
        .get(key)
        .and_then(|tensor| tensor.floats())
        .expect(key)
}

/// A tensor with all floats negated.
fn negated(tensor: &StateTensor) -> StateTensor {
    let mut tensor = tensor.clone();
    if let Values::F32(values) = &mut tensor.values {
        values.iter_mut().for_each(|value| *value = -*value);
    }
    tensor
}

#[test]
fn a_classifiers_backbone_is_a_detectors() {
    for variant in [Variant::Small, Variant::Large] {
        let backbone = MobileNetV3::new(variant);
        let (from, to) = (backbone.classifier(11), backbone.detector(4, &[6; 6]));
        let classifier = state_from_formula(&from.tensors());
        let state = detector_state_from_classifier(&classifier, &from, &to);
        let (fitting, report) = state
            .select_fitting(&to.tensors())
            .expect("a fitting backbone");
        assert!(
            report.different.is_empty() && report.unused.is_empty(),
            "{report}"
        );
        let mut missing = report.missing.iter();
        assert!(missing.all(|key| !key.starts_with("backbone.features.")));
        // The expansion of C4 ends `features.0` of the detector.
        let c4 = match variant {
            Variant::Small => 9,
            Variant::Large => 13,
        };
        for (from, to) in [
            (
                "features.0.0.weight".into(),
                "backbone.features.0.0.0.weight".into(),
            ),
            (
                format!("features.{c4}.block.0.1.bias"),
                format!("backbone.features.0.{c4}.1.bias"),
            ),
            (
                format!("features.{c4}.block.1.0.weight"),
                "backbone.features.1.0.1.0.weight".into(),
            ),
            (
                format!("features.{}.block.3.0.weight", c4 + 1),
                "backbone.features.1.1.block.3.0.weight".into(),
            ),
        ] {
            let (from, to): (String, String) = (from, to);
            assert!(classifier.get(&from).is_some(), "{from}");
            assert_eq!(fitting.get(&to), classifier.get(&from), "{to}");
        }
    }
}

#[test]
fn what_does_not_fit_is_listed() {
    let specs = SMALL.detector(3, &[6; 6]).tensors();
    let state = state_from_formula(&SMALL.detector(5, &[6; 6]).tensors());
    let (_, report) = state.select_fitting(&specs).expect("a fitting backbone");
    assert_eq!(report.different.len(), 12);
    let expected = "expected f32[24,288,1,1] for \
        head.classification_head.module_list.0.1.weight, found f32[36,288,1,1]";
    assert!(report.to_string().contains(expected), "{report}");

    let classifier = state_from_formula(&SMALL.classifier(3).tensors());
    let error = classifier.select_fitting(&specs).expect_err("nothing fits");
    assert!(matches!(error, Error::WeightsMismatch(_)), "{error}");
}

#[test]
fn another_networks_weights_are_refused() {
    let narrow = MobileNetV3 {
        width_multiplier: 0.5,
        ..SMALL
    };
    let large = MobileNetV3::new(Variant::Large);
    for other in [narrow, large, large.with_reduced_tail()] {
        let state = state_from_formula(&other.detector(3, &[6; 6]).tensors());
        let specs = SMALL.detector(3, &[6; 6]).tensors();
        let error = state.select_fitting(&specs).expect_err("another network");
        let text = error.to_string();
        assert!(text.contains("another network's"), "{text}");
        assert!(text.contains("expected f32["), "{text}");
    }
    for network in [SMALL, large] {
        let full = state_from_formula(&network.classifier(3).tensors());
        let specs = network.with_reduced_tail().classifier(5).tensors();
        let (fitting, report) = full.select_fitting(&specs).expect("the same stages");
        assert!(fitting.len() > report.different.len(), "{report}");
    }
}

#[test]
fn many_missing_tensors_are_counted_by_part() {
    let classifier = state_from_formula(&SMALL.classifier(3).tensors());
    let to = SMALL.detector(3, &[6; 6]);
    let state = detector_state_from_classifier(&classifier, &SMALL.classifier(3), &to);
    let specs = to.tensors();
    let (_, report) = state.select_fitting(&specs).expect("a fitting backbone");
    let parts = "backbone.extra (72), head.classification_head (48), head.regression_head (48)";
    assert!(report.to_string().contains(parts), "{report}");
}

#[test]
fn classes_of_the_same_name_keep_their_rows() {
    let from = ["cat", "N/A", "dog", "N/A", "cow"];
    let to = ClassNames::new(["dog", "eel", "cat"]).expect("distinct names");
    let source = state_from_formula(&SMALL.detector(from.len(), &[6; 6]).tensors());
    let network = SMALL.detector(to.len(), &[6; 6]);
    // Other numbers than those of the source.
    let narrow = state_from_formula(&network.tensors());
    let initial: StateDict = narrow
        .iter()
        .map(|(key, tensor)| (key.to_owned(), negated(tensor)))
        .collect();
    let names: Vec<&str> = to.iter().collect();
    let [from_classes, to_classes] = [&from[..], &names].map(|names| HeadClasses {
        names,
        scores: Scores::Softmax,
    });
    let heads = head_rows_by_class(&source, from_classes, &initial, to_classes, &network);
    assert_eq!(heads.len(), 12);
    // Background, dog, eel, cat; rows of the source count its background.
    let rows = [Some(0), Some(3), None, Some(1)];
    for (key, _) in heads.iter() {
        let (old, new, first) = (
            floats(&source, key),
            floats(&heads, key),
            floats(&initial, key),
        );
        let length = new.len() / (6 * rows.len());
        for (index, values) in new.chunks_exact(length).enumerate() {
            let (default_box, row) = (index / rows.len(), index % rows.len());
            let expected = match rows[row] {
                Some(row) => &old[(default_box * 6 + row) * length..][..length],
                None => &first[index * length..][..length],
            };
            assert_eq!(values, expected, "{key}, box {default_box}, row {row}");
        }
    }
}

/// The rows of a default box.
type Rows = Vec<Vec<f32>>;

/// The rows of each default box in all class heads, as a network of `scores` gets them
/// from one whose classes are `from`.
fn rows_for(from: HeadClasses<'_>, to: HeadClasses<'_>) -> Vec<(Rows, [Rows; 2])> {
    let network = |classes: HeadClasses<'_>| {
        let logits = classes.scores.logits(classes.names.len());
        SMALL.detector_with(&DetectorNetwork {
            head: Head::Ssdlite,
            finest: FinestMap::Stride16,
            boxes_per_cell: vec![6; 6],
            logits,
        })
    };
    let (old, new) = (network(from), network(to));
    let source = state_from_formula(&old.tensors());
    let plain = state_from_formula(&new.tensors());
    let initial: StateDict = plain
        .iter()
        .map(|(key, tensor)| (key.to_owned(), negated(tensor)))
        .collect();
    let heads = head_rows_by_class(&source, from, &initial, to, &new);
    assert_eq!(heads.len(), 12);
    let of_boxes = |state: &StateDict, key: &str, logits: usize| -> Vec<Vec<Vec<f32>>> {
        let values = floats(state, key);
        let boxes = values.chunks_exact(values.len() / 6);
        let rows = |values: &[f32]| {
            values
                .chunks_exact(values.len() / logits)
                .map(<[f32]>::to_vec)
                .collect()
        };
        boxes.map(rows).collect()
    };
    let logits = |classes: HeadClasses<'_>| classes.scores.logits(classes.names.len());
    let keys = heads.iter().map(|(key, _)| key);
    keys.flat_map(|key| {
        let old = of_boxes(&source, key, logits(from));
        let first = of_boxes(&initial, key, logits(to));
        let new = of_boxes(&heads, key, logits(to));
        new.into_iter()
            .zip(old.into_iter().zip(first))
            .map(|(new, (old, first))| (new, [old, first]))
            .collect::<Vec<_>>()
    })
    .collect()
}

/// A row less another.
fn less(row: &[f32], other: &[f32]) -> Vec<f32> {
    row.iter().zip(other).map(|(a, b)| a - b).collect()
}

#[test]
fn rows_change_with_the_scores() {
    let classes = |names, scores| HeadClasses { names, scores };
    let (from, to): (&[&str], &[&str]) = (&["cat", "dog", "cow"], &["dog", "eel"]);
    let (softmax, sigmoid) = (Scores::Softmax, Scores::Sigmoid);
    for (new, [old, first]) in rows_for(classes(from, softmax), classes(to, sigmoid)) {
        assert_eq!(new, [less(&old[2], &old[0]), first[1].clone()]);
    }
    for (new, [old, first]) in rows_for(classes(from, sigmoid), classes(to, softmax)) {
        let zeros = vec![0.0; old[0].len()];
        assert_eq!(new, [zeros, old[1].clone(), first[2].clone()]);
    }
    for (new, [old, first]) in rows_for(classes(from, sigmoid), classes(to, sigmoid)) {
        assert_eq!(new, [old[1].clone(), first[1].clone()]);
    }
}
