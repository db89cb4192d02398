//! The `ffmpeg` program as a child process.
//!
//! A thin layer of our own instead of a crate: what is needed is a pipe of
//! frames and the words of a failure, and the crates there are bring downloads
//! or a channel between us and the process.
//!
//! Decoded frames come on the child's standard output, each with its size and
//! time ([`nut`](crate::nut)), so that a size that changes in mid-stream and
//! uneven times are known exactly. Nothing else is believed: what the child
//! says on its log ([`log`](crate::log)) may repeat what a video holds.
//!
//! A child never outlives its owner: it is killed on drop. If our process is
//! killed itself, the closed pipe ends the child at its next frame. Where no
//! frame may come for long, as from cameras and streams, the kernel is asked to
//! kill the child along with us ([`Ffmpeg::tied_to_thread`]), which Linux can
//! do; elsewhere the time limits given to network inputs end it.

use std::ffi::OsString;
use std::io::{BufReader, ErrorKind};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::log::{Log, next_line};
use crate::nut::{CLOCK, FILTERS, FrameReader, MAX_FRAME_PIXELS, PipedFrame};

/// The pause between looks at a process that has closed its log and is about to
/// exit, or is about to say something.
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

/// The first version that leaves frames their own sizes.
const OLDEST: Version = Version(4, 4);

impl Ffmpeg {
    /// Looks for the program in the path.
    ///
    /// # Errors
    /// [`Error::MissingProgram`], which says how to install it, also if it is
    /// too old.
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
        let version = version_from_banner(&text);
        if version < OLDEST {
            return Err(Error::MissingProgram(format!(
                "videos, cameras and streams need `{program}` {}.{} or newer, found {}.{}",
                OLDEST.0, OLDEST.1, version.0, version.1
            )));
        }
        Ok(Self {
            program,
            version,
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
        listen: Listen,
    ) -> Result<Decoder> {
        let level = match listen {
            Listen::Errors => "level+error",
            Listen::Input => "level+info",
        };
        let mut command = self.command();
        command
            .args(["-hide_banner", "-nostats", "-loglevel", level])
            .args(["-max_pixels", &MAX_FRAME_PIXELS.to_string()])
            .args(input)
            .args(["-map", "0:V:0", "-an", "-sn", "-dn"])
            .args(["-vf", FILTERS, "-noautoscale"])
            .args(self.every_frame())
            .args(["-enc_time_base", CLOCK])
            // The encoder of plain pixels would hold back a frame a thread.
            .args(["-c:v", "rawvideo", "-threads", "1"])
            .args(["-map_metadata", "-1", "-map_chapters", "-1"])
            // An index would be kept in memory until the end.
            .args(["-f", "nut", "-write_index", "0", "pipe:1"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .map_err(|error| missing(self.program, &error))?;
        let (Some(frames), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            unreachable!("both were asked for as pipes");
        };
        let log = Arc::new(Mutex::new(Log::default()));
        let log_reader = std::thread::spawn({
            let log = Arc::clone(&log);
            let mut stderr = BufReader::new(stderr);
            move || {
                while let Some(line) = next_line(&mut stderr) {
                    locked(&log).note(&line);
                }
            }
        });
        Ok(Decoder {
            child: Arc::new(Mutex::new(Running(child))),
            frames: FrameReader::new(BufReader::new(frames)),
            log,
            log_reader: Some(log_reader),
        })
    }
}

/// What is listened to of a child's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listen {
    /// Errors alone.
    Errors,
    /// Also what the input is.
    Input,
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

/// A running `ffmpeg` that decodes.
pub(crate) struct Decoder {
    child: Arc<Mutex<Running>>,
    frames: FrameReader<BufReader<ChildStdout>>,
    log: Arc<Mutex<Log>>,
    log_reader: Option<JoinHandle<()>>,
}

/// How a decoder came to its end.
pub(crate) struct Ending {
    /// Whether it ended well.
    pub(crate) success: bool,
    /// How many errors it told.
    pub(crate) errors: u64,
    /// The last errors of its log; empty if there was none.
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
    /// Those of [`FrameReader::next_frame`].
    pub(crate) fn next_frame(&mut self) -> Result<Option<PipedFrame>> {
        self.frames.next_frame()
    }

    /// Whether the input has an end, by what was said of it before the first
    /// frame, if that tells; to be asked after that of one that listens to it.
    pub(crate) fn has_end(&self) -> Option<bool> {
        // The frame may have been quicker than the words.
        while self.log().has_duration.is_none()
            && self
                .log_reader
                .as_ref()
                .is_some_and(|reader| !reader.is_finished())
        {
            std::thread::sleep(EXIT_PAUSE);
        }
        self.log().has_end()
    }

    /// What it has said so far.
    pub(crate) fn log(&self) -> MutexGuard<'_, Log> {
        locked(&self.log)
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
        let log = self.log();
        Ending {
            success,
            errors: log.errors,
            log: log.last_errors(),
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

/// `ffmpeg`'s names of the formats that hold their own images.
const FORMATS: &str = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,\
                       ogg,gif,h264,hevc,av1,obu,ivf,mxf,nut,m4v,dv,yuv4mpegpipe,rm,swf,mjpeg,\
                       jpeg_pipe";

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
}
