//! Images that show the same and stand in different splits.

use std::collections::{BTreeMap, HashMap};

use super::{Comparable, Fingerprint, LookGroups, NEAR_BITS};
use crate::finding::{FileFindings, Finding, FindingKind, quoted};
use crate::split::Split;

/// Of so many images of a group, the nearest one is named.
const MOST_NAMED: usize = 1000;

/// An image in a split.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placed<'a> {
    /// How a message names it, which tells too whether it may be a frame.
    pub(crate) name: &'a str,
    /// The split that it counts for.
    pub(crate) split: Split,
    pub(crate) fingerprint: Fingerprint,
}

/// Names the images that show the same as one of a split that must share none with
/// theirs. `apart` are pairs of such splits; what is found is about the file of the
/// second one. A copy is an error: it is beyond doubt.
pub(crate) fn leaks(
    images: &[Placed<'_>],
    apart: &[(Split, Split)],
    file_of: impl Fn(Split) -> String,
) -> Vec<Finding> {
    let compared: Vec<Comparable<'_>> = (images.iter())
        .map(|image| Comparable {
            name: image.name,
            fingerprint: Some(image.fingerprint),
        })
        .collect();
    let groups = LookGroups::new(&compared);
    let mut copies = HashMap::new();
    for image in images {
        let place = (image.split, image.fingerprint.pixels);
        copies.entry(place).or_insert(image);
    }
    let mut found: BTreeMap<Split, Vec<(Rank, Finding)>> = BTreeMap::new();
    for members in groups.members() {
        let mut parts: BTreeMap<Split, Vec<&Placed<'_>>> = BTreeMap::new();
        for image in members {
            let image = &images[image];
            parts.entry(image.split).or_default().push(image);
        }
        for (one, other) in apart {
            let (Some(known), Some(seen)) = (parts.get(one), parts.get(other)) else {
                continue;
            };
            for image in seen {
                let copy = copies.get(&(*one, image.fingerprint.pixels));
                let told = match copy {
                    Some(copy) => (Rank::Copy, copy_finding(image, copy, &file_of)),
                    None => {
                        let Some((distance, nearest)) = nearest(image, known) else {
                            continue;
                        };
                        let finding = alike_finding(image, nearest, distance, &file_of);
                        (Rank::Alike, finding)
                    }
                };
                found.entry(*other).or_default().push(told);
            }
        }
    }
    let mut findings: Vec<Finding> = groups.unfinished().into_iter().collect();
    for (split, mut of_split) in found {
        // What is certain is told first; there may be more than is told one by one.
        of_split.sort();
        let mut told = FileFindings::default();
        for (_, finding) in of_split {
            told.push(finding);
        }
        findings.extend(told.into_findings(&file_of(split)));
    }
    findings
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Copy,
    Alike,
}

/// The one of these that looks most like an image, and by how many bits it differs.
fn nearest<'a, 'b>(image: &Placed<'_>, known: &[&'a Placed<'b>]) -> Option<(u32, &'a Placed<'b>)> {
    let look = image.fingerprint.look?;
    (known.iter().take(MOST_NAMED))
        .filter_map(|other| Some((look.distance(other.fingerprint.look?), *other)))
        .min_by_key(|(distance, _)| *distance)
}

fn copy_finding(
    image: &Placed<'_>,
    copy: &Placed<'_>,
    file_of: impl Fn(Split) -> String,
) -> Finding {
    let message = format!(
        "{} has the same pixels as {} in {}",
        quoted(image.name),
        quoted(copy.name),
        copy.split
    );
    Finding::error(file_of(image.split), FindingKind::Leak, message)
}

fn alike_finding(
    image: &Placed<'_>,
    nearest: &Placed<'_>,
    distance: u32,
    file_of: impl Fn(Split) -> String,
) -> Finding {
    let (image_name, other) = (quoted(image.name), quoted(nearest.name));
    let split = nearest.split;
    let message = if distance <= NEAR_BITS {
        format!("{image_name} looks like {other} in {split}: {distance} of 128 bits differ")
    } else {
        format!("{image_name} looks like a frame of one video with {other} in {split}")
    };
    Finding::warning(file_of(image.split), FindingKind::LookAlike, message)
}

#[cfg(test)]
mod tests {
    use super::super::hash::Look;
    use super::*;
    use crate::finding::Severity;

    const APART: [(Split, Split); 2] = [(Split::Train, Split::Test), (Split::Train, Split::Val)];

    fn placed(name: &str, split: Split, pixels: u64, look: u128) -> Placed<'_> {
        let look = Some(Look(look));
        Placed {
            name,
            split,
            fingerprint: Fingerprint { pixels, look },
        }
    }

    fn told(images: &[Placed<'_>]) -> Vec<(String, FindingKind, Severity)> {
        let findings = leaks(images, &APART, |split| format!("{split}.txt"));
        let told = findings.into_iter();
        told.map(|finding| (finding.to_string(), finding.kind, finding.severity))
            .collect()
    }

    #[test]
    fn each_image_is_told_with_the_nearest_of_the_other_split() {
        use FindingKind::{Leak, LookAlike};
        let images = [
            placed("a", Split::Train, 1, 0),
            placed("b", Split::Train, 2, 0xff),
            placed("c", Split::Test, 3, 0x1ff),
            placed("copy", Split::Test, 2, 0xff),
            placed("far", Split::Test, 5, !0),
            placed("d", Split::Val, 6, 0b11),
            // Test and val are not compared here.
            placed("far too", Split::Val, 5, !0),
        ];
        assert_eq!(
            told(&images),
            [
                (
                    "val.txt: `d` looks like `a` in train: 2 of 128 bits differ".to_owned(),
                    LookAlike,
                    Severity::Warning
                ),
                (
                    "test.txt: `copy` has the same pixels as `b` in train".to_owned(),
                    Leak,
                    Severity::Error
                ),
                (
                    "test.txt: `c` looks like `b` in train: 1 of 128 bits differ".to_owned(),
                    LookAlike,
                    Severity::Warning
                ),
            ]
        );
        assert!(told(&images[..2]).is_empty());
        assert!(told(&[]).is_empty());
    }

    #[test]
    fn frames_of_one_video_are_told_as_such() {
        let images = [
            placed("clip_1", Split::Train, 1, 0),
            placed("clip_2", Split::Test, 2, (1 << 30) - 1),
        ];
        let message = "test.txt: `clip_2` looks like a frame of one video with `clip_1` in train";
        assert_eq!(told(&images)[0].0, message);
    }

    #[test]
    fn many_are_counted() {
        let names: Vec<String> = (0..3000).map(|number| format!("x{number}")).collect();
        let images: Vec<Placed<'_>> = (names.iter().enumerate())
            .map(|(number, name)| {
                let split = [Split::Train, Split::Test][number % 2];
                placed(name, split, number as u64, number as u128)
            })
            .collect();
        let told = told(&images);
        assert_eq!(told.len(), 21);
        assert!(told[20].0.contains("1480 warnings more"), "{}", told[20].0);
    }
}
