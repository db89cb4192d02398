//! Losses and their gradients, in plain numbers.
//!
//! A loss here reads a network's outputs as data and gives its value together
//! with its gradient by those outputs. [`surrogate`] hands that gradient to
//! autodiff. So mining and selecting rows need no tensors, and none of their
//! steps is recorded.

pub mod cross_entropy;
pub mod multibox;
mod softmax;

use burn::tensor::{Tensor, TensorData};

pub use cross_entropy::{CrossEntropy, CrossEntropyOutput};
pub use multibox::{MultiboxLoss, MultiboxOutput, MultiboxTargets};

/// A scalar whose gradient by `output` is `gradient`: their products' sum. Its
/// value means nothing.
///
/// `gradient` has as many elements as `output`, in the same order.
pub fn surrogate<const D: usize>(output: Tensor<D>, gradient: Vec<f32>) -> Tensor<1> {
    let data = TensorData::new(gradient, output.shape());
    let gradient = Tensor::<D>::from_data(data, &output.device());
    (output * gradient).sum()
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn the_surrogate_has_the_gradient_that_it_was_given() {
        let device = Device::flex().autodiff();
        let input = Tensor::<2>::from_data([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], &device);
        let input = input.require_grad();
        let gradient = vec![0.5, -1.0, 2.0, 0.25, 7.0, -3.0];
        let doubled = input.clone().mul_scalar(2.0);
        let mut gradients = surrogate(doubled, gradient.clone()).backward();
        let found = input.grad_remove(&mut gradients).unwrap().into_data();
        let expected: Vec<f32> = gradient.iter().map(|value| value * 2.0).collect();
        assert_eq!(found.as_slice::<f32>().unwrap(), expected);
    }
}
