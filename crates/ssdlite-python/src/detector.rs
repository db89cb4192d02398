//! Detectors.

use std::path::PathBuf;

use pyo3::prelude::*;
use ssdlite::{Detector, DetectorOptions, Suppression, Tiles};

use crate::batch::for_each_batch;
use crate::detections::Detections;
use crate::error::{Fault, detached};
use crate::image::ImageArg;
use crate::loaded::Loaded;
use crate::options::{count, run_options};

/// A detector, ready to run.
///
/// Threads may share one, and others of the interpreter go on while it detects. A
/// process that is forked loads its own.
#[pyclass(name = "Detector", module = "ssdlite", frozen)]
pub(crate) struct PyDetector {
    detector: Loaded<Detector>,
}

#[pymethods]
impl PyDetector {
    /// Reads a detector's model file.
    ///
    /// threads: 1 to 256 that share the work of an image; as many as the machine has
    /// cores unless given. score: the least score of a detection. nms: the IoU above which
    /// the worse of two boxes of a class goes. max_detections: the most in an image.
    /// tiles: whether large images are looked at in overlapping tiles too, 'auto', 'off'
    /// or the number of tiles along the longer side. What isn't given is as the model
    /// file says.
    #[staticmethod]
    #[pyo3(signature = (path, *, threads=None, score=None, nms=None, max_detections=None, tiles=None))]
    fn load(
        py: Python<'_>,
        path: PathBuf,
        threads: Option<i64>,
        score: Option<f32>,
        nms: Option<f32>,
        max_detections: Option<i64>,
        tiles: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let options = DetectorOptions {
            run: run_options(threads)?,
            post_processing: None,
            tiles: tiles.map(tiles_from).transpose()?,
        };
        let max_detections = max_detections
            .map(|most| count("max_detections", most))
            .transpose()?;
        detached(py, || {
            let mut detector = Detector::load_with(path, &options)?;
            let mut settings = *detector.post_processing();
            if let Some(score) = score {
                settings.score_threshold = score;
            }
            if let Some(max_iou) = nms {
                settings.suppression = Suppression::Hard { max_iou };
            }
            if let Some(most) = max_detections {
                settings.max_detections = most;
            }
            let set = detector.set_post_processing(settings);
            set.map_err(|error| Fault::Argument(error.to_string()))?;
            let threads = detector.threads();
            Ok(Self {
                detector: Loaded::new(detector, threads),
            })
        })
    }

    /// The names of the classes, in the order of their ids.
    #[getter]
    fn class_names(&self) -> Vec<&str> {
        self.detector.model().classes().iter().collect()
    }

    /// Threads that share the work of an image.
    #[getter]
    fn threads(&self) -> usize {
        self.detector.model().threads()
    }

    /// The objects in an image, best first, in its pixels.
    ///
    /// image: the path of a file, the bytes of one, or an array of uint8 and shape
    /// [height, width, 3], red, green and blue. An array whose rows lie one behind the
    /// other is not copied, and must not be changed meanwhile; any other is copied first.
    fn detect<'py>(&self, py: Python<'py>, image: ImageArg<'py>) -> PyResult<Detections> {
        let detector = self.detector.to_run()?;
        let source = image.source()?;
        let found = detached(py, || {
            let found = detector.detect(&source.pixels(detector.enough())?);
            found.map_err(|error| source.fault(error))
        })?;
        Detections::from_found(py, &found, detector.classes())
    }

    /// The objects in each of several images, as detect gives them.
    ///
    /// Threads take images instead of sharing each one. The first image that can't be
    /// read ends it with an error that has the image's number, counted from 0.
    fn detect_batch<'py>(
        &self,
        py: Python<'py>,
        images: Vec<ImageArg<'py>>,
    ) -> PyResult<Vec<Detections>> {
        let detector = self.detector.to_run()?;
        let (threads, least) = (detector.threads(), detector.enough());
        let found = for_each_batch(py, &images, threads, least, |pixels| {
            detector.detect_batch(pixels)
        })?;
        let classes = detector.classes();
        let found = found.iter();
        found
            .map(|found| Detections::from_found(py, found, classes))
            .collect()
    }

    fn __repr__(&self) -> String {
        format!("<ssdlite.Detector of {}>", self.detector.model().classes())
    }
}

/// `'auto'`, `'off'` or a number, as on the command line.
fn tiles_from(asked: &Bound<'_, PyAny>) -> PyResult<Tiles> {
    let tiles = asked.str()?.to_string().parse::<Tiles>();
    Ok(tiles.map_err(|error| Fault::Argument(format!("tiles: {error}")))?)
}
