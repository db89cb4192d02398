//! A matrix of shaded cells: the confusion matrix.

use ssdlite_core::{ImageSize, PixelBox};

use super::axes::draw_axis_labels;
use super::{
    Chart, FAINT, MARGIN, TEXT_HEIGHT, TITLE_HEIGHT, draw_nothing, readable_height, text_style,
    widest,
};
use crate::canvas::{Align, Canvas, Point, TextStyle, text_that_fits};
use crate::color::{WHITE, mix, text_color_on};
use crate::rgb::Rgb;

const DARKEST: Rgb = [8, 64, 130];

/// The share of the chart that names may take, in each direction.
const NAME_SHARE: f32 = 0.3;

/// A cell.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// What stands in it, if there is room.
    pub text: String,
    /// How dark it is: 0 (white) to 1.
    pub shade: f32,
}

/// A matrix with names at its left and below it.
#[derive(Clone, Debug, PartialEq)]
pub struct MatrixChart {
    /// What stands above.
    pub title: String,
    /// What the columns are.
    pub x_label: String,
    /// What the rows are.
    pub y_label: String,
    /// The columns' names, from the left.
    pub columns: Vec<String>,
    /// The rows' names, from the top.
    pub rows: Vec<String>,
    /// The cells, row by row. Those that are missing are white.
    pub cells: Vec<Cell>,
}

impl MatrixChart {
    /// A panel in which numbers of four digits can be read, as far as a sheet
    /// of 2400 pixels allows.
    pub fn panel(&self) -> ImageSize {
        const CELL: f32 = 44.0;
        const LEAST: f32 = 480.0;
        const MOST: f32 = 2400.0;
        let cells = |names: &[String]| names.len() as f32 * CELL;
        let border = TEXT_HEIGHT + 2.0 * MARGIN + 20.0;
        let width = cells(&self.columns) + widest(self.rows.iter()) + border;
        let height = cells(&self.rows) + widest(self.columns.iter()) + border;
        ImageSize::new(
            width.clamp(LEAST, MOST) as u32,
            (height + TITLE_HEIGHT + MARGIN).clamp(LEAST, MOST) as u32,
        )
    }
}

impl Chart for MatrixChart {
    fn title(&self) -> &str {
        &self.title
    }

    fn draw(&self, canvas: &mut Canvas<'_>, area: PixelBox) {
        if self.rows.is_empty() || self.columns.is_empty() {
            return draw_nothing(canvas, area);
        }
        let label = TEXT_HEIGHT + 6.0;
        let row_room = widest(self.rows.iter()).min(area.width() * NAME_SHARE);
        let inner_width = area.width() - label - row_room - 8.0;
        let across = widest(self.columns.iter()) <= inner_width / self.columns.len() as f32;
        let column_room = if across {
            TEXT_HEIGHT
        } else {
            widest(self.columns.iter()).min(area.height() * NAME_SHARE)
        };
        let frame = PixelBox::new(
            area.x2 - inner_width,
            area.y1,
            area.x2,
            area.y2 - label - column_room - 8.0,
        );
        if !frame.is_valid() {
            return;
        }
        let width = frame.width() / self.columns.len() as f32;
        let height = frame.height() / self.rows.len() as f32;
        let edge = |start: f32, index: usize, step: f32| (start + index as f32 * step).round();
        canvas.fill(frame, FAINT, 1.0);
        for row in 0..self.rows.len() {
            for column in 0..self.columns.len() {
                let cell = self.cells.get(row * self.columns.len() + column);
                let gap = if width.min(height) > 8.0 { 1.0 } else { 0.0 };
                let area = PixelBox::new(
                    edge(frame.x1, column, width),
                    edge(frame.y1, row, height),
                    edge(frame.x1, column + 1, width) - gap,
                    edge(frame.y1, row + 1, height) - gap,
                );
                draw_cell(canvas, area, cell);
            }
        }
        if height >= TEXT_HEIGHT * 0.9 {
            for (index, name) in self.rows.iter().enumerate() {
                let name = text_that_fits(name, TEXT_HEIGHT, row_room);
                let at = Point::new(frame.x1 - 6.0, frame.y1 + (index as f32 + 0.5) * height);
                canvas.text(&name, at, text_style().aligned(Align::End));
            }
        }
        if across || width >= TEXT_HEIGHT * 0.9 {
            for (index, name) in self.columns.iter().enumerate() {
                let x = frame.x1 + (index as f32 + 0.5) * width;
                let (at, room, style) = if across {
                    let at = Point::new(x, frame.y2 + 5.0 + TEXT_HEIGHT / 2.0);
                    (at, width, text_style().aligned(Align::Middle))
                } else {
                    let at = Point::new(x, frame.y2 + 5.0);
                    (at, column_room, text_style().aligned(Align::End).upwards())
                };
                canvas.text(&text_that_fits(name, TEXT_HEIGHT, room), at, style);
            }
        }
        draw_axis_labels(canvas, area, frame, &self.x_label, &self.y_label);
    }
}

fn draw_cell(canvas: &mut Canvas<'_>, area: PixelBox, cell: Option<&Cell>) {
    let shade = cell.map_or(0.0, |cell| cell.shade);
    let color = mix(WHITE, DARKEST, if shade.is_finite() { shade } else { 0.0 });
    canvas.fill(area, color, 1.0);
    let Some(cell) = cell else { return };
    let Some(height) = readable_height(&cell.text, area.width() - 4.0) else {
        return;
    };
    if area.height() >= height {
        let (x, y) = area.center();
        let style = TextStyle::new(height, text_color_on(color));
        canvas.text(&cell.text, Point::new(x, y), style.aligned(Align::Middle));
    }
}
