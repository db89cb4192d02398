//! The charts of an evaluation.

use std::cmp::Ordering;

use ssdlite_eval::{
    ClassAp, ConfusionMatrix, PrCurve, ScoreCurve, ScoreCurves, mean_precision_recall,
};
use ssdlite_image::color::series_color;
use ssdlite_image::plot::{Cell, Curve, CurveChart, MatrixChart, Range, Rest, sheet};
use ssdlite_image::{ImageSize, Rgb, RgbImage};

/// The size of the chart of curves in pixels, in which the legend has room for names.
const CURVES: ImageSize = ImageSize::new(960, 600);

/// The colour of all classes together.
const ALL: Rgb = [20, 20, 24];

/// Curves that can be told apart; of more classes, the worst and the best are shown so.
const MOST_CURVES: usize = 14;
const WORST: usize = 8;
const BEST: usize = 4;

/// Classes in a confusion matrix.
const MOST_CLASSES: usize = 20;

/// A class among the curves of all.
struct ClassCurve {
    name: String,
    /// What the legend says behind the name.
    value: String,
    /// By what classes are put in order, 0 to 1; `None` where it is not known.
    quality: Option<f64>,
    points: Vec<(f64, f64)>,
}

/// Precision over recall, a curve a class and their mean, with the area under each.
/// Of many classes the worst and the best have a name.
///
/// `aps` are the classes' average precisions, in the order of `curves`, and `map`
/// their mean.
pub(crate) fn precision_recall(curves: &[PrCurve], aps: &[ClassAp], map: Option<f64>) -> RgbImage {
    let ap_text =
        |ap: Option<f64>| ap.map_or_else(|| "no objects".into(), |ap| format!("AP {ap:.3}"));
    let classes = curves.iter().zip(aps).map(|(curve, ap)| ClassCurve {
        name: curve.name.clone(),
        value: ap_text(ap.ap),
        quality: ap.ap,
        points: curve
            .points
            .iter()
            .map(|point| (point.recall, point.precision))
            .collect(),
    });
    let mean = Curve {
        name: "mean of all classes".into(),
        value: ap_text(map),
        color: ALL,
        points: mean_precision_recall(curves),
    };
    let (curves, rest) = told_apart("AP", mean, classes.collect());
    let chart = CurveChart {
        title: "Precision and recall at IoU 0.5; AP is the area under the curve".into(),
        x_label: "recall".into(),
        y_label: "precision".into(),
        x_range: Some(Range::UNIT),
        y_range: Some(Range::UNIT),
        curves,
        rest,
    };
    sheet(&[&chart], 1, CURVES)
}

/// F1 over the score: of all classes together, and a curve a class, with the greatest
/// and the threshold that it suggests. Of many classes the worst and the best have a
/// name.
pub(crate) fn f1(curves: &ScoreCurves) -> RgbImage {
    let best = |curve: &ScoreCurve| curve.suggestion().map(|found| found.point);
    let value = |curve: &ScoreCurve| match best(curve) {
        Some(point) => format!("{:.2} at {}", point.f1.unwrap_or_default(), point.score),
        None if curve.objects == 0 => "no objects".into(),
        None => "no threshold".into(),
    };
    let points = |curve: &ScoreCurve| {
        let points = curve.hundredths();
        points
            .filter_map(|point| Some((point.score.into(), point.f1?)))
            .collect()
    };
    let classes = curves.per_class.iter().map(|curve| ClassCurve {
        name: curve.name.clone(),
        value: value(curve),
        quality: (curve.objects > 0)
            .then(|| best(curve).and_then(|point| point.f1).unwrap_or_default()),
        points: points(curve),
    });
    let all = Curve {
        name: curves.all.name.clone(),
        value: value(&curves.all),
        color: ALL,
        points: points(&curves.all),
    };
    let (curves, rest) = told_apart("F1", all, classes.collect());
    let chart = CurveChart {
        title: "F1 over the score at IoU 0.5: the greatest, and where".into(),
        x_label: "score".into(),
        y_label: "F1".into(),
        x_range: Some(Range::UNIT),
        y_range: Some(Range::UNIT),
        curves,
        rest,
    };
    sheet(&[&chart], 1, CURVES)
}

/// The curve of all classes and those of each, in the colours of their boxes. Of many
/// classes the worst and the best stay, the worst first, and the others become the
/// rest, of which the legend says between which qualities they are. Classes of unknown
/// quality are left out then.
fn told_apart(quality: &str, all: Curve, classes: Vec<ClassCurve>) -> (Vec<Curve>, Option<Rest>) {
    let mut classes: Vec<(Rgb, ClassCurve)> = classes
        .into_iter()
        .enumerate()
        .map(|(class, curve)| (series_color(class), curve))
        .collect();
    let mut rest = None;
    if classes.len() > MOST_CURVES {
        classes.retain(|(_, curve)| curve.quality.is_some());
        classes.sort_by(|(_, a), (_, b)| {
            let order = a.quality.partial_cmp(&b.quality);
            order.unwrap_or(Ordering::Equal)
        });
    }
    if classes.len() > MOST_CURVES {
        let between = classes.drain(WORST..classes.len() - BEST);
        rest = rest_of(quality, between.map(|(_, curve)| curve).collect());
    }
    let named = classes.into_iter().map(|(color, curve)| Curve {
        name: curve.name,
        value: curve.value,
        color,
        points: curve.points,
    });
    (std::iter::once(all).chain(named).collect(), rest)
}

/// What the legend says of classes in the order of their quality.
fn rest_of(quality: &str, classes: Vec<ClassCurve>) -> Option<Rest> {
    let least = classes.first()?.quality?;
    let most = classes.last()?.quality?;
    Some(Rest {
        name: format!("{} more classes", classes.len()),
        value: format!("{quality} {least:.3} to {most:.3}"),
        curves: classes.into_iter().map(|class| class.points).collect(),
    })
}

/// A confusion matrix with names on both sides, each row shaded by its shares. Of many
/// classes those with the most mistakes are shown.
pub(crate) fn confusion(matrix: &ConfusionMatrix) -> RgbImage {
    let all = matrix.labels().len();
    let matrix = matrix.of_most_confused(MOST_CLASSES);
    let labels = matrix.labels();
    let cells = matrix.rows().enumerate().flat_map(|(truth, row)| {
        let cells = row.iter().enumerate();
        let matrix = &matrix;
        cells.map(move |(predicted, &count)| Cell {
            text: count.to_string(),
            note: match count {
                0 => String::new(),
                _ => matrix.percent(truth, predicted),
            },
            shade: matrix.share(truth, predicted).unwrap_or_default() as f32,
        })
    });
    let title = if labels.len() < all {
        format!("Confusion matrix: the {MOST_CLASSES} classes with the most mistakes")
    } else {
        "Confusion matrix".into()
    };
    let chart = MatrixChart {
        title,
        x_label: "predicted, with the share of the row".into(),
        y_label: "true".into(),
        columns: labels.to_vec(),
        rows: labels.to_vec(),
        cells: cells.collect(),
    };
    sheet(&[&chart], 1, chart.panel())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Classes of which the `n`-th has the quality `n / count`, but for the last, which
    /// has none.
    fn curves(count: usize) -> (Vec<Curve>, Option<Rest>) {
        let class = |class: usize| {
            let quality = class as f64 / count as f64;
            ClassCurve {
                name: format!("class {class}"),
                value: format!("AP {quality:.2}"),
                quality: (class + 1 < count).then_some(quality),
                points: vec![(0.0, quality)],
            }
        };
        let all = Curve {
            name: "all".into(),
            value: String::new(),
            color: ALL,
            points: Vec::new(),
        };
        told_apart("AP", all, (0..count).map(class).collect())
    }

    #[test]
    fn a_few_classes_are_all_named_in_their_order() {
        for count in [0, 1, 3, MOST_CURVES] {
            let (curves, rest) = curves(count);
            assert_eq!((curves.len(), rest), (count + 1, None));
            assert_eq!(curves[0].name, "all");
            for (class, curve) in curves[1..].iter().enumerate() {
                assert_eq!(curve.name, format!("class {class}"));
                assert_eq!(curve.color, series_color(class));
            }
        }
    }

    #[test]
    fn of_many_classes_the_worst_and_the_best_are_named() {
        let (curves, rest) = curves(100);
        let names: Vec<&str> = curves.iter().map(|curve| curve.name.as_str()).collect();
        assert_eq!(names.len(), 1 + WORST + BEST);
        assert_eq!(names[..3], ["all", "class 0", "class 1"]);
        assert_eq!(
            names[1 + WORST..],
            ["class 95", "class 96", "class 97", "class 98"]
        );
        // A class keeps its colour, which is that of its boxes.
        assert_eq!(curves[1 + WORST].color, series_color(95));
        let rest = rest.unwrap();
        assert_eq!(rest.name, "87 more classes");
        assert_eq!(rest.value, "AP 0.080 to 0.940");
        assert_eq!(rest.curves.len(), 87);
    }
}
