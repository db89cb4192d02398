//! Which images of a folder are labelled, and which wait for an annotator.

use std::path::{Path, PathBuf};

use crate::detection::DetectionFolder;
use crate::error::{Error, Result};
use crate::finding::Finding;
use crate::formats;
use crate::formats::recognise::taken_for;
use crate::images::without_image_ending;
use crate::layout::Layout;
use crate::tree::{FileKind, Tree, under};

/// An image file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Photo {
    /// Its name without ending, with its folders seen from that of all images.
    pub name: String,
    /// The file.
    pub path: PathBuf,
}

/// The images of a folder, told apart by whether they have labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhotoFolder {
    /// Images with an annotation, which may say that there is no object.
    pub labelled: Vec<Photo>,
    /// All others, sorted by name.
    pub unlabelled: Vec<Photo>,
    /// What is in the folder and was passed over.
    pub findings: Vec<Finding>,
}

impl PhotoFolder {
    /// Lists the images in a folder and in all folders in it. Without annotations none
    /// is labelled; those in class folders have no boxes and count as unlabelled.
    ///
    /// # Errors
    /// [`Error::NoSuchFolder`]; [`Error::Malformed`] if there is no image, or if there are
    /// annotations that can't be told to be any image's, [`Error::Unsupported`] for labels
    /// of another form, [`Error::Io`] if the folder can't be listed.
    pub fn open(root: &Path) -> Result<Self> {
        let opened = Layout::of(root, None).and_then(|layout| match layout {
            Layout::Boxes(taken, tree) => {
                let contents = formats::contents(taken.format, tree)?;
                Ok(Self::with_labels(&DetectionFolder::new(taken, contents)))
            }
            Layout::Classes(_, tree) => Ok(Self::without_labels(&tree)),
        });
        match opened {
            Err(Error::Malformed(fault)) => {
                let tree = Tree::of(root)?;
                let found = tree.all_in("");
                if found.annotations > 0 || taken_for(&tree).is_some() {
                    return Err(Error::Malformed(fault));
                }
                if found.images == 0 {
                    let fault = format!("{}: expected photos, found no image", root.display());
                    return Err(Error::Malformed(fault));
                }
                Ok(Self::without_labels(&tree))
            }
            opened => opened,
        }
    }

    fn with_labels(folder: &DetectionFolder) -> Self {
        let (labelled, unlabelled) = folder.photos();
        Self {
            labelled,
            unlabelled,
            findings: folder.findings().to_vec(),
        }
    }

    fn without_labels(tree: &Tree) -> Self {
        let images = tree.files.iter();
        let images = images.filter(|file| matches!(file.kind, FileKind::Image(_)));
        Self {
            labelled: Vec::new(),
            unlabelled: images
                .map(|file| Photo {
                    name: under(&file.folder, without_image_ending(&file.name)),
                    path: file.path.clone(),
                })
                .collect(),
            findings: tree.findings.clone(),
        }
    }
}
