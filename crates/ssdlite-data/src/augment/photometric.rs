//! Random brightness, contrast, saturation, hue and order of the channels.
//!
//! Source: SSD's photometric distortions with the distributions and the
//! order of torchvision's `RandomPhotometricDistort`. It differs in two ways
//! that don't matter to a network that is to learn not to look at them:
//!
//! - It runs on the resampled image, where there are fewer pixels. All steps
//!   but hue are linear, so they commute with resampling except where a value
//!   is clamped.
//! - Contrast turns about the mean brightness of what the view shows of the
//!   image, taken once after the brightness step, instead of the whole
//!   image's at that point.
//!
//! What a view shows beyond the image's edges is not distorted, because
//! SSD distorts before it expands.

use std::ops::Range;

use super::{check_range, check_within};
use crate::error::Result;
use ssdlite_core::random::Rng;

/// The orders that three channels can have.
const CHANNEL_ORDERS: [[usize; 3]; 6] = [
    [0, 1, 2],
    [0, 2, 1],
    [1, 0, 2],
    [1, 2, 0],
    [2, 0, 1],
    [2, 1, 0],
];

/// How colours are distorted.
#[derive(Clone, Debug, PartialEq)]
pub struct PhotometricDistort {
    /// How often each of the five distortions happens; 0.5.
    pub probability: f32,
    /// Factors of the brightness; 0.875 to 1.125.
    pub brightness: Range<f32>,
    /// Factors of the distance from the mean brightness; 0.5 to 1.5.
    pub contrast: Range<f32>,
    /// Factors of the distance from grey; 0.5 to 1.5.
    pub saturation: Range<f32>,
    /// Turns of the hue; -0.05 to 0.05, where 1 is the whole colour wheel.
    pub hue: Range<f32>,
}

impl Default for PhotometricDistort {
    fn default() -> Self {
        Self {
            probability: 0.5,
            brightness: 0.875..1.125,
            contrast: 0.5..1.5,
            saturation: 0.5..1.5,
            hue: -0.05..0.05,
        }
    }
}

impl PhotometricDistort {
    /// One distortion at random.
    pub fn draw(&self, rng: &mut Rng) -> Distortion {
        let mut sometimes = |range: &Range<f32>, neutral: f32| {
            if rng.chance(self.probability) {
                rng.uniform(range.clone())
            } else {
                neutral
            }
        };
        let brightness = sometimes(&self.brightness, 1.0);
        let contrast = sometimes(&self.contrast, 1.0);
        let saturation = sometimes(&self.saturation, 1.0);
        let hue = sometimes(&self.hue, 0.0);
        let contrast_turn = if rng.chance(0.5) {
            ContrastTurn::First
        } else {
            ContrastTurn::Last
        };
        let order = if rng.chance(self.probability) {
            CHANNEL_ORDERS[rng.below(CHANNEL_ORDERS.len())]
        } else {
            CHANNEL_ORDERS[0]
        };
        Distortion {
            brightness,
            contrast,
            saturation,
            hue,
            contrast_turn,
            order,
        }
    }

    pub(crate) fn check(&self) -> Result<()> {
        check_within("photometric probability", self.probability, 0.0..=1.0)?;
        check_range("brightness", &self.brightness, 0.0..=100.0)?;
        check_range("contrast", &self.contrast, 0.0..=100.0)?;
        check_range("saturation", &self.saturation, 0.0..=100.0)?;
        check_range("hue", &self.hue, -0.5..=0.5)
    }
}

/// When contrast changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContrastTurn {
    /// Before saturation and hue.
    First,
    /// After them.
    Last,
}

/// A drawn distortion of colours.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Distortion {
    /// Factor of all colours.
    pub brightness: f32,
    /// Factor of the distance from the mean brightness.
    pub contrast: f32,
    /// Factor of the distance from grey.
    pub saturation: f32,
    /// Turns of the hue.
    pub hue: f32,
    /// When contrast changes.
    pub contrast_turn: ContrastTurn,
    /// The old channel that each new one takes.
    pub order: [usize; 3],
}

impl Distortion {
    /// No change at all.
    pub const NONE: Self = Self {
        brightness: 1.0,
        contrast: 1.0,
        saturation: 1.0,
        hue: 0.0,
        contrast_turn: ContrastTurn::First,
        order: CHANNEL_ORDERS[0],
    };
}
