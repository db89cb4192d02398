//! What `detect --save` leaves of a video: an annotated copy, and beside it a
//! file with a JSON line a frame.

use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;
use ssdlite_files::NewFile;
use ssdlite_image::draw::fitted;
use ssdlite_image::{ImageSize, RgbImage};
use ssdlite_media::{Sound, VideoWriter};

use crate::console;

/// `NAME.mp4` and `NAME.jsonl`, which are there when both are whole.
pub(crate) struct SavedVideo {
    video: VideoWriter,
    lines: LinesFile,
    /// That of the first frame.
    size: Option<ImageSize>,
    /// When the last frame is shown in the copy.
    last: Option<Duration>,
}

impl SavedVideo {
    pub(crate) fn new(path: &Path, sound: Option<Sound>) -> Result<Self> {
        Ok(Self {
            video: VideoWriter::new(path, sound),
            lines: LinesFile::create(path.with_extension("jsonl"))?,
            size: None,
            last: None,
        })
    }

    /// Adds a frame. One of another size than the first, as when a camera
    /// comes back at another resolution, is fitted into that. One that is not
    /// later than the last, since not all videos time their frames well, is
    /// shown right after it; its line tells its own time.
    pub(crate) fn write(
        &mut self,
        image: &RgbImage,
        time: Duration,
        line: &impl Serialize,
    ) -> Result<()> {
        self.lines.write(line)?;
        let time = later_than(self.last, time);
        self.last = Some(time);
        let size = *self.size.get_or_insert(image.size());
        if image.size() == size {
            self.video.write(image, time)?;
        } else {
            self.video.write(&fitted(image, size), time)?;
        }
        Ok(())
    }

    /// Completes both files. Without a frame nothing is left.
    pub(crate) fn finish(self) -> Result<()> {
        if self.size.is_none() {
            return Ok(());
        }
        self.video.finish()?;
        self.lines.finish()
    }
}

/// `time`, or the first that a frame after `last` may have.
fn later_than(last: Option<Duration>, time: Duration) -> Duration {
    last.map_or(time, |last| time.max(last + VideoWriter::LEAST_STEP))
}

/// A file of lines that gets its name when it is whole.
struct LinesFile {
    path: PathBuf,
    writer: BufWriter<NewFile>,
}

impl LinesFile {
    fn create(path: PathBuf) -> Result<Self> {
        let file = NewFile::create(&path).with_context(|| path.display().to_string())?;
        Ok(Self {
            path,
            writer: BufWriter::new(file),
        })
    }

    fn write(&mut self, line: &impl Serialize) -> Result<()> {
        console::write_json_line(&mut self.writer, line)
            .with_context(|| self.path.display().to_string())
    }

    fn finish(self) -> Result<()> {
        let file = self.writer.into_inner().map_err(|error| error.into_error());
        file.and_then(NewFile::commit)
            .with_context(|| self.path.display().to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_stand_still_or_go_back_still_grow() {
        let mut last = None;
        let mut shown = Vec::new();
        for milliseconds in [40, 40, 0, 41] {
            let time = later_than(last, Duration::from_millis(milliseconds));
            last = Some(time);
            shown.push(time);
        }
        let (first, step) = (Duration::from_millis(40), VideoWriter::LEAST_STEP);
        let fourth = Duration::from_millis(41);
        assert_eq!(shown, [first, first + step, first + step * 2, fourth]);
    }
}
