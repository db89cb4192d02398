//! A classifier's configuration.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use ssdlite_data::SplitShares;

use super::model::{ModelOptions, Weights};
use super::training::{LoaderOptions, TrainingOptions};
use super::{
    absolute, check_probability, check_share, from_toml, number, over_defaults, to_toml, wrong,
};
use crate::error::Result;

/// Which images a classifier learns from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ClassifierDataOptions {
    /// The data set's folder: one folder a class under `train/`, `val/` and
    /// `test/`, or one folder a class alone, which is then divided at random by
    /// the shares below.
    pub path: PathBuf,
    /// The part of all images that is `trainval`; the rest is `test`.
    #[serde(default = "trainval_share")]
    pub trainval: f64,
    /// The part of `trainval` that is `train`; the rest is `val`.
    #[serde(default = "train_share")]
    pub train: f64,
    /// Another seed gives another division.
    #[serde(default = "split_seed")]
    pub split_seed: u64,
}

fn trainval_share() -> f64 {
    SplitShares::default().trainval
}

fn train_share() -> f64 {
    SplitShares::default().train
}

fn split_seed() -> u64 {
    SplitShares::default().seed
}

impl ClassifierDataOptions {
    /// The defaults for the data set in this folder.
    fn new(path: PathBuf) -> Self {
        Self {
            path,
            trainval: trainval_share(),
            train: train_share(),
            split_seed: split_seed(),
        }
    }

    /// How a folder without `train`, `val` and `test` is divided.
    pub const fn shares(&self) -> SplitShares {
        SplitShares {
            trainval: self.trainval,
            train: self.train,
            seed: self.split_seed,
        }
    }
}

/// How images are changed while a classifier is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ClassifierAugmentOptions {
    /// Width of the border before the random crop in shares of the input's
    /// side; 1/14, 16 pixels at 224.
    pub padding: f32,
    /// Probability of swapping left and right.
    pub mirror: f32,
}

impl Default for ClassifierAugmentOptions {
    fn default() -> Self {
        Self {
            padding: 1.0 / 14.0,
            mirror: 0.5,
        }
    }
}

/// The cross entropy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ClassifierLossOptions {
    /// Share of the target that is spread over all classes.
    pub label_smoothing: f32,
}

/// How a classifier is evaluated while it trains.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ClassifierEvaluationOptions {
    /// Epochs from one evaluation to the next; the last epoch has one anyway. 0
    /// leaves at least 25 steps between two.
    pub every: u32,
}

/// All that a classifier's training run needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ClassifierConfig {
    /// Which images.
    pub data: ClassifierDataOptions,
    /// Which network.
    #[serde(default = "ModelOptions::classifier")]
    pub model: ModelOptions,
    /// How it is trained.
    #[serde(default)]
    pub training: TrainingOptions,
    /// How images get into memory.
    #[serde(default)]
    pub loader: LoaderOptions,
    /// How images are changed.
    #[serde(default)]
    pub augment: ClassifierAugmentOptions,
    /// The loss.
    #[serde(default)]
    pub loss: ClassifierLossOptions,
    /// How it is evaluated.
    #[serde(default)]
    pub evaluation: ClassifierEvaluationOptions,
}

impl ClassifierConfig {
    /// The defaults for the data set in this folder.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            data: ClassifierDataOptions::new(path.into()),
            model: ModelOptions::classifier(),
            training: TrainingOptions::default(),
            loader: LoaderOptions::default(),
            augment: ClassifierAugmentOptions::default(),
            loss: ClassifierLossOptions::default(),
            evaluation: ClassifierEvaluationOptions::default(),
        }
    }

    /// Reads a `config.toml`.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) with line and key for anything that is not
    /// such a file, and what [`Self::validate`] finds.
    pub fn from_toml(text: &str) -> Result<Self> {
        // The first reading is for its errors, which show the line. Its
        // defaults of half-filled sections are a detector's, so the second
        // one lays the text over a classifier's.
        let read: Self = from_toml(text)?;
        let config = over_defaults(&Self::new(read.data.path), text)?;
        config.validate()?;
        Ok(config)
    }

    /// The same with all paths from the root, as a run's folder keeps it: it is
    /// resumed or repeated from any folder.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) for an empty path, or if the current folder is gone.
    pub fn with_absolute_paths(mut self) -> Result<Self> {
        self.data.path = absolute(&self.data.path)?;
        self.model.weights = self.model.weights.absolute()?;
        Ok(self)
    }

    /// The text of a `config.toml` that [`Self::from_toml`] reads back.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for a path that is not UTF-8.
    pub fn to_toml(&self) -> Result<String> {
        to_toml(self)
    }

    /// Checks all options.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) for the first wrong key.
    pub fn validate(&self) -> Result<()> {
        self.model.validate()?;
        self.training.validate()?;
        self.loader.validate()?;
        for (key, share) in [
            ("data.trainval", self.data.trainval),
            ("data.train", self.data.train),
        ] {
            if !(share > 0.0 && share <= 1.0) {
                return Err(wrong(key, "a number above 0 and up to 1", number(share)));
            }
        }
        check_probability("augment.mirror", f64::from(self.augment.mirror))?;
        if !(0.0..=0.5).contains(&self.augment.padding) {
            return Err(wrong("augment.padding", "0 to 0.5", self.augment.padding));
        }
        check_share("loss.label-smoothing", f64::from(self.loss.label_smoothing))?;
        if self.model.weights == Weights::Coco {
            let expected = "none, imagenet or a file for a classifier";
            return Err(wrong("model.weights", expected, "coco"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_sound_and_come_back() {
        let config = ClassifierConfig::new("photos");
        let text = config.to_toml().unwrap();
        assert_eq!(ClassifierConfig::from_toml(&text).unwrap(), config);
    }

    #[test]
    fn half_filled_sections_keep_a_classifiers_defaults() {
        let text = "[data]\npath = \"photos\"\n[model]\nwidth = 0.5\n[training]\nlr = 1\n";
        let config = ClassifierConfig::from_toml(text).unwrap();
        assert_eq!((config.model.size, config.model.width), (224, 0.5));
        assert_eq!((config.training.batch, config.training.lr), (0, 1.0));
    }

    #[test]
    fn errors_name_the_option() {
        for (section, name) in [
            ("val-share = 1.0", "val-share"),
            ("trainval = 1.5", "data.trainval"),
            ("train = 0.0", "data.train"),
            ("[model]\nweights = \"coco\"", "model.weights"),
            ("[augment]\niou-crop = true", "iou-crop"),
            ("[augment]\npadding = 0.6", "augment.padding"),
        ] {
            let text = format!("[data]\npath = \"photos\"\n{section}");
            let error = ClassifierConfig::from_toml(&text).unwrap_err().to_string();
            assert!(error.contains(name), "{section}: {error}");
        }
    }
}
