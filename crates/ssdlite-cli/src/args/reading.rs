//! How data and class names are read.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use ssdlite_core::ClassNames;
use ssdlite_data::folders::ImageFolderOptions;
use ssdlite_data::voc::{Coordinates, VocOptions};

/// How a data folder is read.
#[derive(Args)]
pub(crate) struct ReadingArgs {
    /// A folder of images with boxes (Annotations, ImageSets, JPEGImages) or of
    /// images in class folders
    pub(crate) data: PathBuf,
    /// A file with one class name a line; objects of other classes are faults
    #[arg(long, value_name = "FILE")]
    classes: Option<PathBuf>,
    /// Read boxes as counted from 0 with exclusive right and bottom edges
    #[arg(long)]
    voc_zero_based: bool,
}

impl ReadingArgs {
    fn class_names(&self) -> Result<Option<ClassNames>> {
        self.classes
            .as_deref()
            .map(class_names_from_file)
            .transpose()
    }

    pub(crate) fn voc_options(&self) -> Result<VocOptions> {
        Ok(VocOptions {
            coordinates: coordinates(self.voc_zero_based),
            classes: self.class_names()?,
        })
    }

    pub(crate) fn folder_options(&self) -> Result<ImageFolderOptions> {
        Ok(ImageFolderOptions {
            classes: self.class_names()?,
            ..ImageFolderOptions::default()
        })
    }
}

/// What the option `--voc-zero-based` and the key of its name stand for.
pub(crate) fn coordinates(voc_zero_based: bool) -> Coordinates {
    if voc_zero_based {
        Coordinates::ZeroBased
    } else {
        Coordinates::OneBased
    }
}

/// Class names from a file with one a line, blank lines left out.
pub(crate) fn class_names_from_file(path: &Path) -> Result<ClassNames> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("can't read the class names in {}", path.display()))?;
    ClassNames::from_lines(&text).with_context(|| path.display().to_string())
}
