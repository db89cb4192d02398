//! Whole training runs by the kernels and by the default bodies.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Gradients, Int, Tensor, TensorData};
use ssdlite_core::{MobileNetV3, Variant};

use super::with_default_bodies;
use crate::{Classifier, Detector};
use ssdlite_testing::signed;

const STEPS: usize = 50;
const BATCH: usize = 8;
const CLASSES: usize = 3;
const SIZE: [usize; 2] = [72, 56];

fn device() -> Device {
    Device::flex().autodiff()
}

fn network() -> MobileNetV3 {
    MobileNetV3 {
        width_multiplier: 0.35,
        ..MobileNetV3::new(Variant::Small)
    }
}

/// Pictures of step `step`, each in the colour of its class with noise on it.
fn pictures(step: usize) -> (Tensor<4>, Vec<i64>) {
    let labels: Vec<i64> = (0..BATCH)
        .map(|image| ((image + step) % CLASSES) as i64)
        .collect();
    let [height, width] = SIZE;
    let mut values = signed(&format!("pictures {step}"), BATCH * height * width * 3, 1.0);
    for (picture, &label) in values.chunks_exact_mut(height * width * 3).zip(&labels) {
        for pixel in picture.chunks_exact_mut(3) {
            pixel[label as usize] += 0.7;
        }
    }
    let data = TensorData::new(values, [BATCH, height, width, 3]);
    let pictures = Tensor::<4>::from_data(data, &device()).permute([0, 3, 1, 2]);
    (pictures, labels)
}

fn cross_entropy(logits: Tensor<2>, labels: Vec<i64>) -> Tensor<1> {
    let rows = labels.len();
    let labels = Tensor::<2, Int>::from_data(TensorData::new(labels, [rows, 1]), &device());
    -log_softmax(logits, 1).gather(1, labels).mean()
}

/// Takes a step of this learning rate down the gradient.
struct Descent<'a> {
    gradients: &'a Gradients,
    rate: f64,
}

impl ModuleMapper for Descent<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(gradient) = param.val().grad(self.gradients) else {
            return param;
        };
        param.map(|old| {
            (old.inner() - gradient.mul_scalar(self.rate))
                .autodiff()
                .require_grad()
        })
    }
}

fn losses<M: Module>(mut model: M, rate: f64, loss: impl Fn(&M, usize) -> Tensor<1>) -> Vec<f32> {
    (0..STEPS)
        .map(|step| {
            let loss = loss(&model, step);
            let value = loss.clone().into_scalar::<f32>();
            let gradients = loss.backward();
            model = model.clone().map(&mut Descent {
                gradients: &gradients,
                rate,
            });
            value
        })
        .collect()
}

fn assert_followed(run: impl Fn() -> Vec<f32>) {
    let kernels = run();
    let bodies = with_default_bodies(&run);
    for (step, (found, expected)) in kernels.iter().zip(&bodies).enumerate() {
        assert!(
            (found - expected).abs() <= 1e-3 * expected.abs(),
            "step {step}: found {found}, expected {expected}"
        );
    }
    assert!(kernels[STEPS - 1] < kernels[0]);
}

#[test]
fn a_classifiers_losses_follow_those_of_the_default_bodies() {
    assert_followed(|| {
        let table = network().classifier(CLASSES);
        let model = Classifier::new(&table, 3, &device());
        losses(model, 0.02, |model, step| {
            // Dropout draws the same numbers on both sides.
            device().seed(step as u64);
            let (pictures, labels) = pictures(step);
            cross_entropy(model.forward(pictures), labels)
        })
    });
}

#[test]
fn a_detectors_losses_follow_those_of_the_default_bodies() {
    assert_followed(|| {
        let model = Detector::new(&network().detector(CLASSES - 1), 3, &device());
        losses(model, 0.005, |model, step| {
            let (pictures, labels) = pictures(step);
            let output = model.forward(pictures);
            let [_, boxes, classes] = output.logits.dims();
            let labels = labels
                .iter()
                .flat_map(|&label| std::iter::repeat_n(label, boxes))
                .collect();
            cross_entropy(output.logits.reshape([BATCH * boxes, classes]), labels)
                + (output.regressions - 0.25).powi_scalar(2).mean()
        })
    });
}
