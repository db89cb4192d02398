//! Images as Python programs have them.

use std::path::{Path, PathBuf};

use numpy::{
    PyArray3, PyArrayDescrMethods, PyArrayMethods, PyReadonlyArray3, PyUntypedArray,
    PyUntypedArrayMethods, dtype,
};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use ssdlite::image::decode::decode_at_least;
use ssdlite::{AsRgb, Decoded, ImageSize, Limits, RgbView, decode_file_at_least};

use crate::error::Fault;

/// An argument that is an image.
pub(crate) enum ImageArg<'py> {
    /// The path of an image file.
    Path(PathBuf),
    /// The bytes of one.
    Bytes(PyBackedBytes),
    /// Pixels, `[height, width, 3]`, packed; of another layout a copy was made.
    Array(PyReadonlyArray3<'py, u8>),
}

impl<'py> FromPyObject<'_, 'py> for ImageArg<'py> {
    type Error = PyErr;

    fn extract(image: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(array) = image.cast::<PyUntypedArray>() {
            return packed(&array).map(Self::Array);
        }
        if let Ok(bytes) = image.cast::<PyBytes>() {
            return Ok(Self::Bytes(bytes.to_owned().into()));
        }
        let path = image.extract::<PathBuf>();
        path.map(Self::Path).map_err(|error| {
            if !error.is_instance_of::<PyTypeError>(image.py()) {
                return error;
            }
            PyTypeError::new_err(format!(
                "expected an image as a path, the bytes of a file or an array of shape \
                 [height, width, 3], found {}",
                image.get_type()
            ))
        })
    }
}

/// An array of pixels whose bytes lie row by row without gaps: the array itself, or a
/// copy of it.
fn packed<'py>(array: &Bound<'py, PyUntypedArray>) -> PyResult<PyReadonlyArray3<'py, u8>> {
    let py = array.py();
    if !array.dtype().is_equiv_to(&dtype::<u8>(py)) {
        return Err(PyTypeError::new_err(format!(
            "expected an image of uint8, 0 to 255, found {}",
            array.dtype()
        )));
    }
    let &[height, width, 3] = array.shape() else {
        return Err(PyValueError::new_err(format!(
            "expected an image of shape [height, width, 3], red, green and blue, found {:?}",
            array.shape()
        )));
    };
    // Before anything is copied.
    size_of(height, width)?;
    let array = if array.is_c_contiguous() {
        array.as_any().clone()
    } else {
        let numpy = py.import("numpy")?;
        numpy.call_method1("ascontiguousarray", (array,))?
    };
    Ok(array.cast_into::<PyArray3<u8>>()?.try_readonly()?)
}

fn size_of(height: usize, width: usize) -> PyResult<ImageSize> {
    match (u32::try_from(width), u32::try_from(height)) {
        (Ok(width), Ok(height)) => Ok(ImageSize::new(width, height)),
        _ => Err(PyValueError::new_err(format!(
            "expected sides of at most {} pixels, found {width}x{height}",
            u32::MAX
        ))),
    }
}

impl ImageArg<'_> {
    /// What is looked at without the interpreter.
    pub(crate) fn source(&self) -> PyResult<Source<'_>> {
        let array = match self {
            Self::Path(path) => return Ok(Source::Path(path)),
            Self::Bytes(bytes) => return Ok(Source::Bytes(bytes)),
            Self::Array(array) => array,
        };
        let size = size_of(array.shape()[0], array.shape()[1])?;
        let view = RgbView::new(size, array.as_slice()?);
        let view = view.map_err(|error| PyValueError::new_err(error.to_string()))?;
        Ok(Source::Pixels(view))
    }
}

/// Where the pixels of an image come from.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a> {
    Path(&'a Path),
    Bytes(&'a [u8]),
    Pixels(RgbView<'a>),
}

impl<'a> Source<'a> {
    /// The pixels, decoded as the command line decodes a file for a network for which
    /// `least` is enough.
    pub(crate) fn pixels(self, least: ImageSize) -> Result<Pixels<'a>, Fault> {
        let limits = Limits::default();
        Ok(match self {
            Self::Path(path) => Pixels::Decoded(decode_file_at_least(path, &limits, least)?),
            Self::Bytes(bytes) => Pixels::Decoded(decode_at_least(bytes, &limits, least)?),
            Self::Pixels(view) => Pixels::Lent(view),
        })
    }

    /// An error about the image, led by its file's name if it has one.
    pub(crate) fn fault(self, error: ssdlite::Error) -> Fault {
        match self {
            Self::Path(path) => error.in_file(path).into(),
            Self::Bytes(_) | Self::Pixels(_) => error.into(),
        }
    }
}

/// An image in memory.
pub(crate) enum Pixels<'a> {
    Decoded(Decoded),
    /// The program's own.
    Lent(RgbView<'a>),
}

impl AsRgb for Pixels<'_> {
    fn as_rgb(&self) -> RgbView<'_> {
        match self {
            Self::Decoded(image) => image.as_rgb(),
            Self::Lent(view) => *view,
        }
    }
}
