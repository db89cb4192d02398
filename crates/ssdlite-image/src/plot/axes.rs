//! Ranges, ticks, and the frame around a chart's data.

use ssdlite_core::PixelBox;

use super::{FAINT, INK, MARGIN, TEXT_HEIGHT, text_style};
use crate::canvas::{Align, Canvas, Point, text_length, text_that_fits};

/// Pixels between two ticks, at least.
const TICK_ROOM: f32 = 55.0;
const TICK_LENGTH: f32 = 5.0;

/// Pixels between the frame and the numbers below it, so that the lowest number at
/// its left has room.
const BELOW: f32 = TEXT_HEIGHT / 2.0 + 1.0;

/// What an axis covers. Its end is larger than its start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    start: f64,
    end: f64,
    /// Whether its numbers are counted, so that a tick between two means nothing.
    counted: bool,
}

impl Range {
    /// 0 to 1: shares and scores.
    pub const UNIT: Self = Self {
        start: 0.0,
        end: 1.0,
        counted: false,
    };

    /// The smallest range of whole steps that holds all finite `values`; 0 to 1
    /// if there are none, and 1 wide around a single one.
    pub fn around(values: impl IntoIterator<Item = f64>) -> Self {
        Self::around_values(values, false)
    }

    /// The same for numbers that are counted, as epochs are: all ticks are whole.
    pub fn around_counted(values: impl IntoIterator<Item = f64>) -> Self {
        Self::around_values(values, true)
    }

    fn around_values(values: impl IntoIterator<Item = f64>, counted: bool) -> Self {
        let finite = values.into_iter().filter(|value| value.is_finite());
        let bounds = finite.fold(None, |bounds: Option<(f64, f64)>, value| {
            let (start, end) = bounds.unwrap_or((value, value));
            Some((start.min(value), end.max(value)))
        });
        match bounds {
            None => Self {
                counted,
                ..Self::UNIT
            },
            Some((start, end)) if end - start <= start.abs().max(end.abs()) * 1e-9 => Self {
                start: start - 0.5,
                end: start + 0.5,
                counted,
            },
            Some((start, end)) => {
                let step = step_for(end - start, 6.0, counted);
                Self {
                    start: (start / step).floor() * step,
                    end: (end / step).ceil() * step,
                    counted,
                }
            }
        }
    }

    /// The share of the range that lies before `value`.
    pub(super) fn share(self, value: f64) -> f32 {
        ((value - self.start) / (self.end - self.start)) as f32
    }

    /// Round numbers inside the range, at most about `most` of them, and how
    /// many decimal places tell them apart.
    fn ticks(self, most: f64) -> (Vec<f64>, usize) {
        let step = step_for(self.end - self.start, most.max(1.0), self.counted);
        let slack = step * 1e-6;
        let first = ((self.start - slack) / step).ceil();
        let count = ((self.end + slack) / step - first).floor().max(0.0) as u32;
        let ticks = (0..=count).map(|index| (first + f64::from(index)) * step);
        let places = (0..9).find(|&places| {
            let scaled = step * 10f64.powi(places);
            (scaled - scaled.round()).abs() < 1e-6 * scaled
        });
        (ticks.collect(), places.unwrap_or(9) as usize)
    }
}

/// The smallest of 1, 2, 2.5 and 5 times a power of ten that cuts `length`
/// into at most `most` steps; a whole number if the length is `counted`.
fn step_for(length: f64, most: f64, counted: bool) -> f64 {
    let raw = if counted {
        (length / most).max(1.0)
    } else {
        length / most
    };
    let power = 10f64.powf(raw.log10().floor());
    let mantissa = raw / power;
    let rounded = [1.0, 2.0, 2.5, 5.0]
        .into_iter()
        .find(|step| mantissa <= step + 1e-9 && !(counted && (step * power).fract() > 0.0));
    rounded.unwrap_or(10.0) * power
}

fn tick_label(value: f64, places: usize) -> String {
    // Adding 0 makes minus zero plain zero.
    let value = value + 0.0;
    match value.abs() {
        size if size >= 1e6 => format!("{value:.1e}"),
        _ if places > 5 => format!("{value:.0e}"),
        _ => format!("{value:.places$}"),
    }
}

/// The two axes of a chart.
pub(super) struct Axes<'a> {
    pub(super) x_label: &'a str,
    pub(super) y_label: &'a str,
    pub(super) x: Range,
    pub(super) y: Range,
}

impl Axes<'_> {
    /// Draws frame, ticks, labels and grid into `area`. Returns where the data
    /// go.
    pub(super) fn draw(&self, canvas: &mut Canvas<'_>, area: PixelBox) -> Plane {
        let (y_ticks, y_places) = self.y.ticks(f64::from(area.height() / TICK_ROOM));
        let y_texts: Vec<String> = y_ticks.iter().map(|y| tick_label(*y, y_places)).collect();
        let widest = y_texts
            .iter()
            .map(|text| text_length(text, TEXT_HEIGHT))
            .fold(0.0, f32::max);
        let label_room = |label: &str| {
            if label.is_empty() {
                0.0
            } else {
                TEXT_HEIGHT + 4.0
            }
        };
        let frame = PixelBox::new(
            (area.x1 + label_room(self.y_label) + widest + TICK_LENGTH + 4.0).round(),
            (area.y1 + TEXT_HEIGHT / 2.0).round(),
            (area.x2 - MARGIN).round(),
            (area.y2 - label_room(self.x_label) - TEXT_HEIGHT - BELOW - 2.0).round(),
        );
        let plane = Plane {
            frame,
            x: self.x,
            y: self.y,
        };
        for (value, text) in y_ticks.iter().zip(&y_texts) {
            let y = plane.at(self.x.start, *value).y.round();
            canvas.line(
                &[Point::new(frame.x1, y), Point::new(frame.x2, y)],
                1.0,
                FAINT,
            );
            let at = Point::new(frame.x1 - TICK_LENGTH - 2.0, y);
            canvas.text(text, at, text_style().aligned(Align::End));
        }
        let (x_ticks, x_places) = self.x.ticks(f64::from(frame.width() / (TICK_ROOM * 1.3)));
        for value in x_ticks {
            let x = plane.at(value, self.y.start).x.round();
            canvas.line(
                &[Point::new(x, frame.y1), Point::new(x, frame.y2)],
                1.0,
                FAINT,
            );
            let at = Point::new(x, frame.y2 + BELOW + TEXT_HEIGHT / 2.0);
            canvas.text(
                &tick_label(value, x_places),
                at,
                text_style().aligned(Align::Middle),
            );
        }
        draw_frame(canvas, frame);
        draw_axis_labels(canvas, area, frame, self.x_label, self.y_label);
        plane
    }
}

/// Where a chart's numbers lie on its sheet.
pub(super) struct Plane {
    pub(super) frame: PixelBox,
    x: Range,
    y: Range,
}

impl Plane {
    /// The position of `x, y`; not finite if one of them is not.
    pub(super) fn at(&self, x: f64, y: f64) -> Point {
        Point::new(
            self.frame.x1 + self.x.share(x) * self.frame.width(),
            self.frame.y2 - self.y.share(y) * self.frame.height(),
        )
    }

    /// The same, moved to the frame's border if it lies outside.
    pub(super) fn at_or_border(&self, x: f64, y: f64) -> Point {
        let Point { x, y } = self.at(x, y);
        Point::new(
            x.clamp(self.frame.x1, self.frame.x2.max(self.frame.x1)),
            y.clamp(self.frame.y1, self.frame.y2.max(self.frame.y1)),
        )
    }
}

/// The lines at the left and at the bottom of a chart.
pub(super) fn draw_frame(canvas: &mut Canvas<'_>, frame: PixelBox) {
    canvas.line(
        &[
            Point::new(frame.x1, frame.y1),
            Point::new(frame.x1, frame.y2),
            Point::new(frame.x2, frame.y2),
        ],
        1.5,
        INK,
    );
}

/// Writes what an axis counts: across below `frame`, and upwards at the left
/// border of `area`.
pub(super) fn draw_axis_labels(
    canvas: &mut Canvas<'_>,
    area: PixelBox,
    frame: PixelBox,
    x_label: &str,
    y_label: &str,
) {
    let (x, y) = frame.center();
    canvas.text(
        &text_that_fits(x_label, TEXT_HEIGHT, frame.width()),
        Point::new(x, area.y2 - TEXT_HEIGHT / 2.0),
        text_style().aligned(Align::Middle),
    );
    canvas.text(
        &text_that_fits(y_label, TEXT_HEIGHT, frame.height()),
        Point::new(area.x1 + TEXT_HEIGHT / 2.0, y),
        text_style().aligned(Align::Middle).upwards(),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_their_values_and_end_on_round_numbers() {
        let range = Range::around([0.13, 2.41, f64::NAN, f64::INFINITY, 0.7]);
        assert_eq!((range.start, range.end), (0.0, 2.5));
        let range = Range::around([3.0, 3.0]);
        assert_eq!((range.start, range.end), (2.5, 3.5));
        assert_eq!(Range::around([]), Range::UNIT);
        assert_eq!(Range::around([f64::NAN]), Range::UNIT);
        for exponent in -12..12 {
            let value = 3.7 * 10f64.powi(exponent);
            let range = Range::around([-value, value / 3.0]);
            assert!(range.start <= -value && range.end >= value / 3.0);
            let (ticks, _) = range.ticks(6.0);
            assert!((3..=8).contains(&ticks.len()), "{ticks:?}");
        }
    }

    #[test]
    fn what_is_counted_has_whole_ticks() {
        for last in (1..40).chain([99, 200, 1000, 12345]) {
            let range = Range::around_counted((1..=last).map(f64::from));
            for most in 1..12 {
                let (ticks, places) = range.ticks(f64::from(most));
                assert!(ticks.iter().all(|tick| tick.fract() == 0.0), "{ticks:?}");
                assert!(!ticks.is_empty() && places == 0);
                assert!(ticks.len() <= most as usize + 1, "{ticks:?}");
            }
        }
        let (ticks, _) = Range::around_counted([]).ticks(5.0);
        assert_eq!(ticks, [0.0, 1.0]);
    }

    #[test]
    fn ticks_are_labelled_with_the_places_they_need() {
        let labels = |range: Range| -> Vec<String> {
            let (ticks, places) = range.ticks(5.0);
            ticks.iter().map(|tick| tick_label(*tick, places)).collect()
        };
        assert_eq!(
            labels(Range::UNIT),
            ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
        );
        assert_eq!(
            labels(Range::around([0.0, 100.0])),
            ["0", "20", "40", "60", "80", "100"]
        );
        let small = Range::around([0.0, 0.01]);
        assert_eq!(labels(small)[1], "0.002");
        let around_zero = Range::around([-2.0, 3.0]);
        assert_eq!(labels(around_zero), ["-2", "-1", "0", "1", "2", "3"]);
    }
}
