//! What an annotation says of its image, whatever the form it was written in.
//!
//! Every reader of a format ends here; nothing that reads these fields asks which
//! format they came from.

use std::sync::Arc;

use ssdlite_core::ImageSize;

use crate::finding::FindingKind;

/// A fault: its kind, and a message for the user.
pub(crate) type Fault = (FindingKind, String);

/// The fields of an annotation; the error is a message for the user.
pub(crate) type Parsed = Result<ImageLabels, String>;

/// What an annotation says of its image.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ImageLabels {
    /// The name of the image's file, where it is told and may be another's.
    pub(crate) filename: Option<String>,
    pub(crate) size: ClaimedSize,
    /// In the order of the file.
    pub(crate) objects: Vec<LabelledObject>,
    /// What is doubtful in the annotation as a whole; nothing is lost by it.
    pub(crate) doubts: Vec<Fault>,
}

/// The image's size by its annotation.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum ClaimedSize {
    /// The format has no place for it.
    #[default]
    Untold,
    Pixels(ImageSize),
    /// None that can be used.
    Unusable {
        message: String,
        is_error: bool,
    },
}

/// An object, or what stands in the place of one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LabelledObject {
    /// Its number in the file, counted from 1.
    pub(crate) number: usize,
    pub(crate) fields: Result<ObjectFields, Fault>,
}

/// What is said of an object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ObjectFields {
    /// The name of its class as it is written.
    pub(crate) class: Result<Arc<str>, Fault>,
    pub(crate) corners: Result<Corners, Fault>,
    /// The error is a message; the object counts as not difficult then.
    pub(crate) difficult: Result<bool, String>,
    /// Whether the box is the one around another outline.
    pub(crate) is_outline: bool,
}

/// What the numbers of a box count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Pixels by their numbers: from where, and whether the last one is meant, is
    /// for [`Coordinates`](crate::voc::Coordinates) to say.
    Numbers,
    /// Pixels from 0, right and bottom edge exclusive.
    Pixels,
    /// Shares of the image's width and height, 0 to 1.
    Shares,
}

/// The corners of an object's box as they are written, whatever they are worth.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Corners {
    /// Left, top, right, bottom; finite.
    pub(crate) edges: [f64; 4],
    pub(crate) unit: Unit,
    /// How far the box is rotated about its centre.
    pub(crate) radians: Option<f64>,
    /// What to tell of the rotation.
    pub(crate) rotated: Option<String>,
}

impl Corners {
    /// An upright box.
    pub(crate) fn new(edges: [f64; 4], unit: Unit) -> Self {
        Self {
            edges,
            unit,
            radians: None,
            rotated: None,
        }
    }

    /// The upright box around some points; none where there is none.
    pub(crate) fn around(points: impl IntoIterator<Item = [f64; 2]>, unit: Unit) -> Option<Self> {
        let mut points = points.into_iter();
        let [x, y] = points.next()?;
        let edges = points.fold([x, y, x, y], |[x1, y1, x2, y2], [x, y]| {
            [x1.min(x), y1.min(y), x2.max(x), y2.max(y)]
        });
        Some(Self::new(edges, unit))
    }
}

impl ImageLabels {
    /// The names of its objects' classes, as they are written.
    pub(crate) fn class_names(&self) -> impl Iterator<Item = &str> {
        let fields = self
            .objects
            .iter()
            .filter_map(|object| object.fields.as_ref().ok());
        fields.filter_map(|fields| fields.class.as_deref().ok())
    }

    /// Whether one of its objects is not difficult.
    pub(crate) fn has_countable(&self) -> bool {
        let is_countable = |object: &LabelledObject| match &object.fields {
            Ok(fields) => fields.difficult != Ok(true),
            Err(_) => true,
        };
        self.objects.iter().any(is_countable)
    }
}
