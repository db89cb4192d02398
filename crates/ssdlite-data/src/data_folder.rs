//! Data folders of any kind.

use std::path::Path;

use crate::error::Result;
use crate::folders::ImageFolder;
use crate::layout::Layout;
use crate::voc::VocFolder;

/// What a data folder holds.
#[derive(Clone, Debug)]
pub enum DataFolder {
    /// Images with boxes, in VOC's layout.
    Voc(Box<VocFolder>),
    /// Images in a folder for each class.
    Images(ImageFolder),
}

impl DataFolder {
    /// Opens a folder of either kind: it holds boxes if it has annotations in XML,
    /// or VOC's folders for them.
    ///
    /// # Errors
    /// [`Error::NoSuchFolder`](crate::Error::NoSuchFolder);
    /// [`Error::Malformed`](crate::Error::Malformed) if it is of neither kind,
    /// [`Error::Unsupported`](crate::Error::Unsupported) for labels of another form,
    /// [`Error::Io`](crate::Error::Io) if the folder can't be listed.
    pub fn open(root: &Path) -> Result<Self> {
        Ok(match Layout::of(root)? {
            Layout::Boxes(layout, tree) => Self::Voc(Box::new(VocFolder::new(layout, &tree))),
            Layout::Classes(layout, tree) => Self::Images(ImageFolder::new(layout, &tree)),
        })
    }
}
