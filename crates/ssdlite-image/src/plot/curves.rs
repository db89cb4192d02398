//! Curves over a common axis: losses and scores by epoch, precision by recall.

use ssdlite_core::PixelBox;

use super::axes::{Axes, Plane, Range};
use super::{Chart, MARGIN, TEXT_HEIGHT, draw_nothing, text_style, widest};
use crate::canvas::{Align, Canvas, Point, text_that_fits};
use crate::rgb::Rgb;

const CURVE_WIDTH: f32 = 2.2;

/// The width and colour of curves that are there for comparison alone.
const REST_WIDTH: f32 = 1.2;
const REST: Rgb = [190, 192, 200];

/// Curves of at most this many points show each of them.
const MOST_DOTS: usize = 40;

/// One curve.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// What stands in the legend.
    pub name: String,
    /// What stands after the name, such as the area below the curve, and is not
    /// cut where a name is too long; may be empty.
    pub value: String,
    /// Its colour.
    pub color: Rgb,
    /// Points `(x, y)` in the order in which they are joined. Those that are
    /// not finite are left out.
    pub points: Vec<(f64, f64)>,
}

/// Curves that are drawn faint below the others, and what the legend says of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Rest {
    /// What stands in the legend for all of them.
    pub name: String,
    /// What stands after the name, as in [`Curve::value`].
    pub value: String,
    /// The points of each curve.
    pub curves: Vec<Vec<(f64, f64)>>,
}

/// Curves over common axes, with a legend if there are several.
#[derive(Clone, Debug, PartialEq)]
pub struct CurveChart {
    /// What stands above.
    pub title: String,
    /// What the horizontal axis counts.
    pub x_label: String,
    /// What the vertical axis counts.
    pub y_label: String,
    /// What the horizontal axis covers; all points if not given. Points beyond
    /// it are drawn at its border.
    pub x_range: Option<Range>,
    /// What the vertical axis covers, in the same way.
    pub y_range: Option<Range>,
    /// The curves, the first one on top: it is the one that the chart is about.
    pub curves: Vec<Curve>,
    /// More curves than can be told apart.
    pub rest: Option<Rest>,
}

impl CurveChart {
    fn points(&self) -> impl Iterator<Item = (f64, f64)> {
        let rest = self.rest.iter().flat_map(|rest| &rest.curves);
        let all = self.curves.iter().map(|curve| &curve.points).chain(rest);
        all.flatten()
            .copied()
            .filter(|(x, y)| x.is_finite() && y.is_finite())
    }

    /// Draws the legend at the right of `area` and returns what is left.
    fn draw_legend(&self, canvas: &mut Canvas<'_>, area: PixelBox) -> PixelBox {
        const SAMPLE: f32 = 18.0;
        const GAP: f32 = 6.0;
        const LARGEST_SHARE: f32 = 0.4;
        let curves = self.curves.iter().map(|curve| Entry {
            name: &curve.name,
            value: &curve.value,
            color: curve.color,
        });
        let rest = self.rest.iter().map(|rest| Entry {
            name: &rest.name,
            value: &rest.value,
            color: REST,
        });
        let mut entries: Vec<Entry<'_>> = curves.chain(rest).collect();
        let line = TEXT_HEIGHT + 4.0;
        let fitting = ((area.height() / line) as usize).max(1);
        let hidden = entries.len().saturating_sub(fitting) + 1;
        let more = format!("{hidden} more");
        if entries.len() > fitting {
            entries.truncate(fitting - 1);
            entries.push(Entry {
                name: &more,
                value: "",
                color: REST,
            });
        }
        let widest_value = widest(entries.iter().map(|entry| entry.value));
        let value_room = if widest_value > 0.0 {
            widest_value + GAP
        } else {
            0.0
        };
        let widest_name = widest(entries.iter().map(|entry| entry.name));
        let most = area.width() * LARGEST_SHARE - SAMPLE - GAP - value_room;
        let name_room = widest_name.min(most).max(0.0);
        let left = area.x2 - value_room - name_room - SAMPLE - GAP;
        for (index, entry) in entries.iter().enumerate() {
            let y = (area.y1 + (index as f32 + 0.5) * line).round();
            let sample = [Point::new(left + 2.0, y), Point::new(left + SAMPLE, y)];
            canvas.line(&sample, CURVE_WIDTH + 0.8, entry.color);
            let name = text_that_fits(entry.name, TEXT_HEIGHT, name_room);
            canvas.text(&name, Point::new(left + SAMPLE + GAP, y), text_style());
            let value = text_that_fits(entry.value, TEXT_HEIGHT, value_room);
            canvas.text(
                &value,
                Point::new(area.x2, y),
                text_style().aligned(Align::End),
            );
        }
        PixelBox::new(area.x1, area.y1, left - MARGIN / 2.0, area.y2)
    }
}

/// A line of the legend.
struct Entry<'a> {
    name: &'a str,
    value: &'a str,
    color: Rgb,
}

impl Chart for CurveChart {
    fn title(&self) -> &str {
        &self.title
    }

    fn draw(&self, canvas: &mut Canvas<'_>, area: PixelBox) {
        if self.points().next().is_none() {
            return draw_nothing(canvas, area);
        }
        let area = if self.curves.len() > 1 || self.rest.is_some() {
            self.draw_legend(canvas, area)
        } else {
            area
        };
        let axes = Axes {
            x_label: &self.x_label,
            y_label: &self.y_label,
            x: self
                .x_range
                .unwrap_or_else(|| Range::around(self.points().map(|(x, _)| x))),
            y: self
                .y_range
                .unwrap_or_else(|| Range::around(self.points().map(|(_, y)| y))),
        };
        let plane = axes.draw(canvas, area);
        for points in self.rest.iter().flat_map(|rest| &rest.curves) {
            canvas.line(&points_on(&plane, points), REST_WIDTH, REST);
        }
        for curve in self.curves.iter().rev() {
            let points = points_on(&plane, &curve.points);
            canvas.line(&points, CURVE_WIDTH, curve.color);
            if points.len() <= MOST_DOTS {
                for point in points {
                    canvas.line(&[point], CURVE_WIDTH + 3.0, curve.color);
                }
            }
        }
    }
}

fn points_on(plane: &Plane, points: &[(f64, f64)]) -> Vec<Point> {
    let points = points.iter();
    points.map(|&(x, y)| plane.at_or_border(x, y)).collect()
}
