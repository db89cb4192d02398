//! A matrix of shaded cells: the confusion matrix.

use ssdlite_core::{ImageSize, PixelBox};

use super::axes::draw_axis_labels;
use super::{
    Chart, FAINT, MARGIN, PANEL, TEXT_HEIGHT, TITLE_HEIGHT, draw_nothing, lines_fit,
    readable_height, text_style, widest,
};
use crate::canvas::{Align, Canvas, Point, TextStyle, text_that_fits};
use crate::color::{WHITE, mix, text_color_on};
use crate::rgb::Rgb;

/// Height of the second line of a cell.
const NOTE_HEIGHT: f32 = 12.0;

const DARKEST: Rgb = [8, 64, 130];

/// Pixels that names may take in each direction, and the share of the chart.
const LONGEST_NAME: f32 = 220.0;
const NAME_SHARE: f32 = 0.3;

/// A cell's usual side, in pixels.
const CELL: f32 = 56.0;

/// Pixels between a name and the cells, and between two names side by side.
const GAP: f32 = 6.0;

/// A cell.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// What stands in it, if there is room.
    pub text: String,
    /// What stands below the text, if there is room for both; may be empty.
    pub note: String,
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
    /// A panel in which numbers of five digits can be read, as far as a sheet
    /// of 2400 pixels allows.
    pub fn panel(&self) -> ImageSize {
        const MOST: f32 = 2400.0;
        let cells = |names: &[String]| names.len() as f32 * CELL;
        let names = |names| longest_name(names) + LABEL + GAP + 2.0 * MARGIN;
        let width = cells(&self.columns) + names(&self.rows);
        let height = cells(&self.rows) + names(&self.columns) + TITLE_HEIGHT + MARGIN;
        ImageSize::new(
            width.clamp(PANEL.width as f32, MOST) as u32,
            height.clamp(PANEL.height as f32, MOST) as u32,
        )
    }
}

/// Pixels that the label of an axis takes.
const LABEL: f32 = TEXT_HEIGHT + GAP;

fn longest_name(names: &[String]) -> f32 {
    widest(names.iter().map(String::as_str)).min(LONGEST_NAME)
}

impl Chart for MatrixChart {
    fn title(&self) -> &str {
        &self.title
    }

    fn draw(&self, canvas: &mut Canvas<'_>, area: PixelBox) {
        if self.rows.is_empty() || self.columns.is_empty() {
            return draw_nothing(canvas, area);
        }
        let row_room = longest_name(&self.rows).min(area.width() * NAME_SHARE);
        let inner_width = area.width() - LABEL - row_room - GAP;
        let widest_column = widest(self.columns.iter().map(String::as_str));
        let across = widest_column + GAP <= inner_width / self.columns.len() as f32;
        let column_room = if across {
            TEXT_HEIGHT
        } else {
            longest_name(&self.columns).min(area.height() * NAME_SHARE)
        };
        let frame = PixelBox::new(
            area.x2 - inner_width,
            area.y1,
            area.x2,
            area.y2 - LABEL - column_room - GAP,
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
        if lines_fit(height) {
            for (index, name) in self.rows.iter().enumerate() {
                let name = text_that_fits(name, TEXT_HEIGHT, row_room);
                let at = Point::new(frame.x1 - GAP, frame.y1 + (index as f32 + 0.5) * height);
                canvas.text(&name, at, text_style().aligned(Align::End));
            }
        }
        if across || lines_fit(width) {
            for (index, name) in self.columns.iter().enumerate() {
                let x = frame.x1 + (index as f32 + 0.5) * width;
                let (at, room, style) = if across {
                    let at = Point::new(x, frame.y2 + GAP + TEXT_HEIGHT / 2.0);
                    (at, width, text_style().aligned(Align::Middle))
                } else {
                    let at = Point::new(x, frame.y2 + GAP);
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
    let room = area.width() - 4.0;
    let Some(height) = readable_height(&cell.text, room) else {
        return;
    };
    let (x, y) = area.center();
    let color = text_color_on(color);
    let mut write = |text: &str, height: f32, y: f32| {
        let style = TextStyle::new(height, color).aligned(Align::Middle);
        canvas.text(text, Point::new(x, y), style);
    };
    let note = readable_height(&cell.note, room).filter(|_| !cell.note.is_empty());
    match note.map(|note| note.min(NOTE_HEIGHT)) {
        Some(note) if area.height() >= height + note => {
            write(&cell.text, height, y - note / 2.0);
            write(&cell.note, note, y + height / 2.0);
        }
        _ if area.height() >= height => write(&cell.text, height, y),
        _ => {}
    }
}
