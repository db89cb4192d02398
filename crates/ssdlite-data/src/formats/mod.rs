//! The forms in which people have boxes labelled, a reader each.
//!
//! [`recognise`] tells which one a folder has. A reader says what is in the folder
//! ([`contents::Contents`]) and what each annotation says, in terms that all formats
//! share; nothing after it knows the format. [`write_set`] is the other way round.

pub(crate) mod coco;
pub(crate) mod contents;
mod json;
pub(crate) mod labelme;
pub(crate) mod pairs;
pub(crate) mod places;
pub(crate) mod recognise;
pub(crate) mod text;
pub(crate) mod unread;
pub mod voc;
pub(crate) mod write_set;
pub(crate) mod yolo;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::formats::contents::Contents;
use crate::tree::Tree;

/// The forms of labels that are read, for a message.
pub(crate) const FORMS_THAT_ARE_READ: &str =
    "labels of boxes as PASCAL VOC, YOLO, COCO or labelme have them";

/// A form in which boxes are labelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// An XML file an image, as PASCAL VOC and labelImg have it.
    Voc,
    /// A text file an image with shares of its sides, as YOLO's tools have it.
    Yolo,
    /// A JSON file a split with all images, as COCO has it.
    Coco,
    /// A JSON file an image, as labelme has it.
    LabelMe,
}

impl Format {
    /// All formats; of several that a folder has labels in the first is taken.
    pub const ALL: [Self; 4] = [Self::Voc, Self::Yolo, Self::Coco, Self::LabelMe];

    /// The name in files and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Voc => "voc",
            Self::Yolo => "yolo",
            Self::Coco => "coco",
            Self::LabelMe => "labelme",
        }
    }
}

/// The name as its users write it.
impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Voc => "VOC",
            Self::Yolo => "YOLO",
            Self::Coco => "COCO",
            Self::LabelMe => "labelme",
        })
    }
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let known = Self::ALL.into_iter().find(|format| format.name() == name);
        known.ok_or_else(|| {
            Error::InvalidRequest(format!(
                "expected the format voc, yolo, coco or labelme, found `{name}`"
            ))
        })
    }
}

/// What a folder holds, read as this format.
///
/// # Errors
/// [`Error::Malformed`] if there are no labels of it, or what describes them can't be
/// read; [`Error::OverLimit`] for too many classes.
pub(crate) fn contents(format: Format, tree: Tree) -> Result<Contents> {
    match format {
        Format::Voc => voc::contents(tree),
        Format::Yolo => yolo::contents(tree),
        Format::Coco => coco::contents(tree),
        Format::LabelMe => labelme::contents(tree),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back() {
        for format in Format::ALL {
            assert_eq!(format.name().parse::<Format>().unwrap(), format);
        }
        let error = "VOC".parse::<Format>().unwrap_err().to_string();
        assert!(error.contains("voc, yolo, coco or labelme"), "{error}");
    }
}
