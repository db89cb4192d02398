//! Making of test videos.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::ffmpeg::{ffmpeg, has_ffmpeg};

/// A folder for a test's videos; none where `ffmpeg` is missing outside CI.
pub(crate) fn folder() -> Option<TempDir> {
    has_ffmpeg().then(|| tempfile::tempdir().unwrap())
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
