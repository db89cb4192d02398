//! The choice among photos that were looked at.
//!
//! A photo is worth the more, the more a detector doubts and two of them differ, and the
//! less, the more photos that look like it are labelled or chosen already: of a video
//! one frame comes first, and the next one when the other photos are worth less than
//! half of it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use serde::Serialize;

/// What a photo is worth of which every detector is sure: a tenth of one of which they
/// know nothing, for it may hold what they can't find.
const LEAST_WORTH: f64 = 0.1;

/// What detectors say of a photo.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Judged {
    /// About how many labels are in doubt.
    pub(super) doubt: f64,
    /// About how many objects two detectors differ by, if two were asked.
    pub(super) disagreement: Option<f64>,
}

impl Judged {
    /// From `LEAST_WORTH` to 2.1: each reason counts up to 1, of which a label in doubt,
    /// or an object by which the models differ, is a half.
    fn worth(&self) -> f64 {
        let share = |amount: f64| amount / (1.0 + amount);
        LEAST_WORTH + share(self.doubt) + self.disagreement.map_or(0.0, share)
    }
}

/// A photo that was chosen, and why.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Pick {
    /// Its place among the photos that were to choose from.
    #[serde(skip)]
    pub photo: usize,
    /// What it is worth to label it, above 0; it compares photos of one choice alone.
    pub worth: f64,
    /// About how many labels the detector would get wrong.
    pub doubt: f64,
    /// About how many objects the two detectors differ by, if two were asked.
    pub disagreement: Option<f64>,
    /// How many labelled photos look like it.
    pub alike_labelled: usize,
    /// How many photos that were chosen before look like it.
    pub alike_picked: usize,
}

/// Photos that look alike.
#[derive(Clone, Debug, Default)]
pub(super) struct Scene {
    /// Those to choose from, each with its place among all.
    pub(super) photos: Vec<(usize, Judged)>,
    /// How many more are labelled.
    pub(super) labelled: usize,
}

/// Chooses photos, the worthiest first, as many as are asked for and there.
pub(super) fn choose(mut scenes: Vec<Scene>, count: usize) -> Vec<Pick> {
    let mut next = BinaryHeap::new();
    for (number, scene) in scenes.iter_mut().enumerate() {
        (scene.photos).sort_by(|(_, a), (_, b)| b.worth().total_cmp(&a.worth()));
        next.extend(offer(scene, 0).map(|pick| entry(&pick, number)));
    }
    let mut picked = vec![0; scenes.len()];
    let mut picks = Vec::new();
    while picks.len() < count
        && let Some((_, _, number)) = next.pop()
    {
        let scene = &scenes[number];
        picks.extend(offer(scene, picked[number]));
        picked[number] += 1;
        next.extend(offer(scene, picked[number]).map(|pick| entry(&pick, number)));
    }
    picks
}

/// What a scene has to offer when so many of it are chosen.
fn offer(scene: &Scene, picked: usize) -> Option<Pick> {
    let &(photo, judged) = scene.photos.get(picked)?;
    let alike = scene.labelled + picked;
    Some(Pick {
        photo,
        worth: judged.worth() / (1 + alike) as f64,
        doubt: judged.doubt,
        disagreement: judged.disagreement,
        alike_labelled: scene.labelled,
        alike_picked: picked,
    })
}

/// The order of what is offered: numbers above 0 are ordered as their bits are; of equal
/// ones the first photo comes first.
fn entry(pick: &Pick, scene: usize) -> (u64, Reverse<usize>, usize) {
    (pick.worth.to_bits(), Reverse(pick.photo), scene)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(doubt: f64, disagreement: Option<f64>) -> Judged {
        Judged {
            doubt,
            disagreement,
        }
    }

    fn scene(labelled: usize, photos: &[(usize, f64)]) -> Scene {
        let photos = photos.iter();
        Scene {
            photos: photos
                .map(|&(photo, doubt)| (photo, judged(doubt, None)))
                .collect(),
            labelled,
        }
    }

    fn order(scenes: &[Scene], count: usize) -> Vec<usize> {
        let picks = choose(scenes.to_vec(), count);
        assert!(picks.is_sorted_by(|a, b| a.worth >= b.worth));
        picks.iter().map(|pick| pick.photo).collect()
    }

    #[test]
    fn doubt_and_disagreement_make_worth() {
        let worth = |doubt: f64, disagreement: Option<f64>| judged(doubt, disagreement).worth();
        assert_eq!(worth(0.0, None), LEAST_WORTH);
        assert_eq!(worth(0.0, Some(0.0)), LEAST_WORTH);
        assert!((worth(1.0, Some(1.0)) - LEAST_WORTH - 1.0).abs() < 1e-9);
        assert!(worth(2.0, None) > worth(1.0, None));
        assert!(worth(1.0, Some(0.1)) > worth(1.0, None));
        assert!(worth(1e300, Some(1e300)) < LEAST_WORTH + 2.001);
    }

    #[test]
    fn the_worthiest_come_first_and_what_looks_like_them_later() {
        let scenes = [
            scene(0, &[(0, 0.2), (1, 3.0), (2, 2.9)]),
            scene(0, &[(3, 1.0)]),
            scene(4, &[(4, 9.0)]),
            scene(7, &[]),
            scene(0, &[(5, 0.2)]),
        ];
        assert_eq!(order(&scenes, 100), [1, 3, 2, 5, 4, 0]);
        assert_eq!(order(&scenes, 2), [1, 3]);
        assert!(order(&scenes, 0).is_empty());
        assert!(order(&[], 5).is_empty());
        let picks = choose(scenes.to_vec(), 5);
        let alike: Vec<_> = (picks.iter())
            .map(|pick| (pick.alike_labelled, pick.alike_picked))
            .collect();
        assert_eq!(alike, [(0, 0), (0, 0), (0, 1), (0, 0), (4, 0)]);
        assert_eq!(picks[2].doubt, 2.9);
    }

    #[test]
    fn equal_ones_keep_their_order() {
        let scenes: Vec<Scene> = (0..50).map(|photo| scene(0, &[(photo, 1.0)])).collect();
        assert_eq!(order(&scenes, 50), (0..50).collect::<Vec<_>>());
        let one = [scene(0, &[(2, 1.0), (3, 1.0), (9, 1.0)])];
        assert_eq!(order(&one, 3), [2, 3, 9]);
    }
}
