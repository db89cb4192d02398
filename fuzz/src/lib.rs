//! The small model that the fuzz targets and their seeds share.

use ssdlite_core::{ClassNames, ImageSize, MobileNetV3, ModelInfo, Variant};
use ssdlite_infer::{ModelFile, bench::arbitrary_model};

/// Side of the networks' inputs.
pub const SIDE: u32 = 64;

fn narrow(variant: Variant) -> MobileNetV3 {
    MobileNetV3 {
        width_multiplier: 0.1,
        ..MobileNetV3::new(variant)
    }
}

fn classes() -> ClassNames {
    ClassNames::new(["cat", "dog"]).expect("distinct names")
}

/// A detector.
pub fn detector_info() -> ModelInfo {
    let mut info = ModelInfo::detector(narrow(Variant::Small), classes(), SIDE);
    info.metrics.insert("map_voc07".into(), 0.5);
    info.training.insert("epochs".into(), "3".into());
    info
}

/// A detector's input that is not square.
pub fn wide_detector_info() -> ModelInfo {
    let network = narrow(Variant::Small).with_reduced_tail();
    let mut info = ModelInfo::detector(network, classes(), SIDE);
    info.preprocessing.size = ImageSize::new(2 * SIDE, SIDE / 2);
    info
}

/// A classifier.
pub fn classifier_info() -> ModelInfo {
    let network = MobileNetV3 {
        minimalistic: true,
        ..narrow(Variant::Small)
    };
    ModelInfo::classifier(network, classes(), SIDE)
}

/// The model with arbitrary weights.
pub fn model(info: &ModelInfo) -> ModelFile {
    arbitrary_model(info).expect("a sound description")
}
