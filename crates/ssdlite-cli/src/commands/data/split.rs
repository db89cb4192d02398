//! `data split`: a VOC folder's images divided into train, val, trainval and
//! test.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use ssdlite_data::Overwrite;
use ssdlite_data::split::{Split, SplitShares};
use ssdlite_data::voc::VocFolder;

use crate::args::number::{share, whole};
use crate::console::{self, counted};
use crate::outcome::Outcome;
use crate::output::findings::warn_of;
use crate::paths::expect_folder_there;
use crate::signals::finish_writing;

#[derive(Args)]
pub(crate) struct SplitArgs {
    /// A folder of images with boxes (Annotations, JPEGImages)
    data: PathBuf,
    /// The part of all images that is trainval; the rest is test
    #[arg(long, default_value_t = SplitShares::default().trainval, value_parser = share)]
    trainval: f64,
    /// The part of trainval that is train; the rest is val
    #[arg(long, default_value_t = SplitShares::default().train, value_parser = share)]
    train: f64,
    /// Another seed gives another division
    #[arg(long, default_value_t = SplitShares::default().seed, value_parser = whole(0..=u64::MAX))]
    seed: u64,
    /// Write new lists in the place of splits that are there already
    #[arg(long)]
    force: bool,
}

impl SplitArgs {
    pub(crate) fn run(self) -> Result<Outcome> {
        let shares = SplitShares {
            trainval: self.trainval,
            train: self.train,
            seed: self.seed,
        };
        let overwrite = if self.force {
            Overwrite::Allow
        } else {
            Overwrite::Refuse
        };
        expect_folder_there(&self.data)?;
        let folder = VocFolder::open(&self.data)?;
        if !self.force && Split::ALL.iter().any(|&split| folder.has_split(split)) {
            anyhow::bail!(
                "{}: there are splits already: --force writes new lists in their place",
                self.data.display()
            );
        }
        warn_of(folder.findings());
        finish_writing()?;
        let counts = folder.write_splits(&shares, overwrite)?;
        let trainval = counts.train + counts.val;
        console::text(format_args!(
            "train {}, val {}, trainval {trainval}, test {}",
            counts.train,
            counts.val,
            counted(counts.test, "image")
        ))?;
        if counts.left_out > 0 {
            console::warning(&format!(
                "left out of all splits: {} without an image",
                counted(counts.left_out, "annotation")
            ));
        }
        if counts.unannotated > 0 {
            console::warning(&format!(
                "left out of all splits: {} without an annotation",
                counted(counts.unannotated, "image")
            ));
        }
        Ok(Outcome::Done)
    }
}
