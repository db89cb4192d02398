//! The inference engine computes what the training network computes, however it
//! is run. The network applies its batch norms, the engine has folded them.

use std::num::NonZeroUsize;

use burn::tensor::{Device, Tensor, TensorData};
use ssdlite_core::{
    ClassNames, ImageSize, MobileNetV3, ModelInfo, PostProcessing, Suppression, Variant,
};
use ssdlite_image::{Normaliser, Preprocessor, RgbImage};
use ssdlite_infer::{
    Classifier, Detector, DetectorOptions, DetectorOutputs, Isa, ModelFile, NamedTensor, RunOptions,
};
use ssdlite_nn::weights::Values;
use ssdlite_nn::weights::formula::state_from_formula;
use ssdlite_nn::{Network, StateDict};

/// Largest difference, relative to the largest number.
const TOLERANCE: f32 = 1e-5;

/// Pictures that go through the training network together.
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

fn model(info: &ModelInfo, state: &StateDict) -> ModelFile {
    let tensors = state
        .iter()
        .filter_map(|(key, tensor)| match &tensor.values {
            Values::F32(numbers) => Some(NamedTensor {
                key: key.to_owned(),
                shape: tensor.shape.clone(),
                numbers: numbers.clone(),
            }),
            _ => None,
        });
    ModelFile::from_tensors(info, tensors).unwrap()
}

/// Pictures of the network's input size, each different.
fn pictures(size: ImageSize, count: usize) -> Vec<RgbImage> {
    let picture = |index: u32| {
        let points = (0..size.height).flat_map(|y| (0..size.width).map(move |x| (x, y)));
        let color = |(x, y): (u32, u32)| {
            let wave = |a: u32, b: u32| ((a * x + b * y + index * 67) % 256) as u8;
            [wave(3, 7), wave(4, 5), wave(11 + index, 3)]
        };
        RgbImage::new(size, points.flat_map(color).collect()).unwrap()
    };
    (0..count as u32).map(picture).collect()
}

/// The training network's input for pictures, `[N, 3, height, width]`.
fn images(info: &ModelInfo, pictures: &[RgbImage]) -> Tensor<4> {
    let size = info.preprocessing.size;
    let numbers = size.pixels() as usize * 3;
    let mut pixels = vec![0.0; numbers * pictures.len()];
    let mut preprocessor = Preprocessor::new(&info.preprocessing).unwrap();
    let normaliser = Normaliser::new(&info.preprocessing);
    for (picture, input) in pictures.iter().zip(pixels.chunks_mut(numbers)) {
        normaliser.write(preprocessor.fit(picture), input);
    }
    let shape = [pictures.len(), size.height as usize, size.width as usize, 3];
    let data = TensorData::new(pixels, shape);
    Tensor::<4>::from_data(data, &Device::flex()).permute([0, 3, 1, 2])
}

fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
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
        })
    })
}

fn detectors_agree(backbone: MobileNetV3, size: ImageSize) {
    let mut info = ModelInfo::detector(backbone, classes(3), 320);
    info.preprocessing.size = size;
    let table = backbone.detector(3);
    let state = state_from_formula(&info.tensors());
    let network = ssdlite_nn::Detector::new(&table, 1, &Device::flex());
    let network = network.load_state_dict(&state).unwrap();
    let file = model(&info, &state);
    let all = pictures(size, 5);
    let mut first_of_isa: Option<(Isa, Vec<DetectorOutputs>)> = None;
    let expected = BATCHES.map(|count| network.forward(images(&info, &all[..count])));
    for run in runs() {
        let options = DetectorOptions {
            run,
            post_processing: Some(MANY),
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
            assert_close(&logits, &floats(expected.logits.clone()), &what);
            assert_close(&boxes, &floats(expected.regressions.clone()), &what);
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
    detectors_agree(MobileNetV3::new(Variant::Small), ImageSize::new(97, 131));
}

#[test]
fn large_detectors_agree() {
    let large = MobileNetV3::new(Variant::Large).with_reduced_tail();
    detectors_agree(large, ImageSize::new(131, 97));
}

#[test]
fn classifiers_agree() {
    for variant in [Variant::Small, Variant::Large] {
        let backbone = MobileNetV3::new(variant);
        let info = ModelInfo::classifier(backbone, classes(7), 64);
        let state = state_from_formula(&info.tensors());
        let network = ssdlite_nn::Classifier::new(&backbone.classifier(7), 1, &Device::flex());
        let network = network.load_state_dict(&state).unwrap();
        let file = model(&info, &state);
        let all = pictures(ImageSize::new(83, 64), 5);
        let softmax = |logits: Tensor<2>| burn::tensor::activation::softmax(logits, 1);
        let expected =
            BATCHES.map(|count| floats(softmax(network.forward(images(&info, &all[..count])))));
        let mut first_of_isa: Option<(Isa, Vec<f32>)> = None;
        for run in runs() {
            let classifier = Classifier::new(&file, run).unwrap();
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
