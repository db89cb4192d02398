//! Numbers of Python programs as arrays, and back.

use numpy::{PyArray1, PyArray2, PyArrayDyn, PyArrayMethods, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// An array of float32, made by NumPy of whatever is none.
fn floats<'py>(numbers: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyArrayDyn<f32>>> {
    let numpy = numbers.py().import("numpy")?;
    let array = numpy.call_method1("asarray", (numbers, "float32"))?;
    Ok(array.cast_into()?)
}

/// Boxes `[n, 4]`; a list without any is none.
pub(crate) fn boxes<'py>(boxes: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyArray2<f32>>> {
    let array = floats(boxes)?;
    match array.shape() {
        [_, 4] => Ok(array.into_any().cast_into()?),
        [0] => array.reshape([0, 4]),
        shape => Err(PyValueError::new_err(format!(
            "boxes: expected shape [n, 4], each x1, y1, x2, y2, found {shape:?}"
        ))),
    }
}

/// Scores `[n]`.
pub(crate) fn scores<'py>(scores: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyArray1<f32>>> {
    let array = floats(scores)?;
    match array.shape() {
        [_] => Ok(array.into_any().cast_into()?),
        shape => Err(PyValueError::new_err(format!(
            "scores: expected shape [n], found {shape:?}"
        ))),
    }
}

/// The rows of boxes.
pub(crate) fn rows_of_boxes(boxes: &Bound<'_, PyArray2<f32>>) -> PyResult<Vec<[f32; 4]>> {
    let boxes = boxes.try_readonly()?;
    let rows = boxes.as_array();
    let rows = rows.rows().into_iter();
    Ok(rows.map(|row| [row[0], row[1], row[2], row[3]]).collect())
}

/// The numbers of an array.
pub(crate) fn numbers(array: &Bound<'_, PyArray1<f32>>) -> PyResult<Vec<f32>> {
    Ok(array.try_readonly()?.as_array().to_vec())
}

/// Refuses lists that are not as long as there are boxes.
pub(crate) fn expect_one_each(boxes: usize, lists: &[(&str, usize)]) -> PyResult<()> {
    match lists.iter().find(|&&(_, length)| length != boxes) {
        None => Ok(()),
        Some((name, length)) => Err(PyValueError::new_err(format!(
            "{name}: expected as many as boxes, {boxes}, found {length}"
        ))),
    }
}
