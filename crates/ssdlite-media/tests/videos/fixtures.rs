//! Making of test videos.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A folder for a test's videos; none where `ffmpeg` is missing outside CI.
pub(crate) fn folder() -> Option<TempDir> {
    let version = Command::new("ffmpeg").arg("-version").output();
    if version.is_err() {
        assert!(
            std::env::var_os("CI").is_none(),
            "ffmpeg is not installed, and CI must not skip this test"
        );
        eprintln!("skipped: ffmpeg is not installed");
        return None;
    }
    Some(tempfile::tempdir().unwrap())
}

/// Runs `ffmpeg` with arguments that are separated by spaces, then `output`.
pub(crate) fn ffmpeg(arguments: &str, output: &Path) {
    let done = Command::new("ffmpeg")
        .args(["-hide_banner", "-loglevel", "error", "-nostdin", "-y"])
        .args(arguments.split(' '))
        .arg(output)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let log = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{arguments}: {log}");
}

/// What `ffprobe` says, a line each.
pub(crate) fn probe(arguments: &str, file: &Path) -> Vec<String> {
    let done = Command::new("ffprobe")
        .args(["-loglevel", "error", "-of", "csv=p=0"])
        .args(arguments.split(' '))
        .arg(file)
        .output()
        .unwrap();
    assert!(done.status.success());
    let text = String::from_utf8(done.stdout).unwrap();
    text.lines()
        .map(|line| line.trim_end_matches(',').to_owned())
        .collect()
}

/// A video of 2 s and 50 frames with a tone, of odd and different sides.
pub(crate) fn with_sound(folder: &Path) -> PathBuf {
    let path = folder.join("sound.mp4");
    ffmpeg(
        "-f lavfi -i testsrc=size=97x61:rate=25:duration=2 -f lavfi -i sine=duration=2 \
         -c:v libx264 -pix_fmt yuv444p -c:a aac",
        &path,
    );
    path
}

/// Whether a process with this text in its command line is running.
#[cfg(target_os = "linux")]
pub(crate) fn processes_with(text: impl AsRef<OsStr>) -> usize {
    use std::os::unix::ffi::OsStrExt;
    let text = text.as_ref().as_bytes();
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| std::fs::read(entry.ok()?.path().join("cmdline")).ok())
        .filter(|line| line.starts_with(b"ffmpeg\0"))
        .filter(|line| line.windows(text.len()).any(|part| part == text))
        .count()
}
