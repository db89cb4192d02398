//! The objects that `detect` finds: the JSON that tells of them, and their boxes
//! drawn.

use serde::Serialize;
use ssdlite_core::{ClassNames, Detection, NamedDetection};
use ssdlite_image::RgbImage;
use ssdlite_image::draw::{LabelledBox, draw_boxes};
use ssdlite_media::TrackId;

/// An object, with its number if it is followed.
pub(crate) struct Found {
    pub(crate) detection: Detection,
    pub(crate) track: Option<TrackId>,
}

impl From<Detection> for Found {
    fn from(detection: Detection) -> Self {
        Self {
            detection,
            track: None,
        }
    }
}

/// An image.
#[derive(Serialize)]
pub(crate) struct ImageJson<'a> {
    pub(crate) image: &'a str,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) detections: Vec<FoundJson<'a>>,
}

/// A frame of a video, a camera or a stream.
#[derive(Serialize)]
pub(crate) struct FrameJson<'a> {
    pub(crate) image: &'a str,
    /// Its number in the source, from 0; skipped ones are counted.
    pub(crate) frame: u64,
    /// Seconds from the video's start, or from a live source's first frame.
    pub(crate) time: f64,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) detections: Vec<FoundJson<'a>>,
    /// Of a live source: the frames so far that came too soon to be looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) skipped: Option<u64>,
}

/// An object of an image or a frame.
#[derive(Serialize)]
pub(crate) struct FoundJson<'a> {
    #[serde(flatten)]
    detection: NamedDetection<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    track: Option<TrackId>,
}

/// The JSON of each object.
pub(crate) fn json_from_found<'a>(found: &[Found], classes: &'a ClassNames) -> Vec<FoundJson<'a>> {
    let json = |found: &Found| FoundJson {
        detection: found.detection.named(classes),
        track: found.track,
    };
    found.iter().map(json).collect()
}

/// Draws the objects' boxes, the first one, which is the surest, over the others.
pub(crate) fn draw_found(image: &mut RgbImage, found: &[Found], classes: &ClassNames) {
    let labelled = |found: &Found| {
        let mut labelled = LabelledBox::of_detection(&found.detection, classes);
        if let Some(TrackId(number)) = found.track {
            labelled.label = format!("#{number} {}", labelled.label);
        }
        labelled
    };
    let boxes: Vec<_> = found.iter().rev().map(labelled).collect();
    draw_boxes(image, &boxes);
}
