//! Models whose files are looked at, and the images that are put in.

use ssdlite_core::{
    ClassNames, DefaultBoxSizes, DetectorSettings, FinestMap, Fit, Head, ImageSize, MobileNetV3,
    ModelInfo, PostProcessing, Preprocessing, Scores, Suppression, Task, Variant,
};
use ssdlite_image::RgbImage;
use ssdlite_infer::ModelFile;
use ssdlite_testing::model_from_formula;

use crate::tensor::{Kind, Tensor};

/// A model.
pub(crate) struct Case {
    pub(crate) model: ModelFile,
}

/// Not square, and maps of odd sides, which are enlarged to less than twice theirs.
const SIZE: ImageSize = ImageSize::new(100, 72);

/// Makes some detections of arbitrary weights.
pub(crate) const MANY: PostProcessing = PostProcessing {
    score_threshold: 0.2,
    suppression: Suppression::Hard { max_iou: 0.6 },
    candidates_per_class: ssdlite_core::post_processing::MOST_BOXES,
    max_detections: 40,
};

fn backbone(variant: Variant) -> MobileNetV3 {
    MobileNetV3 {
        width_multiplier: 0.1,
        ..MobileNetV3::new(variant)
    }
}

/// Other numbers for each channel.
fn preprocessing() -> Preprocessing {
    Preprocessing {
        mean: [0.4, 0.5, 0.65],
        std: [0.2, 0.25, 0.3],
        ..Preprocessing::detector(SIZE)
    }
}

pub(crate) fn classes() -> ClassNames {
    ClassNames::new(["cat", "it's a dog", "Äpfel"]).expect("distinct names")
}

pub(crate) fn detector(variant: Variant, settings: DetectorSettings) -> Case {
    let info = ModelInfo {
        task: Task::Detect(settings),
        preprocessing: preprocessing(),
        ..ModelInfo::detector(backbone(variant), classes(), SIZE.width)
    };
    Case {
        model: model_from_formula(&info),
    }
}

/// Both backbones with both heads, both finest maps and both meanings of logits.
pub(crate) fn detectors() -> [Case; 4] {
    let pyramid = Head::Fpn { channels: 16 };
    [
        (
            Variant::Small,
            Head::Ssdlite,
            FinestMap::Stride16,
            Scores::Softmax,
        ),
        (
            Variant::Large,
            Head::Ssdlite,
            FinestMap::Stride8,
            Scores::Sigmoid,
        ),
        (Variant::Small, pyramid, FinestMap::Stride8, Scores::Sigmoid),
        (
            Variant::Large,
            pyramid,
            FinestMap::Stride16,
            Scores::Softmax,
        ),
    ]
    .map(|(variant, head, finest, scores)| {
        let settings = DetectorSettings {
            head,
            finest,
            scores,
            default_boxes: DefaultBoxSizes::paper(head, finest),
            ..DetectorSettings::default()
        };
        detector(variant, settings)
    })
}

pub(crate) fn classifier(variant: Variant) -> Case {
    let info = ModelInfo {
        preprocessing: Preprocessing {
            fit: Fit::Stretch,
            ..preprocessing()
        },
        ..ModelInfo::classifier(backbone(variant), classes(), SIZE.width)
    };
    Case {
        model: model_from_formula(&info),
    }
}

/// Two images of the model's input size.
pub(crate) fn images(info: &ModelInfo) -> [RgbImage; 2] {
    let size = info.preprocessing.size;
    let bytes = ssdlite_testing::image_bytes(size);
    let reversed = bytes.iter().rev().copied().collect();
    [bytes, reversed].map(|bytes| RgbImage::new(size, bytes).expect("three bytes a pixel"))
}

/// The numbers of each channel, row by row.
fn planes(image: &RgbImage) -> Vec<f64> {
    let channel = |channel: usize| image.pixels().iter().skip(channel).step_by(3);
    (0..3)
        .flat_map(channel)
        .map(|&byte| f64::from(byte))
        .collect()
}

/// The first images as a file takes them: `unit` times the fraction, and `zero` more.
pub(crate) fn input(info: &ModelInfo, count: usize, unit: f64, zero: f64) -> Tensor {
    let all = images(info);
    let numbers = all[..count].iter().flat_map(planes);
    let numbers = numbers.map(|byte| byte / 255.0 * unit + zero).collect();
    let size = info.preprocessing.size;
    let shape = [count, 3, size.height as usize, size.width as usize];
    Tensor::new(Kind::F32, &shape, numbers)
}

/// The first image as bytes.
pub(crate) fn bytes(info: &ModelInfo) -> Tensor {
    let [image, _] = images(info);
    let size = info.preprocessing.size;
    let shape = [1, 3, size.height as usize, size.width as usize];
    Tensor::new(Kind::U8, &shape, planes(&image))
}
