//! Charts of a run: its course, and what there is to learn from.

use ssdlite_core::{ClassId, ImageSize};
use ssdlite_data::{ClassificationSet, DetectionSet};
use ssdlite_image::RgbImage;
use ssdlite_image::plot::{Bar, BarChart, Chart, Curve, CurveChart, Range, ScatterChart, sheet};

use super::results::EpochRow;

/// Size of a chart in pixels.
const PANEL: ImageSize = ImageSize::new(640, 440);

/// Losses, scores, learning rate and speed over the epochs.
pub(crate) fn course(rows: &[EpochRow]) -> RgbImage {
    let mut losses = vec![curve("total", rows, |row| Some(row.losses.total()))];
    if rows.iter().any(|row| row.losses.regression.is_some()) {
        losses.push(curve("classes", rows, |row| {
            Some(row.losses.classification)
        }));
        losses.push(curve("boxes", rows, |row| row.losses.regression));
    }
    let with_scores = rows.iter().find(|row| !row.scores.is_empty());
    let scores = with_scores
        .into_iter()
        .flat_map(|row| &row.scores)
        .map(|(name, _)| curve(name, rows, |row| score_of(row, name)))
        .collect();
    let rates = vec![curve("heads", rows, |row| Some(row.lr))];
    let speed = vec![curve("training", rows, |row| Some(row.images_per_second))];
    let charts = [
        chart("Loss", "mean over the epoch", losses),
        CurveChart {
            y_range: Some(Range::UNIT),
            ..chart("Score on the validation images", "score", scores)
        },
        chart("Learning rate", "at the epoch's end", rates),
        chart("Speed", "images a second", speed),
    ];
    let charts: Vec<&dyn Chart> = charts.iter().map(|chart| chart as &dyn Chart).collect();
    sheet(&charts, 2, PANEL)
}

fn score_of(row: &EpochRow, name: &str) -> Option<f64> {
    let found = row.scores.iter().find(|(known, _)| known == name);
    found.map(|&(_, score)| score)
}

fn curve(name: &str, rows: &[EpochRow], value: impl Fn(&EpochRow) -> Option<f64>) -> Curve {
    let points = rows
        .iter()
        .filter_map(|row| Some((f64::from(row.epoch), value(row)?)));
    Curve {
        name: name.to_owned(),
        points: points.collect(),
    }
}

fn chart(title: &str, y_label: &str, curves: Vec<Curve>) -> CurveChart {
    CurveChart {
        title: title.to_owned(),
        x_label: "epoch".to_owned(),
        y_label: y_label.to_owned(),
        x_range: None,
        y_range: None,
        curves,
    }
}

/// Objects of each class, and how large they are.
pub(crate) fn labels_of_detection(set: &DetectionSet) -> RgbImage {
    let objects = set.images.iter().flat_map(|image| {
        let size = image.size;
        image.objects.iter().map(move |object| (size, object))
    });
    let mut counts = vec![0; set.classes.len()];
    let mut sizes = Vec::new();
    for (size, object) in objects {
        counts[object.class.index()] += 1;
        let width = object.bbox.width() / size.width as f32;
        let height = object.bbox.height() / size.height as f32;
        sizes.push((f64::from(width), f64::from(height)));
    }
    let bars = bars("Objects to learn from", &counts, |class| {
        set.classes.get(class)
    });
    let scatter = ScatterChart {
        title: "Their sizes".to_owned(),
        x_label: "width, share of the image".to_owned(),
        y_label: "height, share of the image".to_owned(),
        x_range: Range::UNIT,
        y_range: Range::UNIT,
        points: sizes,
    };
    sheet(&[&bars, &scatter], 2, PANEL)
}

/// Images of each class.
pub(crate) fn labels_of_classification(set: &ClassificationSet) -> RgbImage {
    let mut counts = vec![0; set.classes.len()];
    for image in &set.images {
        counts[image.class.index()] += 1;
    }
    let bars = bars("Images to learn from", &counts, |class| {
        set.classes.get(class)
    });
    sheet(&[&bars], 1, PANEL)
}

fn bars<'a>(title: &str, counts: &[u32], name: impl Fn(ClassId) -> Option<&'a str>) -> BarChart {
    let bars = counts.iter().enumerate().map(|(class, &count)| Bar {
        name: name(ClassId::from_index(class))
            .unwrap_or_default()
            .to_owned(),
        value: f64::from(count),
    });
    BarChart {
        title: title.to_owned(),
        y_label: "number".to_owned(),
        places: 0,
        bars: bars.collect(),
    }
}
