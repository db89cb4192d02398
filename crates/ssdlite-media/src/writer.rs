//! Videos to files: frames of any times, and the sound of another file.
//!
//! The frames go to `ffmpeg` through a pipe, as uncompressed Matroska, because
//! plain pixels would carry no times. The file is written under a temporary
//! name and renamed when it is whole.
//!
//! Sources: RFC 8794 (EBML), RFC 9559 (Matroska), 5.1.4 and 5.1.3.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use ssdlite_files::NewFile;
use ssdlite_image::{ImageSize, RgbImage};

use crate::error::{Error, Result};
use crate::ffmpeg::{Ffmpeg, Running, file_input, missing};

/// Video encoders from best to always there, with their options.
const ENCODERS: [(&str, &[&str]); 3] = [
    ("libx264", &["-preset", "veryfast", "-crf", "20"]),
    ("libopenh264", &["-b:v", "6M"]),
    ("mpeg4", &["-q:v", "3"]),
];

/// Codecs of sound that an MP4 file may hold as they are.
const MP4_SOUND: [&str; 6] = ["aac", "mp3", "ac3", "eac3", "alac", "opus"];

/// Ticks a second of the written file: a multiple of the usual rates.
const CLOCK: u64 = 90_000;

/// The end of `ffmpeg`'s log that an error message may quote, in bytes.
const KEPT_LOG: usize = 400;

/// Writes a video file, frame by frame.
pub struct VideoWriter {
    path: PathBuf,
    sound: Option<Sound>,
    running: Option<Encoder>,
}

/// The sound that goes with a video; see [`VideoInfo`](crate::VideoInfo).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sound {
    /// The file that it is taken from.
    pub path: PathBuf,
    /// `ffmpeg`'s name of its codec.
    pub codec: String,
    /// How long before the file's zero it starts.
    pub early: Duration,
}

struct Encoder {
    // Before the process, so that it sees its input's end first.
    pixels: Option<ChildStdin>,
    process: Running,
    log: Option<JoinHandle<String>>,
    // After the process, so that it is removed when nothing writes to it.
    file: NewFile,
    size: ImageSize,
    /// When the last frame is shown.
    last: Option<Duration>,
}

impl VideoWriter {
    /// The least time between two frames: a tick of the written file, rounded
    /// up to one of the stream that goes to `ffmpeg`.
    pub const LEAST_STEP: Duration = Duration::from_micros(1_000_000_u64.div_ceil(CLOCK));

    /// A writer to `path`, whose ending should be `.mp4`. Nothing is written
    /// before the first frame; a file that is there is replaced at the end.
    pub fn new(path: &Path, sound: Option<Sound>) -> Self {
        Self {
            path: path.to_owned(),
            sound,
            running: None,
        }
    }

    /// Adds a frame that is shown at `time`, at least [`Self::LEAST_STEP`] after
    /// the one before.
    ///
    /// Sides of odd length grow by a pixel, which the codec needs.
    ///
    /// # Errors
    /// [`Error::MissingProgram`] without `ffmpeg`; [`Error::InvalidRequest`] for
    /// a frame that comes too early; [`Error::Unsupported`] for one of another
    /// size than the first; [`Error::Io`] if the file can't be written.
    pub fn write(&mut self, image: &RgbImage, time: Duration) -> Result<()> {
        if self.running.is_none() {
            self.running = Some(self.start(image.size(), time)?);
        }
        let Some(encoder) = &mut self.running else {
            unreachable!("it was started above");
        };
        if encoder.size != image.size() {
            return Err(Error::Unsupported(format!(
                "{}: expected frames of {}, as the first, found {}",
                self.path.display(),
                encoder.size,
                image.size()
            )));
        }
        if let Some(last) = encoder.last
            && time < last + Self::LEAST_STEP
        {
            return Err(Error::InvalidRequest(format!(
                "{}: expected a frame later than that at {} s, found one at {} s",
                self.path.display(),
                last.as_secs_f64(),
                time.as_secs_f64()
            )));
        }
        encoder.last = Some(time);
        let head = cluster_head(time, image.pixels().len());
        let written = encoder.pixels.as_mut().map(|pipe| {
            pipe.write_all(&head)?;
            pipe.write_all(image.pixels())
        });
        match written {
            Some(Ok(())) => Ok(()),
            _ => Err(self.failure()),
        }
    }

    /// Completes the file.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] if there was no frame, [`Error::Io`] if the
    /// file can't be written.
    pub fn finish(mut self) -> Result<()> {
        let Some(mut encoder) = self.running.take() else {
            return Err(Error::InvalidRequest(format!(
                "{}: expected at least one frame",
                self.path.display()
            )));
        };
        encoder.pixels = None;
        let status = encoder.process.0.wait();
        if !status.is_ok_and(|status| status.success()) {
            self.running = Some(encoder);
            return Err(self.failure());
        }
        let written = encoder.file.commit();
        written.map_err(|source| Error::io(&self.path, source))
    }

    fn start(&self, size: ImageSize, first: Duration) -> Result<Encoder> {
        let ffmpeg = Ffmpeg::find()?;
        let encoder = best_encoder(&ffmpeg);
        // The ending tells `ffmpeg` the format.
        let file = NewFile::with_ending_of(&self.path);
        let file = file.map_err(|source| Error::io(&self.path, source))?;
        let mut command = ffmpeg.command();
        command
            .args(["-hide_banner", "-loglevel", "error", "-nostats", "-y"])
            // The first time would be taken for zero otherwise.
            .args(["-itsoffset", &format!("{:.6}", first.as_secs_f64())])
            .args(["-f", "matroska", "-i", "pipe:0"]);
        if let Some(sound) = &self.sound {
            command.args(["-itsoffset", &format!("-{:.6}", sound.early.as_secs_f64())]);
            command.args(file_input(&sound.path));
        }
        command.args(["-map", "0:v:0"]);
        if let Some(sound) = &self.sound {
            let codec = if MP4_SOUND.contains(&sound.codec.as_str()) {
                "copy"
            } else {
                "aac"
            };
            command.args(["-map", "1:a:0", "-c:a", codec]);
        }
        command
            .args(["-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2,format=yuv420p"])
            .args(["-c:v", encoder.0])
            .args(encoder.1)
            .args(ffmpeg.every_frame())
            .args(["-enc_time_base", &format!("1:{CLOCK}")])
            .args(["-video_track_timescale", &CLOCK.to_string()])
            .args(["-movflags", "+faststart"])
            .arg(file_output(file.path()))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| missing("ffmpeg", &error))?;
        let (Some(mut pixels), Some(log)) = (child.stdin.take(), child.stderr.take()) else {
            unreachable!("both were asked for as pipes");
        };
        // A pipe that is closed at once shows with the first frame.
        let _ = pixels.write_all(&file_head(size));
        Ok(Encoder {
            pixels: Some(pixels),
            process: Running(child),
            log: Some(std::thread::spawn(move || end_of_log(log))),
            file,
            size,
            last: None,
        })
    }

    /// The error of a process that gave up.
    fn failure(&mut self) -> Error {
        let log = self.running.take().and_then(|mut encoder| {
            encoder.pixels = None;
            // Its status says less than its log.
            let _ = encoder.process.0.wait();
            encoder.log.take()?.join().ok()
        });
        let log = log.unwrap_or_default();
        let source = std::io::Error::other(format!("ffmpeg can't write the video: {}", log.trim()));
        Error::io(&self.path, source)
    }
}

fn file_output(path: &Path) -> OsString {
    let mut name = OsString::from("file:");
    name.push(path);
    name
}

fn best_encoder(ffmpeg: &Ffmpeg) -> (&'static str, &'static [&'static str]) {
    let listed = ffmpeg
        .command()
        .args(["-hide_banner", "-encoders"])
        .output();
    let listed = listed.map_or_else(|_| Vec::new(), |output| output.stdout);
    let listed = String::from_utf8_lossy(&listed);
    let is_there = |name: &str| listed.split_whitespace().any(|word| word == name);
    let [.., last] = ENCODERS;
    ENCODERS
        .into_iter()
        .find(|(name, _)| is_there(name))
        .unwrap_or(last)
}

/// Reads a log to its end and keeps the last part.
fn end_of_log(mut log: impl Read) -> String {
    let mut kept = Vec::new();
    let mut chunk = [0; KEPT_LOG];
    while let Ok(bytes @ 1..) = log.read(&mut chunk) {
        kept.extend_from_slice(&chunk[..bytes]);
        kept.drain(..kept.len().saturating_sub(KEPT_LOG));
    }
    String::from_utf8_lossy(&kept).into_owned()
}

/// Nanoseconds a tick of the Matroska stream.
const TICK_NANOSECONDS: u64 = 1000;
/// The length of an element that ends with the file.
const UNKNOWN_LENGTH: [u8; 8] = [0x01, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF];
/// The four characters of packed RGB of 24 bits a pixel.
const RGB24: &[u8] = b"RGB\x18";

/// An EBML element: its id, the length of its content, its content.
fn element(id: &[u8], content: &[u8]) -> Vec<u8> {
    [id, &length(content.len()), content].concat()
}

/// A length in eight bytes, the first of which says that there are eight.
fn length(bytes: usize) -> [u8; 8] {
    (bytes as u64 | 1 << 56).to_be_bytes()
}

fn number(id: &[u8], value: u64) -> Vec<u8> {
    element(id, &value.to_be_bytes())
}

/// Everything before the first frame.
fn file_head(size: ImageSize) -> Vec<u8> {
    let ebml = element(
        &[0x1A, 0x45, 0xDF, 0xA3],
        &element(&[0x42, 0x82], b"matroska"),
    );
    let segment = [&[0x18, 0x53, 0x80, 0x67][..], &UNKNOWN_LENGTH].concat();
    let info = element(
        &[0x15, 0x49, 0xA9, 0x66],
        &number(&[0x2A, 0xD7, 0xB1], TICK_NANOSECONDS),
    );
    let video = [
        number(&[0xB0], u64::from(size.width)),
        number(&[0xBA], u64::from(size.height)),
        element(&[0x2E, 0xB5, 0x24], RGB24),
    ]
    .concat();
    let track = [
        number(&[0xD7], 1),
        number(&[0x73, 0xC5], 1),
        number(&[0x83], 1),
        element(&[0x86], b"V_UNCOMPRESSED"),
        element(&[0xE0], &video),
    ]
    .concat();
    let tracks = element(&[0x16, 0x54, 0xAE, 0x6B], &element(&[0xAE], &track));
    [ebml, segment, info, tracks].concat()
}

/// Everything before a frame's pixels: a cluster of its own with its time.
fn cluster_head(time: Duration, pixels: usize) -> Vec<u8> {
    let ticks = time.as_nanos() / u128::from(TICK_NANOSECONDS);
    let ticks = number(&[0xE7], u64::try_from(ticks).unwrap_or(u64::MAX));
    // Track 1, no ticks after the cluster's time, a key frame.
    let block = [0x81, 0, 0, 0x80];
    let block_head = [&[0xA3][..], &length(block.len() + pixels), &block].concat();
    let content = ticks.len() + block_head.len() + pixels;
    [
        &[0x1F, 0x43, 0xB6, 0x75][..],
        &length(content),
        &ticks,
        &block_head,
    ]
    .concat()
}
