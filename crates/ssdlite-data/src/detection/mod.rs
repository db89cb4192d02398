//! Images with boxes, whatever form their labels have.
//!
//! [`DetectionFolder`] is the one door to them. A reader of a format
//! (`ssdlite-data`'s `formats`) says which images and annotations a folder has and
//! what each annotation says; what is here knows no format: lists and splits, sizes
//! and orientation, what is wrong with a box and what is done about it, the check.
//!
//! An id is what the paths of an image and its annotation have in common, so it may
//! have folders in it. Splits are told by lists, `ImageSets/Main/{train,val,trainval,
//! test}.txt` with an id a line, else by what the format has for them, else by folders
//! called `train`, `valid` or the like.
//!
//! Where an image is turned by its Exif orientation, the size in the annotation tells
//! how its boxes are meant: the size as shown or the size as stored. If both are equal,
//! or the format tells none, the boxes are taken as shown.
//!
//! Nothing is trusted: see [`FindingKind`](crate::finding::FindingKind) for the
//! faults and what is done about each.

pub(crate) mod annotation;
mod check;
mod counted_pixels;
mod divide;
mod folder;
pub(crate) mod frame;
pub(crate) mod lists;
mod parts;
mod read;

use ssdlite_core::ClassNames;

pub use divide::{NewLists, SplitCounts};
pub use folder::DetectionFolder;
pub use parts::{LabelledSet, SetPart};

use crate::voc::Coordinates;

/// How a folder of images with boxes is read.
#[derive(Clone, Debug, Default)]
pub struct DetectionFolderOptions {
    /// How boxes of VOC's annotations are counted.
    pub coordinates: Coordinates,
    /// The classes to expect. Without them they are those of
    /// [`DetectionFolder::classes`], whatever split is read.
    pub classes: Option<ClassNames>,
}
