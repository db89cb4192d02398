//! Which network, and what it starts from.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use ssdlite_core::MobileNetV3;
use ssdlite_core::mobilenet::Variant;
use ssdlite_core::preprocessing::{MAX_INPUT_SIDE, MIN_INPUT_SIDE};

use super::{absolute, wrong};
use crate::error::Result;

/// What a network's weights are before training.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Weights {
    /// Random numbers drawn from the seed: `none`.
    #[default]
    None,
    /// torchvision's classifier trained on ImageNet: `imagenet`.
    Imagenet,
    /// torchvision's detector trained on COCO: `coco`.
    Coco,
    /// A model of ours or a PyTorch file.
    File(PathBuf),
}

impl Weights {
    /// The same with a file's path from the root.
    pub(super) fn absolute(self) -> Result<Self> {
        match self {
            Self::File(path) => Ok(Self::File(absolute(&path)?)),
            other => Ok(other),
        }
    }
}

impl From<String> for Weights {
    fn from(text: String) -> Self {
        match text.as_str() {
            "none" => Self::None,
            "imagenet" => Self::Imagenet,
            "coco" => Self::Coco,
            _ => Self::File(text.into()),
        }
    }
}

impl From<Weights> for String {
    fn from(weights: Weights) -> Self {
        weights.to_string()
    }
}

impl fmt::Display for Weights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Imagenet => f.write_str("imagenet"),
            Self::Coco => f.write_str("coco"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// The network and its first weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ModelOptions {
    /// Small or Large; Small by default, which trains on a CPU in minutes.
    pub backbone: Variant,
    /// Factor on all channel counts.
    pub width: f32,
    /// Half as many channels from C4 on.
    pub reduced_tail: bool,
    /// Without squeeze-and-excite, h-swish and 5x5 kernels.
    pub minimalistic: bool,
    /// Side of the square input in pixels; 300 for detectors, 224 for
    /// classifiers.
    pub size: u32,
    /// What the weights are before training.
    pub weights: Weights,
}

impl Default for ModelOptions {
    fn default() -> Self {
        Self::detector()
    }
}

impl ModelOptions {
    /// A detector's defaults.
    pub fn detector() -> Self {
        Self {
            backbone: Variant::Small,
            width: 1.0,
            reduced_tail: false,
            minimalistic: false,
            size: 300,
            weights: Weights::None,
        }
    }

    /// A classifier's defaults.
    pub fn classifier() -> Self {
        Self {
            size: 224,
            ..Self::detector()
        }
    }

    /// The network's table.
    pub const fn mobilenet(&self) -> MobileNetV3 {
        MobileNetV3 {
            variant: self.backbone,
            width_multiplier: self.width,
            reduced_tail: self.reduced_tail,
            minimalistic: self.minimalistic,
        }
    }

    pub(super) fn validate(&self) -> Result<()> {
        if !(MIN_INPUT_SIDE..=MAX_INPUT_SIDE).contains(&self.size) {
            let expected = format!("{MIN_INPUT_SIDE} to {MAX_INPUT_SIDE} pixels");
            return Err(wrong("model.size", &expected, self.size));
        }
        if self.mobilenet().validate().is_err() {
            return Err(wrong("model.width", "a factor of 0.1 to 4", self.width));
        }
        Ok(())
    }
}
