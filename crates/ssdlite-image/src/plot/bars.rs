//! Bars: how many objects of each class.

use ssdlite_core::{ImageSize, PixelBox};

use super::{
    Chart, INK, MARGIN, PANEL, TEXT_HEIGHT, TITLE_HEIGHT, draw_nothing, lines_fit, text_style,
    widest,
};
use crate::canvas::{Align, Canvas, Point, text_length, text_that_fits};
use crate::rgb::Rgb;

/// The share of the width that names may take.
const NAME_SHARE: f32 = 0.4;

/// The share of its line that a bar fills.
const BAR_SHARE: f32 = 0.7;

/// Pixels from a bar to the next, at most and as the panel is made for.
const LARGEST_LINE: f32 = 34.0;
const USUAL_LINE: f32 = 19.0;

/// Pixels between a bar and the texts beside it.
const GAP: f32 = 6.0;

/// One bar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bar {
    /// What stands before it.
    pub name: String,
    /// Its length, written after it.
    pub count: u64,
    /// Its colour.
    pub color: Rgb,
}

/// Bars below each other, with names before them and counts after them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BarChart {
    /// What stands above.
    pub title: String,
    /// The bars, from the top.
    pub bars: Vec<Bar>,
    /// What stands below them, such as what was left out; may be empty.
    pub note: String,
}

impl BarChart {
    /// A panel in which all names can be read.
    pub fn panel(&self) -> ImageSize {
        let border = 3.0 * MARGIN + TITLE_HEIGHT;
        let height = border + self.lines() as f32 * USUAL_LINE;
        ImageSize::new(PANEL.width, PANEL.height.max(height.ceil() as u32))
    }

    fn lines(&self) -> usize {
        self.bars.len() + usize::from(!self.note.is_empty())
    }
}

impl Chart for BarChart {
    fn title(&self) -> &str {
        &self.title
    }

    fn draw(&self, canvas: &mut Canvas<'_>, area: PixelBox) {
        if self.bars.is_empty() {
            return draw_nothing(canvas, area);
        }
        let line = (area.height() / self.lines() as f32).min(LARGEST_LINE);
        let largest = self.bars.iter().map(|bar| bar.count).max().unwrap_or(0);
        let name_room =
            widest(self.bars.iter().map(|bar| bar.name.as_str())).min(area.width() * NAME_SHARE);
        let count_room = text_length(&largest.to_string(), TEXT_HEIGHT);
        let left = (area.x1 + name_room + GAP).round();
        let longest = area.x2 - count_room - GAP - left;
        if longest <= 0.0 {
            return;
        }
        for (index, bar) in self.bars.iter().enumerate() {
            let middle = area.y1 + (index as f32 + 0.5) * line;
            let half = (line * BAR_SHARE / 2.0).max(0.5);
            let share = bar.count as f32 / largest.max(1) as f32;
            let right = left + share * longest;
            let body = PixelBox::new(left, middle - half, right, middle + half);
            canvas.fill(body, bar.color, 1.0);
            if lines_fit(line) {
                let name = text_that_fits(&bar.name, TEXT_HEIGHT, name_room);
                let at = Point::new(left - GAP, middle);
                canvas.text(&name, at, text_style().aligned(Align::End));
                let at = Point::new(right + GAP, middle);
                canvas.text(&bar.count.to_string(), at, text_style());
            }
        }
        let bottom = area.y1 + self.bars.len() as f32 * line;
        let axis = [Point::new(left, area.y1), Point::new(left, bottom)];
        canvas.line(&axis, 1.5, INK);
        if lines_fit(line) {
            let note = text_that_fits(&self.note, TEXT_HEIGHT, area.width());
            let at = Point::new(area.x1, bottom + line / 2.0);
            canvas.text(&note, at, text_style());
        }
    }
}
