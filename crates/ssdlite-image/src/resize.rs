//! Scaling: the project's one resampling filter.
//!
//! Bilinear with antialiasing: a triangle that is as wide as the scale where
//! an image shrinks, `align_corners=false` positions, 8-bit fixed point. It
//! is what `PIL.Image.resize(size, BILINEAR)` computes, and so torchvision's
//! classification presets.
//!
//! torchvision's detectors resize a tensor with `F.interpolate(mode="bilinear")`
//! and no antialiasing. That reads four pixels however much an image shrinks,
//! so small objects of a large photo flicker in and out. This project deviates
//! from it: one filter serves classifiers and detectors. Enlarging, the two
//! agree but for rounding to 8 bits.

use fast_image_resize as fir;
use fir::images::{TypedImage, TypedImageRef};
use fir::pixels::U8x3;
use ssdlite_core::{ImageSize, PixelBox};

use crate::error::{Error, Result};
use crate::rgb::{AsRgb, CHANNELS, RgbImage, RgbView};

/// Scales images, keeping its scratch memory from one to the next.
#[derive(Debug, Default)]
pub struct Resizer {
    inner: fir::Resizer,
}

impl Resizer {
    /// A resizer for the instruction set of this machine.
    pub fn new() -> Self {
        Self::default()
    }

    /// `image` stretched to `size`, each direction by its own factor.
    ///
    /// # Panics
    /// If `size` has no pixel.
    pub fn stretch(&mut self, image: &impl AsRgb, size: ImageSize) -> RgbImage {
        let mut target = RgbImage::filled(size, [0; CHANNELS]);
        self.stretch_into(image, &mut target);
        target
    }

    /// [`Self::stretch`] to the size of `target`, over its pixels.
    pub fn stretch_into(&mut self, image: &impl AsRgb, target: &mut RgbImage) {
        let image = image.as_rgb();
        self.resample(image, SourceBox::whole(image.size()), target);
    }

    /// `image` scaled to `shorter_side` pixels on its shorter side, and of that
    /// the middle of the size of `target`, over its pixels, as torchvision's
    /// `Resize(shorter_side)` and `CenterCrop(size)` give it. Only what remains
    /// is computed.
    ///
    /// # Panics
    /// If a side of `target` is longer than `shorter_side`.
    pub fn center_crop_into(
        &mut self,
        image: &impl AsRgb,
        shorter_side: u32,
        target: &mut RgbImage,
    ) {
        let (image, size) = (image.as_rgb(), target.size());
        assert!(
            size.width <= shorter_side && size.height <= shorter_side,
            "a crop of {size} out of an image of {shorter_side} pixels on its shorter side"
        );
        let crop = SourceBox::of_center_crop(image.size(), shorter_side, size);
        self.resample(image, crop, target);
    }

    /// The part of `image` inside `region`, stretched to `size`. Pixels up to
    /// a filter's width outside the region weigh on its border.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the region is empty or reaches out of the image.
    ///
    /// # Panics
    /// If `size` has no pixel.
    pub fn stretch_region(
        &mut self,
        image: &impl AsRgb,
        region: PixelBox,
        size: ImageSize,
    ) -> Result<RgbImage> {
        let mut target = RgbImage::filled(size, [0; CHANNELS]);
        self.stretch_region_into(image, region, &mut target)?;
        Ok(target)
    }

    /// [`Self::stretch_region`] to the size of `target`, over its pixels.
    ///
    /// # Errors
    /// As [`Self::stretch_region`].
    pub fn stretch_region_into(
        &mut self,
        image: &impl AsRgb,
        region: PixelBox,
        target: &mut RgbImage,
    ) -> Result<()> {
        let image = image.as_rgb();
        if !region.is_valid() || region.clipped(image.size()) != region {
            return Err(Error::Malformed(format!(
                "expected a region inside {}, found {:?}",
                image.size(),
                region.to_array()
            )));
        }
        let source = SourceBox {
            left: region.x1.into(),
            top: region.y1.into(),
            width: region.width().into(),
            height: region.height().into(),
        };
        self.resample(image, source, target);
        Ok(())
    }

    fn resample(&mut self, image: RgbView<'_>, source: SourceBox, target: &mut RgbImage) {
        const SOUND: &str = "sizes and regions were checked";
        let source = source.inside(image.size());
        let options = fir::ResizeOptions::new()
            .resize_alg(fir::ResizeAlg::Convolution(fir::FilterType::Bilinear))
            .use_alpha(false)
            .crop(source.left, source.top, source.width, source.height);
        let ImageSize { width, height } = image.size();
        let from = TypedImageRef::<U8x3>::from_buffer(width, height, image.pixels());
        let ImageSize { width, height } = target.size();
        let to = TypedImage::<U8x3>::from_buffer(width, height, target.pixels_mut());
        // Not `resize`, with which the filters of all pixel types are compiled.
        self.inner
            .resize_typed(&from.expect(SOUND), &mut to.expect(SOUND), &options)
            .expect(SOUND);
    }
}

/// What is read of the source, in its pixels.
#[derive(Clone, Copy, Debug)]
struct SourceBox {
    left: f64,
    top: f64,
    width: f64,
    height: f64,
}

impl SourceBox {
    fn whole(size: ImageSize) -> Self {
        Self {
            left: 0.0,
            top: 0.0,
            width: size.width.into(),
            height: size.height.into(),
        }
    }

    /// The part of an image of `from` that fills `crop` in the middle of the
    /// image scaled to `shorter_side`.
    fn of_center_crop(from: ImageSize, shorter_side: u32, crop: ImageSize) -> Self {
        let scaled = scaled_to_shorter_side(from, shorter_side);
        // torchvision's `int(round(...))`, which rounds ties to even.
        let offset = |scaled: f64, crop: u32| ((scaled - f64::from(crop)) / 2.0).round_ties_even();
        let (x_step, y_step) = (
            f64::from(from.width) / scaled.0,
            f64::from(from.height) / scaled.1,
        );
        Self {
            left: offset(scaled.0, crop.width) * x_step,
            top: offset(scaled.1, crop.height) * y_step,
            width: f64::from(crop.width) * x_step,
            height: f64::from(crop.height) * y_step,
        }
    }

    /// The same box without the last bit by which rounding put it outside.
    fn inside(self, size: ImageSize) -> Self {
        let (left, top) = (self.left.max(0.0), self.top.max(0.0));
        Self {
            left,
            top,
            width: self.width.min(f64::from(size.width) - left),
            height: self.height.min(f64::from(size.height) - top),
        }
    }
}

/// Width and height after torchvision's `Resize(shorter_side)`: whole numbers,
/// the longer side rounded down. Kept as `f64`, since a very long image's
/// would not fit 32 bits.
fn scaled_to_shorter_side(from: ImageSize, shorter_side: u32) -> (f64, f64) {
    let (width, height) = (f64::from(from.width), f64::from(from.height));
    let side = f64::from(shorter_side);
    if width <= height {
        (side, (side * height / width).floor())
    } else {
        ((side * width / height).floor(), side)
    }
}
