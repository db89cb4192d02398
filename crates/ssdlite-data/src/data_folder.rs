//! Data folders of any kind.

use std::path::Path;

use crate::error::Result;
use crate::folders::ImageFolder;
use crate::voc::{self, VocFolder};

/// What a data folder holds.
#[derive(Clone, Debug)]
pub enum DataFolder {
    /// Images with boxes, in VOC's layout.
    Voc(VocFolder),
    /// Images in a folder for each class.
    Images(ImageFolder),
}

impl DataFolder {
    /// Opens a folder of either kind: it is VOC's if it has any of VOC's
    /// folders.
    ///
    /// # Errors
    /// [`Error::Malformed`](crate::Error::Malformed) if it is of neither kind, [`Error::Io`](crate::Error::Io) if a folder
    /// can't be listed.
    pub fn open(root: &Path) -> Result<Self> {
        let is_voc = voc::FOLDERS.iter().any(|name| root.join(name).is_dir());
        if is_voc {
            Ok(Self::Voc(VocFolder::open(root)?))
        } else {
            Ok(Self::Images(ImageFolder::open(root)?))
        }
    }
}
