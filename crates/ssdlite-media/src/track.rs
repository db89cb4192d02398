//! Objects followed from frame to frame, so that each keeps its number.
//!
//! Each object's box moves on by a Kalman filter of constant velocity, and the
//! boxes of the next frame are matched to where it should be, by IoU and with
//! the best sum over all pairs: first the sure detections, then the unsure ones
//! for objects that are left over. Objects of different classes never match.
//! An object that was found once, later than in the first frame, gets its
//! number when it is found again.
//!
//! Sources: A. Bewley et al., "Simple online and realtime tracking" (SORT,
//! arXiv 1602.00763); Y. Zhang et al., "ByteTrack" (arXiv 2110.06864), whose
//! noise, relative to a box's height, and thresholds of IoU are used. There the
//! filter's eight numbers are independent pairs of a value and its velocity, so
//! here they are four filters of two numbers.

use std::time::Duration;

use serde::Serialize;
use ssdlite_core::{ClassId, Detection, PixelBox};

/// The number of an object that is followed, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct TrackId(pub u64);

/// How objects are followed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrackerOptions {
    /// Least score of a detection that starts a new object, 0 to 1; those
    /// below only continue one.
    pub sure_score: f32,
    /// How long an object that is not found is waited for.
    pub patience: Duration,
}

impl Default for TrackerOptions {
    /// A score of 0.5 as in ByteTrack, and one second.
    fn default() -> Self {
        Self {
            sure_score: 0.5,
            patience: Duration::from_secs(1),
        }
    }
}

impl TrackerOptions {
    /// Options under which whatever is sure enough to be shown, 0 to 1, is sure
    /// enough to start a new object.
    pub fn showing(least_score: f32) -> Self {
        let usual = Self::default();
        Self {
            sure_score: usual.sure_score.min(least_score),
            ..usual
        }
    }
}

/// Least score of a detection by which an object is to be followed that was surer
/// before; the value of ByteTrack.
pub const LEAST_TRACKED_SCORE: f32 = 0.1;

/// Least IoU of a sure detection with the box where its object should be.
const SURE_MIN_IOU: f32 = 0.2;
/// The same for an unsure detection.
const UNSURE_MIN_IOU: f32 = 0.5;
/// The same for an object that was found only once.
const NEW_MIN_IOU: f32 = 0.3;

/// Noise of a position, and of a velocity in one step, as a share of the box's
/// height.
const POSITION_NOISE: f32 = 1.0 / 20.0;
const VELOCITY_NOISE: f32 = 1.0 / 160.0;

/// The filter's step: the noise above is meant for video of 30 frames a second.
const STEPS_A_SECOND: f32 = 30.0;

/// Follows objects over the frames of one source.
#[derive(Clone, Debug)]
pub struct Tracker {
    options: TrackerOptions,
    tracks: Vec<Track>,
    last_id: u64,
    time: Option<Duration>,
}

#[derive(Clone, Debug)]
struct Track {
    id: Option<TrackId>,
    class: ClassId,
    motion: Motion,
    seen: Duration,
}

impl Tracker {
    /// A tracker that has seen nothing.
    pub fn new(options: TrackerOptions) -> Self {
        Self {
            options,
            tracks: Vec::new(),
            last_id: 0,
            time: None,
        }
    }

    /// Takes the detections of the next frame, which is shown at `time`, and
    /// gives the number of each one's object, in their order. One that belongs
    /// to no object, or to one found for the first time, has none.
    pub fn update(&mut self, detections: &[Detection], time: Duration) -> Vec<Option<TrackId>> {
        let is_first = self.time.is_none();
        let passed = time.saturating_sub(self.time.unwrap_or(time));
        self.time = Some(time);
        for track in &mut self.tracks {
            track.motion.advance(passed.as_secs_f32() * STEPS_A_SECOND);
        }

        let mut track_of = vec![None; detections.len()];
        let mut rounds = [
            Round::new(Found::Often, Sureness::Sure, SURE_MIN_IOU),
            Round::new(Found::Often, Sureness::Unsure, UNSURE_MIN_IOU),
            Round::new(Found::Once, Sureness::Sure, NEW_MIN_IOU),
        ];
        for round in &mut rounds {
            self.match_round(round, detections, &mut track_of);
        }

        self.tracks_go_on(detections, &track_of, time);
        self.forget(&mut track_of, time);
        self.start_tracks(detections, &mut track_of, time, is_first);
        track_of
            .into_iter()
            .map(|track| self.tracks[track?].id)
            .collect()
    }

    /// Forgets all objects, as for a source that begins anew: the next frame is
    /// like the first, and numbers go on where they were.
    pub fn forget_objects(&mut self) {
        self.tracks.clear();
        self.time = None;
    }

    fn sureness(&self, detection: &Detection) -> Sureness {
        if detection.score >= self.options.sure_score {
            Sureness::Sure
        } else {
            Sureness::Unsure
        }
    }

    /// Matches the tracks and detections that a round is about and that have
    /// no partner yet.
    fn match_round(&self, round: &Round, detections: &[Detection], track_of: &mut [Option<usize>]) {
        let tracks: Vec<usize> = (0..self.tracks.len())
            .filter(|index| self.tracks[*index].found() == round.found)
            .filter(|index| !track_of.contains(&Some(*index)))
            .collect();
        let free: Vec<usize> = (0..detections.len())
            .filter(|index| track_of[*index].is_none())
            .filter(|index| self.sureness(&detections[*index]) == round.sureness)
            .collect();
        let iou = |row: usize, column: usize| {
            let (track, detection) = (&self.tracks[tracks[row]], &detections[free[column]]);
            if track.class != detection.class {
                return 0.0;
            }
            let iou = track.motion.bbox().iou(&detection.bbox);
            if iou >= round.min_iou { iou } else { 0.0 }
        };
        for (row, column) in best_pairs(tracks.len(), free.len(), &iou) {
            track_of[free[column]] = Some(tracks[row]);
        }
    }

    fn tracks_go_on(
        &mut self,
        detections: &[Detection],
        track_of: &[Option<usize>],
        time: Duration,
    ) {
        for (detection, track) in detections.iter().zip(track_of) {
            let Some(track) = track.map(|index| &mut self.tracks[index]) else {
                continue;
            };
            track.motion.correct(&detection.bbox);
            track.seen = time;
            if track.id.is_none() {
                self.last_id += 1;
                track.id = Some(TrackId(self.last_id));
            }
        }
    }

    /// Drops the tracks that were not found for too long, and those that were
    /// found once and not again.
    fn forget(&mut self, track_of: &mut [Option<usize>], time: Duration) {
        let mut kept = Vec::with_capacity(self.tracks.len());
        for (index, track) in std::mem::take(&mut self.tracks).into_iter().enumerate() {
            let waited = time.saturating_sub(track.seen);
            let keep = match track.id {
                Some(_) => waited <= self.options.patience,
                None => false,
            };
            let place = track_of.iter_mut().find(|track| **track == Some(index));
            if keep {
                if let Some(place) = place {
                    *place = Some(kept.len());
                }
                kept.push(track);
            }
        }
        self.tracks = kept;
    }

    fn start_tracks(
        &mut self,
        detections: &[Detection],
        track_of: &mut [Option<usize>],
        time: Duration,
        is_first: bool,
    ) {
        for (detection, track) in detections.iter().zip(track_of) {
            if track.is_some() || self.sureness(detection) == Sureness::Unsure {
                continue;
            }
            let id = is_first.then(|| {
                self.last_id += 1;
                TrackId(self.last_id)
            });
            *track = Some(self.tracks.len());
            self.tracks.push(Track {
                id,
                class: detection.class,
                motion: Motion::new(&detection.bbox),
                seen: time,
            });
        }
    }
}

impl Track {
    fn found(&self) -> Found {
        if self.id.is_some() {
            Found::Often
        } else {
            Found::Once
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Found {
    Once,
    Often,
}

#[derive(Clone, Copy, PartialEq)]
enum Sureness {
    Sure,
    Unsure,
}

/// One of the rounds in which tracks and detections are matched.
struct Round {
    found: Found,
    sureness: Sureness,
    min_iou: f32,
}

impl Round {
    const fn new(found: Found, sureness: Sureness, min_iou: f32) -> Self {
        Self {
            found,
            sureness,
            min_iou,
        }
    }
}

/// Where a box is and how it moves: a filter each for center x, center y,
/// width and height.
#[derive(Clone, Debug)]
struct Motion([Filter; 4]);

impl Motion {
    fn new(bbox: &PixelBox) -> Self {
        let height = bbox.height();
        Self(measured(bbox).map(|value| Filter::new(value, height)))
    }

    fn height(&self) -> f32 {
        self.0[3].value
    }

    fn advance(&mut self, steps: f32) {
        let height = self.height();
        for filter in &mut self.0 {
            filter.advance(steps, height);
        }
    }

    fn correct(&mut self, bbox: &PixelBox) {
        let height = self.height();
        for (filter, value) in self.0.iter_mut().zip(measured(bbox)) {
            filter.correct(value, height);
        }
    }

    fn bbox(&self) -> PixelBox {
        let [x, y, width, height] = [0, 1, 2, 3].map(|index| self.0[index].value);
        let (width, height) = (width.max(0.0) / 2.0, height.max(0.0) / 2.0);
        PixelBox::new(x - width, y - height, x + width, y + height)
    }
}

fn measured(bbox: &PixelBox) -> [f32; 4] {
    let (x, y) = bbox.center();
    [x, y, bbox.width(), bbox.height()]
}

/// A Kalman filter of a value and its velocity a step.
#[derive(Clone, Debug)]
struct Filter {
    value: f32,
    velocity: f32,
    /// Covariance: value, value with velocity, velocity.
    covariance: [f32; 3],
}

impl Filter {
    fn new(value: f32, height: f32) -> Self {
        Self {
            value,
            velocity: 0.0,
            covariance: [
                (2.0 * POSITION_NOISE * height).powi(2),
                0.0,
                (10.0 * VELOCITY_NOISE * height).powi(2),
            ],
        }
    }

    /// F = [1 s; 0 1], P <- F P F' + s Q.
    fn advance(&mut self, steps: f32, height: f32) {
        let [value, mixed, velocity] = self.covariance;
        self.value += steps * self.velocity;
        self.covariance = [
            value
                + 2.0 * steps * mixed
                + steps * steps * velocity
                + steps * (POSITION_NOISE * height).powi(2),
            mixed + steps * velocity,
            velocity + steps * (VELOCITY_NOISE * height).powi(2),
        ];
    }

    /// K = P H' / (H P H' + R) with H = [1 0].
    fn correct(&mut self, measured: f32, height: f32) {
        let [value, mixed, velocity] = self.covariance;
        let noise = (POSITION_NOISE * height).powi(2);
        let total = (value + noise).max(f32::MIN_POSITIVE);
        let (gain, velocity_gain) = (value / total, mixed / total);
        let surprise = measured - self.value;
        self.value += gain * surprise;
        self.velocity += velocity_gain * surprise;
        self.covariance = [
            (1.0 - gain) * value,
            (1.0 - gain) * mixed,
            velocity - velocity_gain * mixed,
        ];
    }
}

/// The pairs of rows and columns with the greatest sum of `gain`; pairs that
/// gain nothing are left out.
///
/// The Hungarian algorithm with potentials, in O(rows^2 columns); see
/// R. Burkard et al., "Assignment Problems" (2009), 4.2.
fn best_pairs(
    rows: usize,
    columns: usize,
    gain: &dyn Fn(usize, usize) -> f32,
) -> Vec<(usize, usize)> {
    if rows > columns {
        let mirrored = best_pairs(columns, rows, &|row, column| gain(column, row));
        return mirrored.into_iter().map(|(a, b)| (b, a)).collect();
    }
    // Rows and columns count from 1; column 0 is where a new row starts.
    let mut row_potential = vec![0.0_f32; rows + 1];
    let mut column_potential = vec![0.0_f32; columns + 1];
    let mut row_of = vec![0; columns + 1];
    for new_row in 1..=rows {
        let mut least = vec![f32::INFINITY; columns + 1];
        let mut came_from = vec![0; columns + 1];
        let mut visited = vec![false; columns + 1];
        let mut column = 0;
        row_of[0] = new_row;
        while row_of[column] != 0 {
            visited[column] = true;
            let row = row_of[column];
            let (mut step, mut next) = (f32::INFINITY, 0);
            for other in 1..=columns {
                if visited[other] {
                    continue;
                }
                let reduced =
                    -gain(row - 1, other - 1) - row_potential[row] - column_potential[other];
                if reduced < least[other] {
                    least[other] = reduced;
                    came_from[other] = column;
                }
                if least[other] < step {
                    step = least[other];
                    next = other;
                }
            }
            for other in 0..=columns {
                if visited[other] {
                    row_potential[row_of[other]] += step;
                    column_potential[other] -= step;
                } else {
                    least[other] -= step;
                }
            }
            column = next;
        }
        while column != 0 {
            row_of[column] = row_of[came_from[column]];
            column = came_from[column];
        }
    }
    (1..=columns)
        .filter(|column| row_of[*column] != 0)
        .map(|column| (row_of[column] - 1, column - 1))
        .filter(|(row, column)| gain(*row, *column) > 0.0)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Duration = Duration::from_millis(40);

    fn detection(class: u32, score: f32, x: f32, y: f32) -> Detection {
        Detection {
            class: ClassId(class),
            score,
            bbox: PixelBox::new(x, y, x + 40.0, y + 60.0),
        }
    }

    fn tracker() -> Tracker {
        Tracker::new(TrackerOptions::default())
    }

    fn ids(numbers: &[u64]) -> Vec<Option<TrackId>> {
        numbers.iter().map(|id| Some(TrackId(*id))).collect()
    }

    #[test]
    fn objects_that_cross_keep_their_numbers() {
        let mut tracker = tracker();
        for step in 0..60_u32 {
            let moved = step as f32 * 5.0;
            let mut frame = vec![
                detection(0, 0.9, 10.0 + moved, 100.0),
                detection(0, 0.9, 305.0 - moved, 130.0),
            ];
            let mut expected = ids(&[1, 2]);
            if step % 2 == 1 {
                frame.reverse();
                expected.reverse();
            }
            assert_eq!(tracker.update(&frame, FRAME * step), expected, "{step}");
        }
    }

    #[test]
    fn an_object_that_comes_back_soon_is_the_same() {
        let mut tracker = tracker();
        for step in 0..10_u32 {
            let frame = [detection(0, 0.9, 4.0 * step as f32, 50.0)];
            assert_eq!(tracker.update(&frame, FRAME * step), ids(&[1]));
        }
        for step in 10..20 {
            assert!(tracker.update(&[], FRAME * step).is_empty());
        }
        let back = [detection(0, 0.9, 80.0, 50.0)];
        assert_eq!(tracker.update(&back, FRAME * 20), ids(&[1]));
        let late = FRAME * 20 + Duration::from_secs(2);
        assert_eq!(tracker.update(&back, late), [None]);
        assert_eq!(tracker.update(&back, late + FRAME), ids(&[2]));
    }

    #[test]
    fn unsure_detections_continue_objects_and_start_none() {
        let mut tracker = tracker();
        let place = |score| [detection(0, score, 20.0, 20.0)];
        assert_eq!(tracker.update(&place(0.9), FRAME), ids(&[1]));
        assert_eq!(tracker.update(&place(0.2), FRAME * 2), ids(&[1]));
        let elsewhere = [detection(0, 0.2, 300.0, 20.0)];
        for step in 3..6 {
            assert_eq!(tracker.update(&elsewhere, FRAME * step), [None]);
        }
    }

    #[test]
    fn objects_that_are_forgotten_come_back_under_new_numbers() {
        let mut tracker = tracker();
        let frame = [detection(0, 0.9, 20.0, 20.0)];
        assert_eq!(tracker.update(&frame, FRAME * 7), ids(&[1]));
        tracker.forget_objects();
        // The time begins anew too.
        assert_eq!(tracker.update(&frame, Duration::ZERO), ids(&[2]));
        assert_eq!(tracker.update(&frame, FRAME), ids(&[2]));
    }

    #[test]
    fn classes_are_kept_apart() {
        let mut tracker = tracker();
        tracker.update(&[detection(0, 0.9, 20.0, 20.0)], FRAME);
        let other = [detection(1, 0.9, 20.0, 20.0)];
        assert_eq!(tracker.update(&other, FRAME * 2), [None]);
        assert_eq!(tracker.update(&other, FRAME * 3), ids(&[2]));
    }

    #[test]
    fn pairs_have_the_greatest_sum() {
        let gains = [[0.9, 0.8, 0.0], [0.8, 0.1, 0.0]];
        let mut pairs = best_pairs(2, 3, &|row, column| gains[row][column]);
        pairs.sort_unstable();
        assert_eq!(pairs, [(0, 1), (1, 0)]);
        let mut mirrored = best_pairs(3, 2, &|row, column| gains[column][row]);
        mirrored.sort_unstable();
        assert_eq!(mirrored, [(0, 1), (1, 0)]);
        assert!(best_pairs(0, 4, &|_, _| 1.0).is_empty());
    }

    #[test]
    fn broken_times_and_boxes_are_no_trap() {
        let mut tracker = tracker();
        let odd = [
            detection(0, f32::NAN, 1.0, 1.0),
            detection(0, 0.9, f32::NAN, 1.0),
            detection(0, 0.9, 1e30, 1.0),
        ];
        for time in [Duration::from_secs(5), Duration::ZERO, Duration::MAX] {
            assert_eq!(tracker.update(&odd, time).len(), 3);
        }
    }
}
