//! COCO's keys, as far as they are read.
//!
//! Source: "COCO data format", section "Object Detection".

use std::fmt;

use serde::Deserialize;
use serde::de::IgnoredAny;
use ssdlite_core::ImageSize;

use crate::detection::annotation::{ClaimedSize, Corners, Fault, Unit};
use crate::finding::{FindingKind, quoted};
use crate::formats::json::{Loose, LooseList};

/// A file with the labels of many images.
#[derive(Debug, Deserialize)]
pub(super) struct RawFile {
    #[serde(default)]
    pub(super) images: Option<Vec<RawImage>>,
    #[serde(default)]
    pub(super) annotations: Option<Vec<RawAnnotation>>,
    #[serde(default)]
    pub(super) categories: Option<Vec<RawCategory>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct RawImage {
    #[serde(default)]
    pub(super) id: Loose,
    #[serde(default)]
    pub(super) file_name: Loose,
    #[serde(default)]
    width: Loose,
    #[serde(default)]
    height: Loose,
}

#[derive(Debug, Deserialize)]
pub(super) struct RawAnnotation {
    #[serde(default)]
    pub(super) image_id: Loose,
    #[serde(default)]
    pub(super) category_id: Loose,
    #[serde(default)]
    pub(super) bbox: LooseList<Loose>,
    #[serde(default)]
    pub(super) iscrowd: Loose,
    /// Polygons are a list, run lengths a map.
    #[serde(default)]
    pub(super) segmentation: LooseList<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
pub(super) struct RawCategory {
    #[serde(default)]
    pub(super) id: Loose,
    #[serde(default)]
    pub(super) name: Loose,
    #[serde(default)]
    pub(super) supercategory: Loose,
}

/// What an image or a category is referred to by: a number, also one that is written as
/// text or with a fraction of 0, or any text.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Key {
    Number(i128),
    Text(String),
}

impl Key {
    pub(super) fn of(value: &Loose) -> Option<Self> {
        /// From here on a float has no odd numbers.
        const LARGEST_EXACT: f64 = 9_007_199_254_740_992.0;
        match value {
            Loose::Integer(value) => Some(Self::Number(*value)),
            Loose::Number(value) if value.fract() == 0.0 && value.abs() < LARGEST_EXACT => {
                Some(Self::Number(*value as i128))
            }
            Loose::Text(text) => Some(match text.trim().parse() {
                Ok(number) => Self::Number(number),
                Err(_) => Self::Text(text.trim().to_owned()),
            }),
            _ => None,
        }
    }
}

/// The key for a message.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(&quoted(text)),
        }
    }
}

impl RawImage {
    pub(super) fn size(&self) -> ClaimedSize {
        let unusable = |message: String, is_error| ClaimedSize::Unusable { message, is_error };
        match (self.width.side(), self.height.side()) {
            (Some(0), _) | (_, Some(0)) => unusable("found a width or height of 0".into(), false),
            (Some(width), Some(height)) => ClaimedSize::Pixels(ImageSize::new(width, height)),
            _ if self.width == Loose::Missing || self.height == Loose::Missing => {
                unusable("found no width and height".into(), false)
            }
            _ => unusable(
                format!(
                    "expected width and height in pixels, found {} and {}",
                    self.width, self.height
                ),
                true,
            ),
        }
    }
}

impl RawAnnotation {
    /// The box: left and top edge, width and height in pixels.
    pub(super) fn corners(&self) -> Result<Corners, Fault> {
        let malformed = |found: &str| {
            let message = format!("expected bbox as [x, y, width, height], found {found}");
            Err((FindingKind::MalformedObject, message))
        };
        let numbers = match &self.bbox {
            LooseList::List(numbers) if numbers.len() == 4 => numbers,
            LooseList::List(numbers) => return malformed(&format!("{} values", numbers.len())),
            LooseList::Map => return malformed("a map"),
            LooseList::Other => return malformed("none"),
        };
        let mut bbox = [0.0; 4];
        for (number, value) in bbox.iter_mut().zip(numbers) {
            *number = value.finite().ok_or_else(|| {
                let message = format!("expected a number in bbox, found {value}");
                (FindingKind::BadNumber, message)
            })?;
        }
        let [x, y, width, height] = bbox;
        Ok(Corners::new([x, y, x + width, y + height], Unit::Pixels))
    }

    /// Whether many objects are marked as one; the error is a message for the user.
    pub(super) fn is_crowd(&self) -> Result<bool, String> {
        self.iscrowd.flag().ok_or_else(|| {
            format!(
                "expected iscrowd to be 0 or 1, found {}; taken as 0",
                self.iscrowd
            )
        })
    }
}
