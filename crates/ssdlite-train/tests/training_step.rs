//! A training step of a detector agrees with torchvision's
//! (`reference/training_step.py`): both losses, gradients, parameters after SGD
//! and running statistics.

use std::collections::HashMap;
use std::num::NonZeroUsize;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use serde::Deserialize;
use ssdlite_core::unit::MapSize;
use ssdlite_core::{
    BoxCoder, DefaultBoxSizes, DefaultBoxes, FractionBox, MobileNetV3, PixelBox, Variant,
};
use ssdlite_core::{ImageSize, TensorRole};
use ssdlite_model::{StateTensor, Values};
use ssdlite_nn::{Detector, Inventory, Network};
use ssdlite_testing::{Summary, TOLERANCE, signed, state_from_formula};
use ssdlite_train::loss::{MultiboxLoss, MultiboxTargets, surrogate};
use ssdlite_train::optimizer::{GroupSettings, Optimizer, ParameterSlices, StepSettings};

#[derive(Deserialize)]
struct Golden {
    variant: Variant,
    outputs: usize,
    input: [usize; 4],
    boxes: usize,
    targets: Vec<Target>,
    /// Default box and the target's object that it has, image by image.
    matches: Vec<Vec<(usize, usize)>>,
    learning_rate: f32,
    momentum: f32,
    weight_decay: f32,
    loss: Loss,
    gradients: HashMap<String, Summary>,
    updated: HashMap<String, Summary>,
    running: HashMap<String, Summary>,
}

#[derive(Deserialize)]
struct Loss {
    bbox_regression: f64,
    classification: f64,
}

#[derive(Deserialize)]
struct Target {
    /// Corners in pixels.
    boxes: Vec<[f32; 4]>,
    labels: Vec<i32>,
}

/// Gradients by torchvision's keys.
struct GradientsByKey<'a> {
    inventory: &'a Inventory,
    gradients: &'a Gradients,
    found: HashMap<String, (Vec<usize>, Vec<f32>)>,
}

impl ModuleVisitor for GradientsByKey<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(gradient) = param.val().grad(self.gradients) else {
            return;
        };
        let key = &self.inventory.spec(param.id).unwrap().key;
        let shape = gradient.dims().to_vec();
        let values = gradient.into_data().iter::<f32>().collect();
        self.found.insert(key.clone(), (shape, values));
    }
}

fn floats(tensor: &StateTensor) -> &[f32] {
    tensor.floats().unwrap()
}

/// Labels and regression targets of all default boxes.
fn targets(golden: &Golden, default_boxes: &DefaultBoxes) -> (Vec<i32>, Vec<f32>) {
    let [batch, _, height, width] = golden.input;
    let input = ImageSize::new(width as u32, height as u32);
    let mut labels = vec![0; batch * golden.boxes];
    let mut regressions = vec![0.0; batch * golden.boxes * 4];
    for (image, matches) in golden.matches.iter().enumerate() {
        for &(index, object) in matches {
            let row = image * golden.boxes + index;
            let [x1, y1, x2, y2] = golden.targets[image].boxes[object];
            let bbox: FractionBox = PixelBox::new(x1, y1, x2, y2).to_fractions(input);
            let numbers = BoxCoder::default().encode(&bbox, &default_boxes.centers()[index]);
            labels[row] = golden.targets[image].labels[object];
            regressions[row * 4..row * 4 + 4].copy_from_slice(&numbers);
        }
    }
    (labels, regressions)
}

#[test]
fn a_detector_step_agrees_with_torchvision() {
    let golden: Golden = serde_json::from_str(include_str!("golden/training_step.json")).unwrap();
    let device = Device::flex().autodiff();
    let network = MobileNetV3::new(golden.variant).detector(golden.outputs - 1);
    let state = state_from_formula(&network.tensors());
    let model = Detector::new(&network, 1, &device)
        .load_state_dict(&state)
        .unwrap();
    let [batch, _, height, width] = golden.input;
    let maps = network.feature_maps(MapSize::new(height, width));
    let default_boxes = DefaultBoxes::new(&DefaultBoxSizes::default(), &maps);
    assert_eq!(default_boxes.len(), golden.boxes);

    let values = signed("images", golden.input.iter().product(), 2.0);
    let images = Tensor::from_data(TensorData::new(values, golden.input), &device);
    let output = model.forward(images);
    let data = |tensor: Tensor<3>| -> Vec<f32> { tensor.into_data().iter::<f32>().collect() };
    let (labels, regressions) = targets(&golden, &default_boxes);
    let loss = MultiboxLoss::default().evaluate(
        &data(output.logits.clone()),
        &data(output.regressions.clone()),
        MultiboxTargets {
            labels: &labels,
            regressions: &regressions,
            images: NonZeroUsize::new(batch).unwrap(),
        },
        NonZeroUsize::MIN,
    );
    let close = |found: f64, expected: f64| (found - expected).abs() < TOLERANCE * expected;
    assert!(close(loss.classification, golden.loss.classification));
    assert!(close(loss.regression, golden.loss.bbox_regression));

    let objective = surrogate(output.logits, loss.logit_gradient)
        + surrogate(output.regressions, loss.regression_gradient);
    let gradients = objective.backward();
    let mut by_key = GradientsByKey {
        inventory: model.inventory(),
        gradients: &gradients,
        found: HashMap::new(),
    };
    model.visit(&mut by_key);
    let parameters = network.tensors();
    let parameters = parameters.iter().filter(|spec| spec.role.is_parameter());
    assert_eq!(by_key.found.len(), parameters.count());
    for (key, expected) in &golden.gradients {
        let (shape, values) = &by_key.found[key];
        expected.assert_close(key, shape, values);
    }

    for (key, expected) in &golden.updated {
        let (shape, gradient) = &by_key.found[key];
        let mut values = floats(state.get(key).unwrap()).to_vec();
        sgd_step(&golden, &mut values, gradient);
        expected.assert_close(key, shape, &values);
    }

    let after = model.state_dict();
    for (key, expected) in &golden.running {
        let tensor = after.get(key).unwrap();
        expected.assert_close(key, &tensor.shape, floats(tensor));
    }
    let counted = network
        .tensors()
        .into_iter()
        .filter(|spec| spec.role == TensorRole::BatchesTracked);
    for spec in counted {
        assert_eq!(after.get(&spec.key).unwrap().values, Values::I64(vec![8]));
    }
}

fn sgd_step(golden: &Golden, values: &mut [f32], gradients: &[f32]) {
    let zeros = || vec![0.0; gradients.len()];
    let sgd = Optimizer::Sgd {
        momentum: golden.momentum,
        nesterov: false,
    };
    sgd.update(
        ParameterSlices {
            values,
            gradients,
            first_moments: &mut zeros(),
            second_moments: &mut zeros(),
            averages: &mut zeros(),
        },
        StepSettings {
            gradient_scale: 1.0,
            step: 0,
            average_decay: 0.0,
        },
        GroupSettings {
            lr: golden.learning_rate,
            weight_decay: golden.weight_decay,
        },
    );
}
