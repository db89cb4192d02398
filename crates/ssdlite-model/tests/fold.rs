//! Batch norms that are folded into convolutions change no output.

use ssdlite_core::unit::BATCH_NORM_EPS;
use ssdlite_core::{ClassNames, MobileNetV3, ModelInfo, Operation, Variant};
use ssdlite_model::{Error, StateDict, fold};
use ssdlite_testing::state_from_formula;

/// Largest difference, relative to the sum of all products' sizes.
const TOLERANCE: f64 = 1e-5;

fn info() -> ModelInfo {
    let classes = ClassNames::new(["one"]).expect("a name");
    ModelInfo::classifier(MobileNetV3::new(Variant::Small), classes, 64)
}

fn numbers<'a>(state: &'a StateDict, key: &str) -> &'a [f32] {
    let tensor = state.get(key).and_then(|tensor| tensor.floats());
    tensor.unwrap_or_else(|| panic!("expected numbers for {key}"))
}

#[test]
fn folding_changes_no_output() {
    let state = state_from_formula(&info().tensors());
    let graph = info().graph();
    let units = graph.nodes().iter();
    let units = units.filter(|node| matches!(node.operation, Operation::ConvUnit(..)));
    for unit in units {
        let of = |name: &str| numbers(&state, &format!("{}.{name}", unit.key));
        let weights = of("0.weight");
        let [gamma, beta, mean, variance] =
            ["weight", "bias", "running_mean", "running_var"].map(|n| of(&format!("1.{n}")));
        let folded = fold::node(&state, unit).expect("sound numbers");
        let row = weights.len() / gamma.len();
        let input = |index: usize| (index as f64 * 0.7).sin();
        let product = |weights: &[f32]| -> f64 {
            let weights = weights.iter().enumerate();
            weights.map(|(i, &w)| f64::from(w) * input(i)).sum()
        };
        for channel in 0..gamma.len() {
            let range = channel * row..(channel + 1) * row;
            let at = |numbers: &[f32]| f64::from(numbers[channel]);
            let centred = product(&weights[range.clone()]) - at(mean);
            let deviation = (at(variance) + BATCH_NORM_EPS).sqrt();
            let expected = centred / deviation * at(gamma) + at(beta);
            let found = product(&folded.weights[range.clone()]) + at(&folded.bias);
            let sizes = folded.weights[range].iter().map(|w| f64::from(w.abs()));
            let error = (found - expected).abs() / (sizes.sum::<f64>() + 1.0);
            assert!(error < TOLERANCE, "{}: {found}, not {expected}", unit.key);
        }
    }
}

#[test]
fn a_missing_tensor_is_named() {
    let graph = info().graph();
    let stem = &graph.nodes()[1];
    let error = fold::node(&StateDict::default(), stem).expect_err("no weights");
    assert!(matches!(error, Error::WeightsMismatch(_)), "{error}");
    assert!(error.to_string().contains(&stem.key), "{error}");
}
