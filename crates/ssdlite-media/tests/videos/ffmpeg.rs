//! Calls of `ffmpeg` and `ffprobe`, for the tests of several crates.

#![allow(dead_code, reason = "no crate's tests need all of it")]

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

/// Whether `ffmpeg` is there. In CI it has to be.
pub(crate) fn has_ffmpeg() -> bool {
    let is_there = Command::new("ffmpeg").arg("-version").output().is_ok();
    if !is_there {
        assert!(
            std::env::var_os("CI").is_none(),
            "ffmpeg is not installed, and CI must not skip this test"
        );
        eprintln!("skipped: ffmpeg is not installed");
    }
    is_there
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

/// How many `ffmpeg` processes have this text in their command line.
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
