//! `data split`: images with boxes divided into train, val, trainval and test, or into
//! the folds of a cross-validation.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use ssdlite_data::detection::SplitCounts;
use ssdlite_data::split::{Split, SplitShares};
use ssdlite_data::{DetectionFolder, Format, Grouping, KeptTogether, Overwrite};
use ssdlite_train::config::Choice;

use crate::args::format::{AUTO, format, tell_format};
use crate::args::number::{share, whole};
use crate::console::{self, counted};
use crate::outcome::Outcome;
use crate::output::findings::warn_of;
use crate::paths::expect_folder_there;
use crate::signals::finish_writing;

/// How many folds there may be.
const FOLDS: RangeInclusive<usize> = 2..=100;

#[derive(Args)]
pub(crate) struct SplitArgs {
    /// A folder of images with boxes (as VOC, YOLO, COCO or labelme have it)
    data: PathBuf,
    /// Form of the labels of boxes; `auto` by the files
    #[arg(long, value_parser = format(), default_value = AUTO)]
    format: Choice<Format>,
    /// The part of all images that is trainval; the rest is test
    #[arg(
        long,
        default_value_t = SplitShares::default().trainval,
        value_parser = share,
        conflicts_with = "folds"
    )]
    trainval: f64,
    /// The part of trainval that is train; the rest is val
    #[arg(long, default_value_t = SplitShares::default().train, value_parser = share)]
    train: f64,
    /// Write the lists of a cross-validation instead, ImageSets/fold1 to foldK: each
    /// image is in the test of one of them; `train` and `eval` take them by `--lists`
    #[arg(long, value_name = "K", value_parser = whole(FOLDS))]
    folds: Option<usize>,
    /// Another seed gives another division
    #[arg(long, default_value_t = SplitShares::default().seed, value_parser = whole(0..=u64::MAX))]
    seed: u64,
    /// Divide image by image, without looking at them: near-duplicates and frames of one
    /// video may then be learnt from and tested on
    #[arg(long)]
    ungrouped: bool,
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
        let grouping = if self.ungrouped {
            Grouping::Apart
        } else {
            Grouping::ByLook
        };
        expect_folder_there(&self.data)?;
        let folder = DetectionFolder::open(&self.data, self.format.asked())?;
        tell_format(&folder);
        let has_splits = Split::ALL.iter().any(|&split| folder.has_split(split));
        if !self.force && self.folds.is_none() && has_splits {
            anyhow::bail!(
                "{}: there are splits already: --force writes new lists in their place",
                self.data.display()
            );
        }
        warn_of(folder.findings());
        let lists = match self.folds {
            None => folder.divide(&shares, grouping, overwrite)?,
            Some(folds) => folder.divide_into_folds(folds, &shares, grouping, overwrite)?,
        };
        finish_writing()?;
        lists.write()?;
        for (index, counts) in lists.counts().iter().enumerate() {
            let fold = match self.folds {
                Some(_) => format!("fold{}: ", index + 1),
                None => String::new(),
            };
            console::text(format_args!(
                "{fold}train {}, val {}, trainval {}, test {}",
                counts.train,
                counts.val,
                counts.train + counts.val,
                counted(counts.test, "image")
            ))?;
        }
        if let Some(counts) = lists.counts().first() {
            tell_left_out(counts);
            tell_together(&counts.together);
        }
        Ok(Outcome::Done)
    }
}

fn tell_left_out(counts: &SplitCounts) {
    for (count, noun, lacking) in [
        (counts.left_out, "annotation", "an image"),
        (counts.unannotated, "image", "an annotation"),
    ] {
        if count > 0 {
            console::warning(&format!(
                "left out of all splits: {} without {lacking}",
                counted(count, noun)
            ));
        }
    }
}

fn tell_together(together: &KeptTogether) {
    warn_of(&together.findings);
    if together.groups > 0 {
        console::note(&format!(
            "kept together, as they look alike: {} in {}, {} in the largest",
            counted(together.images, "image"),
            counted(together.groups, "group"),
            together.largest
        ));
    }
}
