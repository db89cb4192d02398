//! Images that show the same: copies, near-duplicates, and frames of one video.
//!
//! Where one of them is learnt from and another one is tested on, the score says
//! how well a network remembers. [`LookGroups`] finds those that belong together, by
//! what they look like and by their names; `leaks` names those that stand in different
//! splits.
//!
//! Not found are photos of one thing from another side, and mirrored or turned ones.

mod hash;
mod joined;
mod leaks;
mod near;
mod series;

use std::collections::HashMap;
use std::path::Path;

use ssdlite_files::counted;
use ssdlite_image::{DecodeMemory, Limits};

pub use self::hash::Fingerprint;
use self::joined::Joined;
pub(crate) use self::leaks::{Placed, leaks};
use crate::finding::{Finding, FindingKind};
use crate::images::image_fault;

/// Hashes that differ by so many of 128 bits at most are of near-duplicates.
///
/// Measured on five sets of 300 to 400 photos or drawn images: cut by 2 % and compressed
/// anew, an image differs from itself by 8 to 10 bits in the median and by 16 to 21 in
/// one case of a hundred; of all pairs of a set one in a thousand differs by 31 to 44 bits
/// or fewer, near-duplicates among them, and the median by 62 to 64.
pub(crate) const NEAR_BITS: u32 = 20;

/// Hashes of next frames of one video differ by so many bits at most.
///
/// Measured on the same sets: cut by 8 %, an image differs from itself by 32 to 37 bits in
/// the median. Of photos that follow on each other by name one pair in a hundred differs
/// by 24 bits or fewer where many were taken from one place, else by 47 to 50.
pub(crate) const FRAME_BITS: u32 = 36;

/// Decodes a file and looks at what it shows; the error is a message for the user,
/// without the path.
pub(crate) fn fingerprint_of_file(
    path: &Path,
    memory: &DecodeMemory,
) -> Result<Fingerprint, String> {
    let decoded = memory.decode_file(path, &Limits::default());
    match decoded {
        Ok(image) => Ok(Fingerprint::of(&image)),
        Err(error) => Err(image_fault(&error, path)),
    }
}

/// An image to compare with others.
#[derive(Clone, Copy, Debug)]
pub struct Comparable<'a> {
    /// Its name, with `/` between folders, which may be a frame's.
    pub name: &'a str,
    /// What it shows; none for one that can't be read, which is like no other.
    pub fingerprint: Option<Fingerprint>,
}

/// Which images show the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookGroups {
    groups: Vec<usize>,
    count: usize,
    unfinished: usize,
}

impl LookGroups {
    /// Compares images: all with the bound for near-duplicates, those that follow on
    /// each other by name with the one for frames. What is alike to one of a group
    /// belongs to it.
    ///
    /// The work grows with the number of images, not with its square.
    pub fn new(images: &[Comparable<'_>]) -> Self {
        let mut joined = Joined::new(images.len());
        let mut copies = HashMap::new();
        let mut looks = Vec::new();
        let mut named = Vec::new();
        for (item, image) in images.iter().enumerate() {
            let Some(fingerprint) = image.fingerprint else {
                continue;
            };
            let first = *copies.entry(fingerprint.pixels).or_insert(item);
            joined.join(first, item);
            if let Some(look) = fingerprint.look {
                looks.push((item, look));
                named.push((item, image.name, look));
            }
        }
        let unfinished = near::join_near(&looks, &mut joined);
        series::join_frames(&named, &mut joined);
        let groups = joined.into_groups();
        Self {
            count: groups.iter().max().map_or(0, |last| last + 1),
            groups,
            unfinished,
        }
    }

    /// Each image a group of its own, without looking at it.
    pub(crate) fn apart(images: usize) -> Self {
        Self {
            groups: (0..images).collect(),
            count: images,
            unfinished: 0,
        }
    }

    /// The number of groups.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The group of each image, from 0; they are numbered by their first images.
    pub fn groups(&self) -> &[usize] {
        &self.groups
    }

    /// The images of each group.
    pub(crate) fn members(&self) -> Vec<Vec<usize>> {
        let mut members = vec![Vec::new(); self.count];
        for (image, &group) in self.groups.iter().enumerate() {
            members[group].push(image);
        }
        members
    }

    /// What to say where the images were not all compared.
    pub fn unfinished(&self) -> Option<Finding> {
        let message = format!(
            "{} not compared with all others, as too many look alike in parts; some that show \
             the same may not be found",
            counted(self.unfinished, "image")
        );
        let kind = FindingKind::LookAlike;
        (self.unfinished > 0).then(|| Finding::warning(".", kind, message))
    }
}

#[cfg(test)]
mod tests {
    use ssdlite_core::ImageSize;
    use ssdlite_image::RgbImage;

    use super::hash::Look;
    use super::*;

    fn seen(pixels: u64, look: Option<u128>) -> Option<Fingerprint> {
        Some(Fingerprint {
            pixels,
            look: look.map(Look),
        })
    }

    fn groups(images: &[(&str, Option<Fingerprint>)]) -> LookGroups {
        let images: Vec<Comparable<'_>> = (images.iter())
            .map(|&(name, fingerprint)| Comparable { name, fingerprint })
            .collect();
        LookGroups::new(&images)
    }

    #[test]
    fn copies_near_duplicates_and_frames_belong_together() {
        let near = (1 << NEAR_BITS) - 1;
        let frame = (near << 60) | (((1 << (FRAME_BITS - NEAR_BITS)) - 1) << 100);
        let found = groups(&[
            ("a", seen(1, Some(0))),
            ("black", seen(2, None)),
            ("b", seen(3, Some(near))),
            ("broken", None),
            ("also black", seen(2, None)),
            ("clip 1", seen(4, Some(!0))),
            ("clip 2", seen(5, Some(!frame))),
            ("clap 3", seen(6, Some(!((1 << FRAME_BITS) - 1)))),
            ("white", seen(7, None)),
            ("also broken", None),
        ]);
        assert_eq!(found.groups(), [0, 1, 0, 2, 1, 3, 3, 4, 5, 6]);
        assert_eq!(found.count(), 7);
        assert_eq!(found.members()[1], [1, 4]);
        assert_eq!(found.unfinished(), None);
        let none = groups(&[]);
        assert_eq!((none.count(), none.members().len()), (0, 0));
        assert_eq!(LookGroups::apart(3).groups(), [0, 1, 2]);
    }

    #[test]
    fn a_file_is_looked_at_by_its_pixels() {
        let folder = tempfile::tempdir().unwrap();
        let memory = DecodeMemory::default();
        let path = |name: &str| folder.path().join(name);
        let image = RgbImage::new(ImageSize::new(5, 3), (0..45).collect()).unwrap();
        ssdlite_image::encode::save(&path("a.png"), &image).unwrap();
        std::fs::copy(path("a.png"), path("b.png")).unwrap();
        std::fs::write(path("c.png"), b"x").unwrap();
        let [a, b] = ["a.png", "b.png"].map(|name| fingerprint_of_file(&path(name), &memory));
        assert_eq!(a.clone().unwrap(), b.unwrap());
        assert_eq!(a.unwrap(), Fingerprint::of(&image));
        let fault = fingerprint_of_file(&path("c.png"), &memory).unwrap_err();
        assert!(!fault.contains("c.png"), "{fault}");
    }
}
