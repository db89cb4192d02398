//! An evaluation in words: which metric, on what, and at which score.

use ssdlite_data::split::Split;
use ssdlite_eval::threshold::LEAST_F1;
use ssdlite_eval::{ClassificationReport, ScoreCurve, ScorePoint, VocMetric, VocReport};

use crate::console::counted;

/// Fewer objects than this make a threshold a rough guess: F1 is then uncertain by
/// more than about 0.05.
const FEW_OBJECTS: usize = 50;

/// Such as `mAP (VOC07) 0.612 on val: 12 images, 85 objects`.
pub(crate) fn map_text(report: &VocReport, split: Split) -> String {
    let metric = match report.metric {
        VocMetric::ElevenPoint => "VOC07",
        VocMetric::Area => "VOC area",
    };
    mean_text(metric, report.map, split, [report.images, report.objects])
}

/// The same of any metric's mean, with the numbers of images and objects.
pub(crate) fn mean_text(
    metric: &str,
    map: Option<f64>,
    split: Split,
    [images, objects]: [usize; 2],
) -> String {
    format!(
        "mAP ({metric}) {} on {split}: {}, {}",
        share(map),
        counted(images as u64, "image"),
        counted(objects as u64, "object")
    )
}

/// Such as `top-1 accuracy 0.950 on val: 40 images`.
pub(crate) fn top1_text(report: &ClassificationReport, split: Split) -> String {
    format!(
        "top-1 accuracy {} on {split}: {}",
        share(report.top1),
        counted(report.images, "image")
    )
}

/// The score threshold that these images suggest, and why.
pub(crate) fn suggestion_text(all: &ScoreCurve) -> String {
    let Some(found) = all.suggestion() else {
        return format!(
            "suggested score threshold: none, as F1 does not reach {LEAST_F1} at any score"
        );
    };
    format!(
        "suggested score threshold: {}, {}; from {:.2} to {:.2} F1 is about as good as at \
         its best, {:.3}{}",
        found.point.score,
        point_text(&found.point),
        found.from,
        found.to,
        found.best_f1,
        rough_text(all)
    )
}

/// What a model does at the score threshold in its file.
pub(crate) fn model_threshold_text(all: &ScoreCurve, threshold: f32) -> String {
    let point = all.at(threshold);
    match all.suggestion() {
        Some(_) => format!(
            "score threshold {threshold}, kept in the model, {}{}",
            point_text(&point),
            rough_text(all)
        ),
        None => format!(
            "no score tells objects from what is none, as F1 does not reach {LEAST_F1} at any: the \
             model's score threshold is {threshold}, and {} reach it",
            counted(point.detections as u64, "detection")
        ),
    }
}

/// Such as `with precision 0.810, recall 0.750, F1 0.779`.
pub(crate) fn point_text(point: &ScorePoint) -> String {
    if point.detections == 0 {
        return "which no detection reaches".into();
    }
    format!(
        "with precision {}, recall {}, F1 {}",
        share(point.precision),
        share(point.recall),
        share(point.f1)
    )
}

fn rough_text(all: &ScoreCurve) -> String {
    if all.objects >= FEW_OBJECTS {
        return String::new();
    }
    let objects = counted(all.objects as u64, "object");
    format!("; from {objects} alone it is a rough guess")
}

fn share(value: Option<f64>) -> String {
    value.map_or_else(|| "-".into(), |value| format!("{value:.3}"))
}
