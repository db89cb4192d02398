//! What `detect` tells when it ends: how much it looked at, what it found, how long
//! that took, and where nothing was sure enough, how sure the best was.

use std::path::Path;
use std::time::Instant;

use ssdlite_core::{ClassNames, Detection, PostProcessing};

use crate::console::{self, counted};
use crate::output::training_progress::duration_text;

/// The counts of one source, or of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) images: u64,
    pub(crate) frames: u64,
    /// Images and frames with an object.
    pub(crate) with_objects: u64,
    pub(crate) objects: u64,
}

impl Counts {
    /// What was found in one more image or frame.
    pub(crate) fn found(&mut self, objects: usize) {
        self.with_objects += u64::from(objects > 0);
        self.objects += objects as u64;
    }

    fn add(&mut self, other: Self) {
        self.images += other.images;
        self.frames += other.frames;
        self.with_objects += other.with_objects;
        self.objects += other.objects;
    }

    const fn looked_at(&self) -> u64 {
        self.images + self.frames
    }

    /// What was looked at and found.
    fn text(&self) -> String {
        let (images, frames) = (counted(self.images, "image"), counted(self.frames, "frame"));
        let looked_at = match (self.images, self.frames) {
            (_, 0) => images,
            (0, _) => frames,
            _ => format!("{images} and {frames}"),
        };
        let objects = counted(self.objects, "object");
        format!(
            "{looked_at}, {} with objects ({objects})",
            self.with_objects
        )
    }

    /// Images and frames a second, with what they were.
    fn rate(&self, seconds: f64) -> String {
        let unit = match (self.images, self.frames) {
            (_, 0) => "images",
            (0, _) => "frames",
            _ => "images and frames",
        };
        format!("{:.1} {unit}/s", self.looked_at() as f64 / seconds)
    }
}

/// The surest box of those that were not sure enough.
#[derive(Clone, Debug, PartialEq)]
struct Nearest {
    score: f32,
    class: String,
    source: String,
}

/// What was done so far.
pub(crate) struct Summary {
    start: Instant,
    least_score: f32,
    counts: Counts,
    nearest: Option<Nearest>,
}

impl Summary {
    /// Of work that begins now, with this least score of what is told.
    pub(crate) fn new(least_score: f32) -> Self {
        Self {
            start: Instant::now(),
            least_score,
            counts: Counts::default(),
            nearest: None,
        }
    }

    /// Adds a source's counts.
    pub(crate) fn add(&mut self, counts: Counts) {
        self.counts.add(counts);
    }

    /// Takes note of the best box in a source that is not sure enough to be told.
    pub(crate) fn fell_short(
        &mut self,
        best: Option<&Detection>,
        classes: &ClassNames,
        source: &str,
    ) {
        let Some(best) = best else {
            return;
        };
        let so_far = self.nearest.as_ref().map_or(0.0, |nearest| nearest.score);
        if best.score > so_far {
            self.nearest = Some(Nearest {
                score: best.score,
                class: classes.get(best.class).unwrap_or_default().to_owned(),
                source: source.to_owned(),
            });
        }
    }

    /// Tells all of it; `saved` is the folder of what was saved.
    pub(crate) fn tell(&self, saved: Option<&Path>) {
        if self.counts.looked_at() == 0 {
            return;
        }
        let time = self.start.elapsed();
        let (counts, rate) = (self.counts.text(), self.counts.rate(time.as_secs_f64()));
        console::note(&format!("{counts}; {}, {rate}", duration_text(time)));
        if self.counts.objects == 0 {
            console::note(&nothing_found(self.least_score, self.nearest.as_ref()));
        }
        if let Some(folder) = saved {
            console::note(&format!("saved in {}", folder.display()));
        }
    }
}

/// Why nothing was told, and what would show more.
fn nothing_found(least_score: f32, nearest: Option<&Nearest>) -> String {
    let Some(nearest) = nearest else {
        return format!(
            "no score reached {least_score}, nor {}: expected objects of the model's classes",
            PostProcessing::EVALUATION_SCORE_THRESHOLD
        );
    };
    let Nearest {
        score,
        class,
        source,
    } = nearest;
    // Rounded down, so that this score shows it, and such a score is told.
    let shown = (f64::from(*score) * 1e3).floor() / 1e3;
    let enough = (f64::from(*score) * 1e2).floor() / 1e2;
    format!(
        "no score reached {least_score}; the best was {shown} ({class} in {source}), which \
         --score {enough} shows"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_told_in_the_right_number() {
        let mut counts = Counts {
            images: 1,
            ..Counts::default()
        };
        counts.found(1);
        assert_eq!(counts.text(), "1 image, 1 with objects (1 object)");
        assert_eq!(counts.rate(0.5), "2.0 images/s");
        let mut frames = Counts {
            frames: 3,
            ..Counts::default()
        };
        frames.found(0);
        assert_eq!(frames.text(), "3 frames, 0 with objects (0 objects)");
        counts.add(frames);
        let told = "1 image and 3 frames, 1 with objects (1 object)";
        assert_eq!(counts.text(), told);
        assert_eq!(counts.rate(0.5), "8.0 images and frames/s");
    }

    #[test]
    fn the_score_that_is_named_shows_the_best() {
        for (score, shown, enough) in [
            (0.2999_f32, "0.299", "0.29"),
            (0.3, "0.3", "0.3"),
            (0.0101, "0.01", "0.01"),
        ] {
            let nearest = Nearest {
                score,
                class: "key".into(),
                source: "a.jpg".into(),
            };
            let told = nothing_found(0.5, Some(&nearest));
            let expected = format!(
                "no score reached 0.5; the best was {shown} (key in a.jpg), which --score \
                 {enough} shows"
            );
            assert_eq!(told, expected);
            assert!(enough.parse::<f32>().unwrap() <= score);
        }
    }

    #[test]
    fn the_best_of_all_is_kept() {
        let classes = ClassNames::new(["key", "mug"]).unwrap();
        let mut summary = Summary::new(0.3);
        let best = |score| Detection {
            class: ssdlite_core::ClassId(1),
            score,
            bbox: ssdlite_core::PixelBox::new(1.0, 2.0, 3.0, 5.0),
        };
        for (score, source) in [(0.1, "a"), (0.2, "b"), (0.15, "c")] {
            summary.fell_short(Some(&best(score)), &classes, source);
        }
        summary.fell_short(None, &classes, "d");
        let nearest = summary.nearest.unwrap();
        assert_eq!(
            (nearest.class.as_str(), nearest.source.as_str()),
            ("mug", "b")
        );
    }
}
