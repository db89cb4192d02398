//! What a reader of a format found in a data folder, in terms that all share.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use ssdlite_core::ClassNames;

use crate::detection::annotation::{ImageLabels, Parsed};
use crate::error::Error;
use crate::files::read_bounded;
use crate::finding::{Finding, Losses};
use crate::formats::places::BoxPart;
use crate::split::Split;
use crate::tree::{Tree, TreeFile};

/// A data folder as the reader of a format sees it. Ids are those of images, the same
/// for an image and its annotation.
#[derive(Clone, Debug)]
pub(crate) struct Contents {
    /// All files.
    pub(crate) tree: Tree,
    /// The folder that lists are in or below of, and that they are written to.
    pub(crate) base: String,
    /// The annotations by id.
    pub(crate) annotations: BTreeMap<String, Annotation>,
    /// The images by id, the preferred one of each first.
    pub(crate) images: BTreeMap<String, Vec<DataFile>>,
    /// Names that were given up for an id, with that id.
    pub(crate) aliases: Vec<(String, String)>,
    /// What reads annotations when they are needed; those that are read already need
    /// none.
    pub(crate) reader: Option<Arc<dyn AnnotationReader>>,
    /// What tells the splits where no list does; none where folders may.
    pub(crate) splits: Option<DescribedSplits>,
    /// The classes, where something else than objects names them.
    pub(crate) classes: Option<ClassNames>,
    /// The folder or file of the labels, as a finding's file.
    pub(crate) labels: String,
    /// Where files are expected that are missing, for messages.
    pub(crate) places: Vec<BoxPart>,
    /// What is in the folder and is not read, whatever split is asked for.
    pub(crate) findings: Vec<Finding>,
    /// What was lost before any image was asked for.
    pub(crate) losses: Losses,
}

/// A file as findings name it, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DataFile {
    pub(crate) file: String,
    pub(crate) path: PathBuf,
}

impl From<&TreeFile> for DataFile {
    fn from(file: &TreeFile) -> Self {
        Self {
            file: file.file(),
            path: file.path.clone(),
        }
    }
}

/// Splits that the format itself tells.
#[derive(Clone, Debug)]
pub(crate) struct DescribedSplits {
    pub(crate) sources: BTreeMap<Split, SplitSource>,
    /// Where a split is missing that is not among them.
    pub(crate) place: String,
}

/// What tells the images of a split.
#[derive(Clone, Debug, Default)]
pub(crate) struct SplitSource {
    /// The file or folder that a finding is about.
    pub(crate) place: String,
    /// Lists, seen from the data folder.
    pub(crate) lists: Vec<String>,
    /// Images that stand in no list.
    pub(crate) ids: Vec<String>,
}

/// What reads a format that has a file of its own for each image's annotation.
pub(crate) trait AnnotationReader: fmt::Debug + Send + Sync {
    /// The largest file that is read.
    fn max_bytes(&self) -> u64;

    /// What the bytes of an annotation file say; `file` is its name, seen from the
    /// data folder.
    fn parse(&self, file: &str, bytes: &[u8]) -> Parsed;
}

/// An image's annotation. It is read when it is first needed, and only then.
#[derive(Clone, Debug)]
pub(crate) struct Annotation {
    pub(crate) file: DataFile,
    /// What tells it in a file with those of other images.
    pub(crate) entry: Option<String>,
    parsed: OnceLock<Parsed>,
}

impl Annotation {
    /// A file that is not read yet.
    pub(crate) fn unread(file: DataFile) -> Self {
        Self {
            file,
            entry: None,
            parsed: OnceLock::new(),
        }
    }

    /// One that is known already.
    pub(crate) fn known(file: DataFile, entry: Option<String>, labels: ImageLabels) -> Self {
        Self {
            file,
            entry,
            parsed: OnceLock::from(Ok(labels)),
        }
    }

    /// What it says.
    pub(crate) fn labels(&self, reader: Option<&dyn AnnotationReader>) -> &Parsed {
        self.parsed.get_or_init(|| match reader {
            Some(reader) => self.read(reader),
            None => Ok(ImageLabels::default()),
        })
    }

    fn read(&self, reader: &dyn AnnotationReader) -> Parsed {
        let DataFile { file, path } = &self.file;
        let limit = reader.max_bytes();
        let bytes = read_bounded(path, limit).map_err(|error| match error {
            Error::OverLimit(_) => format!("expected at most {limit} bytes"),
            error => error.message_about(path),
        })?;
        reader.parse(file, &bytes)
    }
}
