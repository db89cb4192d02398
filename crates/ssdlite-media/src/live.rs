//! Cameras and streams: the latest frame, whatever the reader's pace.
//!
//! One thread reads frames as they come and keeps the newest alone, so a slow
//! consumer never falls behind; the frames that it did not see are counted.
//! Another watches: a source that gives no frame for a while, or ends, is
//! opened again after a pause that grows from try to try. Each opening is a
//! new process, so a source may come back with another size or rate.
//!
//! An address may also be that of a file, a camera's latest image or a
//! recording, which has an end ([`AtEnd`]).

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ssdlite_image::{ImageSize, RgbImage};

use crate::address;
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
    /// What is done with a file behind an address.
    pub at_end: AtEnd,
    /// What is done with a source whose first opening brings no frame.
    pub at_start: AtStart,
}

/// What a [`LiveSource`] does when its first opening brings no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtStart {
    /// It is opened again like one that was lost later.
    Retry,
    /// That is its end.
    Stop,
}

/// What a [`LiveSource`] does with a file behind an address, which has an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtEnd {
    /// It is played at its own pace, and opened again after a pause.
    Repeat,
    /// Each of its frames is handed out once, however long the reader takes.
    Stop,
}

/// How a [`LiveSource`] ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveEnd {
    /// What was wrong with it, if anything.
    pub damage: Option<String>,
}

impl Default for LiveOptions {
    /// Stalled after 5 s; pauses of 0.5 s to 30 s; files again and again, as is
    /// what gives no frame.
    fn default() -> Self {
        Self {
            stall: Duration::from_secs(5),
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(30),
            at_end: AtEnd::Repeat,
            at_start: AtStart::Retry,
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
/// It never ends, also not while the source is lost, but for a file with
/// [`AtEnd::Stop`] and for one that gave no frame with [`AtStart::Stop`].
/// Dropping it ends the child process.
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
            Source::Files(found) => match &found.files[..] {
                [file] if file.kind == MediaKind::Video => Ok(Self::Video(file.path.clone())),
                _ => Err(Error::InvalidRequest(
                    "expected a camera, a stream or one video, found images or several files"
                        .into(),
                )),
            },
        }
    }

    /// What people call the source; passwords in an address are left
    /// out.
    pub fn name(&self) -> String {
        match self {
            Self::Camera(camera) => format!("camera {}", camera.argument()),
            Self::Stream(address) => address::shown(address),
            Self::Video(path) => path.to_string_lossy().into_owned(),
        }
    }

    /// What a program says that was given the source's address, as it may be
    /// shown.
    fn without_secrets(&self, log: &str) -> String {
        match self {
            Self::Stream(address) => address::without_secrets(log, address),
            Self::Camera(_) | Self::Video(_) => log.to_owned(),
        }
    }

    fn arguments(&self, ffmpeg: &Ffmpeg, options: &LiveOptions) -> Result<Vec<OsString>> {
        // Not `-fflags nobuffer`: it throws the frames away by which `ffmpeg` finds
        // out what the input is, of an image the only one.
        let low_delay = ["-flags", "low_delay"];
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
    ended: Option<Closing>,
    /// Whether the reader waits for its last frame to be taken or to be due.
    reader_waits: bool,
    end: Option<LiveEnd>,
    stop: bool,
}

/// Why a process gave no more frames.
enum Closing {
    /// The source was lost.
    Lost(String),
    /// A file came to its end.
    End(LiveEnd),
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
                reader_waits: false,
                end: None,
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
        let frame = slot.latest.take();
        drop(slot);
        self.shared.changed.notify_all();
        frame
    }

    /// How it ended, once it has and all frames were taken.
    pub fn end(&self) -> Option<LiveEnd> {
        let slot = locked(&self.shared.slot);
        slot.end.clone().filter(|_| slot.latest.is_none())
    }

    /// What the source is doing, and its counts.
    pub fn status(&self) -> LiveStatus {
        self.shared.status()
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
    fn status(&self) -> LiveStatus {
        locked(&self.slot).status.clone()
    }

    fn change(&self, change: impl FnOnce(&mut Slot)) {
        change(&mut locked(&self.slot));
        self.changed.notify_all();
    }

    fn post(&self, image: RgbImage, time: Duration) {
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

    /// Lets the reader wait while `is_early` and the source is not to stop, for
    /// `patience` at most.
    fn wait_while(&self, patience: Duration, is_early: impl Fn(&Slot) -> bool) {
        let mut slot = locked(&self.slot);
        slot.reader_waits = true;
        let (mut slot, _) = self
            .changed
            .wait_timeout_while(slot, patience, |slot| !slot.stop && is_early(slot))
            .unwrap_or_else(|lock| lock.into_inner());
        slot.reader_waits = false;
        slot.progress = Instant::now();
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
        let frames_before = shared.status().frames;
        let closing = match ffmpeg.decode(arguments, Listen::Input) {
            Ok(decoder) => play(shared, decoder, options),
            Err(error) => Some(Closing::Lost(error.to_string())),
        };
        let reason = match closing {
            None => return,
            Some(Closing::End(end)) if options.at_end == AtEnd::Stop => {
                shared.change(|slot| slot.end = Some(end));
                return;
            }
            Some(Closing::End(LiveEnd { damage: None })) => {
                pause = options.first_pause;
                if shared.stops_within(pause) {
                    return;
                }
                continue;
            }
            Some(
                Closing::End(LiveEnd {
                    damage: Some(reason),
                })
                | Closing::Lost(reason),
            ) => reason,
        };
        let LiveStatus { frames, losses, .. } = shared.status();
        if frames > frames_before {
            pause = options.first_pause;
        }
        if frames == 0 && options.at_start == AtStart::Stop {
            let damage = Some(format!("can't be opened: {reason}"));
            shared.change(|slot| slot.end = Some(LiveEnd { damage }));
            return;
        }
        shared.change(|slot| {
            slot.status.losses = losses + 1;
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
fn play(shared: &Shared, mut decoder: Decoder, options: LiveOptions) -> Option<Closing> {
    let killer = decoder.killer();
    shared.change(|slot| {
        slot.progress = Instant::now();
        slot.ended = None;
    });
    let verdict = std::thread::scope(|scope| {
        scope.spawn(move || {
            let closing = read_frames(shared, &mut decoder, options.at_end);
            drop(decoder);
            shared.change(|slot| slot.ended = Some(closing));
        });
        let verdict = watch(shared, options.stall);
        killer.kill();
        verdict
    });
    match verdict {
        Verdict::Ended(closing) => Some(closing),
        Verdict::Stalled => {
            let seconds = options.stall.as_secs_f32();
            Some(Closing::Lost(format!("no frame for {seconds} s")))
        }
        Verdict::Stop => None,
    }
}

enum Verdict {
    Ended(Closing),
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
        if let Some(closing) = slot.ended.take() {
            return Verdict::Ended(closing);
        }
        if slot.reader_waits {
            slot.progress = Instant::now();
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

fn read_frames(shared: &Shared, decoder: &mut Decoder, at_end: AtEnd) -> Closing {
    let opened = Instant::now();
    let mut is_known_file = None;
    loop {
        let piped = match decoder.next_frame() {
            Ok(Some(piped)) => piped,
            Ok(None) => break,
            Err(error) => return Closing::Lost(error.to_string()),
        };
        let is_file = *is_known_file.get_or_insert_with(|| is_file(&shared.input, decoder));
        let time = match at_end {
            AtEnd::Stop if is_file => {
                shared.wait_while(Duration::MAX, |slot| slot.latest.is_some());
                piped.time
            }
            AtEnd::Repeat if is_file => {
                let early = piped.time.saturating_sub(opened.elapsed());
                shared.wait_while(early, |_| true);
                shared.opened.elapsed()
            }
            _ => shared.opened.elapsed(),
        };
        shared.post(piped.image, time);
    }
    let ending = decoder.ending();
    let words = match ending.log.as_str() {
        "" if ending.errors > 0 => "parts of it can't be decoded",
        "" => "the source ended",
        log => log,
    };
    let words = shared.input.without_secrets(words);
    // Who shows it names the source.
    let words = words.replace(&format!("{}: ", shared.input.name()), "");
    if is_known_file == Some(true) && ending.success {
        let damage = (ending.errors > 0).then_some(words);
        return Closing::End(LiveEnd { damage });
    }
    Closing::Lost(words)
}

/// Whether what a decoder reads is a file behind an address.
fn is_file(input: &LiveInput, decoder: &Decoder) -> bool {
    let LiveInput::Stream(address) = input else {
        return false;
    };
    let is_http = address.to_ascii_lowercase().starts_with("http");
    is_http && decoder.has_end().unwrap_or_else(|| has_size(address))
}

/// Whether the server says how large something is. Asked while it is being read
/// anyway: a server for one reader alone refuses, and that is an answer.
fn has_size(address: &str) -> bool {
    /// The longest silence, in microseconds.
    const PATIENCE: &str = "2000000";
    let output = Command::new("ffprobe")
        .args(["-loglevel", "quiet", "-rw_timeout", PATIENCE])
        .args(["-protocol_whitelist", STREAM_PROTOCOLS])
        .args(["-show_entries", "format=size", "-of", "csv=p=0", address])
        .stdin(Stdio::null())
        .output();
    let size = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    size.is_ok_and(|size| size.trim().parse::<u64>().is_ok_and(|size| size > 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::FoundFiles;

    #[test]
    fn images_are_no_live_source() {
        let file = |kind| crate::MediaFile {
            path: "a".into(),
            kind,
        };
        let live = |kinds: &[MediaKind]| {
            LiveInput::from_source(Source::Files(FoundFiles {
                files: kinds.iter().copied().map(file).collect(),
                ..FoundFiles::default()
            }))
        };
        assert!(live(&[MediaKind::Image]).is_err());
        assert!(live(&[MediaKind::Video]).is_ok());
        assert!(live(&[MediaKind::Video; 2]).is_err());
    }
}
