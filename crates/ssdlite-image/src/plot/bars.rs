//! Bars: how many objects of each class.

use ssdlite_core::PixelBox;

use super::axes::{draw_axis_labels, draw_frame};
use super::{Chart, INK, TEXT_HEIGHT, draw_nothing, readable_height, text_style, widest};
use crate::canvas::{Align, Canvas, Point, TextStyle, text_that_fits};
use crate::color::series_color;

/// The share of the height that names below the bars may take.
const NAME_SHARE: f32 = 0.3;

/// The share of its place that a bar fills.
const BAR_SHARE: f32 = 0.7;

/// One bar.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    /// What stands below it.
    pub name: String,
    /// Its height, from 0. What is not finite or negative counts as 0.
    pub value: f64,
}

/// A bar for each class, its value above and its name below it.
#[derive(Clone, Debug, PartialEq)]
pub struct BarChart {
    /// What stands above.
    pub title: String,
    /// What the bars count.
    pub y_label: String,
    /// Decimal places of the values above the bars.
    pub places: usize,
    /// The bars; each one's colour is by its place.
    pub bars: Vec<Bar>,
}

impl Chart for BarChart {
    fn title(&self) -> &str {
        &self.title
    }

    fn draw(&self, canvas: &mut Canvas<'_>, area: PixelBox) {
        if self.bars.is_empty() {
            return draw_nothing(canvas, area);
        }
        let largest = self.bars.iter().map(height_of).fold(0.0, f64::max);
        let left = area.x1
            + if self.y_label.is_empty() {
                0.0
            } else {
                TEXT_HEIGHT + 6.0
            };
        let place = (area.x2 - left) / self.bars.len() as f32;
        let widest = widest(self.bars.iter().map(|bar| &bar.name));
        let across = widest <= place * 0.95;
        let name_room = if across {
            TEXT_HEIGHT
        } else {
            widest.min(area.height() * NAME_SHARE)
        };
        let frame = PixelBox::new(
            left.round(),
            (area.y1 + TEXT_HEIGHT).round(),
            area.x2,
            (area.y2 - name_room - 6.0).round(),
        );
        for (index, bar) in self.bars.iter().enumerate() {
            let middle = frame.x1 + (index as f32 + 0.5) * place;
            let half = (place * BAR_SHARE / 2.0).max(0.5);
            let share = height_of(bar) / largest.max(f64::MIN_POSITIVE);
            let top = frame.y2 - share as f32 * frame.height();
            let body = PixelBox::new(middle - half, top, middle + half, frame.y2);
            canvas.fill(body, series_color(index), 1.0);
            if across || place >= TEXT_HEIGHT {
                let name = text_that_fits(&bar.name, TEXT_HEIGHT, name_room.max(place));
                let (at, style) = if across {
                    let at = Point::new(middle, frame.y2 + 4.0 + TEXT_HEIGHT / 2.0);
                    (at, text_style().aligned(Align::Middle))
                } else {
                    let at = Point::new(middle, frame.y2 + 5.0);
                    (at, text_style().aligned(Align::End).upwards())
                };
                canvas.text(&name, at, style);
            }
            let value = format!("{:.*}", self.places, bar.value);
            if let Some(height) = readable_height(&value, place) {
                let at = Point::new(middle, top - TEXT_HEIGHT / 2.0);
                let style = TextStyle::new(height, INK);
                canvas.text(&value, at, style.aligned(Align::Middle));
            }
        }
        draw_frame(canvas, frame);
        draw_axis_labels(canvas, area, frame, "", &self.y_label);
    }
}

fn height_of(bar: &Bar) -> f64 {
    if bar.value.is_finite() {
        bar.value.max(0.0)
    } else {
        0.0
    }
}
