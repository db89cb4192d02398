//! Where frames come from and where they go: images, folders, patterns, video
//! files, cameras and streams; annotated videos; objects followed over frames.
//!
//! [`Source::parse`] reads the one form of argument for all of them. Images are
//! read by `ssdlite-image` alone; [`VideoFrames`] hands out a video's frames,
//! and [`LiveSource`] the latest of a camera or a stream. Those go through the
//! program `ffmpeg` as a child process: no C library is linked, and where the
//! program is missing, images keep working. Frames and times come through a pipe
//! that nothing a video holds can write into ([`nut`]); what the program says in
//! words is for people alone.
//!
//! No detector, no drawing, no network of our own.

mod address;
pub mod camera;
pub mod error;
mod ffmpeg;
pub mod frame;
pub mod live;
mod log;
pub mod nut;
mod pattern;
pub mod source;
pub mod track;
pub mod video;
pub mod writer;

pub use camera::{Camera, ListedCamera, cameras};
pub use error::{Error, Result};
pub use frame::Frame;
pub use live::{
    AtEnd, AtStart, LiveEnd, LiveInput, LiveOptions, LiveSource, LiveState, LiveStatus,
};
pub use source::{FoundFiles, MediaFile, MediaKind, Source};
pub use track::{LEAST_TRACKED_SCORE, TrackId, Tracker, TrackerOptions};
pub use video::{VideoFrames, VideoInfo, video_info};
pub use writer::{Sound, VideoWriter};
