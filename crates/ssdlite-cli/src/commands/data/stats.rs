//! `data stats`: classes, box sizes, and how many boxes a detector can match.

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use ssdlite_core::FinestMap;
use ssdlite_core::preprocessing::{MAX_INPUT_SIDE, MIN_INPUT_SIDE};
use ssdlite_data::finding::{Losses, Reading};
use ssdlite_data::folders::ImageFolder;
use ssdlite_data::split::Split;
use ssdlite_data::stats::{ClassificationStats, DetectionStats, NamedBoxes};
use ssdlite_data::{DataFolder, DetectionFolder, DetectionSet};
use ssdlite_train::DetectorConfig;
use ssdlite_train::config::{Boxes, Choice, ModelOptions};
use ssdlite_train::run::default_boxes;

use crate::args::number::whole;
use crate::args::reading::{ReadingArgs, no_boxes};
use crate::console;
use crate::outcome::Outcome;
use crate::output::findings::warn_of;

#[derive(Args)]
pub(crate) struct StatsArgs {
    #[command(flatten)]
    reading: ReadingArgs,
    #[arg(
        long,
        value_name = "PIXELS",
        value_parser = whole(MIN_INPUT_SIDE..=MAX_INPUT_SIDE),
        help = format!(
            "Side of the detector's input, in pixels [default: {}]",
            ModelOptions::detector().size
        )
    )]
    size: Option<u32>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl StatsArgs {
    pub(crate) fn run(self) -> Result<Outcome> {
        self.reading.expect_there()?;
        match self.reading.open()? {
            DataFolder::Boxes(folder) => {
                warn_of(folder.findings());
                self.print_detection(&folder)
            }
            DataFolder::Images(folder) => {
                warn_of(folder.findings());
                self.print_classification(&folder)
            }
        }
    }

    fn print_detection(&self, folder: &DetectionFolder) -> Result<Outcome> {
        let options = self.reading.box_options()?;
        let read = |split| Ok(folder.read(split, &options)?);
        let (sets, mut losses) = read_splits(|split| folder.has_split(split), read)?;
        losses += folder.losses();
        let Some((_, first)) = sets.first() else {
            anyhow::bail!(
                "{} has no splits: make them with `ssdlite data split`",
                self.reading.data.display()
            );
        };
        let size = self.size.unwrap_or(ModelOptions::detector().size);
        let compared = compared_boxes(first, size)?;
        let stats = DetectionStats::new(&borrowed(&sets), &compared);
        self.print(&stats, losses)
    }

    fn print_classification(&self, folder: &ImageFolder) -> Result<Outcome> {
        if self.size.is_some() {
            return Err(no_boxes("--size", &self.reading.data));
        }
        let options = self.reading.folder_options()?;
        let read = |split| Ok(folder.read(split, &options)?);
        let (sets, losses) = read_splits(|split| folder.has_split(split), read)?;
        self.print(&ClassificationStats::new(&borrowed(&sets)), losses)
    }

    fn print(
        &self,
        stats: &(impl Serialize + std::fmt::Display),
        losses: Losses,
    ) -> Result<Outcome> {
        if self.json {
            console::json(stats)?;
        } else {
            console::table(stats)?;
        }
        if !losses.is_none() {
            console::warning(&format!("{losses}; `ssdlite data check` lists them"));
        }
        Ok(Outcome::Done)
    }
}

/// The sets of the splits that are there, and what was lost of them.
fn read_splits<T>(
    has: impl Fn(Split) -> bool,
    read: impl Fn(Split) -> Result<Reading<T>>,
) -> Result<(Vec<(Split, T)>, Losses)> {
    let mut losses = Losses::default();
    let mut sets = Vec::new();
    for split in splits_to_count(has) {
        let reading = read(split)?;
        warn_of(&reading.findings);
        losses += reading.losses;
        sets.push((split, reading.set));
    }
    Ok((sets, losses))
}

fn borrowed<T>(sets: &[(Split, T)]) -> Vec<(Split, &T)> {
    sets.iter().map(|(split, set)| (*split, set)).collect()
}

/// `train`, `val` and `test` as far as they are there, but `trainval` where
/// these two are not told apart.
fn splits_to_count(has: impl Fn(Split) -> bool) -> Vec<Split> {
    let apart = has(Split::Train) && has(Split::Val);
    let wanted: &[Split] = if has(Split::TrainVal) && !apart {
        &[Split::TrainVal, Split::Test]
    } else {
        &[Split::Train, Split::Val, Split::Test]
    };
    wanted.iter().copied().filter(|split| has(*split)).collect()
}

/// SSD's default boxes, those fitted to the set, and those on a map of stride 8, of
/// detectors with an input of this side. They are the same for both networks.
fn compared_boxes(set: &DetectionSet, size: u32) -> Result<[NamedBoxes; 3]> {
    let mut config = DetectorConfig::new("");
    config.model.size = size;
    let mut named = |name: &str, boxes, finest| -> Result<NamedBoxes> {
        config.detector.boxes = boxes;
        config.detector.finest = Choice::Is(finest);
        let (name, boxes) = (
            format!("{name} {}", finest.stride()),
            default_boxes(&config, set)?,
        );
        Ok(NamedBoxes { name, boxes })
    };
    Ok([
        named("paper, stride", Boxes::Paper, FinestMap::Stride16)?,
        named("fit, stride", Boxes::Fit, FinestMap::Stride16)?,
        named("fit, stride", Boxes::Fit, FinestMap::Stride8)?,
    ])
}
