//! Curves over a common axis: losses and scores by epoch, precision by recall.

use ssdlite_core::PixelBox;

use super::axes::{Axes, Range};
use super::{Chart, MARGIN, TEXT_HEIGHT, draw_nothing, text_style, widest};
use crate::canvas::{Canvas, Point, text_that_fits};
use crate::color::series_color;

const CURVE_WIDTH: f32 = 2.2;

/// Curves of at most this many points show each of them.
const MOST_DOTS: usize = 40;

/// One curve.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// What stands in the legend.
    pub name: String,
    /// Points `(x, y)` in the order in which they are joined. Those that are
    /// not finite are left out.
    pub points: Vec<(f64, f64)>,
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
    /// The curves; each one's colour is by its place.
    pub curves: Vec<Curve>,
}

impl CurveChart {
    fn points(&self) -> impl Iterator<Item = (f64, f64)> {
        let all = self.curves.iter().flat_map(|curve| &curve.points);
        all.copied().filter(|(x, y)| x.is_finite() && y.is_finite())
    }

    /// Draws the legend at the right of `area` and returns what is left.
    fn draw_legend(&self, canvas: &mut Canvas<'_>, area: PixelBox) -> PixelBox {
        const SAMPLE: f32 = 18.0;
        const LARGEST_SHARE: f32 = 0.35;
        let line = TEXT_HEIGHT + 4.0;
        let widest = widest(self.curves.iter().map(|curve| &curve.name));
        let text_room = widest.min(area.width() * LARGEST_SHARE - SAMPLE);
        let left = area.x2 - text_room - SAMPLE - 6.0;
        let fitting = ((area.height() / line) as usize).max(1);
        for (index, curve) in self.curves.iter().enumerate().take(fitting) {
            let y = (area.y1 + (index as f32 + 0.5) * line).round();
            let hidden = self.curves.len() - index;
            let at = Point::new(left + SAMPLE + 6.0, y);
            if index + 1 == fitting && hidden > 1 {
                canvas.text(&format!("+ {hidden} more"), at, text_style());
                break;
            }
            let sample = [Point::new(left + 2.0, y), Point::new(left + SAMPLE, y)];
            canvas.line(&sample, CURVE_WIDTH + 0.8, series_color(index));
            let name = text_that_fits(&curve.name, TEXT_HEIGHT, text_room);
            canvas.text(&name, at, text_style());
        }
        PixelBox::new(area.x1, area.y1, left - MARGIN / 2.0, area.y2)
    }
}

impl Chart for CurveChart {
    fn title(&self) -> &str {
        &self.title
    }

    fn draw(&self, canvas: &mut Canvas<'_>, area: PixelBox) {
        if self.points().next().is_none() {
            return draw_nothing(canvas, area);
        }
        let area = if self.curves.len() > 1 {
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
        // The first curve on top: it is the one that the chart is about.
        for (index, curve) in self.curves.iter().enumerate().rev() {
            let color = series_color(index);
            let points: Vec<Point> = curve
                .points
                .iter()
                .map(|&(x, y)| plane.at_or_border(x, y))
                .collect();
            canvas.line(&points, CURVE_WIDTH, color);
            if points.len() <= MOST_DOTS {
                for point in points {
                    canvas.line(&[point], CURVE_WIDTH + 3.0, color);
                }
            }
        }
    }
}
