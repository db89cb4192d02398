//! Finding objects in one image: what many threads do at once.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use ssdlite_core::Detection;
use ssdlite_image::decode::WHOLE;
use ssdlite_image::encode::{IMAGE_QUALITY, jpeg_from_image};
use ssdlite_image::{DecodeMemory, Decoded, ImageSize};
use ssdlite_infer::Detector;

use crate::args::limits::LimitArgs;
use crate::output::found::{Found, draw_found};

/// How images are looked at.
pub(super) struct Looking<'a> {
    pub(super) detector: &'a Detector,
    pub(super) limits: &'a LimitArgs,
    pub(super) memory: DecodeMemory,
    /// Of objects that are told.
    pub(super) least_score: f32,
    /// Whether images with boxes drawn are wanted.
    pub(super) draws: bool,
}

/// What came of an image.
pub(super) struct Looked {
    pub(super) size: ImageSize,
    pub(super) found: Vec<Found>,
    /// The surest box, if it is sure enough or not.
    pub(super) nearest: Option<Detection>,
    /// A JPEG file of the whole image with boxes, if wanted.
    pub(super) drawn: Option<Vec<u8>>,
    /// How long it took.
    pub(super) time: Duration,
}

impl Looking<'_> {
    /// Finds objects in an image, which is decoded no larger than the network needs. One
    /// that is drawn is decoded anew where that was not the whole, so that drawing
    /// changes nothing of what is found.
    pub(super) fn look(&self, path: &Path) -> Result<Looked> {
        let start = Instant::now();
        let least = self.detector.enough();
        let mut looked = self.with_decoded(path, least, |image| {
            let mut looked = self.looked(path, &image)?;
            if self.draws && image.reduction().is_none() {
                looked.drawn = Some(self.drawn(image, &looked.found)?);
            }
            Ok(looked)
        })?;
        if self.draws && looked.drawn.is_none() {
            let drawn = self.with_decoded(path, WHOLE, |image| self.drawn(image, &looked.found))?;
            looked.drawn = Some(drawn);
        }
        looked.time = start.elapsed();
        Ok(looked)
    }

    fn with_decoded<T>(
        &self,
        path: &Path,
        least: ImageSize,
        work: impl FnOnce(Decoded) -> Result<T>,
    ) -> Result<T> {
        (self.limits).with_decoded(&self.memory, path, least, work)
    }

    fn looked(&self, path: &Path, image: &Decoded) -> Result<Looked> {
        let found = self.detector.detect_or_nearest(image);
        let (mut detections, nearest) =
            found.with_context(|| path.to_string_lossy().into_owned())?;
        let nearest = nearest.or(detections.first().copied());
        detections.retain(|detection| detection.score >= self.least_score);
        Ok(Looked {
            size: image.whole_size(),
            found: detections.into_iter().map(Found::from).collect(),
            nearest,
            drawn: None,
            time: Duration::ZERO,
        })
    }

    fn drawn(&self, image: Decoded, found: &[Found]) -> Result<Vec<u8>> {
        let mut image = image.into_image();
        draw_found(&mut image, found, self.detector.classes());
        Ok(jpeg_from_image(&image, IMAGE_QUALITY)?)
    }
}
