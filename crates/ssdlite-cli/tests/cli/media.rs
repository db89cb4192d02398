//! Model files, images and videos for the tests of `detect`, `live` and
//! `serve`, and calls of the binary that go on until they are told to end.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use ssdlite_core::{ClassNames, MobileNetV3, ModelInfo, Variant};
use ssdlite_image::{ImageSize, RgbImage, encode};
use ssdlite_infer::bench::arbitrary_model;
use tempfile::TempDir;

use crate::ffmpeg::probe;
use crate::harness::{Ran, command};

/// Nothing takes this long, unless something hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A folder with `model.safetensors`, whose weights are arbitrary: it finds
/// something in every image, and the same each time.
pub(crate) fn folder_with_model() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_model(&folder.path().join("model.safetensors"));
    folder
}

pub(crate) fn write_model(path: &Path) {
    let classes = ClassNames::new(["left", "right"]).unwrap();
    let info = ModelInfo::detector(MobileNetV3::new(Variant::Small), classes, 96);
    let file = arbitrary_model(&info).unwrap();
    file.write(path).unwrap();
}

/// An image of slanted stripes as a PNG.
pub(crate) fn write_image(path: &Path) {
    write_striped_image(path, 200);
}

/// The same with stripes of another brightness.
pub(crate) fn write_striped_image(path: &Path, stripe: u32) {
    let size = ImageSize::new(131, 97);
    let pixels = (0..size.pixels() as u32)
        .flat_map(|index| {
            let (x, y) = (index % size.width, index / size.width);
            let blue = (x + y) / 16 % 2 * stripe;
            [(x * 2) as u8, (y * 2) as u8, blue as u8]
        })
        .collect();
    encode::save(path, &RgbImage::new(size, pixels).unwrap()).unwrap();
}

/// The frames of a video, counted by decoding it.
pub(crate) fn count_frames(video: &Path) -> usize {
    let counted = probe(
        "-count_frames -select_streams v:0 -show_entries stream=nb_read_frames",
        video,
    );
    counted[0].parse().unwrap()
}

/// The names in a folder, sorted.
pub(crate) fn names_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Whether an `ffmpeg` is running with this file or address as its input.
#[cfg(target_os = "linux")]
pub(crate) fn is_decoder_running(input: &str) -> bool {
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| std::fs::read(entry.ok()?.path().join("cmdline")).ok())
        .filter(|line| line.starts_with(b"ffmpeg\0"))
        .any(|line| {
            let mut words = line.split(|byte| *byte == 0);
            words.any(|word| word == b"-i")
                && words.next().is_some_and(|w| w.ends_with(input.as_bytes()))
        })
}

/// Waits for something that comes of itself.
#[track_caller]
pub(crate) fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::yield_now();
    }
}

/// A port on which nobody listens.
pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// A call of the binary that goes on, in a process group of its own as a
/// terminal would start it.
pub(crate) struct GoesOn {
    child: Child,
    stdout: BufReader<ChildStdout>,
    folder: PathBuf,
    read: String,
}

impl GoesOn {
    pub(crate) fn start<S: AsRef<OsStr>>(folder: &Path, args: &[S]) -> Self {
        Self::start_with(folder, args, &[])
    }

    /// The same with these variables of the environment.
    pub(crate) fn start_with<S: AsRef<OsStr>>(
        folder: &Path,
        args: &[S],
        variables: &[(&str, &str)],
    ) -> Self {
        let mut command = command(folder, args);
        command.envs(variables.iter().copied());
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let log = std::fs::File::create(folder.join("stderr.txt")).unwrap();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self {
            child,
            stdout,
            folder: folder.to_owned(),
            read: String::new(),
        }
    }

    /// What it has told so far.
    pub(crate) fn stderr(&self) -> String {
        std::fs::read_to_string(self.folder.join("stderr.txt")).unwrap()
    }

    /// The next line of standard output.
    #[track_caller]
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        assert!(line.ends_with('\n'), "it ended: {}", self.stderr());
        self.read.push_str(&line);
        line.trim_end().to_owned()
    }

    /// Sends a signal such as `INT` to the process and all of its group.
    #[cfg(unix)]
    pub(crate) fn signal(&self, name: &str) {
        let group = format!("-{}", self.child.id());
        let sent = Command::new("kill")
            .args(["-s", name, "--", &group])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    /// Waits for the end.
    pub(crate) fn join(mut self) -> Ran {
        std::io::Read::read_to_string(&mut self.stdout, &mut self.read).unwrap();
        let status = self.child.wait().unwrap();
        Ran {
            code: status.code().expect("no signal ended the binary"),
            stdout: std::mem::take(&mut self.read),
            stderr: self.stderr(),
        }
    }
}

impl Drop for GoesOn {
    fn drop(&mut self) {
        // It has ended already where the test went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
