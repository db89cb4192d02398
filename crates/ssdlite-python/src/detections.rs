//! What was found in an image.

use numpy::{PyArray1, PyArray2, PyArrayMethods, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};
use ssdlite::{ClassNames, Detection};

use crate::arrays::{boxes, expect_one_each, scores};

/// The objects that were found in an image, best first.
///
/// Made by Detector.detect, or of another detector's results for evaluate.
#[pyclass(module = "ssdlite", frozen)]
pub(crate) struct Detections {
    /// float32 [n, 4]: x1, y1, x2, y2 in pixels from the top left, x2 and y2 exclusive.
    #[pyo3(get)]
    pub(crate) boxes: Py<PyArray2<f32>>,
    /// float32 [n], 0 to 1.
    #[pyo3(get)]
    pub(crate) scores: Py<PyArray1<f32>>,
    /// int64 [n]: the ids of the classes, which index the detector's class_names.
    #[pyo3(get)]
    classes: Py<PyArray1<i64>>,
    /// The names of the classes, one an object.
    #[pyo3(get)]
    pub(crate) names: Py<PyList>,
}

#[pymethods]
impl Detections {
    #[new]
    fn new(
        py: Python<'_>,
        boxes: &Bound<'_, PyAny>,
        scores: &Bound<'_, PyAny>,
        classes: Vec<i64>,
        names: Vec<String>,
    ) -> PyResult<Self> {
        let boxes = self::boxes(boxes)?;
        let scores = self::scores(scores)?;
        expect_one_each(
            boxes.shape()[0],
            &[
                ("scores", scores.len()),
                ("classes", classes.len()),
                ("names", names.len()),
            ],
        )?;
        Ok(Self {
            boxes: boxes.unbind(),
            scores: scores.unbind(),
            classes: PyArray1::from_vec(py, classes).unbind(),
            names: PyList::new(py, names)?.unbind(),
        })
    }

    /// What pickle makes another of, so that results go from process to process.
    fn __getnewargs__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        (&self.boxes, &self.scores, &self.classes, &self.names).into_pyobject(py)
    }

    fn __len__(&self, py: Python<'_>) -> usize {
        self.scores.bind(py).len()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let names = self.names.bind(py).str()?;
        Ok(format!("<ssdlite.Detections of {names}>"))
    }
}

impl Detections {
    /// What a detector of these classes has found.
    pub(crate) fn from_found(
        py: Python<'_>,
        found: &[Detection],
        classes: &ClassNames,
    ) -> PyResult<Self> {
        let corners = found.iter().flat_map(|found| found.bbox.to_array());
        let corners: Vec<f32> = corners.collect();
        let boxes = PyArray1::from_vec(py, corners).reshape([found.len(), 4])?;
        let scores = found.iter().map(|found| found.score).collect();
        let ids = found.iter().map(|found| i64::from(found.class.0)).collect();
        let names = found
            .iter()
            .map(|found| classes.get(found.class).unwrap_or("?"));
        Ok(Self {
            boxes: boxes.unbind(),
            scores: PyArray1::from_vec(py, scores).unbind(),
            classes: PyArray1::from_vec(py, ids).unbind(),
            names: PyList::new(py, names)?.unbind(),
        })
    }
}
