//! Frozen parts get no gradient, keep their statistics and store nothing.

use std::collections::BTreeSet;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use ssdlite_core::{MobileNetV3, TensorRole, Variant};
use ssdlite_model::StateDict;
use ssdlite_nn::{Classifier, Detector, Frozen, Inventory, Network};
use ssdlite_testing::signed;

struct TrainedKeys<'a> {
    inventory: &'a Inventory,
    gradients: &'a Gradients,
    keys: BTreeSet<String>,
}

impl ModuleVisitor for TrainedKeys<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if param.val().grad(self.gradients).is_some() {
            let spec = self.inventory.spec(param.id).expect("a known id");
            self.keys.insert(spec.key.clone());
        }
    }
}

fn trained_keys<N: Network>(network: &N, loss: Tensor<1>) -> BTreeSet<String> {
    let gradients = loss.backward();
    let mut visitor = TrainedKeys {
        inventory: network.inventory(),
        gradients: &gradients,
        keys: BTreeSet::new(),
    };
    network.visit(&mut visitor);
    visitor.keys
}

fn parameters<N: Network>(network: &N, trains: impl Fn(&str) -> bool) -> BTreeSet<String> {
    let specs = network.inventory().specs().iter();
    let trained = specs.filter(|spec| spec.role.is_parameter() && trains(&spec.key));
    trained.map(|spec| spec.key.clone()).collect()
}

/// Keys of the running statistics that differ between two states of a network.
fn moved<N: Network>(network: &N, before: &StateDict) -> BTreeSet<String> {
    let after = network.state_dict();
    let specs = network.inventory().specs().iter();
    let means = specs.filter(|spec| spec.role == TensorRole::RunningMean);
    let keys = means.map(|spec| spec.key.clone());
    keys.filter(|key| before.get(key) != after.get(key))
        .collect()
}

fn images(device: &Device) -> Tensor<4> {
    let shape = [2, 3, 64, 80];
    let values = signed("images", shape.iter().product(), 2.0);
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn assert_trains<N: Network>(
    network: N,
    loss: impl Fn(&N) -> Tensor<1>,
    trains: impl Fn(&str) -> bool,
) {
    let before = network.state_dict();
    let loss = loss(&network);
    let expected = parameters(&network, &trains);
    assert_eq!(trained_keys(&network, loss), expected);
    let specs = network.inventory().specs().iter();
    let means = specs.filter(|spec| spec.role == TensorRole::RunningMean);
    let means = means.map(|spec| spec.key.clone()).filter(|key| trains(key));
    assert_eq!(moved(&network, &before), means.collect());
}

#[test]
fn a_detector_trains_what_is_not_frozen() {
    let device = Device::flex().autodiff();
    let new = || Detector::new(&MobileNetV3::new(Variant::Small).detector(2), 1, &device);
    let loss = |detector: &Detector| {
        let output = detector.forward(images(&device));
        output.logits.powi_scalar(2).sum() + output.regressions.powi_scalar(2).sum()
    };
    assert_trains(new(), loss, |_| true);
    assert_trains(new().freeze_parts(Frozen::Backbone), loss, |key| {
        !key.starts_with("backbone.features.")
    });
    assert_trains(new().freeze_parts(Frozen::AllButHeads), loss, |key| {
        key.starts_with("head.")
    });
}

#[test]
fn a_classifier_trains_what_is_not_frozen() {
    let device = Device::flex().autodiff();
    let new = || Classifier::new(&MobileNetV3::new(Variant::Small).classifier(5), 1, &device);
    let loss = |classifier: &Classifier| classifier.forward(images(&device)).powi_scalar(2).sum();
    assert_trains(new(), loss, |_| true);
    assert_trains(new().freeze_backbone(), loss, |key| {
        key.starts_with("classifier.")
    });
}

#[test]
fn a_clone_and_a_valid_copy_keep_their_own_statistics() {
    let device = Device::flex().autodiff();
    let network = MobileNetV3::new(Variant::Small).classifier(5);
    let classifier = Classifier::new(&network, 1, &device);
    let (copy, valid) = (classifier.clone(), classifier.valid());
    let before = classifier.state_dict();
    classifier.forward(images(&device));
    assert_ne!(classifier.state_dict(), before);
    assert_eq!(copy.state_dict(), before);
    assert_eq!(valid.state_dict(), before);
}

#[test]
fn evaluation_changes_nothing_and_repeats_itself() {
    let device = Device::flex().autodiff();
    let network = MobileNetV3::new(Variant::Small).classifier(5);
    let valid = Classifier::new(&network, 1, &device).valid();
    let before = valid.state_dict();
    let images = images(&Device::flex());
    let outputs = [(); 2].map(|()| valid.forward(images.clone()).into_data());
    assert_eq!(outputs[0], outputs[1]);
    assert_eq!(valid.state_dict(), before);
}

#[test]
fn a_batch_of_one_trains() {
    let device = Device::flex().autodiff();
    let detector = Detector::new(&MobileNetV3::new(Variant::Small).detector(2), 1, &device);
    let output = detector.forward(images(&device).narrow(0, 0, 1));
    assert!(output.logits.sum().into_scalar::<f32>().is_finite());
    let state = detector.state_dict();
    state
        .check(detector.inventory().specs())
        .expect("sound statistics");
}
