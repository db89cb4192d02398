//! A cloud of points: where boxes lie, how large they are.

use ssdlite_core::PixelBox;

use super::axes::{Axes, Range};
use super::{Chart, draw_nothing};
use crate::canvas::Canvas;
use crate::color::series_color;

/// Half the side of a dot, in pixels.
const DOT: f32 = 1.5;

/// The opacity of a dot is this by the square root of the number of points, so
/// that clusters show in large clouds and single points in small ones.
const INK_OF_ALL: f32 = 12.0;

/// Points over two axes, drawn the darker the denser they lie.
#[derive(Clone, Debug, PartialEq)]
pub struct ScatterChart {
    /// What stands above.
    pub title: String,
    /// What the horizontal axis counts.
    pub x_label: String,
    /// What the vertical axis counts.
    pub y_label: String,
    /// What the horizontal axis covers.
    pub x_range: Range,
    /// What the vertical axis covers.
    pub y_range: Range,
    /// The points `(x, y)`. Those that are not finite are left out.
    pub points: Vec<(f64, f64)>,
}

impl Chart for ScatterChart {
    fn title(&self) -> &str {
        &self.title
    }

    fn draw(&self, canvas: &mut Canvas<'_>, area: PixelBox) {
        if self.points.is_empty() {
            return draw_nothing(canvas, area);
        }
        let axes = Axes {
            x_label: &self.x_label,
            y_label: &self.y_label,
            x: self.x_range,
            y: self.y_range,
        };
        let plane = axes.draw(canvas, area);
        let opacity = (INK_OF_ALL / (self.points.len() as f32).sqrt()).clamp(0.06, 0.8);
        for &(x, y) in &self.points {
            let center = plane.at(x, y);
            let dot = PixelBox::new(
                center.x - DOT,
                center.y - DOT,
                center.x + DOT,
                center.y + DOT,
            );
            // Points beyond the axes would lie on other panels.
            if dot.intersection(&plane.frame) > 0.0 {
                canvas.fill(dot, series_color(0), opacity);
            }
        }
    }
}
