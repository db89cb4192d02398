//! The inference engine computes what the training network computes, however it
//! is run. The network applies its batch norms, the engine has folded them.

use std::num::NonZeroUsize;

use ssdlite_core::{
    ClassNames, DefaultBoxSizes, DetectorSettings, FinestMap, Head, ImageSize, MobileNetV3,
    ModelInfo, PostProcessing, Suppression, Task, Variant,
};
use ssdlite_image::{Normaliser, Preprocessor, RgbImage};
use ssdlite_infer::{Classifier, Detector, DetectorOptions, DetectorOutputs, Isa, RunOptions};
use ssdlite_testing::model_from_formula;

use crate::network::{MULTIBOX, Network, Options};

/// Largest difference, relative to the largest number.
const TOLERANCE: f32 = 1e-5;

/// Images that go through the training network together.
const BATCHES: [usize; 3] = [1, 2, 5];

/// Makes many detections of arbitrary weights.
const MANY: PostProcessing = PostProcessing {
    score_threshold: 0.2,
    suppression: Suppression::Hard { max_iou: 0.6 },
    candidates_per_class: 50,
    max_detections: 40,
};

fn classes(count: usize) -> ClassNames {
    ClassNames::new((0..count).map(|class| format!("class {class}"))).unwrap()
}

/// Images of the network's input size, each different.
fn images(size: ImageSize, count: usize) -> Vec<RgbImage> {
    let image = |index: u32| {
        let points = (0..size.height).flat_map(|y| (0..size.width).map(move |x| (x, y)));
        let color = |(x, y): (u32, u32)| {
            let wave = |a: u32, b: u32| ((a * x + b * y + index * 67) % 256) as u8;
            [wave(3, 7), wave(4, 5), wave(11 + index, 3)]
        };
        RgbImage::new(size, points.flat_map(color).collect()).unwrap()
    };
    (0..count as u32).map(image).collect()
}

/// The training network's input for images, `[N, height, width, 3]`.
fn pixels(info: &ModelInfo, images: &[RgbImage]) -> Vec<f32> {
    let numbers = info.preprocessing.size.pixels() as usize * 3;
    let mut pixels = vec![0.0; numbers * images.len()];
    let mut preprocessor = Preprocessor::new(&info.preprocessing).unwrap();
    let normaliser = Normaliser::new(&info.preprocessing);
    for (image, input) in images.iter().zip(pixels.chunks_mut(numbers)) {
        normaliser.write(&preprocessor.fit(image), input);
    }
    pixels
}

/// What the training network with running statistics makes of the first images,
/// batch by batch of [`BATCHES`].
fn expected(info: &ModelInfo, all: &[RgbImage]) -> [Vec<Vec<f32>>; BATCHES.len()] {
    BATCHES.map(|images| {
        let options = Options {
            images,
            input: info.input(),
            objective: MULTIBOX,
        };
        let mut network = Network::new(&info.graph(), &[], options);
        network.forward(&pixels(info, &all[..images]))
    })
}

fn softmax(logits: &[f32], classes: usize) -> Vec<f32> {
    let rows = logits.chunks(classes).flat_map(|row| {
        let top = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f32 = row.iter().map(|x| (x - top).exp()).sum();
        row.iter().map(move |x| (x - top).exp() / sum)
    });
    rows.collect()
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

/// Every instruction set on one to three threads.
fn runs() -> impl Iterator<Item = RunOptions> {
    Isa::available().into_iter().flat_map(|isa| {
        (1..=3).map(move |threads| RunOptions {
            threads: NonZeroUsize::new(threads),
            isa: Some(isa),
            ..RunOptions::default()
        })
    })
}

fn detectors_agree(backbone: MobileNetV3, head: Head, finest: FinestMap, size: ImageSize) {
    let mut info = ModelInfo::detector(backbone, classes(3), 320);
    info.task = Task::Detect(DetectorSettings {
        head,
        finest,
        default_boxes: DefaultBoxSizes::paper(head, finest),
        ..DetectorSettings::default()
    });
    info.validate().unwrap();
    info.preprocessing.size = size;
    let file = model_from_formula(&info);
    let all = images(size, 5);
    let mut first_of_isa: Option<(Isa, Vec<DetectorOutputs>)> = None;
    let expected = expected(&info, &all);
    for run in runs() {
        let options = DetectorOptions {
            run,
            post_processing: Some(MANY),
            tiles: None,
        };
        let detector = Detector::new(&file, &options).unwrap();
        let what = format!("{} on {} threads", detector.isa(), detector.threads());
        let found: Vec<_> = all.iter().map(|p| detector.outputs(p).unwrap()).collect();
        for (count, expected) in BATCHES.into_iter().zip(&expected) {
            let logits: Vec<f32> = found[..count]
                .iter()
                .flat_map(|f| f.logits.clone())
                .collect();
            let boxes = found[..count].iter().flat_map(|f| f.regressions.clone());
            let boxes: Vec<f32> = boxes.collect();
            assert_close(&logits, &expected[0], &what);
            assert_close(&boxes, &expected[1], &what);
            let detections = detector.detect_batch(&all[..count]).unwrap();
            for (detections, outputs) in detections.iter().zip(&found) {
                let alone = detector.detections_from_outputs(outputs, size).unwrap();
                assert!(!alone.is_empty());
                assert_eq!(*detections, alone, "batch of {count}, {what}");
            }
        }
        match &first_of_isa {
            Some((isa, first)) if *isa == detector.isa() => assert!(*first == found, "{what}"),
            _ => first_of_isa = Some((detector.isa(), found)),
        }
    }
}

#[test]
fn small_detectors_agree() {
    let small = MobileNetV3::new(Variant::Small);
    let size = ImageSize::new(97, 131);
    for finest in [FinestMap::Stride16, FinestMap::Stride8] {
        detectors_agree(small, Head::Ssdlite, finest, size);
    }
}

#[test]
fn large_detectors_agree() {
    let large = MobileNetV3::new(Variant::Large).with_reduced_tail();
    let size = ImageSize::new(131, 97);
    detectors_agree(large, Head::Ssdlite, FinestMap::Stride8, size);
}

#[test]
fn detectors_with_a_pyramid_agree() {
    let small = MobileNetV3::new(Variant::Small);
    let large = MobileNetV3::new(Variant::Large);
    let head = Head::Fpn { channels: 24 };
    let size = ImageSize::new(141, 107);
    detectors_agree(small, head, FinestMap::Stride8, size);
    detectors_agree(large, head, FinestMap::Stride16, size);
}

#[test]
fn classifiers_agree() {
    for variant in [Variant::Small, Variant::Large] {
        let backbone = MobileNetV3::new(variant);
        let info = ModelInfo::classifier(backbone, classes(7), 64);
        let file = model_from_formula(&info);
        let all = images(ImageSize::new(83, 64), 5);
        let expected = expected(&info, &all).map(|outputs| softmax(&outputs[0], 7));
        let mut first_of_isa: Option<(Isa, Vec<f32>)> = None;
        for run in runs() {
            let classifier = Classifier::new(&file, &run).unwrap();
            let what = format!("{variant:?}, {} threads", classifier.threads());
            for (count, expected) in BATCHES.into_iter().zip(&expected) {
                let scores = classifier.classify_batch(&all[..count]).unwrap().concat();
                assert_close(&scores, expected, &what);
                match &first_of_isa {
                    Some((isa, first)) if *isa == classifier.isa() => {
                        let shared = scores.len().min(first.len());
                        assert_eq!(scores[..shared], first[..shared], "{what}");
                    }
                    _ => first_of_isa = Some((classifier.isa(), scores)),
                }
            }
        }
    }
}
