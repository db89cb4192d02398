//! The JSON in which `detect` tells what it found.

use serde::Serialize;
use ssdlite_core::{ClassNames, Detection};
use ssdlite_media::TrackId;

/// An image.
#[derive(Serialize)]
pub(crate) struct ImageJson<'a> {
    pub(crate) image: &'a str,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) detections: Vec<DetectionJson<'a>>,
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
    pub(crate) detections: Vec<DetectionJson<'a>>,
    /// Of a live source: the frames so far that came too soon to be looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) skipped: Option<u64>,
}

/// An object, its box in pixels of the original image, from the top left,
/// `x2` and `y2` exclusive.
#[derive(Serialize)]
pub(crate) struct DetectionJson<'a> {
    class: &'a str,
    score: f32,
    #[serde(rename = "box")]
    bbox: [f32; 4],
    #[serde(skip_serializing_if = "Option::is_none")]
    track: Option<TrackId>,
}

impl<'a> DetectionJson<'a> {
    /// The detections of an image.
    pub(crate) fn list(detections: &[Detection], classes: &'a ClassNames) -> Vec<Self> {
        let json = |detection: &Detection| Self {
            class: classes.get(detection.class).unwrap_or_default(),
            score: detection.score,
            bbox: detection.bbox.to_array(),
            track: None,
        };
        detections.iter().map(json).collect()
    }

    /// The detections of a frame, each with its object's number if it has one.
    pub(crate) fn tracked(
        detections: &[Detection],
        tracks: &[Option<TrackId>],
        classes: &'a ClassNames,
    ) -> Vec<Self> {
        let mut list = Self::list(detections, classes);
        for (json, track) in list.iter_mut().zip(tracks) {
            json.track = *track;
        }
        list
    }
}
