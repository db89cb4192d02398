//! The data sets of a run.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use ssdlite_core::{ClassNames, GroundTruth, ImageSize};
use ssdlite_data::augment::view::MIN_OBJECT_SIDE;
use ssdlite_data::finding::{Finding, Reading};
use ssdlite_data::folders::{ImageFolder, ImageFolderOptions};
use ssdlite_data::voc::Coordinates;
use ssdlite_data::{
    ClassificationSet, DetectionFolder, DetectionFolderOptions, DetectionSet, Format, Split,
    SplitShares,
};
use ssdlite_files::counted;
use ssdlite_image::Limits;
use ssdlite_image::decode::decode_file;

use super::detector;
use super::observer::Observer;
use crate::config::{ClassifierConfig, DetectorConfig, TrainingOptions};
use crate::error::{Error, Result};

/// What a run learns from and what it is evaluated on, read once.
#[derive(Clone, Debug)]
pub struct RunData<S> {
    /// The images to learn from.
    pub training: Arc<S>,
    /// The images to evaluate on, if there are any.
    pub validation: Option<Arc<S>>,
    /// How they were told apart, if by chance.
    pub division: Option<SplitShares>,
    /// The form of their labels, if they are labelled with boxes.
    pub format: Option<Format>,
}

impl RunData<DetectionSet> {
    /// Reads what `config` names; the observer hears of all that is wrong.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for a wrong option,
    /// [`Error::Data`](crate::Error::Data) for data that can't be read.
    pub fn of_detector(config: &DetectorConfig, observer: &mut dyn Observer) -> Result<Self> {
        config.validate()?;
        let folder = DetectionFolder::open(&config.data.path, config.data.format.asked())?;
        let folder = folder.with_lists(&config.data.lists)?;
        expect_counted(&folder, config)?;
        observer.note(&format!(
            "{}: labels of {}: {}",
            config.data.path.display(),
            folder.format(),
            folder.reason()
        ));
        tell(folder.findings(), observer);
        let options = DetectionFolderOptions {
            coordinates: if config.data.voc_zero_based {
                Coordinates::ZeroBased
            } else {
                Coordinates::OneBased
            },
            classes: None,
        };
        let (train, val) = (config.data.train_split, config.data.val_split);
        let mut read =
            |split| -> Result<_> { Ok(told(split, folder.read(split, &options)?, observer)) };
        let training = read(train)?;
        let validation = folder.has_split(val).then(|| read(val)).transpose()?;
        expect_objects(&training, config, observer)?;
        if let Some(set) = &validation {
            expect_countable(set, config)?;
            expect_readable(val, set.images.iter().map(|image| &*image.path))?;
        }
        expect_judge(
            validation.is_some(),
            &config.training,
            &format!("a split {val}"),
        )?;
        match &validation {
            None => observer.warning(&format!(
                "there is no split {val}: the last network counts as the best"
            )),
            Some(validation) => match shared_images(&training, validation) {
                0 => {}
                shared => observer.warning(&format!(
                    "{shared} of {} of {val} also in {train}: scores on images \
                     that were learnt from are too good to pick a network by",
                    counted(validation.images.len(), "image")
                )),
            },
        }
        Ok(Self {
            training,
            validation,
            division: None,
            format: Some(folder.format()),
        })
    }
}

impl RunData<ClassificationSet> {
    /// Reads what `config` names; the observer hears of all that is wrong.
    ///
    /// # Errors
    /// As [`RunData::of_detector`].
    pub fn of_classifier(config: &ClassifierConfig, observer: &mut dyn Observer) -> Result<Self> {
        config.validate()?;
        let folder = ImageFolder::open(&config.data.path)?;
        tell(folder.findings(), observer);
        let options = ImageFolderOptions {
            classes: None,
            shares: config.data.shares(),
        };
        let mut read =
            |split| -> Result<_> { Ok(told(split, folder.read(split, &options)?, observer)) };
        let training = read(Split::Train)?;
        let has_validation = folder.has_split(Split::Val);
        let validation = has_validation.then(|| read(Split::Val)).transpose()?;
        if let Some(set) = &validation {
            expect_readable(Split::Val, set.images.iter().map(|image| &*image.path))?;
        }
        expect_two_classes(&training, config, observer)?;
        expect_judge(validation.is_some(), &config.training, "a val folder")?;
        if validation.is_none() {
            observer.warning("there is no val folder: the last network counts as the best");
        }
        Ok(Self {
            training,
            validation,
            division: (!folder.has_split_folders()).then_some(options.shares),
            format: None,
        })
    }
}

/// Checks that the labels count pixels at all, if it is said how.
fn expect_counted(folder: &DetectionFolder, config: &DetectorConfig) -> Result<()> {
    if !config.data.voc_zero_based || folder.format() == Format::Voc {
        return Ok(());
    }
    Err(Error::Setting {
        key: "data.voc-zero-based",
        fault: format!(
            "this would have no effect: only VOC's annotations take notice of it, found labels of \
             {}",
            folder.format()
        ),
    })
}

/// Checks that there is something to learn; what can't be learnt is told.
fn expect_objects(
    set: &DetectionSet,
    config: &DetectorConfig,
    observer: &mut dyn Observer,
) -> Result<()> {
    let split = config.data.train_split;
    let objects = || set.images.iter().flat_map(|image| &image.objects);
    let are_learnt = |object: &GroundTruth| config.data.train_difficult || !object.difficult;
    let refused = |found: &str| {
        Err(Error::InvalidRequest(format!(
            "{}: expected objects to learn from in the {} of the split {split}, found {found}",
            config.data.path.display(),
            counted(set.images.len(), "image")
        )))
    };
    if !objects().any(are_learnt) {
        return refused(match objects().count() {
            0 => "none",
            _ => "only some marked difficult; --train-difficult learns them too",
        });
    }
    let input = ImageSize::new(config.model.size, config.model.size);
    let crop = detector::framing(config, set).and_then(|framing| framing.crop());
    let (mut classes, mut learnt, mut small) = (HashSet::new(), 0, 0);
    for image in &set.images {
        let wanted: Vec<GroundTruth> = (image.objects.iter().copied())
            .filter(|object| are_learnt(object))
            .collect();
        let tiles = crop
            .iter()
            .flat_map(|crop| crop.tiling.tiles_of(image.size));
        let tile = tiles.map(|tile| tile.size).next().unwrap_or(image.size);
        let seen = wanted.iter().filter(|object| {
            let side = |object: f32, tile: u32, input: u32| object * input as f32 / tile as f32;
            side(object.bbox.width(), tile.width, input.width) >= MIN_OBJECT_SIDE
                && side(object.bbox.height(), tile.height, input.height) >= MIN_OBJECT_SIDE
        });
        let seen = seen.count();
        learnt += seen;
        small += wanted.len() - seen;
        classes.extend(wanted.iter().map(|object| object.class.index()));
    }
    let too_small = format!("narrower or lower than a pixel of the input of {input}");
    if learnt == 0 {
        return refused(&format!("only some that are {too_small}"));
    }
    if small > 0 {
        observer.warning(&format!(
            "not learnt: {small} of {} of {split}, {too_small}; a larger --size shows more",
            counted(small + learnt, "object")
        ));
    }
    tell_unlearnt(&set.classes, &classes, "objects", observer);
    Ok(())
}

/// Tells classes that can't be learnt.
fn tell_unlearnt(
    classes: &ClassNames,
    shown: &HashSet<usize>,
    what: &str,
    observer: &mut dyn Observer,
) {
    for (index, class) in classes.iter().enumerate() {
        if !shown.contains(&index) {
            observer.warning(&format!(
                "the class {class} has no {what} to learn from: the network will not know it"
            ));
        }
    }
}

/// Checks that the evaluation of an epoch has something to count.
fn expect_countable(set: &DetectionSet, config: &DetectorConfig) -> Result<()> {
    if set.has_countable() {
        return Ok(());
    }
    let split = config.data.val_split;
    Err(Error::InvalidRequest(format!(
        "{}: expected objects to evaluate on in the split {split}, found none that count in its \
         {}; `ssdlite data split` divides the images anew, and without a list of {split} \
         the last network counts as the best",
        config.data.path.display(),
        counted(set.images.len(), "image")
    )))
}

/// Checks that a classifier has something to tell apart; classes that can't be
/// learnt are told.
fn expect_two_classes(
    set: &ClassificationSet,
    config: &ClassifierConfig,
    observer: &mut dyn Observer,
) -> Result<()> {
    let shown: HashSet<usize> = set.images.iter().map(|image| image.class.index()).collect();
    if shown.len() < 2 {
        return Err(Error::InvalidRequest(format!(
            "{}: expected images of two or more classes to learn from, found {}",
            config.data.path.display(),
            shown.len()
        )));
    }
    tell_unlearnt(&set.classes, &shown, "images", observer);
    Ok(())
}

/// Checks that an image can be read, so that no evaluation at the end of an epoch
/// finds none.
fn expect_readable<'a>(split: Split, paths: impl Iterator<Item = &'a Path>) -> Result<()> {
    let mut first = None;
    for path in paths {
        match decode_file(path, &Limits::default()) {
            Ok(_) => return Ok(()),
            Err(error) => first = first.or(Some(error)),
        }
    }
    first.map_or(Ok(()), |error| {
        Err(Error::InvalidRequest(format!(
            "none of the images of {split} can be read; {error}"
        )))
    })
}

/// Checks that patience has scores to judge by.
fn expect_judge(is_there: bool, training: &TrainingOptions, expected: &str) -> Result<()> {
    if is_there || training.patience == 0 {
        return Ok(());
    }
    Err(Error::Setting {
        key: "training.patience",
        fault: format!(
            "expected {expected} to judge the epochs by, found none; 0 trains all epochs"
        ),
    })
}

/// Lets the observer hear what is wrong.
fn tell(findings: &[Finding], observer: &mut dyn Observer) {
    for finding in findings {
        observer.warning(&finding.to_string());
    }
}

/// What was read, once the observer has heard what was wrong.
fn told<S>(split: Split, reading: Reading<S>, observer: &mut dyn Observer) -> Arc<S> {
    tell(&reading.findings, observer);
    if !reading.losses.is_none() {
        observer.warning(&format!("{split}: {}", reading.losses));
    }
    Arc::new(reading.set)
}

/// How many images are in both sets.
fn shared_images(one: &DetectionSet, other: &DetectionSet) -> usize {
    let ids: HashSet<&str> = one.images.iter().map(|image| image.id.as_str()).collect();
    let both = other.images.iter();
    both.filter(|image| ids.contains(image.id.as_str())).count()
}
