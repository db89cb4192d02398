//! Video files: every frame, in order, with its time.
//!
//! The rotation that a file asks for is applied by `ffmpeg`. Only formats that
//! hold images themselves are read: a file that is a playlist could name
//! other files or addresses.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde::Deserialize;
use ssdlite_files::counted;
use ssdlite_image::ImageSize;

use crate::error::{Error, Result};
use crate::ffmpeg::{Decoder, Ffmpeg, Listen, Running, file_input, missing};
use crate::frame::Frame;
use crate::log::{Log, next_line, reason_in_words};
use crate::writer::Sound;

/// The frames of a video file, in order.
///
/// Damage is an error item after the last frame that could be read.
pub struct VideoFrames {
    decoder: Option<Decoder>,
    path: PathBuf,
    info: VideoInfo,
    start: Start,
    index: u64,
    time: Duration,
    lost: u64,
    /// How many errors were told before the second frame was asked for.
    early_errors: Option<u64>,
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

/// Where a file's times begin, on its own clock.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Start {
    /// When the earliest of its streams starts, in seconds, where known.
    file: Option<f64>,
    /// When its images start.
    images: Option<f64>,
}

impl Start {
    /// How long before zero the file starts. `ffmpeg` moves the times of a file
    /// so that its earliest stream starts at zero; where that is sound that
    /// starts before the zero of the file, as some codecs' does, this would
    /// delay the image, so the file's own zero is kept.
    fn early(self) -> Duration {
        let seconds = -self.file.unwrap_or_default();
        Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or_default()
    }
}

impl VideoFrames {
    /// Starts to read a video file.
    ///
    /// # Errors
    /// [`Error::MissingProgram`] without `ffmpeg`, [`Error::Io`] for a file
    /// that can't be opened, [`Error::Malformed`] for one that is no video or
    /// holds no images.
    pub fn open(path: &Path) -> Result<Self> {
        let ffmpeg = Ffmpeg::find()?;
        let (info, start) = probe(path)?;
        Ok(Self {
            decoder: Some(ffmpeg.decode(file_input(path), Listen::Errors)?),
            path: path.to_owned(),
            info,
            start,
            index: 0,
            time: Duration::ZERO,
            lost: 0,
            early_errors: None,
        })
    }

    /// What the file says about itself.
    pub fn info(&self) -> &VideoInfo {
        &self.info
    }

    /// How many frames at the start can't be decoded, since the recording
    /// starts between two key frames. Known when the first frame was taken.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// The frames before `first`, the time of the first that could be decoded.
    fn lost_before(&self, first: Duration) -> u64 {
        let start = self.start.file.unwrap_or_default();
        let first = start + first.as_secs_f64();
        let half_a_frame = self.info.frame_rate.map_or(0.0, |rate| 0.5 / rate);
        match self.start.images {
            Some(images) if first > images + half_a_frame => frames_before(&self.path, first),
            Some(_) => 0,
            // A format without times.
            None => frames_before_key_frame(&self.path),
        }
    }

    /// What is wrong with a video that has come to its end, if anything.
    fn damage(&self, mut decoder: Decoder) -> Option<Error> {
        let ending = decoder.ending();
        let (path, index) = (self.path.display(), self.index);
        // Frames that can't be decoded for want of others give errors.
        let expected = match self.lost {
            0 => 0,
            _ => self.early_errors.unwrap_or_default(),
        };
        if ending.success && ending.errors <= expected && index > 0 {
            return None;
        }
        let reason = match (ending.errors, ending.success) {
            (0, true) => "it holds no frame",
            (0, false) => "the program `ffmpeg` broke off without saying why",
            _ => reason_in_words(&ending.log).unwrap_or("parts of it can't be decoded"),
        };
        Some(Error::Malformed(if index == 0 {
            format!("{path}: expected a video, found none: {reason}")
        } else {
            let frames = counted(index, "frame");
            format!("{path}: the video is damaged, {frames} could be read: {reason}")
        }))
    }
}

impl Iterator for VideoFrames {
    type Item = Result<Frame>;

    fn next(&mut self) -> Option<Self::Item> {
        let decoder = self.decoder.as_mut()?;
        if self.index == 1 {
            self.early_errors = Some(decoder.log().errors);
        }
        match decoder.next_frame() {
            Ok(Some(piped)) => {
                if self.index == 0 {
                    self.lost = self.lost_before(piped.time);
                }
                self.time = piped.time.saturating_sub(self.start.early());
                let index = self.index;
                self.index += 1;
                Some(Ok(Frame {
                    image: piped.image,
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
                let (path, frames) = (self.path.display(), counted(self.index, "frame"));
                let told = format!("{path}: {frames} could be read, then: {error}");
                Some(Err(match error {
                    Error::OverLimit(_) => Error::OverLimit(told),
                    _ => Error::Malformed(told),
                }))
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
/// Those of [`VideoFrames::open`].
pub fn video_info(path: &Path) -> Result<VideoInfo> {
    Ok(probe(path)?.0)
}

fn probe(path: &Path) -> Result<(VideoInfo, Start)> {
    check_file(path)?;
    let entries = "stream=codec_type,codec_name,width,height,avg_frame_rate,nb_frames,duration,\
                   start_time:stream_disposition=attached_pic:format=duration,start_time";
    let output = ffprobe(path, &["-of", "json", "-show_entries", entries])?;
    let malformed = |reason: &str| {
        let path = path.display();
        Error::Malformed(format!("{path}: expected a video, found none: {reason}"))
    };
    if !output.status.success() {
        let mut log = Log::default();
        let mut stderr = &output.stderr[..];
        while let Some(line) = next_line(&mut stderr) {
            log.note(&line);
        }
        let reason = reason_in_words(&log.last_errors());
        return Err(malformed(
            reason.unwrap_or("its content is in no format of videos that is read"),
        ));
    }
    let probed: Probed =
        serde_json::from_slice(&output.stdout).map_err(|error| malformed(&error.to_string()))?;
    probed
        .info(path)
        .ok_or_else(|| malformed("it holds no images"))
}

/// The program that comes with `ffmpeg` and tells what is in a file.
const FFPROBE: &str = "ffprobe";

/// Asks [`FFPROBE`] about a file.
fn ffprobe(path: &Path, question: &[&str]) -> Result<Output> {
    ffprobe_command(path, question)
        .output()
        .map_err(|error| missing(FFPROBE, &error))
}

fn ffprobe_command(path: &Path, question: &[&str]) -> Command {
    let mut command = Command::new(FFPROBE);
    command
        .args(["-hide_banner", "-loglevel", "level+error"])
        .args(question)
        .args(file_input(path))
        .stdin(Stdio::null());
    command
}

/// How many frames of a file that are to be shown come before the one at
/// `first`, in seconds on the file's own clock.
fn frames_before(path: &Path, first: f64) -> u64 {
    /// Frames are stored in another order than they are shown in, but not as
    /// far apart as this, in seconds.
    const REORDERING: f64 = 1.0;
    let interval = format!("%{}", first + REORDERING);
    let question = [
        "-select_streams",
        "V:0",
        "-show_entries",
        "packet=pts_time,flags",
        "-of",
        "csv=p=0",
        "-read_intervals",
        &interval,
    ];
    // It only serves to tell how many there are.
    let Ok(output) = ffprobe(path, &question) else {
        return 0;
    };
    let lines = String::from_utf8_lossy(&output.stdout);
    let is_before = |line: &&str| {
        let (time, flags) = line.split_once(',').unwrap_or((line, ""));
        let time: f64 = time.parse().unwrap_or(first);
        // `ffprobe` tells times to the microsecond.
        time < first - 2e-6 && !flags.contains('D')
    };
    lines.lines().filter(is_before).count() as u64
}

/// How many frames of a file stand before its first key frame, of which no more
/// is read.
fn frames_before_key_frame(path: &Path) -> u64 {
    let question = [
        "-select_streams",
        "V:0",
        "-show_entries",
        "packet=flags",
        "-of",
        "csv=p=0",
    ];
    let mut command = ffprobe_command(path, &question);
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    // It only serves to tell how many there are.
    let Ok(mut probe) = command.spawn().map(Running) else {
        return 0;
    };
    let lines = probe
        .0
        .stdout
        .take()
        .map(|lines| BufReader::new(lines).lines());
    let is_key_frame = |line: std::io::Result<String>| line.is_ok_and(|f| f.starts_with('K'));
    lines
        .and_then(|mut lines| lines.position(is_key_frame))
        .unwrap_or(0) as u64
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
    start_time: Option<String>,
    #[serde(default)]
    disposition: ProbedDisposition,
}

#[derive(Deserialize, Default)]
struct ProbedDisposition {
    #[serde(default)]
    attached_pic: u8,
}

impl Probed {
    fn info(&self, path: &Path) -> Option<(VideoInfo, Start)> {
        let of_type = |kind: &'static str| {
            self.streams.iter().filter(move |stream| {
                stream.codec_type.as_deref() == Some(kind) && stream.disposition.attached_pic == 0
            })
        };
        let video = of_type("video").next()?;
        let start = Start {
            file: self
                .format
                .start_time
                .as_deref()
                .and_then(seconds_from_text),
            images: video.start_time.as_deref().and_then(seconds_from_text),
        };
        let seconds = video.duration.as_ref().or(self.format.duration.as_ref());
        let duration = seconds
            .and_then(|text| seconds_from_text(text))
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let frame_rate = video.avg_frame_rate.as_deref().and_then(rate_from_fraction);
        let estimated = || Some((duration?.as_secs_f64() * frame_rate?).round() as u64);
        let info = VideoInfo {
            stored: ImageSize::new(video.width?, video.height?),
            frame_rate,
            duration,
            frames: (video.nb_frames.as_ref())
                .and_then(|text| text.parse().ok())
                .or_else(estimated),
            sound: of_type("audio").next().map(|stream| Sound {
                path: path.to_owned(),
                codec: stream.codec_name.clone().unwrap_or_default(),
                early: start.early(),
            }),
        };
        Some((info, start))
    }
}

fn seconds_from_text(text: &str) -> Option<f64> {
    text.parse()
        .ok()
        .filter(|seconds: &f64| seconds.is_finite())
}

/// `30000/1001` as a number; `0/0` is unknown.
fn rate_from_fraction(text: &str) -> Option<f64> {
    let (numerator, denominator) = text.split_once('/')?;
    let rate = numerator.parse::<f64>().ok()? / denominator.parse::<f64>().ok()?;
    (rate.is_finite() && rate > 0.0).then_some(rate)
}
