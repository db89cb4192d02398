//! Models as files of others: ONNX for other engines, PyTorch's for Python.
//!
//! [`onnx_from_model`] folds the graph of `ssdlite-core` into an ONNX graph of plain
//! operators, with the batch norms folded into their convolutions and the boxes decoded,
//! in the [`Layout`] that a consumer takes. [`pth_from_model`] writes the tensors as
//! `torch.save` does. Nothing is run here, and no file is written: both give bytes.
//! [`labelmap`] has the names of the classes as a layout's consumer counts them.
//!
//! # Why ONNX is written by 300 lines of our own
//!
//! An ONNX file is a protobuf message, of whose kinds an export needs a dozen, with fields
//! of three sorts (`onnx/proto.rs`, `onnx/graph.rs`). `onnx-rs` 0.1.3 has no
//! dependencies and can write them, but borrows every name, so that a graph whose names
//! are made as it grows would have to be kept twice; and it leaves out numbers that are
//! zero, also where the schema tells 0 from nothing. Most of it reads: it reads our files
//! in the tests, where another's hand is what is wanted. `prost` brings a macro, and the
//! messages would still have to be generated or written down. With neither the order of
//! bytes is ours too: one model gives one file.

mod labelmap;
mod onnx;
mod pth;

pub use labelmap::labelmap;

pub use onnx::{
    Batch, Dimension, InputNumbers, Layout, MOST_IMAGES, Onnx, OnnxOptions, Port, onnx_from_model,
};
pub use pth::pth_from_model;
pub use ssdlite_model::{Error, Result};
