//! What the images of a detection sample are like: how large they are, and how many
//! objects of which sizes they show.

use std::ops::RangeInclusive;

use ssdlite_core::ImageSize;
use ssdlite_core::random::Rng;

use crate::sample::objects::Thing;
use crate::sample::scene::{Layout, Wanted, any_of};
use crate::sample::{DETECTION_STREAM, SMALL_DETECTION_STREAM, SampleObjects};

/// The part of images without any object.
const EMPTY_PART: f32 = 0.03;

/// How far an object's centre may lie beyond where it is whole, as a part of its
/// radius.
const OVERHANG: f32 = 0.2;

/// The ranges that images are drawn from.
pub(super) struct Flavour {
    /// What its random numbers are drawn with.
    pub(super) stream: u64,
    /// Widths and heights; an image has any of them.
    sizes: [(u32, u32); 4],
    /// Objects of an image that shows any.
    count: RangeInclusive<usize>,
    clutter: RangeInclusive<usize>,
    /// The radius of an object, as a part of the image's shorter side.
    radius: (f32, f32),
    /// Objects of another radius.
    others: Option<Others>,
}

struct Others {
    part: f32,
    radius: (f32, f32),
}

impl Flavour {
    pub(super) fn of(objects: SampleObjects) -> Self {
        match objects {
            SampleObjects::FewLarge => Self {
                stream: DETECTION_STREAM,
                sizes: [(320, 240), (320, 240), (240, 320), (288, 288)],
                count: 1..=4,
                clutter: 0..=4,
                radius: (0.2, 0.4),
                others: None,
            },
            SampleObjects::ManySmall => Self {
                stream: SMALL_DETECTION_STREAM,
                sizes: [(640, 480), (640, 480), (480, 640), (576, 576)],
                count: 5..=25,
                clutter: 8..=24,
                radius: (0.025, 0.06),
                others: Some(Others {
                    part: 0.1,
                    radius: (0.1, 0.25),
                }),
            },
        }
    }

    /// The layout of an image. Larger objects are laid down first, that they hide no
    /// small one.
    pub(super) fn layout(&self, rng: &mut Rng) -> Layout {
        let (width, height) = self.sizes[rng.below(self.sizes.len())];
        let count = match rng.chance(EMPTY_PART) {
            true => 0,
            false => any_of(&self.count, rng),
        };
        let mut objects: Vec<Wanted> = (0..count).map(|_| self.any_object(rng)).collect();
        objects.sort_by(|a, b| b.radius.1.total_cmp(&a.radius.1));
        Layout {
            size: ImageSize::new(width, height),
            objects,
            clutter: self.clutter.clone(),
            overhang: OVERHANG,
        }
    }

    fn any_object(&self, rng: &mut Rng) -> Wanted {
        let thing = Thing::ALL[rng.below(Thing::ALL.len())];
        let other = self.others.as_ref().filter(|other| rng.chance(other.part));
        Wanted {
            thing,
            radius: other.map_or(self.radius, |other| other.radius),
        }
    }
}
