//! What pages of all kinds show: models, images, and images with mistakes.

use std::path::PathBuf;

use ssdlite_core::{ClassNames, ImageSize};
use ssdlite_eval::{Evaluation, JudgedImage};

use crate::error::{Error, Result};

/// The most images with mistakes that a page shows; it shows fewer where they fill it.
pub const MOST_PICTURES: usize = 200;

/// An image of an evaluation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownImage {
    /// What it is called.
    pub name: String,
    /// Its file.
    pub path: PathBuf,
    /// Its size as it is shown, in pixels.
    pub size: ImageSize,
}

/// The data of an evaluation as a page tells of it.
#[derive(Clone, Debug, PartialEq)]
pub struct ShownData {
    /// What it is called, such as a folder and a split.
    pub name: String,
    /// The images, in the order of the evaluation.
    pub images: Vec<ShownImage>,
    /// The least score of the detections that were let through to the evaluation: of
    /// lower scores nothing is known.
    pub known_from: f32,
}

/// A model as it is presented.
#[derive(Clone, Debug, PartialEq)]
pub struct ShownModel {
    /// What it is called.
    pub name: String,
    /// What there is to know of it, such as `input` and `300x300`.
    pub facts: Vec<(String, String)>,
    /// The least score of a detection that counts as a mistake: what the model's user
    /// sees.
    pub least_score: f32,
}

/// An image with what one model, or each of two, made of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Shot {
    /// The image's place in the evaluation.
    pub(crate) image: usize,
    /// A view for each model.
    pub(crate) views: Vec<JudgedImage>,
}

/// The images that are worth a look, the first of them to be shown.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Gallery {
    pub(crate) shots: Vec<Shot>,
    /// How many there are in all.
    pub(crate) all: usize,
}

/// What the pictures and tables of a page are named by.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Names {
    pub(crate) classes: ClassNames,
    /// In the order of the evaluation.
    pub(crate) images: Vec<ShownImage>,
}

impl Names {
    /// # Errors
    /// [`Error::Malformed`] if there is not one name for each image.
    pub(crate) fn new(evaluation: &Evaluation, images: Vec<ShownImage>) -> Result<Self> {
        if images.len() != evaluation.image_count() {
            return Err(Error::Malformed(format!(
                "expected the names of {} images, found {}",
                evaluation.image_count(),
                images.len()
            )));
        }
        Ok(Self {
            classes: evaluation.classes().clone(),
            images,
        })
    }
}
