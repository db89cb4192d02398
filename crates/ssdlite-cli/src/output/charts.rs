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

/// A class of a chart: its index, name, the number that ranks it, and its curve.
struct ClassCurve {
    class: usize,
    name: String,
    rank: Option<f64>,
    /// What the legend says of the rank.
    value: String,
    points: Vec<(f64, f64)>,
}

/// Precision over recall, a curve a class and their mean, with the area under each.
/// Of many classes the worst and the best have a name.
///
/// `aps` are the classes' average precisions, in the order of `curves`, and `map`
/// their mean.
pub(crate) fn precision_recall(curves: &[PrCurve], aps: &[ClassAp], map: Option<f64>) -> RgbImage {
    sheet(&[&precision_recall_chart(curves, aps, map)], 1, CURVES)
}

fn precision_recall_chart(curves: &[PrCurve], aps: &[ClassAp], map: Option<f64>) -> CurveChart {
    let classes = curves.iter().zip(aps).enumerate();
    let classes = classes.map(|(class, (curve, ap))| ClassCurve {
        class,
        name: curve.name.clone(),
        rank: ap.ap,
        value: ap_text(ap.ap),
        points: (curve.points.iter())
            .map(|point| (point.recall, point.precision))
            .collect(),
    });
    let mean = Curve {
        name: "mean of all classes".into(),
        value: ap_text(map),
        color: ALL,
        points: mean_precision_recall(curves),
    };
    CurveChart {
        title: "Precision and recall at IoU 0.5; AP is the area under the curve".into(),
        x_label: "recall".into(),
        y_label: "precision".into(),
        ..chart_of_classes(mean, classes.collect(), "AP")
    }
}

/// F1 over the score: of all classes together, and a curve a class, with the
/// thresholds that they suggest. Of many classes the worst and the best have a name.
pub(crate) fn f1(curves: &ScoreCurves) -> RgbImage {
    sheet(&[&f1_chart(curves)], 1, CURVES)
}

fn f1_chart(curves: &ScoreCurves) -> CurveChart {
    let points = |curve: &ScoreCurve| {
        let points = curve.hundredths();
        points
            .filter_map(|point| Some((point.score.into(), point.f1?)))
            .collect()
    };
    let best = |curve: &ScoreCurve| curve.suggestion().and_then(|found| found.point.f1);
    let value = |curve: &ScoreCurve| match curve.suggestion().map(|found| found.point) {
        Some(point) => format!("{:.2} at {}", point.f1.unwrap_or_default(), point.score),
        None => "none".into(),
    };
    let with_objects = curves.per_class.iter().enumerate();
    let with_objects = with_objects.filter(|(_, curve)| curve.objects > 0);
    let classes = with_objects.map(|(class, curve)| ClassCurve {
        class,
        name: curve.name.clone(),
        rank: Some(best(curve).unwrap_or_default()),
        value: value(curve),
        points: points(curve),
    });
    let all = Curve {
        name: curves.all.name.clone(),
        value: value(&curves.all),
        color: ALL,
        points: points(&curves.all),
    };
    CurveChart {
        title: "F1 over the score at IoU 0.5; the greatest, and where".into(),
        x_label: "score".into(),
        y_label: "F1".into(),
        ..chart_of_classes(all, classes.collect(), "F1")
    }
}

/// A chart of all classes together and of each, without titles; `what` ranks the classes.
fn chart_of_classes(all: Curve, classes: Vec<ClassCurve>, what: &str) -> CurveChart {
    let (named, others) = if classes.len() <= MOST_CURVES {
        (classes, Vec::new())
    } else {
        worst_and_best(classes)
    };
    let rest = rest_of(others, what);
    let of_class = |class: ClassCurve| Curve {
        color: series_color(class.class),
        name: class.name,
        value: class.value,
        points: class.points,
    };
    CurveChart {
        title: String::new(),
        x_label: String::new(),
        y_label: String::new(),
        x_range: Some(Range::UNIT),
        y_range: Some(Range::UNIT),
        curves: std::iter::once(all)
            .chain(named.into_iter().map(of_class))
            .collect(),
        rest,
    }
}

fn ap_text(ap: Option<f64>) -> String {
    ap.map_or_else(|| "no objects".into(), |ap| format!("AP {ap:.3}"))
}

/// The classes of the lowest and of the highest rank, the lowest first, and those
/// between. Classes without a rank are left out.
fn worst_and_best(mut classes: Vec<ClassCurve>) -> (Vec<ClassCurve>, Vec<ClassCurve>) {
    classes.retain(|class| class.rank.is_some());
    classes.sort_by(|a, b| a.rank.partial_cmp(&b.rank).unwrap_or(Ordering::Equal));
    if classes.len() <= MOST_CURVES {
        return (classes, Vec::new());
    }
    let between = classes.drain(WORST..classes.len() - BEST).collect();
    (classes, between)
}

/// What the legend says of classes in the order of their rank.
fn rest_of(classes: Vec<ClassCurve>, what: &str) -> Option<Rest> {
    let (least, most) = (classes.first()?.rank?, classes.last()?.rank?);
    Some(Rest {
        name: format!("{} more classes", classes.len()),
        value: format!("{what} {least:.3} to {most:.3}"),
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
    use ssdlite_eval::PrPoint;

    use super::*;

    /// Classes of which the `n`-th has the average precision `n / count`, but for the
    /// last, which has no objects.
    fn chart(count: usize) -> CurveChart {
        let with_objects = |class: usize| class + 1 < count || count == 1;
        let names = (0..count).map(|class| format!("class {class}"));
        let (curves, aps): (Vec<_>, Vec<_>) = names
            .enumerate()
            .map(|(class, name)| {
                let share = class as f64 / count as f64;
                let points = vec![PrPoint {
                    score: 0.5,
                    precision: 1.0,
                    recall: share,
                }];
                let curve = PrCurve {
                    name: name.clone(),
                    objects: usize::from(with_objects(class)),
                    points: if with_objects(class) {
                        points
                    } else {
                        Vec::new()
                    },
                };
                let ap = ClassAp {
                    name,
                    objects: curve.objects,
                    detections: 1,
                    ap: with_objects(class).then_some(share),
                };
                (curve, ap)
            })
            .unzip();
        precision_recall_chart(&curves, &aps, Some(0.5))
    }

    #[test]
    fn the_legend_names_the_mean_and_all_of_a_few_classes() {
        for count in [1, 3, MOST_CURVES] {
            let chart = chart(count);
            assert_eq!(chart.curves.len(), count + 1);
            assert!(chart.rest.is_none());
            assert_eq!(chart.curves[0].name, "mean of all classes");
            assert_eq!(chart.curves[0].value, "AP 0.500");
            assert_eq!(chart.curves[1].value, "AP 0.000");
            assert_eq!(chart.curves[1].color, series_color(0));
        }
        assert_eq!(chart(3).curves[3].value, "no objects");
    }

    #[test]
    fn of_many_classes_the_worst_and_the_best_are_named() {
        let chart = chart(100);
        let names: Vec<&str> = chart
            .curves
            .iter()
            .map(|curve| curve.name.as_str())
            .collect();
        assert_eq!(names.len(), 1 + WORST + BEST);
        assert_eq!(names[1..3], ["class 0", "class 1"]);
        assert_eq!(
            names[1 + WORST..],
            ["class 95", "class 96", "class 97", "class 98"]
        );
        let rest = chart.rest.unwrap();
        assert_eq!(rest.name, "87 more classes");
        assert_eq!(rest.value, "AP 0.080 to 0.940");
        assert_eq!(rest.curves.len(), 87);
        // A class keeps its colour, which is that of its boxes.
        assert_eq!(chart.curves[1 + WORST].color, series_color(95));
    }
}
