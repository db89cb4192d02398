//! The charts of an evaluation.

use ssdlite_eval::{ConfusionMatrix, PrCurve, ScoreCurve, ScoreCurves};
use ssdlite_image::plot::{Cell, Curve, CurveChart, MatrixChart, PANEL, Range, sheet};
use ssdlite_image::{ImageSize, RgbImage};

/// A cell's side in a confusion matrix, in pixels.
const CELL: u32 = 56;

/// The widest chart, in pixels.
const WIDEST: u32 = 2400;

/// Precision over recall, a curve a class.
pub(crate) fn precision_recall(curves: &[PrCurve]) -> RgbImage {
    let curve = |curve: &PrCurve| Curve {
        name: curve.name.clone(),
        points: curve
            .points
            .iter()
            .map(|point| (point.recall, point.precision))
            .collect(),
    };
    let chart = CurveChart {
        title: "Precision and recall at IoU 0.5".into(),
        x_label: "recall".into(),
        y_label: "precision".into(),
        x_range: Some(Range::UNIT),
        y_range: Some(Range::UNIT),
        curves: curves.iter().map(curve).collect(),
    };
    sheet(&[&chart], 1, PANEL)
}

/// F1 over the score: of all classes together, and a curve a class, with the
/// thresholds that they suggest.
pub(crate) fn f1(curves: &ScoreCurves) -> RgbImage {
    let name = |curve: &ScoreCurve| match curve.suggestion().map(|found| found.point) {
        Some(point) => format!(
            "{} {:.2} at {}",
            curve.name,
            point.f1.unwrap_or_default(),
            point.score
        ),
        None => curve.name.clone(),
    };
    let curve = |curve: &ScoreCurve| Curve {
        name: name(curve),
        points: curve
            .hundredths()
            .filter_map(|point| Some((point.score.into(), point.f1?)))
            .collect(),
    };
    let classes = curves.per_class.iter().filter(|class| class.objects > 0);
    let chart = CurveChart {
        title: "F1 over the score at IoU 0.5".into(),
        x_label: "score".into(),
        y_label: "F1".into(),
        x_range: Some(Range::UNIT),
        y_range: Some(Range::UNIT),
        curves: [&curves.all]
            .into_iter()
            .chain(classes)
            .map(curve)
            .collect(),
    };
    sheet(&[&chart], 1, PANEL)
}

/// A confusion matrix; each row is shaded by its shares.
pub(crate) fn confusion(matrix: &ConfusionMatrix) -> RgbImage {
    let cells = matrix.rows().flat_map(|row| {
        let total: u64 = row.iter().sum();
        row.iter().map(move |&count| Cell {
            text: count.to_string(),
            shade: count as f32 / total.max(1) as f32,
        })
    });
    let chart = MatrixChart {
        title: "Confusion matrix".into(),
        x_label: "predicted".into(),
        y_label: "true".into(),
        columns: matrix.labels().to_vec(),
        rows: matrix.labels().to_vec(),
        cells: cells.collect(),
    };
    let labels = u32::try_from(matrix.labels().len()).unwrap_or(u32::MAX);
    let side = labels.saturating_mul(CELL).min(WIDEST);
    let panel = ImageSize::new(side + PANEL.width / 2, side + PANEL.height / 2);
    sheet(&[&chart], 1, panel)
}
