//! Detection data in the layout of PASCAL VOC, with labelImg's annotations.
//!
//! A data folder holds `Annotations/ID.xml`, `JPEGImages/ID.jpg` (or another image
//! format and ending, in any case) and the lists
//! `ImageSets/Main/{train,val,trainval,test}.txt`, one id a line. The folders may
//! have other names, or be one: what holds XML files are annotations. An id is
//! what both paths have in common, so it may have folders in it. Without lists
//! folders called `train`, `valid` or the like tell the splits, as Roboflow writes
//! them. The id alone pairs annotation and image: an annotation's `filename` and
//! `path` may say anything.
//!
//! Boxes are read as 1-based and inclusive, as labelImg and the official
//! devkit write them, unless [`Coordinates`] says otherwise. Where an image is
//! turned by its Exif orientation, the annotation's `size` tells how its boxes
//! are meant: the size as shown (labelImg from 1.8.4 on) or the size as stored
//! (labelImg before that, and tools that know no Exif). If both are equal, the
//! boxes are taken as shown.
//!
//! Objects stand in `annotation`, or in an `objects` there; elements are known
//! in any case. A box that CVAT's attribute `rotation` or roLabelImg's
//! `robndbox` rotates is taken as the upright box around it; of other outlines
//! than boxes nothing is read. Files are decoded as they declare.
//!
//! Nothing is trusted: see [`FindingKind`](crate::finding::FindingKind) for the
//! faults and what is done about each.
//!
//! Sources: M. Everingham and J. Winn, "The PASCAL VOC 2012 Development Kit",
//! section 4; labelImg's `libs/pascal_voc_io.py` and its pull request 650.

mod annotation;
mod check;
mod divide;
mod encoding;
mod folder;
pub(crate) mod layout;
mod lists;
mod read;
mod write;
mod writer;
mod xml;

use serde::{Deserialize, Serialize};
use ssdlite_core::ClassNames;

pub use divide::SplitCounts;
pub use encoding::text_from_bytes;
pub use folder::VocFolder;
pub use write::{VocAnnotation, VocObject};
pub use writer::VocWriter;

/// How the corners of boxes in annotation files are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Coordinates {
    /// From 1, right and bottom edge inclusive: `[xmin - 1, ymin - 1, xmax,
    /// ymax)` inside of this project.
    #[default]
    OneBased,
    /// From 0, right and bottom edge exclusive: taken as they are.
    ZeroBased,
}

/// How a VOC folder is read.
#[derive(Clone, Debug, Default)]
pub struct VocOptions {
    /// How boxes are counted.
    pub coordinates: Coordinates,
    /// The classes to expect. Without them they are those of
    /// [`VocFolder::classes`], whatever split is read.
    pub classes: Option<ClassNames>,
}
