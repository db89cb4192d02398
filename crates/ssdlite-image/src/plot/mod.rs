//! Charts as images: curves, bars, point clouds and matrices, drawn on
//! white paper with the embedded font.
//!
//! Not a plotting library: these are the charts of a run folder, and what they
//! don't need is not there. No log axes, no dates, no interaction.

mod axes;
mod bars;
mod curves;
mod matrix;
mod scatter;
#[cfg(test)]
mod tests;

use ssdlite_core::{ImageSize, PixelBox};

use crate::canvas::{Align, Canvas, Point, TextStyle, text_length, text_that_fits};
use crate::color::WHITE;
use crate::rgb::{Rgb, RgbImage};

pub use axes::Range;
pub use bars::{Bar, BarChart};
pub use curves::{Curve, CurveChart, Rest};
pub use matrix::{Cell, MatrixChart};
pub use scatter::ScatterChart;

/// A panel's usual size.
pub const PANEL: ImageSize = ImageSize::new(640, 440);

const TITLE_HEIGHT: f32 = 19.0;
const TEXT_HEIGHT: f32 = 15.0;
const MARGIN: f32 = 14.0;
const INK: Rgb = [45, 45, 50];
const FAINT: Rgb = [225, 226, 230];

/// What can be drawn into a panel.
pub trait Chart {
    /// What stands above the chart.
    fn title(&self) -> &str;

    /// Draws the chart, without its title, into `area`.
    fn draw(&self, canvas: &mut Canvas<'_>, area: PixelBox);
}

/// Charts on one sheet, row by row, each in a panel of one size.
///
/// # Panics
/// If there is no chart, no column, or a panel without a pixel.
pub fn sheet(charts: &[&dyn Chart], columns: u32, panel: ImageSize) -> RgbImage {
    assert!(!charts.is_empty() && columns > 0 && panel.pixels() > 0);
    let columns = columns.min(charts.len() as u32);
    let rows = (charts.len() as u32).div_ceil(columns);
    let size = ImageSize::new(columns * panel.width, rows * panel.height);
    let mut image = RgbImage::filled(size, WHITE);
    for (index, chart) in (0u32..).zip(charts) {
        let left = index % columns * panel.width;
        let top = index / columns * panel.height;
        image.paste(&draw_panel(*chart, panel), left, top);
    }
    image
}

/// One chart with its title, on paper of its own so that none draws on its
/// neighbour.
fn draw_panel(chart: &dyn Chart, size: ImageSize) -> RgbImage {
    let mut image = RgbImage::filled(size, WHITE);
    draw_on(&mut Canvas::new(&mut image), chart);
    image
}

fn draw_on(canvas: &mut Canvas<'_>, chart: &dyn Chart) {
    let (width, height) = (canvas.width(), canvas.height());
    let title = text_that_fits(chart.title(), TITLE_HEIGHT, width - 2.0 * MARGIN);
    canvas.text(
        &title,
        Point::new(width / 2.0, MARGIN + TITLE_HEIGHT / 2.0),
        TextStyle::new(TITLE_HEIGHT, INK).aligned(Align::Middle),
    );
    let top = 2.0 * MARGIN + TITLE_HEIGHT;
    let area = PixelBox::new(MARGIN, top, width - MARGIN, height - MARGIN);
    if area.is_valid() {
        chart.draw(canvas, area);
    }
}

const fn text_style() -> TextStyle {
    TextStyle::new(TEXT_HEIGHT, INK)
}

/// The height at which `text` is at most `length` long, if it can be read then.
fn readable_height(text: &str, length: f32) -> Option<f32> {
    const LEAST: f32 = 9.0;
    let height = TEXT_HEIGHT * (length / text_length(text, TEXT_HEIGHT)).min(1.0);
    (height >= LEAST).then_some(height)
}

/// Whether lines of text that are so far apart don't touch.
fn lines_fit(distance: f32) -> bool {
    distance >= TEXT_HEIGHT
}

/// The length of the longest of `names`.
fn widest<'a>(names: impl Iterator<Item = &'a str>) -> f32 {
    names
        .map(|name| text_length(name, TEXT_HEIGHT))
        .fold(0.0, f32::max)
}

/// What stands in a chart that has nothing to show.
fn draw_nothing(canvas: &mut Canvas<'_>, area: PixelBox) {
    let (x, y) = area.center();
    canvas.text(
        "no data",
        Point::new(x, y),
        text_style().aligned(Align::Middle),
    );
}
