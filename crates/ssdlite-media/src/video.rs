//! Video files: every frame, in order, with its time.
//!
//! The rotation that a file asks for is applied by `ffmpeg`. Only formats that
//! hold images themselves are read: a file that is a playlist could name
//! other files or addresses.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use ssdlite_image::ImageSize;

use crate::error::{Error, Result};
use crate::ffmpeg::{Decoder, Ffmpeg, early_from_start, file_input, missing};
use crate::frame::Frame;
use crate::writer::Sound;

/// The frames of a video file, in order.
///
/// Damage is an error item after the last frame that could be read.
pub struct VideoFrames {
    decoder: Option<Decoder>,
    path: PathBuf,
    index: u64,
    time: Duration,
}

/// What a video file says about itself.
#[derive(Clone, Debug, PartialEq)]
pub struct VideoInfo {
    /// The size of the frames as stored, before a rotation.
    pub stored: ImageSize,
    /// Frames a second on average, where known.
    pub frame_rate: Option<f64>,
    /// How long it lasts, where known.
    pub duration: Option<Duration>,
    /// The number of frames by the file's own words or by rate and duration,
    /// where known: for a progress bar, not for counting.
    pub frames: Option<u64>,
    /// Its sound, if it has any, to go with a written video.
    pub sound: Option<Sound>,
}

impl VideoFrames {
    /// Starts to read a video file.
    ///
    /// # Errors
    /// [`Error::MissingProgram`] without `ffmpeg`, [`Error::Io`] for a file
    /// that can't be opened, [`Error::Malformed`] for an empty one.
    pub fn open(path: &Path) -> Result<Self> {
        let ffmpeg = Ffmpeg::find()?;
        check_file(path)?;
        Ok(Self {
            decoder: Some(ffmpeg.decode(file_input(path))?),
            path: path.to_owned(),
            index: 0,
            time: Duration::ZERO,
        })
    }

    /// What is wrong with a video that has come to its end, if anything.
    fn damage(&self, mut decoder: Decoder) -> Option<Error> {
        let ending = decoder.ending();
        let (path, index) = (self.path.display(), self.index);
        if ending.success && ending.log.is_empty() && index > 0 {
            return None;
        }
        let reason = match ending.log.as_str() {
            "" => "it holds no frame",
            log if log.contains("matches no streams") => "it holds no images",
            log => log,
        };
        Some(Error::Malformed(if index == 0 {
            format!("{path}: expected a video, found none: {reason}")
        } else {
            format!("{path}: the video is damaged, {index} frames could be read: {reason}")
        }))
    }
}

impl Iterator for VideoFrames {
    type Item = Result<Frame>;

    fn next(&mut self) -> Option<Self::Item> {
        let decoder = self.decoder.as_mut()?;
        match decoder.next_frame() {
            Ok(Some(decoded)) => {
                // A frame without a time is shown no earlier than the last.
                self.time = decoded.time.unwrap_or(self.time);
                let index = self.index;
                self.index += 1;
                Some(Ok(Frame {
                    image: decoded.image,
                    index,
                    time: self.time,
                }))
            }
            Ok(None) => {
                let decoder = self.decoder.take()?;
                self.damage(decoder).map(Err)
            }
            Err(error) => {
                self.decoder = None;
                Some(Err(error))
            }
        }
    }
}

fn check_file(path: &Path) -> Result<()> {
    let metadata = std::fs::metadata(path).map_err(|source| Error::io(path, source))?;
    if !metadata.is_file() {
        return Err(Error::Unsupported(format!(
            "{}: expected a file, found something else",
            path.display()
        )));
    }
    // Whether it may be read.
    std::fs::File::open(path).map_err(|source| Error::io(path, source))?;
    if metadata.len() == 0 {
        return Err(Error::Malformed(format!(
            "{}: expected a video, found an empty file",
            path.display()
        )));
    }
    Ok(())
}

/// Reads what a video file says about itself, without decoding it.
///
/// # Errors
/// Those of [`VideoFrames::open`], and [`Error::Malformed`] for a file that is
/// no video or holds no images.
pub fn video_info(path: &Path) -> Result<VideoInfo> {
    const PROGRAM: &str = "ffprobe";
    check_file(path)?;
    let output = std::process::Command::new(PROGRAM)
        .args(["-hide_banner", "-loglevel", "error", "-of", "json"])
        .args(["-show_streams", "-show_format"])
        .args(file_input(path))
        .stdin(Stdio::null())
        .output()
        .map_err(|error| missing(PROGRAM, &error))?;
    let malformed =
        |reason: &str| Error::Malformed(format!("{}: expected a video: {reason}", path.display()));
    if !output.status.success() {
        let log = String::from_utf8_lossy(&output.stderr);
        return Err(malformed(log.trim()));
    }
    let probed: Probed =
        serde_json::from_slice(&output.stdout).map_err(|error| malformed(&error.to_string()))?;
    probed
        .info(path)
        .ok_or_else(|| malformed("it holds no images"))
}

/// The part of `ffprobe`'s JSON that is used.
#[derive(Deserialize)]
struct Probed {
    #[serde(default)]
    streams: Vec<ProbedStream>,
    #[serde(default)]
    format: ProbedFormat,
}

#[derive(Deserialize, Default)]
struct ProbedFormat {
    duration: Option<String>,
    start_time: Option<String>,
}

#[derive(Deserialize)]
struct ProbedStream {
    codec_type: Option<String>,
    codec_name: Option<String>,
    width: Option<u32>,
    height: Option<u32>,
    avg_frame_rate: Option<String>,
    nb_frames: Option<String>,
    duration: Option<String>,
    #[serde(default)]
    disposition: ProbedDisposition,
}

#[derive(Deserialize, Default)]
struct ProbedDisposition {
    #[serde(default)]
    attached_pic: u8,
}

impl Probed {
    fn info(&self, path: &Path) -> Option<VideoInfo> {
        let of_type = |kind: &'static str| {
            self.streams.iter().filter(move |stream| {
                stream.codec_type.as_deref() == Some(kind) && stream.disposition.attached_pic == 0
            })
        };
        let video = of_type("video").next()?;
        let seconds = video.duration.as_ref().or(self.format.duration.as_ref());
        let duration = seconds
            .and_then(|text| text.parse().ok())
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let frame_rate = video.avg_frame_rate.as_deref().and_then(rate_from_fraction);
        let estimated = || Some((duration?.as_secs_f64() * frame_rate?).round() as u64);
        Some(VideoInfo {
            stored: ImageSize::new(video.width?, video.height?),
            frame_rate,
            duration,
            frames: (video.nb_frames.as_ref())
                .and_then(|text| text.parse().ok())
                .or_else(estimated),
            sound: of_type("audio").next().map(|stream| Sound {
                path: path.to_owned(),
                codec: stream.codec_name.clone().unwrap_or_default(),
                early: (self.format.start_time.as_deref())
                    .and_then(early_from_start)
                    .unwrap_or_default(),
            }),
        })
    }
}

/// `30000/1001` as a number; `0/0` is unknown.
fn rate_from_fraction(text: &str) -> Option<f64> {
    let (numerator, denominator) = text.split_once('/')?;
    let rate = numerator.parse::<f64>().ok()? / denominator.parse::<f64>().ok()?;
    (rate.is_finite() && rate > 0.0).then_some(rate)
}
