//! The `ffmpeg` program as a child process.
//!
//! A thin layer of our own instead of a crate: what is needed is one filter's
//! log lines and a pipe of pixels, and the crates there are bring downloads or
//! a channel between us and the process.
//!
//! Decoded pixels come as packed RGB on the child's standard output. Each
//! frame's size and time come before it, as lines of the `showinfo` filter in
//! the child's log, so that a size that changes in mid-stream and uneven times
//! are known exactly.
//!
//! `ffmpeg` moves the times of a file so that its earliest stream starts at
//! zero. Where that is sound that starts before the zero of the file, as some
//! codecs' does, this would delay the image, so the file's own zero is kept.
//!
//! A child never outlives its owner: it is killed on drop. If our process is
//! killed itself, the closed pipe ends the child at its next frame. Where no
//! frame may come for long, as from cameras and streams, the kernel is asked to
//! kill the child along with us ([`Ffmpeg::tied_to_thread`]), which Linux can
//! do; elsewhere the time limits given to network inputs end it.
//!
//! Source: FFmpeg's `libavfilter/vf_showinfo.c`.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use ssdlite_image::{ImageSize, RgbImage};

use crate::error::{Error, Result};

/// The most pixels of a video's frame: four times those of 8K video.
pub(crate) const MAX_FRAME_PIXELS: u64 = 4 * 7680 * 4320;

/// The log's last lines that an error message may quote.
const KEPT_LOG_LINES: usize = 4;

/// The longest line of the log that is looked at, in bytes.
const MAX_LOG_LINE: u64 = 2000;

/// The pause between looks at a process that has closed its log and is about to
/// exit.
const EXIT_PAUSE: Duration = Duration::from_millis(1);

/// The command of util-linux that starts a program which the kernel kills when
/// the thread that started it ends, in whatever way.
const TIE: [&str; 4] = ["setpriv", "--pdeathsig", "KILL", "--"];

/// The `ffmpeg` program of this machine.
#[derive(Clone, Debug)]
pub(crate) struct Ffmpeg {
    program: &'static str,
    version: Version,
    is_tied: bool,
}

/// Major and minor version; builds from git count as newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Version(u32, u32);

const NEWEST: Version = Version(u32::MAX, 0);

impl Ffmpeg {
    /// Looks for the program in the path.
    ///
    /// # Errors
    /// [`Error::MissingProgram`], which says how to install it.
    pub(crate) fn find() -> Result<Self> {
        Self::named("ffmpeg")
    }

    fn named(program: &'static str) -> Result<Self> {
        let output = Command::new(program)
            .arg("-version")
            .stdin(Stdio::null())
            .output()
            .map_err(|error| missing(program, &error))?;
        let text = String::from_utf8_lossy(&output.stdout);
        Ok(Self {
            program,
            version: version_from_banner(&text),
            is_tied: false,
        })
    }

    /// The same program, but where the system can do so each process ends with
    /// the thread that starts it, which has to live as long.
    pub(crate) fn tied_to_thread(self) -> Self {
        let [tie, options @ ..] = TIE;
        let tried = Command::new(tie)
            .args(options)
            .args([self.program, "-version"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        Self {
            is_tied: tried.is_ok_and(|status| status.success()),
            ..self
        }
    }

    /// A command that runs the program, without input and out of reach of the
    /// terminal's Ctrl-C: its owner ends it, after it has written what is left.
    pub(crate) fn command(&self) -> Command {
        let mut command = if self.is_tied {
            let [tie, options @ ..] = TIE;
            let mut command = Command::new(tie);
            command.args(options).arg(self.program);
            command
        } else {
            Command::new(self.program)
        };
        command.stdin(Stdio::null());
        keep_from_terminal(&mut command);
        command
    }

    /// The option that keeps every frame and its time.
    pub(crate) fn every_frame(&self) -> [&'static str; 2] {
        if self.version >= Version(5, 1) {
            ["-fps_mode", "passthrough"]
        } else {
            ["-vsync", "passthrough"]
        }
    }

    /// The option that bounds how long an RTSP server may be silent, in
    /// microseconds.
    pub(crate) fn rtsp_timeout(&self) -> &'static str {
        if self.version >= Version(5, 0) {
            "-timeout"
        } else {
            "-stimeout"
        }
    }

    /// Starts to decode the input that `input` describes.
    ///
    /// # Errors
    /// [`Error::MissingProgram`].
    pub(crate) fn decode<S: AsRef<std::ffi::OsStr>>(
        &self,
        input: impl IntoIterator<Item = S>,
    ) -> Result<Decoder> {
        let mut command = self.command();
        command
            .args(["-hide_banner", "-nostats", "-loglevel", "level+info"])
            .args(["-max_pixels", &MAX_FRAME_PIXELS.to_string()])
            .args(input)
            .args(["-map", "0:V:0", "-an", "-sn", "-dn"])
            .args(["-vf", "format=rgb24,showinfo=checksum=0"])
            .args(self.every_frame())
            // The encoder of plain pixels would hold back a frame a thread.
            .args(["-threads", "1"])
            .args(["-f", "rawvideo", "-pix_fmt", "rgb24", "pipe:1"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .map_err(|error| missing(self.program, &error))?;
        let (Some(pixels), Some(log)) = (child.stdout.take(), child.stderr.take()) else {
            unreachable!("both were asked for as pipes");
        };
        let lines = Arc::new(Mutex::new(VecDeque::new()));
        let (headers_in, headers) = channel();
        let log_reader = std::thread::spawn({
            let lines = Arc::clone(&lines);
            move || read_log(BufReader::new(log), &headers_in, &lines)
        });
        Ok(Decoder {
            child: Arc::new(Mutex::new(Running(child))),
            pixels,
            headers,
            lines,
            log_reader: Some(log_reader),
        })
    }
}

/// Gives the child a process group of its own, since a terminal's Ctrl-C goes to
/// the whole group of the program in front.
#[cfg(unix)]
fn keep_from_terminal(command: &mut Command) {
    use std::os::unix::process::CommandExt;
    command.process_group(0);
}

#[cfg(windows)]
fn keep_from_terminal(command: &mut Command) {
    use std::os::windows::process::CommandExt;
    /// `CREATE_NEW_PROCESS_GROUP` of the Windows API.
    const NEW_PROCESS_GROUP: u32 = 0x200;
    command.creation_flags(NEW_PROCESS_GROUP);
}

#[cfg(not(any(unix, windows)))]
fn keep_from_terminal(_: &mut Command) {}

/// The error of a program that does not start.
pub(crate) fn missing(program: &str, error: &std::io::Error) -> Error {
    if error.kind() != ErrorKind::NotFound {
        return Error::MissingProgram(format!("`{program}` can't be started: {error}"));
    }
    let how = if cfg!(target_os = "macos") {
        "`brew install ffmpeg`"
    } else if cfg!(windows) {
        "`winget install ffmpeg`"
    } else {
        "`sudo apt install ffmpeg` (Debian, Ubuntu), `sudo dnf install ffmpeg` (Fedora) or \
         `sudo pacman -S ffmpeg` (Arch)"
    };
    Error::MissingProgram(format!(
        "videos, cameras and streams need the program `{program}`, which was not found; \
         install it with {how}"
    ))
}

/// `ffmpeg version 5.1.6-0+deb12u1 Copyright ...`
fn version_from_banner(banner: &str) -> Version {
    let numbers = || {
        let word = banner.strip_prefix("ffmpeg version ")?.split(' ').next()?;
        let word = word.strip_prefix('n').unwrap_or(word);
        let mut parts = word.split(|c: char| !c.is_ascii_digit());
        let major = parts.next()?.parse().ok()?;
        let minor = parts.next().and_then(|part| part.parse().ok());
        Some(Version(major, minor.unwrap_or(0)))
    };
    numbers().unwrap_or(NEWEST)
}

/// A child process that is killed when its owner lets go of it.
#[derive(Debug)]
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself; there is nobody to tell otherwise.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A frame as it comes out of the decoder.
pub(crate) struct Decoded {
    pub(crate) image: RgbImage,
    /// From the input's start. Some streams give no times.
    pub(crate) time: Option<Duration>,
}

/// What the log says about a frame before its pixels come.
#[derive(Clone, Copy, Debug, PartialEq)]
struct FrameHeader {
    size: ImageSize,
    time: Option<Duration>,
}

/// A running `ffmpeg` that decodes.
pub(crate) struct Decoder {
    child: Arc<Mutex<Running>>,
    pixels: ChildStdout,
    headers: Receiver<FrameHeader>,
    lines: Arc<Mutex<VecDeque<String>>>,
    log_reader: Option<JoinHandle<()>>,
}

/// How a decoder came to its end.
pub(crate) struct Ending {
    /// Whether it ended well.
    pub(crate) success: bool,
    /// The last errors of its log.
    pub(crate) log: String,
}

/// Ends a [`Decoder`] while another thread waits for its next frame.
pub(crate) struct Killer(Arc<Mutex<Running>>);

impl Killer {
    pub(crate) fn kill(&self) {
        // It may have ended by itself.
        let _ = locked(&self.0).0.kill();
    }
}

impl Decoder {
    /// Waits for the next frame; there is none after the end.
    ///
    /// # Errors
    /// [`Error::OverLimit`] for a frame of too many pixels.
    pub(crate) fn next_frame(&mut self) -> Result<Option<Decoded>> {
        let Ok(FrameHeader { size, time }) = self.headers.recv() else {
            return Ok(None);
        };
        if size.pixels() > MAX_FRAME_PIXELS {
            return Err(Error::OverLimit(format!(
                "expected frames of at most {MAX_FRAME_PIXELS} pixels, found {size}"
            )));
        }
        let mut pixels = vec![0; size.pixels() as usize * 3];
        if self.pixels.read_exact(&mut pixels).is_err() {
            return Ok(None);
        }
        Ok(Some(Decoded {
            image: RgbImage::new(size, pixels)?,
            time,
        }))
    }

    /// How the process ended, to be asked after the last frame.
    pub(crate) fn ending(&mut self) -> Ending {
        if let Some(reader) = self.log_reader.take() {
            // It ends with the pipe; a panic there has no news for us.
            let _ = reader.join();
        }
        let success = loop {
            // Not to hold the lock while waiting: a killer may need it.
            let exited = locked(&self.child).0.try_wait();
            match exited {
                Ok(Some(status)) => break status.success(),
                Ok(None) => std::thread::sleep(EXIT_PAUSE),
                Err(_) => break false,
            }
        };
        let lines: Vec<String> = locked(&self.lines).iter().cloned().collect();
        Ending {
            success,
            log: lines.join("; "),
        }
    }

    /// A handle that ends the process.
    pub(crate) fn killer(&self) -> Killer {
        Killer(Arc::clone(&self.child))
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        self.killer().kill();
        self.ending();
    }
}

/// The value behind a lock. A thread that panicked with it left nothing half
/// done: every change here is one assignment.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Follows a decoder's log to its end: headers of frames go to `headers`, the
/// last errors to `errors`.
fn read_log(
    mut log: impl BufRead,
    headers: &Sender<FrameHeader>,
    errors: &Mutex<VecDeque<String>>,
) {
    let mut line = Vec::new();
    let mut time_base = None;
    let mut early = None;
    loop {
        line.clear();
        let read = (&mut log).take(MAX_LOG_LINE).read_until(b'\n', &mut line);
        if !read.is_ok_and(|bytes| bytes > 0) {
            return;
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end();
        if text.starts_with("[Parsed_showinfo_") {
            if let Some(found) = time_base_from_line(text) {
                time_base = Some(found);
            } else if let Some(mut header) = header_from_line(text, time_base) {
                let early = early.unwrap_or_default();
                header.time = header.time.map(|time| time.saturating_sub(early));
                // The receiver may be gone while the child still runs.
                let _ = headers.send(header);
            }
        } else if early.is_none() && text.starts_with("[info]   Duration: ") {
            early = early_start_from_line(text);
        } else if let Some(message) = error_from_line(text) {
            let mut errors = locked(errors);
            if errors.len() == KEPT_LOG_LINES {
                errors.pop_front();
            }
            errors.push_back(message.to_owned());
        }
    }
}

/// `[Parsed_showinfo_1 @ 0x1] [info] config in time_base: 1/12800, ...`, in
/// seconds a tick.
fn time_base_from_line(line: &str) -> Option<(u64, u64)> {
    let fraction = line.split_once("config in time_base: ")?.1;
    let (numerator, denominator) = fraction.split(',').next()?.split_once('/')?;
    let denominator = denominator.parse().ok()?;
    (denominator > 0).then_some((numerator.parse().ok()?, denominator))
}

/// How long before zero an input starts, by the line
/// `[info]   Duration: 00:00:02.02, start: -0.023000, bitrate: 4 kb/s`.
fn early_start_from_line(line: &str) -> Option<Duration> {
    let start = line.split_once(", start: ")?.1.split(',').next()?;
    early_from_start(start)
}

/// How long before zero something starts that starts at so many seconds.
pub(crate) fn early_from_start(seconds: &str) -> Option<Duration> {
    let start: f64 = seconds.parse().ok()?;
    Duration::try_from_secs_f64((-start).max(0.0)).ok()
}

/// `[Parsed_showinfo_1 @ 0x1] [info] n:   0 pts:    512 pts_time:0.04 ...
/// s:320x240 ...`
fn header_from_line(line: &str, time_base: Option<(u64, u64)>) -> Option<FrameHeader> {
    let field = |name: &str| line.split_once(name)?.1.split_whitespace().next();
    field(" n:")?;
    let (width, height) = field(" s:")?.split_once('x')?;
    let ticks: Option<i64> = field(" pts:").and_then(|ticks| ticks.parse().ok());
    let time = ticks
        .zip(time_base)
        .and_then(|(ticks, base)| time_from_ticks(ticks, base));
    Some(FrameHeader {
        size: ImageSize::new(width.parse().ok()?, height.parse().ok()?),
        time,
    })
}

/// The time of a tick; one before the start counts as the start.
fn time_from_ticks(ticks: i64, (numerator, denominator): (u64, u64)) -> Option<Duration> {
    const NANOSECONDS: u128 = 1_000_000_000;
    let ticks = u128::from(ticks.max(0).unsigned_abs());
    let nanoseconds =
        ticks.checked_mul(u128::from(numerator) * NANOSECONDS)? / u128::from(denominator);
    u64::try_from(nanoseconds).ok().map(Duration::from_nanos)
}

/// The message of a line such as `[mov,mp4 @ 0x1] [error] moov atom not found`.
fn error_from_line(line: &str) -> Option<&str> {
    [" [error] ", " [fatal] ", "[error] ", "[fatal] "]
        .iter()
        .find_map(|level| Some(line.split_once(level)?.1))
}

/// `ffmpeg`'s names of the formats that hold their own images.
const FORMATS: &str = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,\
                       ogg,gif,h264,hevc,av1,obu,ivf,mxf,nut,m4v,dv,yuv4mpegpipe,rm,swf,mjpeg";

/// The arguments by which `ffmpeg` reads a file and nothing but that file.
pub(crate) fn file_input(path: &Path) -> Vec<OsString> {
    let mut input: Vec<OsString> = [
        "-protocol_whitelist",
        "file",
        "-format_whitelist",
        FORMATS,
        "-i",
    ]
    .map(Into::into)
    .into();
    // With the protocol in front no name is taken for an option or an address.
    let mut name = OsString::from("file:");
    name.push(path);
    input.push(name);
    input
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_says_how_to_install_it() {
        let error = Ffmpeg::named("ssdlite-no-such-program").unwrap_err();
        assert!(matches!(error, Error::MissingProgram(_)));
        assert!(error.to_string().contains("install"), "{error}");
    }

    #[test]
    fn versions_are_read() {
        let version = |text: &str| version_from_banner(&format!("ffmpeg version {text}"));
        assert_eq!(version("5.1.6-0+deb12u1 Copyright (c)"), Version(5, 1));
        assert_eq!(version("n7.0 Copyright"), Version(7, 0));
        assert_eq!(version("4.4.2-0ubuntu0.22.04.1 Copyright"), Version(4, 4));
        assert_eq!(version("N-112345-gabcdef Copyright"), NEWEST);
        assert_eq!(version_from_banner(""), NEWEST);
    }

    #[test]
    fn the_log_gives_sizes_times_and_errors() {
        let log = "[info] Input #0, lavfi, from 'a':\n\
            [Parsed_showinfo_1 @ 0x5] [info] config in time_base: 1/90000, frame_rate: 30/1\n\
            [Parsed_showinfo_1 @ 0x5] [info] config out time_base: 0/0, frame_rate: 0/0\n\
            [Parsed_showinfo_1 @ 0x5] [info] n:   0 pts:   3003 pts_time:0.03337 pos: -1 \
            fmt:rgb24 cl:unspecified sar:1/1 s:31x17 i:P iskey:1 type:I \n\
            [Parsed_showinfo_1 @ 0x5] [info] color_range:unknown color_space:unknown\n\
            [Parsed_showinfo_1 @ 0x5] [info] n:   1 pts: NOPTS pts_time:NOPTS s:5x3 i:P\n\
            [h264 @ 0x6] [error] concealing 3 errors\n\
            [error] Conversion failed!\n";
        let (sender, headers) = channel();
        let errors = Mutex::new(VecDeque::new());
        read_log(log.as_bytes(), &sender, &errors);
        drop(sender);
        let headers: Vec<_> = headers.iter().collect();
        let expected = [
            FrameHeader {
                size: ImageSize::new(31, 17),
                time: Some(Duration::from_nanos(33_366_666)),
            },
            FrameHeader {
                size: ImageSize::new(5, 3),
                time: None,
            },
        ];
        assert_eq!(headers, expected);
        let errors: Vec<_> = errors.into_inner().unwrap().into();
        assert_eq!(errors, ["concealing 3 errors", "Conversion failed!"]);
    }

    #[test]
    fn an_early_start_is_read() {
        let early = |start: &str| {
            early_start_from_line(&format!(
                "[info]   Duration: N/A, start: {start}, bitrate: 4"
            ))
        };
        assert_eq!(early("-0.023000"), Some(Duration::from_millis(23)));
        assert_eq!(early("1.400000"), Some(Duration::ZERO));
        assert_eq!(early("nan"), Some(Duration::ZERO));
        assert_eq!(early("N/A"), None);
    }

    #[test]
    fn ticks_of_any_size_are_no_trap() {
        assert_eq!(time_from_ticks(-5, (1, 25)), Some(Duration::ZERO));
        assert_eq!(time_from_ticks(i64::MAX, (u64::MAX, 1)), None);
        assert_eq!(time_from_ticks(50, (1, 25)), Some(Duration::from_secs(2)));
    }
}
