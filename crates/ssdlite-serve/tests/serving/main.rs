//! The server over loopback, with a detector that finds coloured rectangles.

#![expect(clippy::print_stderr, reason = "a test that is skipped says so")]

mod access;
mod accessibility;
mod answers;
mod browser;
mod choices;
mod client;
mod delay;
mod detecting;
mod devtools;
mod ending;
#[path = "../../../ssdlite-media/tests/videos/ffmpeg.rs"]
mod ffmpeg;
mod files;
mod fixtures;
mod hostile;
mod keeping;
mod kept;
mod label_studio;
mod labelling;
mod load;
mod page;
mod pages;
mod replacing;
mod sockets;
mod vision;
mod watching;
mod webhook;
