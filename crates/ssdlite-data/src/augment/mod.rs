//! Random changes of training images, and of the boxes in them.
//!
//! A transform first moves a [`View`], the rectangle of the image that the
//! network will see; then the pixels are resampled once, distorted in colour
//! and normalised. The order of SSD (distort, expand, crop, mirror, resize) is
//! kept for everything geometric. What drawing in colour after resampling
//! changes is said in [`photometric`].
//!
//! Sources: arXiv 1512.02325 (SSD), sections 2.2 and 3.6, and the transforms
//! of torchvision that follow it.

mod classifier;
mod detector;
mod distorter;
pub mod iou_crop;
pub mod photometric;
mod reduced;
mod render;
pub mod tile_crop;
pub mod view;
pub mod zoom_out;

use std::ops::{Range, RangeInclusive};

pub use classifier::ClassifierAugment;
pub use detector::DetectorAugment;
pub use iou_crop::IouCrop;
pub use photometric::PhotometricDistort;
pub(crate) use reduced::Reduced;
pub(crate) use render::Renderer;
pub use tile_crop::TileCrop;
pub use view::View;
pub use zoom_out::ZoomOut;

use crate::error::{Error, Result};

fn check_within(what: &str, value: f32, bounds: RangeInclusive<f32>) -> Result<()> {
    if bounds.contains(&value) {
        return Ok(());
    }
    Err(Error::InvalidRequest(format!(
        "{what}: expected {} to {}, found {value}",
        bounds.start(),
        bounds.end()
    )))
}

/// Checks that a range is not reversed and lies within `bounds`.
fn check_range(what: &str, range: &Range<f32>, bounds: RangeInclusive<f32>) -> Result<()> {
    let inside = bounds.contains(&range.start) && bounds.contains(&range.end);
    if inside && range.start <= range.end {
        return Ok(());
    }
    Err(Error::InvalidRequest(format!(
        "{what}: expected a range within {} to {}, found {} to {}",
        bounds.start(),
        bounds.end(),
        range.start,
        range.end
    )))
}
