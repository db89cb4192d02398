//! What the pages of reports are told of models and data.

use std::path::Path;

use ssdlite_core::Task;
use ssdlite_data::DetectionSet;
use ssdlite_infer::Detector;
use ssdlite_report::{ShownImage, ShownModel};

use super::split::SplitArgs;
use crate::args::model::ModelArg;
use crate::console;
use crate::models::{Costs, backbone_text};

/// The score threshold in the model's file.
pub(crate) fn own_threshold(detector: &Detector) -> Option<f32> {
    match &detector.info().task {
        Task::Detect(settings) => Some(settings.post_processing.score_threshold),
        Task::Classify => None,
    }
}

/// The least score of what a model's user sees: the threshold in its file, if the
/// detections that are evaluated reach down to it.
pub(crate) fn shown_score(detector: &Detector) -> f32 {
    let known_from = detector.post_processing().score_threshold;
    own_threshold(detector).map_or(known_from, |own| own.max(known_from))
}

/// A model with what it takes.
pub(crate) fn shown_model(model: &ModelArg, detector: &Detector, costs: &Costs) -> ShownModel {
    let info = detector.info();
    let fact = |name: &str, value: String| (name.to_owned(), value);
    ShownModel {
        name: model.name(),
        facts: vec![
            fact("backbone", backbone_text(info)),
            fact("input", info.preprocessing.size.to_string()),
            fact("parameters", costs.parameters.to_string()),
            fact("cost", format!("{:.3} GMACs", costs.macs as f64 / 1e9)),
            fact("file", format!("{:.1} MB", costs.file_bytes as f64 / 1e6)),
        ],
        least_score: shown_score(detector),
    }
}

/// The images of a set that were evaluated.
pub(crate) fn shown_images(set: &DetectionSet, images: &[usize]) -> Vec<ShownImage> {
    let images = images.iter().map(|&index| &set.images[index]);
    images
        .map(|image| ShownImage {
            name: image.id.clone(),
            path: image.path.clone(),
            size: image.size,
        })
        .collect()
}

/// Such as `photos, split test`.
pub(crate) fn shown_name(data: &SplitArgs) -> String {
    format!("{}, split {}", data.folder().display(), data.split)
}

/// Tells where a page is.
pub(crate) fn tell_of_page(page: &Path) {
    console::note(&format!("the report is {}", page.display()));
}
