//! Objects: what a picture holds, and what a detector says it holds.

use crate::classes::ClassId;
use crate::geometry::PixelBox;

/// An object that a detector found in an image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Detection {
    /// Its class.
    pub class: ClassId,
    /// How sure the detector is, 0 to 1.
    pub score: f32,
    /// Where it is, in pixels of the original image.
    pub bbox: PixelBox,
}

/// An object that an annotator marked in an image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GroundTruth {
    /// Its class.
    pub class: ClassId,
    /// Where it is, in pixels of the original image.
    pub bbox: PixelBox,
    /// Whether it is hard to make out: by VOC's rule a difficult object
    /// neither rewards nor punishes a detector.
    pub difficult: bool,
}
