//! Classifiers.

use std::path::PathBuf;

use numpy::{PyArray1, PyArray2, PyArrayMethods};
use pyo3::prelude::*;
use ssdlite::Classifier;

use crate::batch::for_each_batch;
use crate::error::detached;
use crate::image::ImageArg;
use crate::loaded::Loaded;
use crate::options::{count, run_options};

/// A classifier, ready to run.
///
/// Threads may share one, and others of the interpreter go on while it classifies. A
/// process that is forked loads its own.
#[pyclass(name = "Classifier", module = "ssdlite", frozen)]
pub(crate) struct PyClassifier {
    classifier: Loaded<Classifier>,
}

#[pymethods]
impl PyClassifier {
    /// Reads a classifier's model file.
    ///
    /// threads: 1 to 256 that share the work of an image; as many as the machine has
    /// cores unless given.
    #[staticmethod]
    #[pyo3(signature = (path, *, threads=None))]
    fn load(py: Python<'_>, path: PathBuf, threads: Option<i64>) -> PyResult<Self> {
        let options = run_options(threads)?;
        detached(py, || {
            let classifier = Classifier::load_with(path, &options)?;
            let threads = classifier.threads();
            Ok(Self {
                classifier: Loaded::new(classifier, threads),
            })
        })
    }

    /// The names of the classes, in the order of their ids.
    #[getter]
    fn class_names(&self) -> Vec<&str> {
        self.classifier.model().classes().iter().collect()
    }

    /// Threads that share the work of an image.
    #[getter]
    fn threads(&self) -> usize {
        self.classifier.model().threads()
    }

    /// The score of each class for an image; they add up to 1.
    ///
    /// image: as Detector.detect takes it.
    fn classify<'py>(
        &self,
        py: Python<'py>,
        image: ImageArg<'py>,
    ) -> PyResult<Bound<'py, PyArray1<f32>>> {
        let classifier = self.classifier.to_run()?;
        let source = image.source()?;
        let scores = detached(py, || {
            let scores = classifier.classify(&source.pixels(classifier.enough())?);
            scores.map_err(|error| source.fault(error))
        })?;
        Ok(PyArray1::from_vec(py, scores))
    }

    /// The scores of each of several images, an array [images, classes].
    ///
    /// Threads take images instead of sharing each one. The first image that can't be
    /// read ends it with an error that has the image's number, counted from 0.
    fn classify_batch<'py>(
        &self,
        py: Python<'py>,
        images: Vec<ImageArg<'py>>,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let classifier = self.classifier.to_run()?;
        let (threads, least) = (classifier.threads(), classifier.enough());
        let scores = for_each_batch(py, &images, threads, least, |pixels| {
            classifier.classify_batch(pixels)
        })?;
        let shape = [scores.len(), classifier.classes().len()];
        PyArray1::from_vec(py, scores.concat()).reshape(shape)
    }

    /// The classes with the highest scores and these, best first.
    #[pyo3(signature = (image, most=5))]
    fn top<'py>(
        &self,
        py: Python<'py>,
        image: ImageArg<'py>,
        most: i64,
    ) -> PyResult<Vec<(&str, f32)>> {
        let most = count("most", most)?;
        let classifier = self.classifier.to_run()?;
        let source = image.source()?;
        let top = detached(py, || {
            let top = classifier.top(&source.pixels(classifier.enough())?, most);
            top.map_err(|error| source.fault(error))
        })?;
        let classes = classifier.classes();
        let top = top.into_iter();
        Ok(top
            .map(|top| (classes.get(top.class).unwrap_or("?"), top.score))
            .collect())
    }

    fn __repr__(&self) -> String {
        let count = self.classifier.model().classes().len();
        format!("<ssdlite.Classifier of {count} classes>")
    }
}
