//! Curves as inline SVG.

use maud::{Markup, html};
use ssdlite_core::ClassId;

use super::{color, share};
use crate::evaluated::Curves;

/// The chart, in the units of its `viewBox`; on the page it has the width that there
/// is.
const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 200.0;

/// The corners of what the axes enclose.
const LEFT: f64 = 34.0;
const RIGHT: f64 = 290.0;
const TOP: f64 = 24.0;
const BOTTOM: f64 = 164.0;

/// A line in a unit square.
struct Chart<'a> {
    /// What it shows, for who does not see it.
    label: String,
    across: &'static str,
    up: &'static str,
    points: &'a [(f64, f64)],
    /// A point to be marked.
    marked: Option<(f64, f64)>,
}

/// Both curves of a class.
pub(super) fn curves(curves: &Curves) -> Markup {
    let best = curves.best;
    let at_best = best.map_or_else(
        || "no detections".into(),
        |point| format!("best F1 {} at score {:.2}", share(point.f1), point.score),
    );
    let name = &curves.name;
    let precision_recall = Chart {
        label: format!("Precision over recall of {name}; {at_best}"),
        across: "recall",
        up: "precision",
        points: &curves.precision_recall,
        // The mean of classes has no place of a common score.
        marked: best
            .filter(|_| curves.class.is_some())
            .and_then(|point| point.recall.zip(point.precision)),
    };
    let f1 = Chart {
        label: format!("F1 over the score of {name}; {at_best}"),
        across: "score",
        up: "F1",
        points: &curves.f1,
        marked: best.and_then(|point| Some((f64::from(point.score), point.f1?))),
    };
    let style = curves
        .class
        .map(|class| format!("--class:{}", color(ClassId::from_index(class))));
    html! {
        figure.curves style=[style] {
            figcaption {
                strong { (name) }
                " " span.soft { (at_best) }
            }
            div.charts {
                (chart(&precision_recall))
                (chart(&f1))
            }
        }
    }
}

fn chart(chart: &Chart<'_>) -> Markup {
    let path = path(chart.points);
    html! {
        svg.chart viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(chart.label) {
            @for quarter in 0..=4_u8 {
                @let share = f64::from(quarter) / 4.0;
                @let (x, y) = place(share, share);
                path.grid d=(format!("M{x:.1} {TOP}V{BOTTOM}M{LEFT} {y:.1}H{RIGHT}")) {}
                text x=(format!("{x:.1}")) y=(BOTTOM + 14.0) text-anchor="middle" { (share) }
                @if quarter > 0 {
                    text x=(LEFT - 5.0) y=(format!("{:.1}", y + 4.0)) text-anchor="end" { (share) }
                }
            }
            text x=(f64::midpoint(LEFT, RIGHT)) y=(HEIGHT - 6.0) text-anchor="middle" {
                (chart.across)
            }
            text x="2" y=(TOP - 10.0) { (chart.up) }
            path.curve d=(path) {}
            @if let Some((x, y)) = chart.marked {
                @let (x, y) = place(x, y);
                circle.best cx=(format!("{x:.1}")) cy=(format!("{y:.1}")) r="5" {}
            }
        }
    }
}

/// Where a point of the unit square is in the chart.
fn place(x: f64, y: f64) -> (f64, f64) {
    let (x, y) = (x.clamp(0.0, 1.0), y.clamp(0.0, 1.0));
    (LEFT + x * (RIGHT - LEFT), BOTTOM - y * (BOTTOM - TOP))
}

fn path(points: &[(f64, f64)]) -> String {
    let steps = points.iter().enumerate().map(|(index, &(x, y))| {
        let (x, y) = place(x, y);
        let command = if index == 0 { 'M' } else { 'L' };
        format!("{command}{x:.1} {y:.1}")
    });
    steps.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_goes_through_the_corners() {
        assert_eq!(path(&[]), "");
        let corners = path(&[(0.0, 0.0), (1.0, 1.0), (2.0, -1.0)]);
        assert_eq!(corners, "M34.0 164.0L290.0 24.0L290.0 164.0");
    }
}
