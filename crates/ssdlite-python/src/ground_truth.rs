//! What an image holds.

use numpy::{PyArray1, PyArray2, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

use crate::arrays::{boxes, expect_one_each};

/// The objects that an annotator marked in an image.
///
/// difficult: of which objects a detector is neither rewarded nor punished for finding
/// them, as VOC has it; none unless given.
#[pyclass(module = "ssdlite", frozen)]
pub(crate) struct GroundTruth {
    /// float32 [n, 4]: x1, y1, x2, y2 in pixels from the top left, x2 and y2 exclusive.
    #[pyo3(get)]
    pub(crate) boxes: Py<PyArray2<f32>>,
    /// The names of the classes, one an object.
    #[pyo3(get)]
    pub(crate) names: Py<PyList>,
    /// bool [n].
    #[pyo3(get)]
    pub(crate) difficult: Py<PyArray1<bool>>,
}

#[pymethods]
impl GroundTruth {
    #[new]
    #[pyo3(signature = (boxes, names, difficult=None))]
    fn new(
        py: Python<'_>,
        boxes: &Bound<'_, PyAny>,
        names: Vec<String>,
        difficult: Option<Vec<bool>>,
    ) -> PyResult<Self> {
        let boxes = self::boxes(boxes)?;
        let count = boxes.shape()[0];
        let difficult = difficult.unwrap_or_else(|| vec![false; count]);
        let lists = [("names", names.len()), ("difficult", difficult.len())];
        expect_one_each(count, &lists)?;
        Ok(Self {
            boxes: boxes.unbind(),
            names: PyList::new(py, names)?.unbind(),
            difficult: PyArray1::from_vec(py, difficult).unbind(),
        })
    }

    /// What pickle makes another of.
    fn __getnewargs__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        (&self.boxes, &self.names, &self.difficult).into_pyobject(py)
    }

    fn __len__(&self, py: Python<'_>) -> usize {
        self.difficult.bind(py).len()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let names = self.names.bind(py).str()?;
        Ok(format!("<ssdlite.GroundTruth of {names}>"))
    }
}
