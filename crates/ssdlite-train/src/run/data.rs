//! The data sets of a run.

use std::collections::HashSet;
use std::sync::Arc;

use ssdlite_data::finding::{Finding, Reading};
use ssdlite_data::folders::{ImageFolder, ImageFolderOptions};
use ssdlite_data::voc::{Coordinates, VocFolder, VocOptions};
use ssdlite_data::{ClassificationSet, DetectionSet, Split, SplitShares};

use super::observer::Observer;
use crate::config::{ClassifierConfig, DetectorConfig};
use crate::error::Result;

/// What a run learns from and what it is evaluated on, read once.
#[derive(Clone, Debug)]
pub struct RunData<S> {
    /// The images to learn from.
    pub training: Arc<S>,
    /// The images to evaluate on, if there are any.
    pub validation: Option<Arc<S>>,
    /// How they were told apart, if by chance.
    pub division: Option<SplitShares>,
}

impl RunData<DetectionSet> {
    /// Reads what `config` names; the observer hears of all that is wrong.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for a wrong option,
    /// [`Error::Data`](crate::Error::Data) for data that can't be read.
    pub fn of_detector(config: &DetectorConfig, observer: &mut dyn Observer) -> Result<Self> {
        config.validate()?;
        let folder = VocFolder::open(&config.data.path)?;
        tell(folder.findings(), observer);
        let options = VocOptions {
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
        match &validation {
            None => observer.warning(&format!(
                "there is no split {val}: the last network counts as the best"
            )),
            Some(validation) => match shared_images(&training, validation) {
                0 => {}
                shared => observer.warning(&format!(
                    "{shared} of the {} images of {val} are in {train} too: scores on images \
                     that were learnt from are too good to pick a network by",
                    validation.images.len()
                )),
            },
        }
        Ok(Self {
            training,
            validation,
            division: None,
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
        if validation.is_none() {
            observer.warning("there is no val folder: the last network counts as the best");
        }
        Ok(Self {
            training,
            validation,
            division: (!folder.has_split_folders()).then_some(options.shares),
        })
    }
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
