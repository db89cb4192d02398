//! `data`: make, check, describe and split data sets.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use serde::Serialize;
use ssdlite_core::{ClassNames, DefaultBoxes, MobileNetV3, ModelInfo, Variant};
use ssdlite_data::check::CheckReport;
use ssdlite_data::finding::{Finding, Losses, Severity};
use ssdlite_data::folders::{ImageFolder, ImageFolderOptions};
use ssdlite_data::sample::{
    ClassificationSampleOptions, DetectionSampleOptions, write_classification_sample,
    write_detection_sample,
};
use ssdlite_data::split::{Split, SplitShares};
use ssdlite_data::stats::{ClassificationStats, DetectionStats};
use ssdlite_data::voc::{Coordinates, VocFolder, VocOptions};
use ssdlite_data::{ClassificationSet, DataFolder, DetectionSet, Overwrite};

use super::Outcome;
use crate::console;

#[derive(Subcommand)]
pub(crate) enum DataCommand {
    /// Write a rendered sample set: VOC's layout in DIR, class folders in
    /// DIR/classification.
    Sample(SampleArgs),
    /// List everything that is wrong in a data set; exit 1 if anything is.
    Check(CheckArgs),
    /// Count classes, box sizes, and how many boxes a detector can match.
    Stats(StatsArgs),
    /// Divide a VOC folder's images into train, val, trainval and test.
    Split(SplitArgs),
}

impl DataCommand {
    pub(crate) fn run(self) -> Result<Outcome> {
        match self {
            Self::Sample(args) => args.run(),
            Self::Check(args) => args.run(),
            Self::Stats(args) => args.run(),
            Self::Split(args) => args.run(),
        }
    }
}

/// How a data folder is read.
#[derive(Args)]
pub(crate) struct ReadingArgs {
    /// A VOC folder (Annotations, ImageSets, JPEGImages) or a folder of images
    /// in class folders
    data: PathBuf,
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

    fn voc_options(&self) -> Result<VocOptions> {
        Ok(VocOptions {
            coordinates: coordinates(self.voc_zero_based),
            classes: self.class_names()?,
        })
    }

    fn folder_options(&self) -> Result<ImageFolderOptions> {
        Ok(ImageFolderOptions {
            classes: self.class_names()?,
            ..ImageFolderOptions::default()
        })
    }
}

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

#[derive(Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    reading: ReadingArgs,
    /// Print one JSON object a finding, then one with the totals
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct CheckTotals {
    images: usize,
    objects: usize,
    errors: usize,
    warnings: usize,
}

impl CheckArgs {
    fn run(self) -> Result<Outcome> {
        let report = match DataFolder::open(&self.reading.data)? {
            DataFolder::Voc(folder) => folder.check(&self.reading.voc_options()?)?,
            DataFolder::Images(folder) => folder.check(&self.reading.folder_options()?)?,
        };
        self.print(&report)?;
        Ok(if report.has_errors() {
            Outcome::Failed
        } else {
            Outcome::Done
        })
    }

    fn print(&self, report: &CheckReport) -> Result<()> {
        let totals = CheckTotals {
            images: report.images,
            objects: report.objects,
            errors: report.count(Severity::Error),
            warnings: report.count(Severity::Warning),
        };
        if self.json {
            for finding in &report.findings {
                console::json(finding)?;
            }
            return console::json(&totals);
        }
        for finding in &report.findings {
            let severity = match finding.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            };
            console::text(format_args!("{severity}: {finding}"))?;
        }
        console::text(format_args!(
            "{} sound images with {} objects; {} errors, {} warnings ({} when training)",
            totals.images, totals.objects, totals.errors, totals.warnings, report.losses
        ))
    }
}

#[derive(Args)]
pub(crate) struct SplitArgs {
    /// A VOC folder (Annotations, JPEGImages)
    data: PathBuf,
    /// The part of all images that is trainval; the rest is test
    #[arg(long, default_value_t = SplitShares::default().trainval)]
    trainval: f64,
    /// The part of trainval that is train; the rest is val
    #[arg(long, default_value_t = SplitShares::default().train)]
    train: f64,
    /// Another seed gives another division
    #[arg(long, default_value_t = SplitShares::default().seed)]
    seed: u64,
    /// Replace split files that are there already
    #[arg(long)]
    force: bool,
}

impl SplitArgs {
    fn run(self) -> Result<Outcome> {
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
        let folder = VocFolder::open(&self.data)?;
        if !self.force && Split::ALL.iter().any(|&split| folder.has_split(split)) {
            anyhow::bail!(
                "{}: there are split files already: --force replaces them",
                self.data.display()
            );
        }
        let counts = folder.write_splits(&shares, overwrite)?;
        let trainval = counts.train + counts.val;
        console::text(format_args!(
            "train {}, val {}, trainval {trainval}, test {} images",
            counts.train, counts.val, counts.test
        ))?;
        if counts.left_out > 0 {
            console::warning(&format!(
                "{} annotations without an image are in no split",
                counts.left_out
            ));
        }
        Ok(Outcome::Done)
    }
}

#[derive(Args)]
pub(crate) struct SampleArgs {
    /// A folder that does not exist yet, or is empty
    dir: PathBuf,
    /// Images of the detection set
    #[arg(long, default_value_t = DetectionSampleOptions::default().images)]
    images: usize,
    /// Training images a class of the classification set
    #[arg(long, default_value_t = ClassificationSampleOptions::default().train_images_per_class)]
    images_per_class: usize,
    /// Another seed gives other images
    #[arg(long, default_value_t = DetectionSampleOptions::default().seed)]
    seed: u64,
}

/// Where the classification set lies in the folder of the detection set.
const CLASSIFICATION_FOLDER: &str = "classification";

impl SampleArgs {
    fn run(self) -> Result<Outcome> {
        write_detection_sample(
            &self.dir,
            &DetectionSampleOptions {
                images: self.images,
                seed: self.seed,
            },
        )?;
        let classification = self.dir.join(CLASSIFICATION_FOLDER);
        write_classification_sample(
            &classification,
            &ClassificationSampleOptions {
                train_images_per_class: self.images_per_class,
                seed: self.seed,
            },
        )?;
        console::note(&format!(
            "{}: {} images with boxes\n{}: images in class folders",
            self.dir.display(),
            self.images,
            classification.display()
        ));
        Ok(Outcome::Done)
    }
}

#[derive(Args)]
pub(crate) struct StatsArgs {
    #[command(flatten)]
    reading: ReadingArgs,
    /// Side of the detector's input, in pixels
    #[arg(long, value_name = "PIXELS", default_value_t = 300)]
    size: u32,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl StatsArgs {
    fn run(self) -> Result<Outcome> {
        match DataFolder::open(&self.reading.data)? {
            DataFolder::Voc(folder) => self.print_detection(&folder),
            DataFolder::Images(folder) => self.print_classification(&folder),
        }
    }

    fn print_detection(&self, folder: &VocFolder) -> Result<Outcome> {
        let options = self.reading.voc_options()?;
        let mut losses = Losses::default();
        let mut sets: Vec<(Split, DetectionSet)> = Vec::new();
        for split in splits_to_count(|split| folder.has_split(split)) {
            let reading = folder.read(split, &options)?;
            warn_of(&reading.findings);
            losses += reading.losses;
            sets.push((split, reading.set));
        }
        let Some((_, first)) = sets.first() else {
            anyhow::bail!(
                "{} has no lists in ImageSets/Main: make them with `ssdlite data split`",
                self.reading.data.display()
            );
        };
        let default_boxes = default_boxes(first.classes.clone(), self.size)?;
        let borrowed: Vec<_> = sets.iter().map(|(split, set)| (*split, set)).collect();
        let stats = DetectionStats::new(&borrowed, &default_boxes);
        self.print(&stats, losses)
    }

    fn print_classification(&self, folder: &ImageFolder) -> Result<Outcome> {
        let options = self.reading.folder_options()?;
        let mut losses = Losses::default();
        let mut sets: Vec<(Split, ClassificationSet)> = Vec::new();
        for split in splits_to_count(|split| folder.has_split(split)) {
            let reading = folder.read(split, &options)?;
            warn_of(&reading.findings);
            losses += reading.losses;
            sets.push((split, reading.set));
        }
        let borrowed: Vec<_> = sets.iter().map(|(split, set)| (*split, set)).collect();
        self.print(&ClassificationStats::new(&borrowed), losses)
    }

    fn print(
        &self,
        stats: &(impl Serialize + std::fmt::Display),
        losses: Losses,
    ) -> Result<Outcome> {
        if self.json {
            console::json(stats)?;
        } else {
            console::text(stats)?;
        }
        if !losses.is_none() {
            console::warning(&format!("{losses}; `ssdlite data check` lists them"));
        }
        Ok(Outcome::Done)
    }
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

/// The default boxes of a detector with an input of this side. They are the
/// same for both networks.
fn default_boxes(classes: ClassNames, side: u32) -> Result<DefaultBoxes> {
    let info = ModelInfo::detector(MobileNetV3::new(Variant::Small), classes, side);
    info.validate()?;
    info.default_boxes().context("a detector has default boxes")
}

/// Prints the first findings; there may be thousands.
pub(crate) fn warn_of(findings: &[Finding]) {
    const SHOWN: usize = 10;
    for finding in findings.iter().take(SHOWN) {
        console::warning(&finding.to_string());
    }
    if findings.len() > SHOWN {
        console::warning(&format!("... and {} more", findings.len() - SHOWN));
    }
}
