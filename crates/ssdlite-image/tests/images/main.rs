//! Image files, sound and hostile, through the public functions.

mod decoding;
mod encoding;
mod fixtures;
mod harmless;
mod hostile;
mod jpeg_layouts;
mod jpeg_scales;
mod jpeg_writer;
