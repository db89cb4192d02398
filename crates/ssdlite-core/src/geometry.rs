//! Sizes and boxes.
//!
//! A box says in its type whether its numbers are pixels of an image or
//! fractions of it, so a function that needs one can't be called with the
//! other. Corners are `x1, y1, x2, y2`, origin top left, `x2` and `y2`
//! exclusive: a box that covers one whole pixel has width 1.

use std::fmt;
use std::marker::PhantomData;

use serde::{Deserialize, Serialize};

/// Width and height of an image, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ImageSize {
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

impl ImageSize {
    /// A size of `width` by `height` pixels.
    pub const fn new(width: u32, height: u32) -> Self {
        Self { width, height }
    }

    /// A square of `side` by `side` pixels.
    pub const fn square(side: u32) -> Self {
        Self::new(side, side)
    }

    /// The number of pixels.
    pub const fn pixels(self) -> u64 {
        self.width as u64 * self.height as u64
    }
}

impl fmt::Display for ImageSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

mod sealed {
    pub trait Sealed {}
}

/// What the numbers of a box count: [`Pixels`] or [`Fractions`].
pub trait Space: sealed::Sealed + Copy + fmt::Debug + PartialEq + Send + Sync + 'static {}

/// Coordinates in pixels of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pixels {}

/// Coordinates in fractions of an image's width and height: 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fractions {}

impl sealed::Sealed for Pixels {}
impl sealed::Sealed for Fractions {}
impl Space for Pixels {}
impl Space for Fractions {}

/// A box given by its corners, `x1, y1` inside and `x2, y2` exclusive.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CornerBox<S: Space> {
    /// Left edge.
    pub x1: f32,
    /// Top edge.
    pub y1: f32,
    /// Right edge, exclusive.
    pub x2: f32,
    /// Bottom edge, exclusive.
    pub y2: f32,
    space: PhantomData<S>,
}

/// A corner box in pixels of an image.
///
/// Prints as its corners `x1, y1, x2, y2` with one decimal place, or as many as are
/// asked for: `12.5, 80.1, 96.0, 171.4`, and with `{:.0}` `13, 80, 96, 171`.
pub type PixelBox = CornerBox<Pixels>;

/// A corner box in fractions of an image.
pub type FractionBox = CornerBox<Fractions>;

impl<S: Space> CornerBox<S> {
    /// A box from its corners. Nothing is checked: see [`Self::is_valid`].
    pub const fn new(x1: f32, y1: f32, x2: f32, y2: f32) -> Self {
        Self {
            x1,
            y1,
            x2,
            y2,
            space: PhantomData,
        }
    }

    /// Whether all corners are finite and width and height positive.
    pub fn is_valid(&self) -> bool {
        let finite = [self.x1, self.y1, self.x2, self.y2]
            .iter()
            .all(|value| value.is_finite());
        finite && self.x2 > self.x1 && self.y2 > self.y1
    }

    /// Width, negative when the corners are swapped.
    pub fn width(&self) -> f32 {
        self.x2 - self.x1
    }

    /// Height, negative when the corners are swapped.
    pub fn height(&self) -> f32 {
        self.y2 - self.y1
    }

    /// Area; 0 for a degenerate box.
    pub fn area(&self) -> f32 {
        self.width().max(0.0) * self.height().max(0.0)
    }

    /// The point in the middle, `(x, y)`.
    pub fn center(&self) -> (f32, f32) {
        ((self.x1 + self.x2) * 0.5, (self.y1 + self.y2) * 0.5)
    }

    /// The area that both boxes cover; 0 when they only touch.
    pub fn intersection(&self, other: &Self) -> f32 {
        let width = self.x2.min(other.x2) - self.x1.max(other.x1);
        let height = self.y2.min(other.y2) - self.y1.max(other.y1);
        width.max(0.0) * height.max(0.0)
    }

    /// Intersection over union, 0 to 1: 1 for equal boxes, 0 for touching or
    /// degenerate ones.
    pub fn iou(&self, other: &Self) -> f32 {
        let intersection = self.intersection(other);
        let union = self.area() + other.area() - intersection;
        if union > 0.0 {
            intersection / union
        } else {
            0.0
        }
    }

    /// The box as `[x1, y1, x2, y2]`.
    pub const fn to_array(self) -> [f32; 4] {
        [self.x1, self.y1, self.x2, self.y2]
    }

    /// The box as centre and size.
    pub fn to_center(self) -> CenterBox<S> {
        let (cx, cy) = self.center();
        CenterBox::new(cx, cy, self.width(), self.height())
    }

    /// The same box moved by `dx, dy`.
    #[must_use]
    pub fn translated(self, dx: f32, dy: f32) -> Self {
        Self::new(self.x1 + dx, self.y1 + dy, self.x2 + dx, self.y2 + dy)
    }

    fn clamped(self, right: f32, bottom: f32) -> Self {
        Self::new(
            self.x1.clamp(0.0, right),
            self.y1.clamp(0.0, bottom),
            self.x2.clamp(0.0, right),
            self.y2.clamp(0.0, bottom),
        )
    }
}

impl PixelBox {
    /// The part of the box that lies in an image of `size`.
    #[must_use]
    pub fn clipped(self, size: ImageSize) -> Self {
        self.clamped(size.width as f32, size.height as f32)
    }

    /// The same box in fractions of an image of `size`, which must not be
    /// empty.
    pub fn to_fractions(self, size: ImageSize) -> FractionBox {
        let (width, height) = (size.width as f32, size.height as f32);
        FractionBox::new(
            self.x1 / width,
            self.y1 / height,
            self.x2 / width,
            self.y2 / height,
        )
    }

    /// The same box after its image was stretched from size `from` to `to`.
    #[must_use]
    pub fn rescaled(self, from: ImageSize, to: ImageSize) -> Self {
        self.to_fractions(from).to_pixels(to)
    }

    /// The box in the mirror image (left and right swapped) of an image
    /// `width` pixels wide.
    #[must_use]
    pub fn mirrored(self, width: u32) -> Self {
        let width = width as f32;
        Self::new(width - self.x2, self.y1, width - self.x1, self.y2)
    }
}

impl fmt::Display for PixelBox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = f.precision().unwrap_or(1);
        let Self { x1, y1, x2, y2, .. } = self;
        write!(
            f,
            "{x1:.places$}, {y1:.places$}, {x2:.places$}, {y2:.places$}"
        )
    }
}

impl FractionBox {
    /// The part of the box that lies in the image.
    #[must_use]
    pub fn clipped(self) -> Self {
        self.clamped(1.0, 1.0)
    }

    /// The same box in pixels of an image of `size`.
    pub fn to_pixels(self, size: ImageSize) -> PixelBox {
        let (width, height) = (size.width as f32, size.height as f32);
        PixelBox::new(
            self.x1 * width,
            self.y1 * height,
            self.x2 * width,
            self.y2 * height,
        )
    }
}

/// A box given by its centre and its size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CenterBox<S: Space> {
    /// Horizontal centre.
    pub cx: f32,
    /// Vertical centre.
    pub cy: f32,
    /// Width.
    pub w: f32,
    /// Height.
    pub h: f32,
    space: PhantomData<S>,
}

impl<S: Space> CenterBox<S> {
    /// A box from centre and size.
    pub const fn new(cx: f32, cy: f32, w: f32, h: f32) -> Self {
        Self {
            cx,
            cy,
            w,
            h,
            space: PhantomData,
        }
    }

    /// The box by its corners.
    pub fn to_corners(self) -> CornerBox<S> {
        let (half_w, half_h) = (self.w * 0.5, self.h * 0.5);
        CornerBox::new(
            self.cx - half_w,
            self.cy - half_h,
            self.cx + half_w,
            self.cy + half_h,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOXES: [[f32; 4]; 5] = [
        [0.0, 0.0, 1.0, 1.0],
        [10.5, 3.25, 17.0, 40.0],
        [12.0, 1.0, 90.0, 35.5],
        [-5.0, -7.0, 11.0, 13.0],
        [16.0, 39.0, 18.0, 41.0],
    ];

    fn boxes() -> impl Iterator<Item = PixelBox> {
        BOXES.iter().map(|b| PixelBox::new(b[0], b[1], b[2], b[3]))
    }

    #[test]
    fn iou_is_symmetric_within_bounds_and_one_for_itself() {
        for a in boxes() {
            assert_eq!(a.iou(&a), 1.0);
            for b in boxes() {
                assert_eq!(a.iou(&b), b.iou(&a));
                assert!((0.0..=1.0).contains(&a.iou(&b)));
            }
        }
    }

    #[test]
    fn iou_is_zero_for_touching_and_degenerate_boxes() {
        let a = PixelBox::new(0.0, 0.0, 2.0, 3.0);
        assert_eq!(a.iou(&PixelBox::new(2.0, 0.0, 4.0, 3.0)), 0.0);
        assert_eq!(a.iou(&PixelBox::new(0.0, 3.0, 2.0, 5.0)), 0.0);
        let degenerate = PixelBox::new(1.0, 1.0, 1.0, 2.0);
        assert_eq!(a.iou(&degenerate), 0.0);
        assert_eq!(degenerate.iou(&degenerate), 0.0);
    }

    #[test]
    fn iou_is_unchanged_by_scale() {
        let (from, to) = (ImageSize::new(64, 32), ImageSize::new(256, 128));
        for a in boxes() {
            for b in boxes() {
                let scaled = a.rescaled(from, to).iou(&b.rescaled(from, to));
                assert!((a.iou(&b) - scaled).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn a_box_prints_its_corners() {
        let bbox = PixelBox::new(12.53, 80.06, 96.0, -171.44);
        assert_eq!(bbox.to_string(), "12.5, 80.1, 96.0, -171.4");
        assert_eq!(format!("{bbox:.0}"), "13, 80, 96, -171");
        let broken = PixelBox::new(f32::NAN, 0.0, f32::INFINITY, 1.0);
        assert_eq!(broken.to_string(), "NaN, 0.0, inf, 1.0");
    }

    #[test]
    fn conversions_come_back() {
        let size = ImageSize::new(640, 480);
        for a in boxes() {
            let back = a.to_fractions(size).to_pixels(size);
            let center = a.to_center().to_corners();
            let mirrored = a.mirrored(640).mirrored(640);
            for (x, y) in a.to_array().iter().zip(back.to_array()) {
                assert!((x - y).abs() < 1e-4);
            }
            for (x, y) in a.to_array().iter().zip(center.to_array()) {
                assert!((x - y).abs() < 1e-4);
            }
            assert_eq!(a, mirrored);
        }
    }

    #[test]
    fn clipping_keeps_what_is_inside_and_finds_what_is_not() {
        let size = ImageSize::new(20, 30);
        let clipped = PixelBox::new(-5.0, 4.0, 25.0, 31.0).clipped(size);
        assert_eq!(clipped.to_array(), [0.0, 4.0, 20.0, 30.0]);
        assert!(!PixelBox::new(21.0, 4.0, 25.0, 9.0).clipped(size).is_valid());
        assert!(!PixelBox::new(f32::NAN, 0.0, 1.0, 1.0).is_valid());
        assert!(!PixelBox::new(0.0, 0.0, f32::INFINITY, 1.0).is_valid());
    }
}
