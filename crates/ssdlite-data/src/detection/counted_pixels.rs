//! Which pixels the boxes of an annotation count: those of the image as it is shown, or
//! as it is stored, before its Exif orientation turns it.

use ssdlite_core::ImageSize;
use ssdlite_image::Header;

use crate::detection::annotation::{ClaimedSize, Corners, ImageLabels};
use crate::finding::{Finding, FindingKind};

/// How far a size may be off before it is another image's: a tool that counts from
/// another origin is off by one. As far may a box stick out before that is an error.
pub(super) const ROUNDING_PIXELS: f64 = 1.0;

/// The pixels that boxes count.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum CountedPixels {
    Displayed,
    Stored,
}

/// A finding whose file is not known yet.
pub(crate) struct Unplaced {
    pub(super) kind: FindingKind,
    pub(super) message: String,
    pub(super) is_error: bool,
}

impl Unplaced {
    pub(crate) fn about(self, file: &str) -> Finding {
        if self.is_error {
            Finding::error(file, self.kind, self.message)
        } else {
            Finding::warning(file, self.kind, self.message)
        }
    }
}

/// Which pixels the annotation's size tells, and what is wrong with it; none
/// where it is another image's.
pub(super) fn pixels_of(
    labels: &ImageLabels,
    boxes: &[&Corners],
    header: &Header,
) -> (Option<CountedPixels>, Option<Unplaced>) {
    let (displayed, stored) = (header.displayed, header.stored);
    let is_doubtful = header.is_turned() && !boxes.is_empty();
    let unclear = || Unplaced {
        kind: FindingKind::UnclearOrientation,
        message: "the image is turned by its Exif orientation, and its size can't tell whether \
                  the boxes are; they are taken as shown"
            .into(),
        is_error: false,
    };
    let size = match &labels.size {
        ClaimedSize::Untold => {
            return (Some(CountedPixels::Displayed), is_doubtful.then(unclear));
        }
        ClaimedSize::Unusable { message, is_error } => {
            let reason = match is_doubtful {
                true => {
                    "; the image is turned by its Exif orientation, the boxes are taken as shown"
                }
                false => "",
            };
            let finding = Unplaced {
                kind: FindingKind::UnknownSize,
                message: format!("{message}{reason}"),
                is_error: *is_error,
            };
            return (Some(CountedPixels::Displayed), Some(finding));
        }
        ClaimedSize::Pixels(size) => *size,
    };
    if size == displayed {
        let finding = (is_doubtful && stored == displayed).then(unclear);
        return (Some(CountedPixels::Displayed), finding);
    }
    if size == stored {
        return (Some(CountedPixels::Stored), None);
    }
    let is_near = |other: ImageSize| {
        let off = |one: u32, other: u32| f64::from(one.abs_diff(other)) <= ROUNDING_PIXELS;
        off(size.width, other.width) && off(size.height, other.height)
    };
    let exchanged = ImageSize::new(displayed.height, displayed.width);
    let (pixels, reason) = if is_near(displayed) {
        (Some(CountedPixels::Displayed), "")
    } else if is_near(stored) {
        (Some(CountedPixels::Stored), "")
    } else if size == exchanged && boxes.iter().all(|corners| corners.fit(displayed)) {
        let reason = "; width and height are exchanged, the boxes are taken as shown";
        (Some(CountedPixels::Displayed), reason)
    } else if size == exchanged {
        (
            None,
            "; the image was probably turned after it was annotated",
        )
    } else if is_same_shape(size, displayed) || is_same_shape(size, stored) {
        (
            None,
            "; the image was probably resized after it was annotated",
        )
    } else {
        (None, "")
    };
    let finding = Unplaced {
        kind: FindingKind::SizeMismatch,
        message: format!(
            "expected an image of {size}, as its annotation says, found {displayed}{reason}"
        ),
        is_error: pixels.is_none(),
    };
    (pixels, Some(finding))
}

/// Whether two sizes have the same aspect ratio, but for rounding.
fn is_same_shape(one: ImageSize, other: ImageSize) -> bool {
    let across = f64::from(one.width) * f64::from(other.height);
    let down = f64::from(one.height) * f64::from(other.width);
    (across - down).abs() <= 0.01 * across
}
