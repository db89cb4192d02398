//! Sample data: images of rendered objects with exact labels.
//!
//! The objects are apples, books, keys, leaves and mugs, each copy of its own
//! colour, size and turn, on wood, cloth, stone, tiles or a plain ground,
//! among clutter that belongs to no class. A detection set shows a few large
//! ones an image, or many small ones. The same options give the same bytes on
//! every machine. It is for trying things out and for tests; it says
//! nothing about how well a network does on photographs.

mod background;
mod flavour;
mod objects;
mod paint;
mod scene;

use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use ssdlite_core::ImageSize;
use ssdlite_core::random::Rng;
use ssdlite_image::encode::{IMAGE_QUALITY, jpeg_from_image};

use crate::detection::DetectionFolder;
use crate::error::{Error, Result};
use crate::files::{Overwrite, expect_going_on, make_folder, write_folder_aside, write_unsynced};
use crate::formats::Format;
use crate::parallel;
use crate::sample::flavour::Flavour;
use crate::sample::objects::Thing;
use crate::sample::scene::{Layout, Scene, Wanted, draw};
use crate::split::{Grouping, Split, SplitShares};
use crate::voc::{VocAnnotation, VocObject, VocWriter};

/// Sets that are drawn from one seed must not share images.
const DETECTION_STREAM: u64 = 1;
const CLASSIFICATION_STREAM: u64 = 2;
const SMALL_DETECTION_STREAM: u64 = 3;

/// An object of which less than this is seen is marked as difficult.
const DIFFICULT_BELOW: f32 = 0.4;

/// What the images of a detection sample show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SampleObjects {
    /// One to four objects, large in an image of about 320x240.
    #[default]
    FewLarge,
    /// 5 to 25 objects in an image of about 640x480 that is full of clutter. Nine
    /// of ten are small: the longer side of their boxes is about 0.03 to 0.13 of the
    /// image's shorter side.
    ManySmall,
}

/// What a detection sample is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DetectionSampleOptions {
    /// The number of images.
    pub images: usize,
    /// What they show.
    pub objects: SampleObjects,
    /// Another seed gives other images.
    pub seed: u64,
}

impl DetectionSampleOptions {
    /// How many images there may be: enough to fill every split, and as many as a
    /// file system bears.
    pub const IMAGES: RangeInclusive<usize> = 10..=1_000_000;
}

impl Default for DetectionSampleOptions {
    /// 480 images: enough to learn the five classes from scratch.
    fn default() -> Self {
        Self {
            images: 480,
            objects: SampleObjects::FewLarge,
            seed: 0,
        }
    }
}

/// What a classification sample is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassificationSampleOptions {
    /// Images of each class in `train`; `val` and `test` get a quarter of
    /// them each, rounded up.
    pub train_images_per_class: usize,
    /// Another seed gives other images.
    pub seed: u64,
}

impl ClassificationSampleOptions {
    /// How many training images a class may have.
    pub const TRAIN_IMAGES_PER_CLASS: RangeInclusive<usize> = 1..=100_000;
}

impl Default for ClassificationSampleOptions {
    /// 60 images a class to learn from.
    fn default() -> Self {
        Self {
            train_images_per_class: 60,
            seed: 0,
        }
    }
}

/// The names of the sample's classes, sorted.
pub fn class_names() -> [&'static str; Thing::ALL.len()] {
    Thing::ALL.map(Thing::name)
}

/// Writes a detection set in VOC's layout to the folder `root`: images with
/// objects, labelImg's annotations, and lists with four fifths in `trainval`.
///
/// # Errors
/// [`Error::InvalidRequest`] for fewer or more images than
/// [`DetectionSampleOptions::IMAGES`], or if the folder exists and is not empty; [`Error::Io`]. A folder that could not be finished
/// is not left behind under its name.
pub fn write_detection_sample(root: &Path, options: &DetectionSampleOptions) -> Result<()> {
    write_detection_sample_until(root, options, &AtomicBool::new(false))
}

/// [`write_detection_sample`], unless `stop` is set before it is finished.
///
/// # Errors
/// As there, and [`Error::Stopped`], after which nothing is left.
pub fn write_detection_sample_until(
    root: &Path,
    options: &DetectionSampleOptions,
    stop: &AtomicBool,
) -> Result<()> {
    expect_within(&DetectionSampleOptions::IMAGES, options.images, "images")?;
    write_folder_aside(root, |root| {
        let writer = VocWriter::for_new_folder(root);
        let indices: Vec<usize> = (0..options.images).collect();
        let written = parallel::map(&indices, |&index| {
            expect_going_on(stop)?;
            write_detection_image(&writer, options, index)
        });
        written.into_iter().collect::<Result<()>>()?;
        let shares = SplitShares {
            trainval: 0.8,
            seed: options.seed,
            ..SplitShares::default()
        };
        // Each image is drawn anew.
        let folder = DetectionFolder::open(root, Some(Format::Voc))?;
        let lists = folder.divide(&shares, Grouping::Apart, Overwrite::Refuse)?;
        lists.write()
    })
}

fn write_detection_image(
    writer: &VocWriter,
    options: &DetectionSampleOptions,
    index: usize,
) -> Result<()> {
    let flavour = Flavour::of(options.objects);
    let mut rng = Rng::from_keys(&[flavour.stream, options.seed, index as u64]);
    let scene = draw(&flavour.layout(&mut rng), &mut rng);
    let annotation = VocAnnotation {
        filename: &format!("sample_{index:05}.jpg"),
        size: scene.image.size(),
        objects: (scene.objects.iter())
            .map(|object| VocObject {
                name: object.thing.name(),
                bbox: object.bbox,
                truncated: object.truncated,
                difficult: object.visible < DIFFICULT_BELOW,
            })
            .collect(),
    };
    writer.add(&jpeg_of(&scene)?, &annotation)
}

/// Writes a classification set to the folder `root`: images of 160x160, one
/// object in each, in `train`, `val` and `test` with a folder a class.
///
/// # Errors
/// [`Error::InvalidRequest`] for fewer or more images than
/// [`ClassificationSampleOptions::TRAIN_IMAGES_PER_CLASS`], or if the folder exists
/// and is not empty; [`Error::Io`]. A folder that could not be finished is not left
/// behind under its name.
pub fn write_classification_sample(
    root: &Path,
    options: &ClassificationSampleOptions,
) -> Result<()> {
    write_classification_sample_until(root, options, &AtomicBool::new(false))
}

/// [`write_classification_sample`], unless `stop` is set before it is finished.
///
/// # Errors
/// As there, and [`Error::Stopped`], after which nothing is left.
pub fn write_classification_sample_until(
    root: &Path,
    options: &ClassificationSampleOptions,
    stop: &AtomicBool,
) -> Result<()> {
    let train = options.train_images_per_class;
    let limits = ClassificationSampleOptions::TRAIN_IMAGES_PER_CLASS;
    expect_within(&limits, train, "images a class")?;
    let held_out = train.div_ceil(4);
    write_folder_aside(root, |root| {
        let mut images = Vec::new();
        for thing in Thing::ALL {
            for (split, count) in [
                (Split::Train, train),
                (Split::Val, held_out),
                (Split::Test, held_out),
            ] {
                let folder = root.join(split.name()).join(thing.name());
                make_folder(&folder)?;
                images.extend((0..count).map(|index| {
                    let path = folder.join(format!("{}_{index:04}.jpg", thing.name()));
                    (path, thing, [thing as u64, split as u64, index as u64])
                }));
            }
        }
        let written = parallel::map(&images, |(path, thing, keys)| {
            expect_going_on(stop)?;
            write_classification_image(path, *thing, options.seed, keys)
        });
        written.into_iter().collect()
    })
}

fn write_classification_image(path: &Path, thing: Thing, seed: u64, keys: &[u64; 3]) -> Result<()> {
    let mut rng = Rng::from_keys(&[CLASSIFICATION_STREAM, seed, keys[0], keys[1], keys[2]]);
    let layout = Layout {
        size: ImageSize::square(160),
        objects: vec![Wanted {
            thing,
            radius: (0.28, 0.48),
        }],
        clutter: 0..=4,
        overhang: 0.1,
    };
    write_unsynced(path, &jpeg_of(&draw(&layout, &mut rng))?)
}

fn jpeg_of(scene: &Scene) -> Result<Vec<u8>> {
    Ok(jpeg_from_image(&scene.image, IMAGE_QUALITY)?)
}

fn expect_within(limits: &RangeInclusive<usize>, found: usize, what: &str) -> Result<()> {
    if limits.contains(&found) {
        return Ok(());
    }
    Err(Error::InvalidRequest(format!(
        "expected {} to {} {what} for a sample, found {found}",
        limits.start(),
        limits.end()
    )))
}
