//! How data and class names are read.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use ssdlite_core::ClassNames;
use ssdlite_core::classes::{MAX_CLASS_NAME_BYTES, MAX_CLASSES};
use ssdlite_data::folders::ImageFolderOptions;
use ssdlite_data::voc::Coordinates;
use ssdlite_data::{DataFolder, DetectionFolder, DetectionFolderOptions, text_from_bytes};
use ssdlite_files::read_bounded;

use crate::args::format::FormatArgs;
use crate::args::lists::ListsArgs;
use crate::outcome::UsageError;
use crate::paths::{expect_folder_there, expect_there};

/// How a data folder is read.
#[derive(Args)]
pub(crate) struct ReadingArgs {
    /// A folder of images with boxes (as VOC, YOLO, COCO or labelme have it) or of
    /// images in class folders
    pub(crate) data: PathBuf,
    /// A file with one class name a line; objects of other classes are faults
    #[arg(long, value_name = "FILE")]
    classes: Option<PathBuf>,
    #[command(flatten)]
    format: FormatArgs,
    #[command(flatten)]
    lists: ListsArgs,
}

impl ReadingArgs {
    /// Refuses a folder or a list that is not there.
    pub(crate) fn expect_there(&self) -> Result<()> {
        expect_folder_there(&self.data)?;
        self.classes.as_deref().map_or(Ok(()), expect_there)
    }

    fn class_names(&self, of: ListOf) -> Result<Option<ClassNames>> {
        let names = |path| class_names_from_file(path, of);
        self.classes.as_deref().map(names).transpose()
    }

    /// Opens the folder, of either kind, with the lists that were asked for; tells of
    /// boxes how they are labelled.
    pub(crate) fn open(&self) -> Result<DataFolder> {
        Ok(match DataFolder::open(&self.data, self.format.asked())? {
            DataFolder::Boxes(folder) => {
                self.format.tell(&folder)?;
                DataFolder::Boxes(Box::new(self.lists.of(*folder)?))
            }
            images @ DataFolder::Images(_) => images,
        })
    }

    /// Opens the folder, which holds images with boxes, with the lists that were asked
    /// for, and tells how they are labelled.
    pub(crate) fn open_boxes(&self) -> Result<DetectionFolder> {
        let folder = DetectionFolder::open(&self.data, self.format.asked())?;
        self.format.tell(&folder)?;
        self.lists.of(folder)
    }

    pub(crate) fn box_options(&self) -> Result<DetectionFolderOptions> {
        Ok(DetectionFolderOptions {
            coordinates: coordinates(self.format.voc_zero_based),
            classes: self.class_names(ListOf::Objects)?,
        })
    }

    pub(crate) fn folder_options(&self) -> Result<ImageFolderOptions> {
        if self.format.voc_zero_based {
            return Err(no_boxes("--voc-zero-based", &self.data));
        }
        if self.lists.is_given() {
            return Err(no_boxes("--lists", &self.data));
        }
        Ok(ImageFolderOptions {
            classes: self.class_names(ListOf::Images)?,
            ..ImageFolderOptions::default()
        })
    }
}

/// The error about an option for boxes where there are none.
pub(crate) fn no_boxes(option: &str, data: &Path) -> anyhow::Error {
    let data = data.display();
    let fault = format!("{option}: {data} holds class folders without boxes, which it is for");
    UsageError(fault).into()
}

/// What the option `--voc-zero-based` and the key of its name stand for.
pub(crate) fn coordinates(voc_zero_based: bool) -> Coordinates {
    if voc_zero_based {
        Coordinates::ZeroBased
    } else {
        Coordinates::OneBased
    }
}

/// What the classes of a list are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ListOf {
    /// Boxes in images, beside which detectors have a background.
    Objects,
    /// Images, of which some may be called so.
    Images,
}

/// The largest list: twice the most names of the greatest length.
const MAX_LIST_BYTES: u64 = 2 * (MAX_CLASSES * MAX_CLASS_NAME_BYTES) as u64;

/// Class names from a file with one a line, blank lines left out. It may be saved as
/// lists of images may.
pub(crate) fn class_names_from_file(path: &Path, of: ListOf) -> Result<ClassNames> {
    let cannot = || format!("can't read the class names in {}", path.display());
    let bytes = read_bounded(path, MAX_LIST_BYTES).with_context(cannot)?;
    let text = text_from_bytes(&bytes).map_err(anyhow::Error::msg);
    let text = text.with_context(cannot)?;
    let mut lines = text.lines().map(str::trim);
    if of == ListOf::Objects
        && let Some(line) = lines.find(|line| is_background(line))
    {
        bail!(
            "{}: the line `{line}` is not wanted: a detector adds the background itself",
            path.display()
        );
    }
    ClassNames::from_lines(&text).with_context(|| path.display().to_string())
}

/// Whether a line stands for the background, as in lists of jetson-inference
/// (`BACKGROUND`) and torchvision (`__background__`).
fn is_background(line: &str) -> bool {
    line.trim_matches('_').eq_ignore_ascii_case("background")
}
