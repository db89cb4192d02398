//! Charts of a run: its course, and what there is to learn from.

use ssdlite_core::{ClassId, ClassNames};
use ssdlite_data::{ClassificationSet, DetectionSet};
use ssdlite_image::RgbImage;
use ssdlite_image::color::{color_of_class, series_color};
use ssdlite_image::plot::{
    Bar, BarChart, Chart, Curve, CurveChart, PANEL, Range, ScatterChart, sheet,
};

use super::results::EpochRow;

/// Classes whose numbers are drawn; of more, the rarest are.
const MOST_BARS: usize = 40;

/// Losses, scores, learning rate and speed over the epochs.
pub(crate) fn course(rows: &[EpochRow]) -> RgbImage {
    let epochs = Range::around_counted(rows.iter().map(|row| f64::from(row.epoch)));
    let chart = |title, y_label, curves| chart(title, y_label, epochs, curves);
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
        value: String::new(),
        color: series_color(0),
        points: points.collect(),
    }
}

fn chart(title: &str, y_label: &str, epochs: Range, mut curves: Vec<Curve>) -> CurveChart {
    for (index, curve) in curves.iter_mut().enumerate() {
        curve.color = series_color(index);
    }
    CurveChart {
        title: title.to_owned(),
        x_label: "epoch".to_owned(),
        y_label: y_label.to_owned(),
        x_range: Some(epochs),
        y_range: None,
        curves,
        rest: None,
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
    let bars = bars("objects", &counts, &set.classes);
    let scatter = ScatterChart {
        title: "Their sizes".to_owned(),
        x_label: "width, share of the image".to_owned(),
        y_label: "height, share of the image".to_owned(),
        x_range: Range::UNIT,
        y_range: Range::UNIT,
        points: sizes,
    };
    sheet(&[&bars, &scatter], 2, bars.panel())
}

/// Images of each class.
pub(crate) fn labels_of_classification(set: &ClassificationSet) -> RgbImage {
    let mut counts = vec![0; set.classes.len()];
    for image in &set.images {
        counts[image.class.index()] += 1;
    }
    let bars = bars("images", &counts, &set.classes);
    sheet(&[&bars], 1, bars.panel())
}

/// The rarest classes, the rarest first, with a note about the others. `things` is
/// what is counted.
fn bars(things: &str, counts: &[u64], classes: &ClassNames) -> BarChart {
    let mut rarest: Vec<(u64, ClassId)> = counts.iter().copied().zip(classes.ids()).collect();
    rarest.sort_unstable();
    // A note takes a line as a bar does.
    let shown = if rarest.len() <= MOST_BARS + 1 {
        rarest.len()
    } else {
        MOST_BARS
    };
    let others = rarest.split_off(shown);
    let note = match (others.first(), others.last()) {
        (Some((least, _)), Some((most, _))) if least == most => {
            format!(
                "and {} more classes with {most} {things} each",
                others.len()
            )
        }
        (Some((least, _)), Some((most, _))) => format!(
            "and {} more classes with {least} to {most} {things}",
            others.len()
        ),
        _ => String::new(),
    };
    let bar = |(count, class)| Bar {
        name: classes.get(class).unwrap_or_default().to_owned(),
        count,
        color: color_of_class(class),
    };
    BarChart {
        title: format!("The {things} to learn from, the rarest class first"),
        bars: rarest.into_iter().map(bar).collect(),
        note,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart_of(counts: &[u64]) -> BarChart {
        let names = (0..counts.len()).map(|class| format!("class {class}"));
        bars("objects", counts, &ClassNames::new(names).unwrap())
    }

    #[test]
    fn the_rarest_class_stands_first_in_its_colour() {
        let chart = chart_of(&[7, 0, 30]);
        let names: Vec<&str> = chart.bars.iter().map(|bar| bar.name.as_str()).collect();
        assert_eq!(names, ["class 1", "class 0", "class 2"]);
        assert_eq!(chart.bars[0].color, series_color(1));
        assert_eq!(chart.note, "");
    }

    #[test]
    fn of_many_classes_the_rarest_are_shown_and_a_note_tells_of_the_others() {
        let counts: Vec<u64> = (1..=100).map(|index| index * 9).rev().collect();
        let chart = chart_of(&counts);
        assert_eq!(chart.bars.len(), 40);
        assert!(chart.bars.is_sorted_by_key(|bar| bar.count));
        assert_eq!(chart.bars[0].name, "class 99");
        assert_eq!(chart.note, "and 60 more classes with 369 to 900 objects");
        assert_eq!(chart_of(&counts[..41]).bars.len(), 41);
    }
}
