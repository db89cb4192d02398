//! What several tests need.

use ssdlite_image::{ImageSize, RgbImage};

/// The part of `size` whose top left pixel is at column and row `corner`.
pub(crate) fn part_of(image: &RgbImage, corner: (u32, u32), size: ImageSize) -> RgbImage {
    let (left, top) = corner;
    let bytes = left as usize * 3..(left + size.width) as usize * 3;
    let rows = (top..top + size.height).flat_map(|y| &image.row(y)[bytes.clone()]);
    RgbImage::new(size, rows.copied().collect()).unwrap()
}
