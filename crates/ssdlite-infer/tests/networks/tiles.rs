//! Images looked at in tiles.

use std::num::NonZeroUsize;

use ssdlite_core::tiles::{LearntView, Pass, Tile, merge_passes};
use ssdlite_core::{Detection, ImageSize, MobileNetV3, Task, Tiles, Variant};
use ssdlite_image::RgbImage;
use ssdlite_infer::{Detector, DetectorOptions, Error, ModelFile, RunOptions};

use crate::image;
use crate::variants::{MANY, detector_file};

const INPUT: ImageSize = ImageSize::new(131, 97);
const LARGE: ImageSize = ImageSize::new(401, 307);

fn file(view: Option<LearntView>) -> ModelFile {
    let (mut info, state) = detector_file(MobileNetV3::new(Variant::Small), INPUT).into_parts();
    if let Task::Detect(settings) = &mut info.task {
        settings.learnt_view = view;
    }
    ModelFile::new(info, state).expect("a sound model")
}

fn view(size: ImageSize, tiles: bool) -> LearntView {
    LearntView {
        size,
        least_side: 12.0,
        tiles,
    }
}

fn detector(file: &ModelFile, tiles: Option<Tiles>, threads: usize) -> Detector {
    let threads = NonZeroUsize::new(threads).expect("threads");
    let options = DetectorOptions {
        run: RunOptions::threads(threads),
        post_processing: Some(MANY),
        tiles,
    };
    Detector::new(file, &options).expect("a sound model")
}

fn found(detector: &Detector, image: &RgbImage) -> Vec<Detection> {
    detector.detect(image).expect("sound outputs")
}

/// The pixels of a part as an image of its own.
fn cut(image: &RgbImage, tile: Tile) -> RgbImage {
    let rows = tile.top..tile.top + tile.size.height;
    let bytes = rows.flat_map(|y| {
        let row = image.row(y);
        let (left, width) = (tile.left as usize * 3, tile.size.width as usize * 3);
        row[left..left + width].to_vec()
    });
    RgbImage::new(tile.size, bytes.collect()).expect("three bytes a pixel")
}

#[test]
fn images_that_need_no_tiles_are_detected_as_without() {
    let file = file(Some(view(INPUT, true)));
    let (off, auto) = (
        detector(&file, Some(Tiles::Off), 2),
        detector(&file, None, 2),
    );
    assert_eq!(auto.tiles(), Tiles::Auto);
    for size in [INPUT, ImageSize::new(60, 200), ImageSize::new(200, 150)] {
        let image = image(size);
        let expected = found(&off, &image);
        assert!(!expected.is_empty());
        assert_eq!(auto.tiles_of(size), []);
        assert_eq!(found(&auto, &image), expected);
    }
}

#[test]
fn a_large_image_is_what_its_parts_are_together() {
    // Tiles of the input's size, in which no pixel weighs on another.
    let file = file(Some(view(INPUT, true)));
    let (off, tiled) = (
        detector(&file, Some(Tiles::Off), 1),
        detector(&file, None, 1),
    );
    let image = image(LARGE);
    let whole = Pass {
        tile: Tile::whole(LARGE),
        detections: found(&off, &image),
    };
    let mut passes = vec![whole];
    for tile in tiled.tiles_of(LARGE) {
        assert_eq!(tile.size, INPUT);
        let moved = found(&off, &cut(&image, tile)).into_iter().map(|found| {
            let bbox = found.bbox.translated(tile.left as f32, tile.top as f32);
            Detection { bbox, ..found }
        });
        passes.push(Pass {
            tile,
            detections: moved.collect(),
        });
    }
    assert!(passes.len() > 10);
    let expected = merge_passes(passes, LARGE, &MANY);
    assert!(!expected.is_empty());
    assert_eq!(found(&tiled, &image), expected);
}

#[test]
fn threads_change_nothing_and_a_batch_is_its_images() {
    let file = file(None);
    let images = [image(LARGE), image(INPUT), image(ImageSize::new(97, 350))];
    let parts = Some(Tiles::Parts(3));
    let expected: Vec<_> = {
        let one = detector(&file, parts, 1);
        images.iter().map(|image| found(&one, image)).collect()
    };
    for threads in [2, 3, 40] {
        let detector = detector(&file, parts, threads);
        let single: Vec<_> = images.iter().map(|image| found(&detector, image)).collect();
        assert_eq!(single, expected);
        let batch = detector.detect_batch(&images).expect("sound outputs");
        assert_eq!(batch, expected);
    }
}

#[test]
fn the_nearest_is_the_best_of_all_parts() {
    let mut detector = detector(&file(None), Some(Tiles::Parts(3)), 1);
    let image = image(LARGE);
    let best = found(&detector, &image)[0];
    let (seen, nearest) = detector.detect_or_nearest(&image).expect("sound outputs");
    assert_eq!((seen[0], nearest), (best, None));
    detector
        .set_post_processing(ssdlite_core::PostProcessing {
            score_threshold: best.score.next_up(),
            ..MANY
        })
        .expect("sound settings");
    let (seen, nearest) = detector.detect_or_nearest(&image).expect("sound outputs");
    assert_eq!(seen, []);
    assert_eq!(nearest.map(|found| found.score), Some(best.score));
}

#[test]
fn what_falls_short_takes_the_place_of_nothing() {
    let mut detector = detector(&file(None), Some(Tiles::Parts(3)), 1);
    let image = image(LARGE);
    let all = found(&detector, &image);
    for limit in all.iter().step_by(all.len().div_ceil(20)) {
        let settings = ssdlite_core::PostProcessing {
            score_threshold: limit.score,
            ..MANY
        };
        detector
            .set_post_processing(settings)
            .expect("sound settings");
        let expected = found(&detector, &image);
        let seen = detector.detect_or_nearest(&image).expect("sound outputs");
        assert_eq!(seen, (expected, None), "from {} on", limit.score);
    }
}

#[test]
fn a_model_says_whether_tiles_are_used() {
    let tiles = |view, asked| detector(&file(view), asked, 1).tiles();
    assert_eq!(tiles(None, None), Tiles::Off);
    assert_eq!(tiles(Some(view(INPUT, false)), None), Tiles::Off);
    assert_eq!(tiles(Some(view(INPUT, true)), None), Tiles::Auto);
    assert_eq!(tiles(Some(view(INPUT, true)), Some(Tiles::Off)), Tiles::Off);
    let asked = Some(Tiles::Auto);
    assert_eq!(tiles(Some(view(INPUT, false)), asked), Tiles::Auto);
    let options = DetectorOptions {
        tiles: asked,
        ..DetectorOptions::default()
    };
    let error = Detector::new(&file(None), &options).expect_err("nothing to go by");
    assert!(matches!(error, Error::Unsupported(_)), "{error}");
}
