//! Between plain numbers and Burn's tensors.

use burn::tensor::{Device, Tensor, TensorData};
use ssdlite_core::ImageSize;

/// `[N, 3, height, width]` of pixels `[N, height, width, 3]`, which stay in
/// their order in memory.
pub(crate) fn images_tensor(
    pixels: Vec<f32>,
    count: usize,
    size: ImageSize,
    device: &Device,
) -> Tensor<4> {
    let shape = [count, size.height as usize, size.width as usize, 3];
    Tensor::<4>::from_data(TensorData::new(pixels, shape), device).permute([0, 3, 1, 2])
}

/// A tensor's numbers, the last dimension fastest.
pub(crate) fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    let data = tensor.into_data().convert::<f32>();
    data.try_into_vec().expect("the numbers were just made f32")
}
