//! Videos and streams, made with `ffmpeg` while the tests run.
//!
//! Without the program the tests say so and pass, except in CI, where it has
//! to be there.

#![expect(clippy::print_stderr, reason = "a test that is skipped says so")]

mod ffmpeg;
mod files;
mod fixtures;
mod streams;
mod writing;
