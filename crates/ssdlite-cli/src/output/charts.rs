//! The charts of an evaluation.

use std::cmp::Ordering;

use ssdlite_eval::{ClassAp, ConfusionMatrix, PrCurve, mean_precision_recall};
use ssdlite_image::color::series_color;
use ssdlite_image::plot::{Cell, Curve, CurveChart, MatrixChart, Range, Rest, sheet};
use ssdlite_image::{ImageSize, Rgb, RgbImage};

/// The size of the chart of curves in pixels, in which the legend has room for names.
const CURVES: ImageSize = ImageSize::new(960, 600);

/// The colour of the mean of all classes.
const MEAN: Rgb = [20, 20, 24];

/// Curves that can be told apart; of more classes, the worst and the best are shown so.
const MOST_CURVES: usize = 14;
const WORST: usize = 8;
const BEST: usize = 4;

/// Classes in a confusion matrix.
const MOST_CLASSES: usize = 20;

/// Precision over recall, a curve a class and their mean, with the area under each.
/// Of many classes the worst and the best have a name.
///
/// `aps` are the classes' average precisions, in the order of `curves`, and `map`
/// their mean.
pub(crate) fn precision_recall(curves: &[PrCurve], aps: &[ClassAp], map: Option<f64>) -> RgbImage {
    sheet(&[&chart_of_curves(curves, aps, map)], 1, CURVES)
}

/// A class by its index, its curve and its average precision.
type ClassCurve<'a> = (usize, &'a PrCurve, Option<f64>);

fn chart_of_curves(curves: &[PrCurve], aps: &[ClassAp], map: Option<f64>) -> CurveChart {
    let classes: Vec<ClassCurve<'_>> = curves
        .iter()
        .zip(aps)
        .enumerate()
        .map(|(class, (curve, ap))| (class, curve, ap.ap))
        .collect();
    let (named, others) = if classes.len() <= MOST_CURVES {
        (classes, Vec::new())
    } else {
        worst_and_best(classes)
    };
    let mean = Curve {
        name: "mean of all classes".into(),
        value: ap_text(map),
        color: MEAN,
        points: mean_precision_recall(curves),
    };
    let of_class = |(class, curve, ap): ClassCurve<'_>| Curve {
        name: curve.name.clone(),
        value: ap_text(ap),
        color: series_color(class),
        points: points(curve),
    };
    CurveChart {
        title: "Precision and recall at IoU 0.5; AP is the area under the curve".into(),
        x_label: "recall".into(),
        y_label: "precision".into(),
        x_range: Some(Range::UNIT),
        y_range: Some(Range::UNIT),
        curves: std::iter::once(mean)
            .chain(named.into_iter().map(of_class))
            .collect(),
        rest: rest_of(&others),
    }
}

fn points(curve: &PrCurve) -> Vec<(f64, f64)> {
    let points = curve.points.iter();
    points
        .map(|point| (point.recall, point.precision))
        .collect()
}

fn ap_text(ap: Option<f64>) -> String {
    ap.map_or_else(|| "no objects".into(), |ap| format!("AP {ap:.3}"))
}

/// The classes of the lowest and of the highest average precision, the lowest first,
/// and those between. Classes without objects have none and are left out.
fn worst_and_best(mut classes: Vec<ClassCurve<'_>>) -> (Vec<ClassCurve<'_>>, Vec<ClassCurve<'_>>) {
    classes.retain(|(_, _, ap)| ap.is_some());
    classes.sort_by(|(_, _, a), (_, _, b)| a.partial_cmp(b).unwrap_or(Ordering::Equal));
    if classes.len() <= MOST_CURVES {
        return (classes, Vec::new());
    }
    let between = classes.drain(WORST..classes.len() - BEST).collect();
    (classes, between)
}

/// What the legend says of classes in the order of their average precision.
fn rest_of(classes: &[ClassCurve<'_>]) -> Option<Rest> {
    let (_, _, least) = classes.first()?;
    let (_, _, most) = classes.last()?;
    let (least, most) = ((*least)?, (*most)?);
    Some(Rest {
        name: format!("{} more classes", classes.len()),
        value: format!("AP {least:.3} to {most:.3}"),
        curves: classes.iter().map(|(_, curve, _)| points(curve)).collect(),
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
        chart_of_curves(&curves, &aps, Some(0.5))
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
