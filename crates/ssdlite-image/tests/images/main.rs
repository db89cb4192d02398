//! Image files, sound and hostile, through the public functions.

mod decoding;
mod fixtures;
mod hostile;
