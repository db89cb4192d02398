//! Data folders of any kind.

use std::path::Path;

use crate::detection::DetectionFolder;
use crate::error::Result;
use crate::folders::ImageFolder;
use crate::formats::{self, Format};
use crate::layout::Layout;

/// What a data folder holds.
#[derive(Clone, Debug)]
pub enum DataFolder {
    /// Images with boxes.
    Boxes(Box<DetectionFolder>),
    /// Images in a folder for each class.
    Images(ImageFolder),
}

impl DataFolder {
    /// Opens a folder of either kind: it holds boxes if it has labels of them in a form
    /// that is read, or a `format` is given.
    ///
    /// # Errors
    /// As [`DetectionFolder::open`], if it is of neither kind.
    pub fn open(root: &Path, format: Option<Format>) -> Result<Self> {
        Ok(match Layout::of(root, format)? {
            Layout::Boxes(taken, tree) => {
                let contents = formats::contents(taken.format, tree)?;
                Self::Boxes(Box::new(DetectionFolder::new(taken, contents)))
            }
            Layout::Classes(layout, tree) => Self::Images(ImageFolder::new(layout, &tree)),
        })
    }
}
