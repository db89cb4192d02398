//! Detection data in the layout of PASCAL VOC, with labelImg's annotations.
//!
//! A data folder holds `Annotations/ID.xml`, `JPEGImages/ID.jpg` (or another image
//! format and ending, in any case) and the lists
//! `ImageSets/Main/{train,val,trainval,test}.txt`, one id a line. The folders may
//! have other names, or be one: what holds XML files are annotations. Without lists
//! folders called `train`, `valid` or the like tell the splits, as Roboflow writes
//! them. Lists of the same names in another folder of `ImageSets`, as those of a
//! cross-validation, are read when they are asked for. The id alone pairs annotation and
//! image: an annotation's `filename` and `path` may say anything.
//!
//! Boxes are read as 1-based and inclusive, as labelImg and the official
//! devkit write them, unless [`Coordinates`] says otherwise. Where an image is
//! turned by its Exif orientation, the annotation's `size` is that of the image as
//! shown (labelImg from 1.8.4 on) or as stored (labelImg before that, and tools that
//! know no Exif).
//!
//! Objects stand in `annotation`, or in an `objects` there; elements are known
//! in any case. A box that CVAT's attribute `rotation` or roLabelImg's
//! `robndbox` rotates is taken as the upright box around it; of other outlines
//! than boxes nothing is read. Files are decoded as they declare.
//!
//! Sources: M. Everingham and J. Winn, "The PASCAL VOC 2012 Development Kit",
//! section 4; labelImg's `libs/pascal_voc_io.py` and its pull request 650.

mod annotation;
mod editor;
mod frames;
pub(crate) mod layout;
mod places;
pub(crate) mod set;
mod write;
mod writer;
mod xml;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use editor::{AddedObject, ChangedObject, Corrections, FiledObject, VocEditor};
pub use frames::{FrameList, VocFrames};
pub use layout::MAIN_LISTS;
pub use write::{VocAnnotation, VocObject};
pub use writer::VocWriter;

use crate::detection::annotation::Parsed;
use crate::error::Result;
use crate::formats::contents::{AnnotationReader, Contents};
use crate::formats::pairs::contents_of;
use crate::formats::places::BoxLayout;
use crate::layout::expected_boxes;
use crate::tree::Tree;

/// The largest annotation file that is read: tens of thousands of objects.
const MAX_ANNOTATION_BYTES: u64 = 8 << 20;

/// Reads annotations in XML.
#[derive(Debug)]
struct XmlReader;

impl AnnotationReader for XmlReader {
    fn max_bytes(&self) -> u64 {
        MAX_ANNOTATION_BYTES
    }

    fn parse(&self, _: &str, bytes: &[u8]) -> Parsed {
        annotation::parse(bytes)
    }
}

/// What a folder holds whose annotations are XML files.
///
/// # Errors
/// [`Error::Malformed`](crate::Error::Malformed) if there are no annotations with
/// images.
pub(crate) fn contents(tree: Tree) -> Result<Contents> {
    let layout = BoxLayout::of(&tree, "an annotation in XML");
    let layout = layout.map_err(|fault| expected_boxes(tree.root(), &fault))?;
    Ok(contents_of(layout, tree, Arc::new(XmlReader)))
}

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
