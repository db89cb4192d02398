//! `detect` on videos, cameras and streams: each frame's objects, an annotated
//! copy, objects followed from frame to frame.

use std::num::NonZeroU64;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use ssdlite_core::PostProcessing;
use ssdlite_infer::Detector;
use ssdlite_media::{
    AtEnd, Frame, LEAST_TRACKED_SCORE, LiveEnd, LiveInput, LiveOptions, LiveSource, LiveState,
    Tracker, TrackerOptions, VideoFrames,
};

use crate::console;
use crate::outcome::Outcome;
use crate::output::found::{Found, FrameJson, draw_found, json_from_found};
use crate::output::save_folder::SaveFolder;
use crate::output::saved_video::SavedVideo;
use crate::output::video_progress::VideoProgress;

/// How long a live source is waited for before the signal is looked at.
const PATIENCE: Duration = Duration::from_millis(100);

/// How often a live source that gives no frame is tried at first: a camera may
/// just start, while a wrong address would be tried for ever.
const FIRST_TRIES: NonZeroU64 = NonZeroU64::new(5).unwrap();

/// What is done with videos and live sources.
pub(crate) struct VideoTask<'a> {
    pub(crate) detector: &'a Detector,
    /// A JSON line a frame on standard output.
    pub(crate) json: bool,
    /// Give objects numbers that last. The detector then has
    /// [`settings_to_track`].
    pub(crate) track: bool,
    /// Least score of what is told and drawn.
    pub(crate) least_score: f32,
    /// How long a live source may give no frame before it is opened again.
    pub(crate) stall: Duration,
    /// Set when it is time to end.
    pub(crate) stop: &'a AtomicBool,
}

impl VideoTask<'_> {
    /// Works on every frame of a video. What was done before damage or a
    /// signal to stop is kept.
    pub(crate) fn detect_in_file(
        &self,
        path: &Path,
        folder: Option<&mut SaveFolder>,
    ) -> Result<Outcome> {
        let name = path.to_string_lossy();
        let mut frames = VideoFrames::open(path)?;
        let info = frames.info().clone();
        let saved = match folder {
            Some(folder) => Some(SavedVideo::new(&folder.path_for(path, "mp4")?, info.sound)?),
            None => None,
        };
        let mut work = FrameWork::new(self, &name, saved, VideoProgress::new(info.frames));
        for frame in frames.by_ref() {
            if self.is_stopped() {
                let done = work.frames;
                work.finish()?;
                console::note(&format!("{name}: stopped after {done} frames"));
                return Ok(Outcome::Failed);
            }
            match frame {
                Ok(frame) => work.take(frame, None)?,
                Err(damage) => {
                    work.finish()?;
                    return Err(damage.into());
                }
            }
        }
        work.finish()?;
        if frames.lost() > 0 {
            let lost = console::counted(frames.lost(), "frame");
            console::note(&format!(
                "{name}: the recording starts between key frames; {lost} at its start could not be \
                 read"
            ));
        }
        Ok(Outcome::Done)
    }

    /// Works on the latest frame again and again until it is told to stop, or
    /// once on each frame of a file behind an address.
    pub(crate) fn detect_in_live(
        &self,
        input: &LiveInput,
        folder: Option<&mut SaveFolder>,
    ) -> Result<Outcome> {
        let name = input.name();
        let options = LiveOptions {
            stall: self.stall,
            at_end: AtEnd::Stop,
            first_tries: Some(FIRST_TRIES),
            ..LiveOptions::default()
        };
        let source = LiveSource::open(input, options)?;
        let saved = match folder {
            Some(folder) => {
                let path = folder.path_for(file_name(&name).as_ref(), "mp4")?;
                Some(SavedVideo::new(&path, None)?)
            }
            None => None,
        };
        let mut work = FrameWork::new(self, &name, saved, VideoProgress::new(None));
        let mut state = LiveState::Opening;
        let mut start = None;
        while !self.is_stopped() {
            let frame = source.next_within(PATIENCE);
            let now = source.status().state;
            if now != state {
                work.progress.suspend(|| tell(&name, &now));
                state = now;
            }
            if let Some(mut frame) = frame {
                // The saved video starts with the first frame.
                frame.time -= *start.get_or_insert(frame.time);
                let skipped = (frame.index + 1).saturating_sub(work.frames + 1);
                work.take(frame, Some(skipped))?;
            } else if let Some(LiveEnd { damage }) = source.end() {
                work.finish()?;
                return match damage {
                    Some(damage) => Err(anyhow!("{name}: {damage}")),
                    None => Ok(Outcome::Done),
                };
            }
        }
        if start.is_none() {
            anyhow::bail!("{name}: stopped before a frame came");
        }
        work.finish()?;
        Ok(Outcome::Done)
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Says what a live source is doing now.
fn tell(name: &str, state: &LiveState) {
    match state {
        LiveState::Opening => {}
        LiveState::Playing(size) => console::note(&format!("{name}: frames of {size}")),
        LiveState::Lost { reason, retry_in } => console::warning(&format!(
            "{name}: {reason}; trying again in {} s",
            retry_in.as_secs_f32()
        )),
    }
}

/// A live source's name with nothing in it that file names can't hold.
fn file_name(name: &str) -> String {
    let words = name.split(|c: char| !c.is_alphanumeric());
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    words.join("-")
}

/// The work on one source's frames.
struct FrameWork<'a> {
    detector: &'a Detector,
    name: &'a str,
    json: bool,
    least_score: f32,
    tracker: Option<Tracker>,
    saved: Option<SavedVideo>,
    progress: VideoProgress,
    frames: u64,
    objects: u64,
    skipped: Option<u64>,
}

impl<'a> FrameWork<'a> {
    fn new(
        task: &VideoTask<'a>,
        name: &'a str,
        saved: Option<SavedVideo>,
        progress: VideoProgress,
    ) -> Self {
        Self {
            detector: task.detector,
            name,
            json: task.json,
            least_score: task.least_score,
            tracker: task
                .track
                .then(|| Tracker::new(TrackerOptions::showing(task.least_score))),
            saved,
            progress,
            frames: 0,
            objects: 0,
            skipped: None,
        }
    }

    fn take(&mut self, mut frame: Frame, skipped: Option<u64>) -> Result<()> {
        let classes = self.detector.classes();
        let detections = self.detector.detect(&frame.image);
        let detections = detections.with_context(|| self.name.to_owned())?;
        let tracks = match &mut self.tracker {
            Some(tracker) => tracker.update(&detections, frame.time),
            None => vec![None; detections.len()],
        };
        let found: Vec<Found> = detections
            .into_iter()
            .zip(tracks)
            .filter(|(detection, _)| detection.score >= self.least_score)
            .map(|(detection, track)| Found { detection, track })
            .collect();
        let line = FrameJson {
            image: self.name,
            frame: frame.index,
            time: frame.time.as_secs_f64(),
            width: frame.image.width(),
            height: frame.image.height(),
            detections: json_from_found(&found, classes),
            skipped,
        };
        if self.json {
            self.progress.suspend(|| console::json(&line))?;
        }
        if let Some(saved) = &mut self.saved {
            draw_found(&mut frame.image, &found, classes);
            saved.write(&frame.image, frame.time, &line)?;
        }
        self.frames += 1;
        self.objects += found.len() as u64;
        self.skipped = skipped;
        self.progress.frame(skipped);
        Ok(())
    }

    /// Completes what is saved, and says what was done.
    fn finish(self) -> Result<()> {
        let seconds = self.progress.elapsed().as_secs_f64();
        drop(self.progress);
        if let Some(saved) = self.saved {
            saved.finish()?;
        }
        if self.frames == 0 {
            return Ok(());
        }
        let (name, frames, objects) = (self.name, self.frames, self.objects);
        let skipped = match self.skipped {
            Some(skipped) => format!(", {skipped} skipped"),
            None => String::new(),
        };
        let counts = format!("{name}: {frames} frames{skipped}, {objects} objects");
        let rate = format!("{:.1} frames/s", frames as f64 / seconds);
        if self.json {
            console::note(&format!("{counts}, {rate}"));
            return Ok(());
        }
        console::text(format_args!("{counts}, {rate}"))
    }
}

/// The settings of a detector whose objects are followed: it also finds what is
/// not sure enough to be shown.
pub(crate) fn settings_to_track(shown: PostProcessing) -> PostProcessing {
    PostProcessing {
        score_threshold: shown.score_threshold.min(LEAST_TRACKED_SCORE),
        ..shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_live_sources_become_file_names() {
        for (name, file) in [
            ("camera 0", "camera-0"),
            ("camera /dev/video0", "camera-dev-video0"),
            ("rtsp://host:554/a/../b?c=*", "rtsp-host-554-a-b-c"),
        ] {
            assert_eq!(file_name(name), file);
        }
    }
}
