//! Frames of one video, told by their names and looks.
//!
//! Programs that save a video's frames number them. Between two frames more changes
//! than between copies of a photo, so names decide which images are compared with a
//! wider bound: those whose names differ by numbers alone and follow on each other.
//! Photos of a camera are numbered too; they differ too much.

use super::FRAME_BITS;
use super::hash::Look;
use super::joined::Joined;
use crate::images::without_image_ending;
use crate::split::Split;

/// Images of one running number that are a video as a whole if most of them look as
/// the one before does: also where the camera turned quickly, or the scene changed.
const LEAST_FRAMES: usize = 10;

/// Joins images whose names and looks say that they are frames of one video.
pub(super) fn join_frames(named: &[(usize, &str, Look)], joined: &mut Joined) {
    let mut all: Vec<Frame> = (named.iter())
        .filter_map(|&(item, name, look)| Frame::new(item, name, look))
        .collect();
    all.sort_by(|a, b| (&a.pattern, &a.numbers).cmp(&(&b.pattern, &b.numbers)));
    for frames in all.chunk_by_mut(|a, b| a.pattern == b.pattern) {
        // The folder of a split parts the frames of a video. But where two folders have
        // the same numbers, each counts for itself.
        let is_told_twice =
            |pair: &[Frame]| pair[0].numbers == pair[1].numbers && pair[0].folder != pair[1].folder;
        if frames.windows(2).any(is_told_twice) {
            frames.sort_by(|a, b| (&a.folder, &a.numbers).cmp(&(&b.folder, &b.numbers)));
            for own in frames.chunk_by(|a, b| a.folder == b.folder) {
                join_series(own, joined);
            }
        } else {
            join_series(frames, joined);
        }
    }
}

/// Joins neighbours among frames, sorted by number, that look alike.
fn join_series(frames: &[Frame], joined: &mut Joined) {
    for pair in frames.windows(2).filter(|pair| are_next(pair)) {
        joined.join(pair[0].item, pair[1].item);
    }
    for video in frames.chunk_by(|a, b| a.leading() == b.leading()) {
        let steps = video.windows(2).filter(|pair| are_next(pair)).count();
        if video.len() >= LEAST_FRAMES && 2 * steps >= video.len() {
            for pair in video.windows(2) {
                joined.join(pair[0].item, pair[1].item);
            }
        }
    }
}

fn are_next(pair: &[Frame]) -> bool {
    pair[0].look.distance(pair[1].look) <= FRAME_BITS
}

/// An image with a number in its name.
struct Frame {
    item: usize,
    look: Look,
    /// The name with `#` for each number, without folders of splits.
    pattern: String,
    /// The folders.
    folder: String,
    /// The numbers, each by how many digits it has, then by them.
    numbers: Vec<(usize, String)>,
}

impl Frame {
    fn new(item: usize, name: &str, look: Look) -> Option<Self> {
        let (folder, file) = name.rsplit_once('/').unwrap_or(("", name));
        let stem = without_export_mark(without_image_ending(file));
        let kept = (folder.split('/')).filter(|part| Split::from_folder_name(part).is_none());
        let mut pattern: String = kept.flat_map(|part| [part, "/"]).collect();
        let mut numbers = Vec::new();
        let mut rest = stem;
        while let Some(start) = rest.find(|char: char| char.is_ascii_digit()) {
            let (before, number) = rest.split_at(start);
            let end = number.find(|char: char| !char.is_ascii_digit());
            let (number, after) = number.split_at(end.unwrap_or(number.len()));
            pattern.push_str(before);
            pattern.push('#');
            let digits = number.trim_start_matches('0');
            numbers.push((digits.len(), digits.to_owned()));
            rest = after;
        }
        pattern.push_str(rest);
        (!numbers.is_empty()).then(|| Self {
            item,
            look,
            pattern,
            folder: folder.to_owned(),
            numbers,
        })
    }

    /// All numbers but the running one.
    fn leading(&self) -> &[(usize, String)] {
        &self.numbers[..self.numbers.len() - 1]
    }
}

/// A name without what Roboflow adds when it exports, as in
/// `clip-0012_jpg.rf.0f3a77`, where every image has letters and digits of its own.
fn without_export_mark(stem: &str) -> &str {
    match stem.rsplit_once(".rf.") {
        Some((own, mark)) if mark.chars().all(|char| char.is_ascii_alphanumeric()) => own,
        _ => stem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The groups of images of these names, each of which differs from the one before
    /// by so many bits.
    fn groups(images: &[(&str, u32)]) -> Vec<usize> {
        let mut bits = 0_u128;
        let mut next = 0;
        let mut named = Vec::new();
        for (item, &(name, distance)) in images.iter().enumerate() {
            for _ in 0..distance {
                bits ^= 1 << (next % u128::BITS);
                next += 1;
            }
            named.push((item, name, Look(bits)));
        }
        let mut joined = Joined::new(images.len());
        join_frames(&named, &mut joined);
        joined.into_groups()
    }

    #[test]
    fn next_frames_are_joined_by_name_and_look() {
        let near = FRAME_BITS;
        for [one, other] in [
            ["clip_9", "clip_10"],
            ["clip_00009.jpg", "clip_00010.png"],
            ["a/clip 1.3", "a/clip 1.4"],
            ["train/clip-3", "valid/clip-4"],
            ["video-0012_jpg.rf.0f3a", "video-0031_jpg.rf.77bc"],
            ["2026-11-28 10.15.59", "2026-11-28 10.16.00"],
            ["1", "2"],
        ] {
            assert_eq!(groups(&[(one, 0), (other, near)]), [0, 0], "{one} {other}");
            assert_eq!(groups(&[(one, 0), (other, near + 1)]), [0, 1]);
        }
        for [one, other] in [
            ["clip_1", "clap_2"],
            ["a/1", "b/2"],
            ["train/1", "val/1"],
            ["one", "two"],
            ["", "/"],
        ] {
            assert_eq!(groups(&[(one, 0), (other, near)]), [0, 1], "{one} {other}");
        }
        let between = [("x1", 0), ("x3", near + 1), ("x2", 0)];
        assert_eq!(groups(&between), [0, 1, 1]);
    }

    #[test]
    fn a_video_whose_frames_mostly_follow_is_one_group_over_its_cuts() {
        let names: Vec<String> = (0..12).map(|number| format!("clip2_{number}")).collect();
        let with_cuts = |every: usize| {
            let distance = |number| if number % every == 0 { 60 } else { 5 };
            let images: Vec<(&str, u32)> = (names.iter().enumerate())
                .map(|(number, name)| (name.as_str(), distance(number)))
                .collect();
            groups(&images)
        };
        assert_eq!(with_cuts(4), [0; 12]);
        // Numbered photos.
        assert_eq!(with_cuts(1), (0..12).collect::<Vec<_>>());
        // Too few to tell.
        let few: Vec<(&str, u32)> = vec![("a1", 0), ("a2", 5), ("a3", 60), ("a4", 5)];
        assert_eq!(groups(&few), [0, 0, 1, 1]);
    }

    #[test]
    fn the_frames_of_two_videos_are_two_groups() {
        let names: Vec<String> = (0..24)
            .map(|number| format!("clip{}_{}", number / 12, number % 12))
            .collect();
        let images: Vec<(&str, u32)> = (names.iter().enumerate())
            .map(|(number, name)| (name.as_str(), if number == 12 { 70 } else { 5 }))
            .collect();
        let found = groups(&images);
        assert_eq!(found[..12], [0; 12]);
        assert_eq!(found[12..], [1; 12]);
    }

    #[test]
    fn long_and_strange_names_are_names() {
        let long = "7".repeat(5000);
        for name in [
            &*long, "###", "0", "00", "é1", "1é", "a/", "/1", ".rf.", "1.rf.",
        ] {
            let images = [(name, 0), ("other 1", 5)];
            assert_eq!(groups(&images).len(), 2, "{name}");
        }
    }
}
