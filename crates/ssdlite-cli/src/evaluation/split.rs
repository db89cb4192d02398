//! The images of a data folder's split, for models that are evaluated.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use clap::Args;
use ssdlite_core::ClassNames;
use ssdlite_data::finding::Reading;
use ssdlite_data::split::Split;
use ssdlite_data::{DetectionFolder, DetectionFolderOptions, DetectionSet};

use crate::args::format::FormatArgs;
use crate::args::lists::ListsArgs;
use crate::args::reading::coordinates;
use crate::args::split::split;
use crate::output::findings::{warn_of, warn_of_reading};
use crate::paths::expect_folder_there;

/// Which images with boxes a detector is evaluated on.
#[derive(Args)]
pub(crate) struct SplitArgs {
    /// A folder of images with boxes (as VOC, YOLO, COCO or labelme have it)
    data: PathBuf,
    /// Which part of the data
    #[arg(long, default_value_t = Split::Test, value_parser = split())]
    pub(crate) split: Split,
    #[command(flatten)]
    lists: ListsArgs,
    #[command(flatten)]
    format: FormatArgs,
}

impl SplitArgs {
    /// Reads the split with a model's classes; what is wrong with it is told.
    ///
    /// # Errors
    /// As [`DetectionFolder::open`] and [`DetectionFolder::read`], and if no object counts.
    pub(crate) fn read(&self, classes: &ClassNames) -> Result<Reading<DetectionSet>> {
        expect_folder_there(&self.data)?;
        let folder = DetectionFolder::open(&self.data, self.format.asked())?;
        self.format.tell(&folder)?;
        let folder = self.lists.of(folder)?;
        warn_of(folder.findings());
        let reading = folder.read(
            self.split,
            &DetectionFolderOptions {
                coordinates: coordinates(self.format.voc_zero_based),
                classes: Some(classes.clone()),
            },
        )?;
        warn_of_reading(&self.data, &reading);
        ensure!(
            reading.set.has_countable(),
            "{}: expected objects of the model's classes ({classes}) in the split {}, not all \
             marked difficult, found none",
            self.data.display(),
            self.split
        );
        Ok(reading)
    }

    /// The folder as it was given.
    pub(crate) fn folder(&self) -> &Path {
        &self.data
    }
}
