//! The JSON in which detections are told.

use serde::{Deserialize, Serialize};
use ssdlite_core::{ClassNames, Detection, ImageSize, NamedDetection};

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

/// Names and boxes of the detections that reach `least_score`.
pub(crate) fn objects<'a>(
    detections: &[Detection],
    classes: &'a ClassNames,
    least_score: f32,
) -> Vec<NamedDetection<'a>> {
    detections
        .iter()
        .filter(|detection| detection.score >= least_score)
        .map(|detection| detection.named(classes))
        .collect()
}

impl<'a> Answer<'a> {
    pub(crate) fn new(model: &'a Model, found: &Found, least_score: f32) -> Self {
        let ImageSize { width, height } = found.size;
        Self {
            model: &model.name,
            width,
            height,
            detections: objects(&found.detections, model.classes(), least_score),
            milliseconds: (&found.times).into(),
        }
    }
}
