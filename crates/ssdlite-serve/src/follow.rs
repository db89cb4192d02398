//! Objects followed from frame to frame for those who watch, so that a page can
//! count them.

use std::time::Duration;

use serde::Serialize;
use ssdlite_core::{ClassNames, Detection, NamedDetection};
use ssdlite_media::{LEAST_TRACKED_SCORE, TrackId, Tracker, TrackerOptions};

/// Follows the objects of one source for one model.
pub(crate) struct Follower {
    tracker: Tracker,
}

/// A detection, with its object's number if it is followed.
#[derive(Serialize)]
pub(crate) struct FollowedDetection<'a> {
    #[serde(flatten)]
    detection: NamedDetection<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    track: Option<TrackId>,
}

impl Follower {
    /// Whatever reaches the model's own least score is sure enough to be
    /// followed.
    pub(crate) fn new(score_threshold: f32) -> Self {
        Self {
            tracker: Tracker::new(TrackerOptions::showing(score_threshold)),
        }
    }

    /// Takes the detections of the frame that was taken at `time`, and names
    /// and numbers them.
    pub(crate) fn follow<'a>(
        &mut self,
        detections: &[Detection],
        classes: &'a ClassNames,
        time: Duration,
    ) -> Vec<FollowedDetection<'a>> {
        let is_tracked = |detection: &&Detection| detection.score >= LEAST_TRACKED_SCORE;
        let (tracked, others): (Vec<_>, Vec<_>) = detections.iter().partition(is_tracked);
        let tracked: Vec<Detection> = tracked.into_iter().copied().collect();
        let tracks = self.tracker.update(&tracked, time);
        let untracked = others.into_iter().map(|detection| (detection, None));
        let all = tracked.iter().zip(tracks).chain(untracked);
        let followed = all.map(|(detection, track)| FollowedDetection {
            detection: detection.named(classes),
            track,
        });
        followed.collect()
    }

    /// The source begins anew.
    pub(crate) fn forget_objects(&mut self) {
        self.tracker.forget_objects();
    }
}
