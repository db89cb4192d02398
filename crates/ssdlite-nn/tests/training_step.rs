//! A training step of a classifier agrees with torchvision's
//! (`reference/training_step.py`): loss, gradients, parameters after SGD and
//! running statistics.

use std::collections::HashMap;

use burn::module::{Module, ModuleVisitor, Param, ParamGroup};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Gradients, Int, Tensor, TensorData};
use serde::Deserialize;
use ssdlite_core::{MobileNetV3, Variant};
use ssdlite_model::{StateTensor, Values};
use ssdlite_nn::{Classifier, Inventory, Network};
use ssdlite_testing::{Summary, TOLERANCE, signed, state_from_formula};

#[derive(Deserialize)]
struct Golden {
    variant: Variant,
    classes: usize,
    input: [usize; 4],
    labels: Vec<i64>,
    learning_rate: f32,
    weight_decay: f32,
    loss: HashMap<String, f64>,
    gradients: HashMap<String, Summary>,
    updated: HashMap<String, Summary>,
    running: HashMap<String, Summary>,
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
        let key = &self.inventory.spec(param.id).expect("a known id").key;
        let shape = gradient.dims().to_vec();
        let values = gradient.into_data().iter::<f32>().collect();
        self.found.insert(key.clone(), (shape, values));
    }
}

fn floats(tensor: &StateTensor) -> &[f32] {
    tensor.floats().expect("floats")
}

#[test]
fn a_classifier_step_agrees_with_torchvision() {
    let golden: Golden =
        serde_json::from_str(include_str!("golden/training_step.json")).expect("a golden file");
    let device = Device::flex().autodiff();
    let network = MobileNetV3::new(golden.variant).classifier(golden.classes);
    let state = state_from_formula(&network.tensors());
    let model = Classifier::new(&network, 1, &device)
        .load_state_dict(&state)
        .expect("the formula fits the network")
        .freeze_group(ParamGroup::from_predicate("dropout"));

    let values = signed("images", golden.input.iter().product(), 2.0);
    let images = Tensor::from_data(TensorData::new(values, golden.input), &device);
    let batch = golden.labels.len();
    let labels = TensorData::new(golden.labels, [batch, 1]);
    let labels = Tensor::<2, Int>::from_data(labels, &device);
    let loss = -log_softmax(model.forward(images), 1)
        .gather(1, labels)
        .mean();
    let expected = golden.loss["cross_entropy"];
    let found = f64::from(loss.clone().into_scalar::<f32>());
    assert!((found - expected).abs() < TOLERANCE * expected);

    let gradients = loss.backward();
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

    // From rest, momentum adds nothing.
    for (key, expected) in &golden.updated {
        let (shape, gradient) = &by_key.found[key];
        let parameter = floats(state.get(key).expect("a parameter"));
        let updated: Vec<f32> = parameter
            .iter()
            .zip(gradient)
            .map(|(&p, &g)| p - golden.learning_rate * (g + golden.weight_decay * p))
            .collect();
        expected.assert_close(key, shape, &updated);
    }

    let after = model.state_dict();
    for (key, expected) in &golden.running {
        let tensor = after.get(key).expect("a buffer");
        expected.assert_close(key, &tensor.shape, floats(tensor));
    }
    let counted = after.get("features.0.1.num_batches_tracked");
    assert_eq!(counted.expect("a counter").values, Values::I64(vec![8]));
}
