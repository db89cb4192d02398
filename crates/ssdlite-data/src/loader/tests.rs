//! Laws of the whole loader, on image files.

use std::fs;
use std::path::Path;

use ssdlite_core::default_boxes::{DefaultBoxSizes, DefaultBoxes};
use ssdlite_core::matcher::Assignment;
use ssdlite_core::unit::MapSize;
use ssdlite_core::{
    BoxCoder, ClassId, ClassNames, GroundTruth, ImageSize, PixelBox, Preprocessing,
};
use ssdlite_image::decode::decode_file;
use ssdlite_image::encode::jpeg_from_image;
use ssdlite_image::{Limits, Normaliser, Resizer, RgbImage};
use tempfile::TempDir;

use super::*;
use crate::augment::{ClassifierAugment, DetectorAugment};
use crate::dataset::{ClassificationSet, DetectionImage, DetectionSet, LabelledImage};
use ssdlite_core::random::Rng;

const INPUT: ImageSize = ImageSize::new(67, 59);
const IMAGES: usize = 23;
const BATCH: usize = 3;

/// Writes noise as a 24-bit BMP.
fn write_image(path: &Path, size: ImageSize, seed: u64) {
    let mut rng = Rng::from_keys(&[seed]);
    let padded_row = (3 * size.width as usize).next_multiple_of(4);
    let pixel_bytes = padded_row * size.height as usize;
    let mut bytes = b"BM".to_vec();
    for word in [54 + pixel_bytes as u32, 0, 54, 40, size.width, size.height] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend([1, 0, 24, 0]);
    bytes.extend([0; 24]);
    bytes.extend((0..pixel_bytes).map(|_| rng.next_u64() as u8));
    fs::write(path, bytes).unwrap();
}

fn size_of(index: usize) -> ImageSize {
    ImageSize::new(71 + index as u32, 97 - index as u32)
}

fn detection_set(folder: &Path) -> DetectionSet {
    let images = (0..IMAGES).map(|index| {
        let size = size_of(index);
        let path = folder.join(format!("{index}.bmp"));
        write_image(&path, size, index as u64);
        let objects = (0..index % 4).map(|object| {
            let start = 5.0 + 9.0 * object as f32;
            GroundTruth {
                class: ClassId(object as u32),
                bbox: PixelBox::new(start, 3.0, start + 40.0, 50.0).clipped(size),
                difficult: object == 1,
            }
        });
        DetectionImage {
            id: index.to_string(),
            size,
            objects: objects.collect(),
            path,
        }
    });
    DetectionSet {
        classes: ClassNames::new(["a", "b", "c"]).unwrap(),
        images: images.collect(),
    }
}

fn detection_recipe(set: &DetectionSet) -> DetectionRecipe {
    let maps = [(5, 6), (3, 3), (2, 2), (1, 1), (1, 1), (1, 1)];
    let maps = maps.map(|(height, width)| MapSize::new(height, width));
    DetectionRecipe {
        set: Arc::new(set.clone()),
        preprocessing: Preprocessing::detector(INPUT),
        augment: DetectorAugment::default(),
        targets: TargetEncoder {
            default_boxes: DefaultBoxes::new(&DefaultBoxSizes::default(), &maps),
            coder: BoxCoder::default(),
            assignment: Assignment::default(),
            difficult: DifficultObjects::LeaveOut,
        },
    }
}

/// With so many threads beside the caller, or with none.
fn training(workers: usize) -> LoaderOptions {
    let makers = NonZeroUsize::new(workers).map(Makers::Beside);
    LoaderOptions {
        batch_size: BATCH,
        seed: 5,
        makers: makers.unwrap_or_else(|| between(1)),
        cache_bytes: 0,
    }
}

fn between(threads: usize) -> Makers {
    let threads = NonZeroUsize::new(threads).unwrap();
    Makers::Between(Arc::new(Pool::new(threads).unwrap()))
}

fn loader(set: &DetectionSet, options: LoaderOptions) -> Loader<DetectionBatch> {
    Loader::for_detection(detection_recipe(set), options).unwrap()
}

fn batches<B: Send + 'static>(loader: &Loader<B>, epoch: u64, start: usize) -> Vec<B> {
    let batches = loader.epoch(epoch, start).unwrap();
    batches.map(Result::unwrap).collect()
}

#[test]
fn batches_depend_on_neither_workers_nor_cache() {
    let folder = TempDir::new().unwrap();
    let set = detection_set(folder.path());
    let expected = batches(&loader(&set, training(0)), 1, 0);
    assert_eq!(expected.len(), IMAGES / BATCH);
    // Room for some of the images, and for all of them.
    for cache_bytes in [0, 60_000, 10_000_000] {
        let beside = [1, 3, 8].map(|workers| training(workers).makers);
        for makers in beside.into_iter().chain([1, 2, 5].map(between)) {
            let loader = loader(
                &set,
                LoaderOptions {
                    makers,
                    cache_bytes,
                    ..training(0)
                },
            );
            assert_ne!(batches(&loader, 0, 0), expected);
            assert_eq!(batches(&loader, 1, 0), expected);
        }
    }
}

#[test]
fn what_was_in_a_batch_that_was_given_back_is_gone() {
    let folder = TempDir::new().unwrap();
    let set = detection_set(folder.path());
    for makers in [between(2), training(2).makers] {
        let options = LoaderOptions {
            makers,
            ..training(0)
        };
        let loader = loader(&set, options);
        let expected = [batches(&loader, 0, 0), batches(&loader, 1, 0)];
        for (epoch, expected) in (0..).zip(expected) {
            let mut made = loader.epoch(epoch, 0).unwrap();
            for expected in expected {
                let mut batch = made.next().unwrap().unwrap();
                assert_eq!(batch, expected);
                batch.pixels.fill(f32::NAN);
                batch.labels.fill(-1);
                batch.regression.fill(f32::NAN);
                made.give_back(batch);
            }
        }
    }
}

#[test]
fn a_resumed_epoch_is_the_rest_of_it() {
    let folder = TempDir::new().unwrap();
    let set = detection_set(folder.path());
    let loader = loader(&set, training(2));
    let whole = batches(&loader, 4, 0);
    for start in 0..=whole.len() {
        assert_eq!(batches(&loader, 4, start), whole[start..]);
    }
    assert!(batches(&loader, 4, whole.len() + 1).is_empty());
}

#[test]
fn batches_have_the_stated_shapes() {
    let folder = TempDir::new().unwrap();
    let set = detection_set(folder.path());
    let loader = loader(&set, training(2));
    let boxes = detection_recipe(&set).targets.default_boxes.len();
    for batch in batches(&loader, 0, 0) {
        assert_eq!(batch.input, INPUT);
        assert_eq!(batch.pixels.len(), BATCH * 67 * 59 * 3);
        assert_eq!(batch.labels.len(), BATCH * boxes);
        assert_eq!(batch.regression.len(), BATCH * boxes * 4);
        assert_eq!(batch.samples.len(), BATCH);
        // The class 1 is always difficult.
        assert!(!batch.labels.contains(&2));
        assert!(batch.labels.iter().any(|&label| label != BACKGROUND));
        assert!(batch.pixels.iter().all(|value| value.abs() < 1.0001));
    }
}

#[test]
fn broken_images_are_replaced_and_reported_once() {
    let folder = TempDir::new().unwrap();
    let mut set = detection_set(folder.path());
    fs::write(&set.images[3].path, b"not an image").unwrap();
    fs::remove_file(&set.images[8].path).unwrap();
    set.images[11].size = ImageSize::new(640, 480);
    let broken = [3, 8, 11];

    let mut seen = Vec::new();
    for workers in [0, 3] {
        let loader = loader(&set, training(workers));
        let mut reported = Vec::new();
        for epoch in 0..4 {
            let mut batches = loader.epoch(epoch, 0).unwrap();
            for batch in batches.by_ref() {
                let batch = batch.unwrap();
                assert_eq!(batch.samples.len(), BATCH);
                assert!(batch.samples.iter().all(|sample| !broken.contains(sample)));
                seen.push((workers, batch.samples));
            }
            reported.extend(batches.take_skipped());
        }
        reported.sort_by_key(|image| image.sample);
        assert_eq!(
            reported.iter().map(|i| i.sample).collect::<Vec<_>>(),
            broken
        );
        assert!(reported[2].reason.contains("640x480"));
        assert!(reported[0].to_string().contains("3.bmp"));
    }
    let of = |wanted| seen.iter().filter(move |(workers, _)| *workers == wanted);
    assert!(of(0).map(|(_, s)| s).eq(of(3).map(|(_, s)| s)));
}

/// A photo with slow waves of colour, as a JPEG file.
fn write_photo(path: &Path, size: ImageSize) {
    let wave = |at: u32, length: f32| (127.0 + 100.0 * (at as f32 / length).sin()) as u8;
    let pixels = (0..size.height)
        .flat_map(|y| (0..size.width).map(move |x| (x, y)))
        .flat_map(|(x, y)| [wave(x, 90.0), wave(y, 70.0), wave(x + y, 110.0)]);
    let image = RgbImage::new(size, pixels.collect()).unwrap();
    fs::write(path, jpeg_from_image(&image, 90).unwrap()).unwrap();
}

#[test]
fn of_large_photos_no_more_is_kept_than_is_seen() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("photo.jpg");
    let whole = ImageSize::new(1207, 905);
    write_photo(&path, whole);
    let bbox = PixelBox::new(300.0, 200.0, 700.0, 600.0);
    let mut set = DetectionSet {
        classes: ClassNames::new(["a"]).unwrap(),
        images: vec![DetectionImage {
            id: "photo".to_owned(),
            path,
            size: whole,
            objects: vec![GroundTruth {
                class: ClassId(0),
                bbox,
                difficult: false,
            }],
        }],
    };
    let options = LoaderOptions {
        batch_size: 1,
        // As much as is seen of one photo, which has 3 MB.
        cache_bytes: 2 * 67 * 2 * 59 * 3,
        ..training(0)
    };
    let recipe = detection_recipe(&set);
    let mut whole_views = recipe.clone();
    whole_views.augment = DetectorAugment::none();
    let loader = Loader::for_detection(whole_views, options.clone()).unwrap();
    let seen = batches(&loader, 0, 0).remove(0);
    let image = decode_file(&set.images[0].path, &Limits::default()).unwrap();
    let mut expected = vec![0.0; seen.pixels.len()];
    let input = Resizer::new().stretch(&image, INPUT);
    Normaliser::new(&recipe.preprocessing).write(&input, &mut expected);
    let far = |(a, b): (&f32, &f32)| (a - b).abs() > 0.05;
    assert!(!seen.pixels.iter().zip(&expected).any(far));

    // Boxes are those of the whole photo.
    let (mut labels, mut regression) = (seen.labels.clone(), seen.regression.clone());
    let objects = [GroundTruth {
        bbox: bbox.rescaled(whole, INPUT),
        ..set.images[0].objects[0]
    }];
    (recipe.targets).write(&objects, INPUT, &mut labels, &mut regression);
    assert_eq!(seen.labels, labels);
    for (a, b) in seen.regression.iter().zip(&regression) {
        assert!((a - b).abs() < 1e-4);
    }

    // It is kept: the file isn't read again.
    let path = set.images[0].path.clone();
    fs::remove_file(&path).unwrap();
    assert_eq!(batches(&loader, 0, 0), [seen]);

    // One that isn't as annotated is named by its own size.
    write_photo(&path, ImageSize::new(1300, 1000));
    set.images[0].size = whole;
    let loader = Loader::for_detection(detection_recipe(&set), options).unwrap();
    let error = loader.epoch(0, 0).unwrap().next().unwrap().unwrap_err();
    assert!(
        error
            .to_string()
            .contains("1207x905 as annotated, found 1300x1000"),
        "{error}"
    );
}

#[test]
fn a_set_without_a_usable_image_is_an_error() {
    let folder = TempDir::new().unwrap();
    let set = detection_set(folder.path());
    for image in &set.images {
        fs::remove_file(&image.path).unwrap();
    }
    let loader = loader(&set, training(2));
    for _ in 0..2 {
        let mut batches = loader.epoch(0, 0).unwrap();
        let error = batches.next().unwrap().unwrap_err();
        assert!(error.to_string().contains(".bmp"), "{error}");
        assert!(batches.next().is_none());
    }
}

#[test]
fn a_loader_can_be_dropped_in_an_epoch() {
    let folder = TempDir::new().unwrap();
    let set = detection_set(folder.path());
    let loader = loader(&set, training(2));
    let whole = batches(&loader, 0, 0);
    let mut cut_short = loader.epoch(0, 0).unwrap();
    assert_eq!(cut_short.next().unwrap().unwrap(), whole[0]);
    drop(cut_short);
    assert_eq!(batches(&loader, 0, 1), whole[1..]);
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let folder = TempDir::new().unwrap();
    let set = detection_set(folder.path());
    let refused = |recipe: DetectionRecipe, options| {
        assert!(Loader::for_detection(recipe, options).is_err());
    };
    let recipe = || detection_recipe(&set);
    refused(
        recipe(),
        LoaderOptions {
            batch_size: 0,
            ..training(0)
        },
    );
    refused(
        recipe(),
        LoaderOptions {
            makers: Makers::Beside(NonZeroUsize::new(MAX_WORKERS + 1).unwrap()),
            ..training(0)
        },
    );
    let mut empty = recipe();
    empty.set = Arc::new(DetectionSet {
        images: Vec::new(),
        ..set.clone()
    });
    refused(empty, training(2));
    let mut cropped = recipe();
    cropped.preprocessing = Preprocessing::classifier(64);
    refused(cropped, training(2));
    let mut mirrored = recipe();
    mirrored.augment.mirror = 2.0;
    refused(mirrored, training(2));
}

#[test]
fn a_classifiers_batches_keep_the_same_laws() {
    let folder = TempDir::new().unwrap();
    let images = detection_set(folder.path()).images;
    let set = Arc::new(ClassificationSet {
        classes: ClassNames::new(["a", "b", "c"]).unwrap(),
        images: images
            .into_iter()
            .enumerate()
            .map(|(index, image)| LabelledImage {
                path: image.path,
                class: ClassId::from_index(index % 3),
            })
            .collect(),
    });
    let batches_of = |workers| {
        let recipe = ClassificationRecipe {
            set: Arc::clone(&set),
            preprocessing: Preprocessing::classifier(48),
            augment: ClassifierAugment::default(),
        };
        batches(
            &Loader::for_classification(recipe, training(workers)).unwrap(),
            2,
            0,
        )
    };
    let expected = batches_of(0);
    assert_eq!(batches_of(3), expected);
    for batch in &expected {
        assert_eq!(batch.pixels.len(), BATCH * 48 * 48 * 3);
        for (label, sample) in batch.labels.iter().zip(&batch.samples) {
            assert_eq!(*label as usize, sample % 3);
        }
    }
}
