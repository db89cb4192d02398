//! The Python package `ssdlite`: the facade library's detectors, classifiers and
//! evaluation, as a module of the stable ABI from CPython 3.10 on.
//!
//! It translates arguments, results and errors, and nothing else: whatever is computed,
//! the facade computes, so that it gives the numbers of the command line. The
//! interpreter is let go meanwhile. The package's Python files and its types
//! (`_ssdlite.pyi`) are in `python/`.
//!
//! `cargo check`, `clippy` and `doc` need some `python3` in the path, without its headers
//! or library; linking is maturin's work. So this crate is no default member of the
//! workspace, and has no Rust tests: `tests/` is run on the installed wheel.

mod arrays;
mod batch;
mod classifier;
mod detections;
mod detector;
mod error;
mod evaluation;
mod ground_truth;
mod image;
mod loaded;
mod options;

/// Objects in images, found on the CPU.
#[pyo3::pymodule]
mod _ssdlite {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::classifier::PyClassifier;
    #[pymodule_export]
    use crate::detections::Detections;
    #[pymodule_export]
    use crate::detector::PyDetector;
    #[pymodule_export]
    use crate::error::SsdliteError;
    #[pymodule_export]
    use crate::evaluation::evaluate;
    #[pymodule_export]
    use crate::ground_truth::GroundTruth;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        // Without it the first array would be a panic.
        module.py().import("numpy")?;
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
