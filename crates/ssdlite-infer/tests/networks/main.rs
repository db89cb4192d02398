//! Whole networks: against torchvision, against each other, against broken
//! files.

mod golden;
mod hostile;
mod steps;
mod tiles;
mod variants;

use ssdlite_core::ImageSize;
use ssdlite_image::RgbImage;

/// An image by a formula.
fn image(size: ImageSize) -> RgbImage {
    RgbImage::new(size, ssdlite_testing::image_bytes(size)).expect("three bytes a pixel")
}
