//! One result, however a network is run.

use std::num::NonZeroUsize;
use std::thread;

use ssdlite_core::{
    Detection, ImageSize, MobileNetV3, ModelInfo, PostProcessing, Suppression, Variant,
};
use ssdlite_image::RgbImage;
use ssdlite_infer::{
    Classifier, Detector, DetectorOptions, DetectorOutputs, Isa, ModelFile, RunOptions,
};
use ssdlite_testing::model_from_formula as model;

use crate::golden::classes;
use crate::image;

/// Largest difference between instruction sets, relative to the largest number.
const TOLERANCE: f32 = 1e-4;

/// Makes many detections of arbitrary weights.
pub(crate) const MANY: PostProcessing = PostProcessing {
    score_threshold: 0.2,
    suppression: Suppression::Hard { max_iou: 0.6 },
    candidates_per_class: 50,
    max_detections: 40,
};

fn networks() -> Vec<MobileNetV3> {
    let small = MobileNetV3::new(Variant::Small);
    let large = MobileNetV3::new(Variant::Large);
    vec![
        small,
        large.with_reduced_tail(),
        MobileNetV3 {
            width_multiplier: 0.35,
            ..large
        },
        MobileNetV3 {
            minimalistic: true,
            ..small
        },
        MobileNetV3 {
            width_multiplier: 1.25,
            minimalistic: true,
            ..large
        },
    ]
}

pub(crate) fn detector_file(network: MobileNetV3, size: ImageSize) -> ModelFile {
    let mut info = ModelInfo::detector(network, classes(3), 320);
    info.preprocessing.size = size;
    model(&info)
}

fn run(isa: Isa, threads: usize) -> RunOptions {
    RunOptions {
        threads: NonZeroUsize::new(threads),
        isa: Some(isa),
        ..RunOptions::default()
    }
}

/// Every instruction set on one to three threads.
pub(crate) fn every_run() -> impl Iterator<Item = RunOptions> {
    let isas = Isa::available().into_iter();
    isas.flat_map(|isa| (1..=3).map(move |threads| run(isa, threads)))
}

fn detector(file: &ModelFile, run: RunOptions) -> Detector {
    let post_processing = Some(MANY);
    let options = DetectorOptions {
        run,
        post_processing,
        tiles: None,
    };
    Detector::new(file, &options).expect("a sound model")
}

#[track_caller]
fn assert_close(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(0.0_f32, |top, x| top.max(x.abs()));
    for (found, expected) in found.iter().zip(expected) {
        let error = (found - expected).abs() / largest;
        assert!(error < TOLERANCE, "{what}: {found}, not {expected}");
    }
}

#[test]
fn instruction_sets_agree_and_threads_change_nothing() {
    for network in networks() {
        // Odd and not square; the smallest possible; so large that bands split.
        for size in [
            ImageSize::new(131, 97),
            ImageSize::new(32, 64),
            ImageSize::new(204, 388),
        ] {
            let file = detector_file(network, size);
            let image = image(size);
            let mut reference: Option<DetectorOutputs> = None;
            for isa in Isa::available() {
                let mut first: Option<DetectorOutputs> = None;
                for threads in 1..=3 {
                    let what = format!("{network:?} at {size} on {isa}, {threads} threads");
                    let model = detector(&file, run(isa, threads));
                    let found = model.outputs(&image).expect("sound outputs");
                    match &first {
                        None => first = Some(found),
                        Some(first) => assert!(*first == found, "{what}"),
                    }
                }
                let found = first.expect("an output");
                if let Some(expected) = &reference {
                    let what = format!("{network:?} at {size} on {isa}");
                    assert_close(&found.logits, &expected.logits, &what);
                    assert_close(&found.regressions, &expected.regressions, &what);
                } else {
                    reference = Some(found);
                }
            }
        }
    }
}

#[test]
fn settings_for_one_image_are_those_of_a_detector_that_has_them() {
    let size = ImageSize::new(131, 97);
    let file = detector_file(MobileNetV3::new(Variant::Small), size);
    let image = image(size);
    let many = detector(&file, RunOptions::default());
    let fewer = PostProcessing {
        suppression: Suppression::Hard { max_iou: 0.1 },
        max_detections: 7,
        ..MANY
    };
    let mut own = detector(&file, RunOptions::default());
    own.set_post_processing(fewer).expect("sound settings");
    let expected = own.detect(&image).expect("detections");
    assert_eq!(
        many.detect_with(&image, &fewer).expect("detections"),
        expected
    );
    assert_ne!(many.detect(&image).expect("detections"), expected);
    let unsound = PostProcessing {
        max_detections: 0,
        ..MANY
    };
    assert!(many.detect_with(&image, &unsound).is_err());
}

#[test]
fn outputs_have_a_row_for_each_default_box() {
    let size = ImageSize::new(300, 203);
    let file = detector_file(MobileNetV3::new(Variant::Small), size);
    let model = detector(&file, RunOptions::default());
    let outputs = model.outputs(&image(size)).expect("sound outputs");
    assert_eq!(outputs.logits.len(), model.default_boxes().len() * 4);
    assert_eq!(outputs.regressions.len(), model.default_boxes().len() * 4);
}

#[test]
fn a_batch_is_its_images() {
    let file = detector_file(MobileNetV3::new(Variant::Small), ImageSize::new(160, 128));
    let images: Vec<RgbImage> = [(160, 128), (31, 77), (640, 480), (1, 1), (2, 500)]
        .map(|(width, height)| image(ImageSize::new(width, height)))
        .to_vec();
    for threads in [1, 2, 3] {
        let model = detector(&file, run(Isa::detect(), threads));
        let each: Vec<Vec<Detection>> = images
            .iter()
            .map(|image| model.detect(image).expect("sound outputs"))
            .collect();
        assert!(each.iter().any(|found| !found.is_empty()));
        for count in 0..=images.len() {
            let batch = model.detect_batch(&images[..count]);
            assert_eq!(batch.expect("sound outputs"), each[..count]);
        }
    }
}

const fn is_shared<T: Send + Sync>() {}

/// That this compiles is the test.
const _: () = {
    is_shared::<Detector>();
    is_shared::<Classifier>();
    is_shared::<ModelFile>();
};

#[test]
fn one_model_serves_many_threads() {
    let file = detector_file(MobileNetV3::new(Variant::Small), ImageSize::new(128, 96));
    let model = detector(&file, run(Isa::detect(), 2));
    let images: Vec<RgbImage> = [(64, 48), (333, 201), (90, 160)]
        .map(|(width, height)| image(ImageSize::new(width, height)))
        .to_vec();
    let expected: Vec<_> = images.iter().map(|p| model.detect(p)).collect();
    let expected: Vec<_> = expected
        .into_iter()
        .map(|found| found.expect("sound"))
        .collect();
    thread::scope(|scope| {
        for start in 0..4 {
            let (model, images, expected) = (&model, &images, &expected);
            scope.spawn(move || {
                for turn in start..start + 30 {
                    let index = turn % images.len();
                    let found = model.detect(&images[index]).expect("sound outputs");
                    assert_eq!(found, expected[index]);
                }
            });
        }
    });
}

#[test]
fn boxes_lie_in_the_image_and_scores_fall() {
    let file = detector_file(MobileNetV3::new(Variant::Small), ImageSize::new(128, 96));
    let model = detector(&file, RunOptions::default());
    let size = ImageSize::new(333, 201);
    let found = model.detect(&image(size)).expect("sound outputs");
    assert!(!found.is_empty() && found.len() <= MANY.max_detections);
    assert!(found.windows(2).all(|pair| pair[0].score >= pair[1].score));
    for detection in &found {
        assert!(detection.score >= MANY.score_threshold);
        assert!(detection.bbox.is_valid());
        assert_eq!(detection.bbox, detection.bbox.clipped(size));
    }
}

#[test]
fn where_nothing_is_found_the_nearest_is_the_best_of_all() {
    let file = detector_file(MobileNetV3::new(Variant::Small), ImageSize::new(128, 96));
    let mut model = detector(&file, RunOptions::default());
    let image = image(ImageSize::new(333, 201));
    let found = model.detect(&image).expect("sound outputs");
    let some = model.detect_or_nearest(&image).expect("sound outputs");
    assert_eq!(some, (found.clone(), None));
    let strict = PostProcessing {
        score_threshold: 1.0,
        ..MANY
    };
    model.set_post_processing(strict).expect("sound settings");
    let none = model.detect_or_nearest(&image).expect("sound outputs");
    assert_eq!(none, (Vec::new(), found.first().copied()));
    assert_eq!(*model.post_processing(), strict);
}

#[test]
fn classifier_scores_add_up_and_the_top_is_sorted() {
    let info = ModelInfo::classifier(MobileNetV3::new(Variant::Small), classes(7), 96);
    let file = model(&info);
    let mut first: Option<Vec<f32>> = None;
    for threads in 1..=2 {
        let model = Classifier::new(&file, &run(Isa::detect(), threads)).expect("a sound model");
        let image = image(ImageSize::new(210, 120));
        let scores = model.classify(&image).expect("sound outputs");
        assert!((scores.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        let top = model.top(&image, 3).expect("sound outputs");
        assert_eq!(top.len(), 3);
        let best = scores.iter().copied().fold(0.0, f32::max);
        assert_eq!(top[0].score, best);
        assert_eq!(scores[top[0].class.index()], best);
        assert!(top.windows(2).all(|pair| pair[0].score >= pair[1].score));
        let batch = model.classify_batch(std::slice::from_ref(&image));
        assert_eq!(batch.expect("sound outputs")[0], scores);
        assert_eq!(*first.get_or_insert(scores.clone()), scores);
    }
}

#[test]
fn layers_are_told_when_they_are_done_and_cost_what_the_tables_say() {
    let file = detector_file(MobileNetV3::new(Variant::Large), ImageSize::square(64));
    let model = detector(&file, RunOptions::default());
    let mut done = Vec::new();
    let image = image(ImageSize::square(64));
    let outcome = model.run_network(&image, |layer| done.push(layer));
    assert!(outcome.is_ok());
    assert_eq!(done, (0..model.layers().len()).collect::<Vec<_>>());
    let macs: u64 = model.layers().map(|layer| layer.macs).sum();
    assert_eq!(macs, file.info().macs());
    let other = RgbImage::filled(ImageSize::new(64, 65), [0; 3]);
    assert!(model.run_network(&other, |_| {}).is_err());
}
