//! The JSON in which detections are told.

use serde::{Deserialize, Serialize};
use ssdlite_core::{ClassId, ImageSize, NamedDetection};
use ssdlite_image::Rgb;
use ssdlite_image::color::{color_of_class, text_color_on};

use crate::metrics::Times;
use crate::model::Model;
use crate::workers::Found;

/// Detections in an image.
#[derive(Serialize)]
pub(crate) struct Answer<'a> {
    pub(crate) model: &'a str,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) detections: Vec<NamedDetection<'a>>,
    pub(crate) milliseconds: Milliseconds,
}

/// How long the stages took.
#[derive(Serialize)]
pub(crate) struct Milliseconds {
    pub(crate) wait: f64,
    pub(crate) decode: f64,
    pub(crate) detect: f64,
}

/// The models of a server.
#[derive(Serialize)]
pub(crate) struct ListedModels<'a> {
    pub(crate) models: Vec<ListedModel<'a>>,
}

/// What a model is.
#[derive(Serialize)]
pub(crate) struct ListedModel<'a> {
    pub(crate) name: &'a str,
    pub(crate) version: &'a str,
    pub(crate) backbone: String,
    pub(crate) classes: Vec<&'a str>,
    /// Of each class.
    pub(crate) colors: Vec<ClassColors>,
    pub(crate) score: f32,
    pub(crate) input: ImageSize,
}

/// A class's colours in saved pictures, as CSS has them.
#[derive(Serialize)]
pub(crate) struct ClassColors {
    /// Of its boxes.
    #[serde(rename = "box")]
    bbox: String,
    /// Of the letters on them.
    label: String,
}

impl ClassColors {
    pub(crate) fn new(class: ClassId) -> Self {
        let text = |[red, green, blue]: Rgb| format!("#{red:02x}{green:02x}{blue:02x}");
        let color = color_of_class(class);
        Self {
            bbox: text(color),
            label: text(text_color_on(color)),
        }
    }
}

/// A frame's objects as the page sends them back to be kept.
#[derive(Deserialize)]
pub(crate) struct KeptFrame {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) detections: Vec<KeptObject>,
}

/// An object of a [`KeptFrame`].
#[derive(Deserialize)]
pub(crate) struct KeptObject {
    pub(crate) class: String,
    #[serde(rename = "box")]
    pub(crate) bbox: [f32; 4],
}

pub(crate) fn milliseconds(duration: std::time::Duration) -> f64 {
    // Microseconds are as much as anyone wants to read.
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

impl From<&Times> for Milliseconds {
    fn from(times: &Times) -> Self {
        Self {
            wait: milliseconds(times.waited),
            decode: milliseconds(times.decoded),
            detect: milliseconds(times.detected),
        }
    }
}

impl<'a> Answer<'a> {
    /// What was found of at least this score.
    pub(crate) fn new(model: &'a Model, found: &Found, least_score: f32) -> Self {
        let ImageSize { width, height } = found.size;
        let told = found
            .detections
            .iter()
            .filter(|detection| detection.score >= least_score)
            .map(|detection| detection.named(model.classes()));
        Self {
            model: &model.name,
            width,
            height,
            detections: told.collect(),
            milliseconds: (&found.times).into(),
        }
    }
}
