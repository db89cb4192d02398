//! Cameras and streams: the latest frame, whatever the reader's pace.
//!
//! One thread reads frames as they come and keeps the newest alone, so a slow
//! consumer never falls behind; the frames that it did not see are counted.
//! Another watches: a source that gives no frame for a while, or ends, is
//! opened again after a pause that grows from try to try. Each opening is a
//! new process, so a source may come back with another size or rate.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ssdlite_image::ImageSize;

use crate::camera::Camera;
use crate::error::{Error, Result};
use crate::ffmpeg::{Decoder, Ffmpeg, Listen, file_input, locked};
use crate::frame::Frame;
use crate::source::{MediaKind, Source};

/// What a stream may open further: the parts that its playlist or its session
/// names, never a file of this machine.
const STREAM_PROTOCOLS: &str = "http,https,tcp,tls,crypto,udp,rtp,srtp,rtsp,rtsps";

/// How long `ffmpeg` looks at a stream before its first frame, in microseconds.
const ANALYSIS_MICROSECONDS: &str = "1000000";

/// A source that goes on by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LiveInput {
    /// A camera of this machine.
    Camera(Camera),
    /// The address of a stream.
    Stream(String),
    /// A video file, played at its own pace, again and again.
    Video(PathBuf),
}

/// How patient a [`LiveSource`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveOptions {
    /// How long a source may give no frame before it counts as stalled.
    pub stall: Duration,
    /// The pause before the first new try.
    pub first_pause: Duration,
    /// The pause doubles from try to try, up to this.
    pub longest_pause: Duration,
}

impl Default for LiveOptions {
    /// Stalled after 5 s; pauses of 0.5 s to 30 s.
    fn default() -> Self {
        Self {
            stall: Duration::from_secs(5),
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(30),
        }
    }
}

/// What a [`LiveSource`] is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LiveState {
    /// It is being opened and has given no frame yet.
    Opening,
    /// Frames of this size come.
    Playing(ImageSize),
    /// It stalled, ended or could not be opened, and will be tried again.
    Lost {
        /// What happened.
        reason: String,
        /// The pause before the next try.
        retry_in: Duration,
    },
}

/// A [`LiveSource`]'s state and counts since it was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveStatus {
    /// What it is doing.
    pub state: LiveState,
    /// Frames that came.
    pub frames: u64,
    /// Frames that were replaced by newer ones before anybody took them.
    pub skipped: u64,
    /// How often it was lost.
    pub losses: u64,
}

/// The latest frame of a camera or a stream.
///
/// It never ends, also not while the source is lost. Dropping it ends the child
/// process.
pub struct LiveSource {
    shared: Arc<Shared>,
    supervisor: Option<JoinHandle<()>>,
}

impl LiveInput {
    /// The live form of a source.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] for images and for more than one file.
    pub fn from_source(source: Source) -> Result<Self> {
        match source {
            Source::Camera(camera) => Ok(Self::Camera(camera)),
            Source::Stream(address) => Ok(Self::Stream(address)),
            Source::Files(mut files) => match (files.len(), files.pop()) {
                (1, Some(file)) if file.kind == MediaKind::Video => Ok(Self::Video(file.path)),
                _ => Err(Error::InvalidRequest(
                    "expected a camera, a stream or one video, found images or several files"
                        .into(),
                )),
            },
        }
    }

    /// What people call the source; a password in an address is left out.
    pub fn name(&self) -> String {
        match self {
            Self::Camera(camera) => format!("camera {}", camera.argument()),
            Self::Stream(address) => without_password(address),
            Self::Video(path) => path.to_string_lossy().into_owned(),
        }
    }

    /// What a program says that was given the source's address, as it may be
    /// shown: without the passwords of any address in it.
    fn without_secrets(&self, log: &str) -> String {
        let log = match self {
            // It may hold spaces.
            Self::Stream(address) => log.replace(address, &self.name()),
            Self::Camera(_) | Self::Video(_) => log.to_owned(),
        };
        let words = log.split_inclusive(char::is_whitespace);
        words.map(without_password).collect()
    }

    fn arguments(&self, ffmpeg: &Ffmpeg, options: &LiveOptions) -> Result<Vec<OsString>> {
        let low_delay = ["-fflags", "nobuffer", "-flags", "low_delay"];
        let mut arguments: Vec<OsString> = Vec::new();
        match self {
            Self::Camera(camera) => {
                arguments.extend(low_delay.map(Into::into));
                let device = camera.input_arguments(ffmpeg)?;
                arguments.extend(device.into_iter().map(Into::into));
            }
            Self::Stream(address) => {
                arguments.extend(low_delay.map(Into::into));
                let silence = options.stall.as_micros().to_string();
                let is_rtsp = address.to_ascii_lowercase().starts_with("rtsp");
                let limit = if is_rtsp {
                    arguments.extend(["-rtsp_transport", "tcp"].map(Into::into));
                    ffmpeg.rtsp_timeout()
                } else {
                    "-rw_timeout"
                };
                arguments.extend([limit, &silence].map(Into::into));
                arguments.extend(["-analyzeduration", ANALYSIS_MICROSECONDS].map(Into::into));
                arguments.extend(["-protocol_whitelist", STREAM_PROTOCOLS].map(Into::into));
                arguments.extend(["-i", address].map(Into::into));
            }
            Self::Video(path) => {
                arguments.extend(["-re", "-stream_loop", "-1"].map(Into::into));
                arguments.extend(file_input(path));
            }
        }
        Ok(arguments)
    }
}

/// An address as it may be shown: `rtsp://user:secret@host/` without the
/// part before the `@`.
fn without_password(address: &str) -> String {
    let shown = || {
        let (scheme, rest) = address.split_once("://")?;
        let host_end = rest.find('/').unwrap_or(rest.len());
        let at = rest[..host_end].rfind('@')?;
        Some(format!("{scheme}://{}", &rest[at + 1..]))
    };
    shown().unwrap_or_else(|| address.to_owned())
}

struct Shared {
    input: LiveInput,
    opened: Instant,
    slot: Mutex<Slot>,
    changed: Condvar,
}

struct Slot {
    latest: Option<Frame>,
    status: LiveStatus,
    /// When the last frame came, or when the source was last opened.
    progress: Instant,
    /// Set by the reader when its process has ended.
    ended: Option<String>,
    stop: bool,
}

impl LiveSource {
    /// Starts to read a source. That it can't be opened shows in the
    /// [`status`](Self::status): it is tried again like one that was lost.
    ///
    /// # Errors
    /// [`Error::MissingProgram`] without `ffmpeg`, [`Error::InvalidRequest`]
    /// for a camera that does not exist.
    pub fn open(input: &LiveInput, options: LiveOptions) -> Result<Self> {
        let ffmpeg = Ffmpeg::find()?.tied_to_thread();
        let arguments = input.arguments(&ffmpeg, &options)?;
        let now = Instant::now();
        let shared = Arc::new(Shared {
            input: input.clone(),
            opened: now,
            slot: Mutex::new(Slot {
                latest: None,
                status: LiveStatus {
                    state: LiveState::Opening,
                    frames: 0,
                    skipped: 0,
                    losses: 0,
                },
                progress: now,
                ended: None,
                stop: false,
            }),
            changed: Condvar::new(),
        });
        let supervisor = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || supervise(&shared, &ffmpeg, &arguments, options)
        });
        Ok(Self {
            shared,
            supervisor: Some(supervisor),
        })
    }

    /// The latest frame that was not handed out yet; waits for one for at most
    /// `patience`. Its time is counted from the opening of this source.
    pub fn next_within(&self, patience: Duration) -> Option<Frame> {
        let slot = locked(&self.shared.slot);
        let (mut slot, _) = self
            .shared
            .changed
            .wait_timeout_while(slot, patience, |slot| slot.latest.is_none())
            .unwrap_or_else(|lock| lock.into_inner());
        slot.latest.take()
    }

    /// What the source is doing, and its counts.
    pub fn status(&self) -> LiveStatus {
        locked(&self.shared.slot).status.clone()
    }

    /// The time since the opening, on the clock of the frames' times.
    pub fn elapsed(&self) -> Duration {
        self.shared.opened.elapsed()
    }
}

impl Drop for LiveSource {
    fn drop(&mut self) {
        locked(&self.shared.slot).stop = true;
        self.shared.changed.notify_all();
        if let Some(supervisor) = self.supervisor.take() {
            // A panic there has been shown already.
            let _ = supervisor.join();
        }
    }
}

impl Shared {
    fn change(&self, change: impl FnOnce(&mut Slot)) {
        change(&mut locked(&self.slot));
        self.changed.notify_all();
    }

    fn post(&self, image: ssdlite_image::RgbImage) {
        let time = self.opened.elapsed();
        self.change(|slot| {
            slot.progress = Instant::now();
            slot.status.state = LiveState::Playing(image.size());
            let frame = Frame {
                image,
                index: slot.status.frames,
                time,
            };
            slot.status.frames += 1;
            if slot.latest.replace(frame).is_some() {
                slot.status.skipped += 1;
            }
        });
    }

    /// Waits until `duration` has passed; true if it is time to stop.
    fn stops_within(&self, duration: Duration) -> bool {
        let slot = locked(&self.slot);
        let (slot, _) = self
            .changed
            .wait_timeout_while(slot, duration, |slot| !slot.stop)
            .unwrap_or_else(|lock| lock.into_inner());
        slot.stop
    }
}

/// Opens the source again and again until it is to stop.
fn supervise(shared: &Shared, ffmpeg: &Ffmpeg, arguments: &[OsString], options: LiveOptions) {
    let mut pause = options.first_pause;
    loop {
        let frames_before = locked(&shared.slot).status.frames;
        let reason = match ffmpeg.decode(arguments, Listen::Input) {
            Ok(decoder) => play(shared, decoder, options.stall),
            Err(error) => Some(error.to_string()),
        };
        let Some(reason) = reason else {
            return;
        };
        let reason = shared.input.without_secrets(&reason);
        if locked(&shared.slot).status.frames > frames_before {
            pause = options.first_pause;
        }
        shared.change(|slot| {
            slot.status.losses += 1;
            slot.status.state = LiveState::Lost {
                reason,
                retry_in: pause,
            };
        });
        if shared.stops_within(pause) {
            return;
        }
        pause = options.longest_pause.min(pause * 2);
        shared.change(|slot| slot.status.state = LiveState::Opening);
    }
}

/// Reads one process's frames. Returns why they ended, or nothing when it is
/// time to stop.
fn play(shared: &Shared, mut decoder: Decoder, stall: Duration) -> Option<String> {
    let killer = decoder.killer();
    shared.change(|slot| {
        slot.progress = Instant::now();
        slot.ended = None;
    });
    let verdict = std::thread::scope(|scope| {
        scope.spawn(move || {
            let reason = read_frames(shared, &mut decoder);
            drop(decoder);
            shared.change(|slot| slot.ended = Some(reason));
        });
        let verdict = watch(shared, stall);
        killer.kill();
        verdict
    });
    match verdict {
        Verdict::Ended(reason) => Some(reason),
        Verdict::Stalled => Some(format!("no frame for {} s", stall.as_secs_f32())),
        Verdict::Stop => None,
    }
}

enum Verdict {
    Ended(String),
    Stalled,
    Stop,
}

/// Waits until the source's process ends, stalls, or is to stop.
fn watch(shared: &Shared, stall: Duration) -> Verdict {
    let mut slot = locked(&shared.slot);
    loop {
        if slot.stop {
            return Verdict::Stop;
        }
        if let Some(reason) = slot.ended.take() {
            return Verdict::Ended(reason);
        }
        let Some(left) = stall.checked_sub(slot.progress.elapsed()) else {
            return Verdict::Stalled;
        };
        slot = shared
            .changed
            .wait_timeout(slot, left)
            .unwrap_or_else(|lock| lock.into_inner())
            .0;
    }
}

fn read_frames(shared: &Shared, decoder: &mut Decoder) -> String {
    loop {
        match decoder.next_frame() {
            Ok(Some(piped)) => shared.post(piped.image),
            Ok(None) => break,
            Err(error) => return error.to_string(),
        }
    }
    match decoder.ending().log.as_str() {
        "" => "the source ended".to_owned(),
        log => log.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_shown() {
        for (address, shown) in [
            ("rtsp://me:s@cret@host:554/a@b", "rtsp://host:554/a@b"),
            ("http://host/x", "http://host/x"),
            ("http://me@host", "http://host"),
        ] {
            assert_eq!(without_password(address), shown);
        }
    }

    #[test]
    fn a_log_is_shown_without_passwords() {
        let input = LiveInput::Stream("rtsp://me:s cret@host/a".into());
        for (log, shown) in [
            (
                "rtsp://me:s cret@host/a: Connection refused; gave up",
                "rtsp://host/a: Connection refused; gave up",
            ),
            (
                "Redirected to 'http://you:other@else.where/b', which failed",
                "Redirected to 'http://else.where/b', which failed",
            ),
            ("mail me@host", "mail me@host"),
        ] {
            assert_eq!(input.without_secrets(log), shown);
        }
    }

    #[test]
    fn images_are_no_live_source() {
        let file = |kind| crate::MediaFile {
            path: "a".into(),
            kind,
        };
        let images = Source::Files(vec![file(MediaKind::Image)]);
        assert!(LiveInput::from_source(images).is_err());
        let video = Source::Files(vec![file(MediaKind::Video)]);
        assert!(LiveInput::from_source(video).is_ok());
        let videos = Source::Files(vec![file(MediaKind::Video); 2]);
        assert!(LiveInput::from_source(videos).is_err());
    }
}
