//! `detect` on videos, cameras and streams: each frame's objects, an annotated
//! copy, objects followed from frame to frame.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use ssdlite_core::PostProcessing;
use ssdlite_infer::Detector;
use ssdlite_media::{
    AtEnd, AtStart, Frame, LEAST_TRACKED_SCORE, LiveEnd, LiveInput, LiveOptions, LiveSource,
    LiveState, Tracker, TrackerOptions, VideoFrames,
};

use super::summary::{Counts, Summary};
use crate::console::{self, counted};
use crate::outcome::Outcome;
use crate::output::found::{Found, FrameJson, draw_found, json_from_found};
use crate::output::save_folder::SaveFolder;
use crate::output::saved_video::SavedVideo;
use crate::output::video_progress::VideoProgress;

/// How long a live source is waited for before the signal is looked at.
const PATIENCE: Duration = Duration::from_millis(100);

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
    /// What is done with a live source that can't be opened.
    pub(crate) at_start: AtStart,
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
        summary: &mut Summary,
    ) -> Result<Outcome> {
        let name = path.to_string_lossy();
        let mut frames = VideoFrames::open(path)?;
        let info = frames.info().clone();
        let saved = match folder {
            Some(folder) => Some(SavedVideo::new(&folder.path_for(path, "mp4")?, info.sound)?),
            None => None,
        };
        let progress = VideoProgress::new(info.frames);
        let mut work = FrameWork::new(self, &name, saved, progress, summary);
        for frame in frames.by_ref() {
            if self.is_stopped() {
                let done = counted(work.counts.frames, "frame");
                work.finish()?;
                console::notice(&format!("{name}: stopped after {done}"));
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
        summary: &mut Summary,
    ) -> Result<Outcome> {
        let name = input.name();
        let options = LiveOptions {
            stall: self.stall,
            at_end: AtEnd::Stop,
            at_start: self.at_start,
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
        let progress = VideoProgress::new(None);
        let mut work = FrameWork::new(self, &name, saved, progress, summary);
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
                let skipped = (frame.index + 1).saturating_sub(work.counts.frames + 1);
                work.take(frame, Some(skipped))?;
            } else if let Some(LiveEnd { damage }) = source.end() {
                work.finish()?;
                return match damage {
                    Some(damage) if start.is_none() => {
                        Err(anyhow!("{name}: {damage}; --retry goes on trying"))
                    }
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
    counts: Counts,
    skipped: Option<u64>,
    summary: &'a mut Summary,
}

impl<'a> FrameWork<'a> {
    fn new(
        task: &VideoTask<'a>,
        name: &'a str,
        saved: Option<SavedVideo>,
        progress: VideoProgress,
        summary: &'a mut Summary,
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
            counts: Counts::default(),
            skipped: None,
            summary,
        }
    }

    fn take(&mut self, mut frame: Frame, skipped: Option<u64>) -> Result<()> {
        let classes = self.detector.classes();
        let found = self.detector.detect_or_nearest(&frame.image);
        let (detections, nearest) = found.with_context(|| self.name.to_owned())?;
        let nearest = nearest.or(detections.first().copied());
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
        if found.is_empty() {
            (self.summary).fell_short(nearest.as_ref(), classes, self.name);
        }
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
        self.counts.frames += 1;
        self.counts.found(found.len());
        self.skipped = skipped;
        self.progress.frame(skipped);
        Ok(())
    }

    /// Completes what is saved, and says what was done.
    fn finish(self) -> Result<()> {
        drop(self.progress);
        if let Some(saved) = self.saved {
            saved.finish()?;
        }
        self.summary.add(self.counts);
        if self.counts.frames == 0 || self.json {
            return Ok(());
        }
        let skipped = match self.skipped {
            Some(skipped) => format!(", {skipped} skipped"),
            None => String::new(),
        };
        let frames = counted(self.counts.frames, "frame");
        let objects = counted(self.counts.objects, "object");
        console::text(format_args!("{}: {frames}{skipped}, {objects}", self.name))
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
