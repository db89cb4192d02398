//! Antialiased rectangles, lines and text over the pixels of an image.
//!
//! Coordinates are pixels, origin top left; whole numbers are the edges
//! between pixels, so a rectangle from 2 to 5 covers three of them. What lies
//! outside the image is left out.

use std::sync::LazyLock;

use ab_glyph::{Font, FontRef, Glyph, PxScale, ScaleFont};
use ssdlite_core::PixelBox;

use crate::rgb::{CHANNELS, Rgb, RgbImage};

/// A position in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// To the right from the left edge.
    pub x: f32,
    /// Down from the top edge.
    pub y: f32,
}

impl Point {
    /// The position `x, y`.
    pub const fn new(x: f32, y: f32) -> Self {
        Self { x, y }
    }
}

/// Which part of a text stands at the position it is given, along its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Its beginning.
    Start,
    /// Its middle.
    Middle,
    /// Its end.
    End,
}

/// The way a line of text runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From left to right.
    Right,
    /// From bottom to top, as a vertical axis is labelled.
    Up,
}

/// How a text looks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TextStyle {
    /// Height of a line, from the highest ascender to the lowest descender.
    pub height: f32,
    /// Colour of the letters.
    pub color: Rgb,
    /// What stands at the text's position.
    pub align: Align,
    /// The way the line runs.
    pub direction: Direction,
}

impl TextStyle {
    /// Text from left to right that starts at its position.
    pub const fn new(height: f32, color: Rgb) -> Self {
        Self {
            height,
            color,
            align: Align::Start,
            direction: Direction::Right,
        }
    }

    /// The same style with another alignment.
    #[must_use]
    pub const fn aligned(self, align: Align) -> Self {
        Self { align, ..self }
    }

    /// The same style, from bottom to top.
    #[must_use]
    pub const fn upwards(self) -> Self {
        Self {
            direction: Direction::Up,
            ..self
        }
    }
}

/// Draws on an image.
#[derive(Debug)]
pub struct Canvas<'a> {
    image: &'a mut RgbImage,
    /// The texts so far, each with the area of its line: what a layout's laws
    /// are told in.
    #[cfg(test)]
    pub(crate) texts: Vec<(String, PixelBox)>,
}

impl<'a> Canvas<'a> {
    /// A canvas over the pixels of `image`.
    pub fn new(image: &'a mut RgbImage) -> Self {
        Self {
            image,
            #[cfg(test)]
            texts: Vec::new(),
        }
    }

    /// The image's width, in pixels.
    pub fn width(&self) -> f32 {
        self.image.width() as f32
    }

    /// The image's height, in pixels.
    pub fn height(&self) -> f32 {
        self.image.height() as f32
    }

    /// Fills a rectangle. `opacity` is 0 (nothing) to 1 (opaque).
    pub fn fill(&mut self, area: PixelBox, color: Rgb, opacity: f32) {
        let area = area.clipped(self.image.size());
        if !area.is_valid() {
            return;
        }
        for y in area.y1.floor() as u32..area.y2.ceil() as u32 {
            let rows = overlap(y, area.y1, area.y2) * opacity;
            for x in area.x1.floor() as u32..area.x2.ceil() as u32 {
                self.blend(x, y, color, rows * overlap(x, area.x1, area.x2));
            }
        }
    }

    /// Draws the border of a rectangle, half of its width inside and half
    /// outside.
    pub fn outline(&mut self, area: PixelBox, width: f32, color: Rgb, opacity: f32) {
        let half = width / 2.0;
        let (left, right) = (area.x1 - half, area.x2 + half);
        let (top, bottom) = (area.y1 - half, area.y2 + half);
        let (inner_top, inner_bottom) = (area.y1 + half, area.y2 - half);
        if inner_top >= inner_bottom || area.x1 + half >= area.x2 - half {
            self.fill(PixelBox::new(left, top, right, bottom), color, opacity);
            return;
        }
        for side in [
            PixelBox::new(left, top, right, inner_top),
            PixelBox::new(left, inner_bottom, right, bottom),
            PixelBox::new(left, inner_top, area.x1 + half, inner_bottom),
            PixelBox::new(area.x2 - half, inner_top, right, inner_bottom),
        ] {
            self.fill(side, color, opacity);
        }
    }

    /// Draws a line through `points`, with round joints and ends; a single
    /// point is a dot. Points that are not finite are left out.
    pub fn line(&mut self, points: &[Point], width: f32, color: Rgb) {
        let sound = |point: &&Point| point.x.is_finite() && point.y.is_finite();
        let mut points = points.iter().filter(sound);
        let Some(mut from) = points.next() else {
            return;
        };
        self.segment(*from, *from, width, color);
        for to in points {
            self.segment(*from, *to, width, color);
            from = to;
        }
    }

    fn segment(&mut self, from: Point, to: Point, width: f32, color: Rgb) {
        let reach = width / 2.0 + 1.0;
        let area = PixelBox::new(
            from.x.min(to.x) - reach,
            from.y.min(to.y) - reach,
            from.x.max(to.x) + reach,
            from.y.max(to.y) + reach,
        )
        .clipped(self.image.size());
        if !area.is_valid() {
            return;
        }
        for y in area.y1.floor() as u32..area.y2.ceil() as u32 {
            for x in area.x1.floor() as u32..area.x2.ceil() as u32 {
                let center = Point::new(x as f32 + 0.5, y as f32 + 0.5);
                let distance = distance_to_segment(center, from, to);
                self.blend(x, y, color, width / 2.0 + 0.5 - distance);
            }
        }
    }

    /// Writes one line of text. `at` lies on its beginning, middle or end as
    /// the style's alignment says, and halfway across the line's height.
    ///
    /// The font is DejaVu Sans Condensed: Latin, Greek, Cyrillic and more, but
    /// not Chinese, Japanese or Korean, whose letters show as empty boxes.
    pub fn text(&mut self, text: &str, at: Point, style: TextStyle) {
        let (glyphs, length) = glyphs_in_a_line(text, style.height);
        let start = match style.align {
            Align::Start => 0.0,
            Align::Middle => -length / 2.0,
            Align::End => -length,
        };
        #[cfg(test)]
        if !text.is_empty() {
            let half = style.height / 2.0;
            let area = match style.direction {
                Direction::Right => PixelBox::new(
                    at.x + start,
                    at.y - half,
                    at.x + start + length,
                    at.y + half,
                ),
                Direction::Up => PixelBox::new(
                    at.x - half,
                    at.y - start - length,
                    at.x + half,
                    at.y - start,
                ),
            };
            self.texts.push((text.to_owned(), area));
        }
        let baseline = FONT.as_scaled(PxScale::from(style.height)).ascent() - style.height / 2.0;
        // Whole pixels across the line keep horizontal strokes sharp.
        let (along, across) = match style.direction {
            Direction::Right => (at.x + start, (at.y + baseline).round()),
            Direction::Up => (-at.y + start, (at.x + baseline).round()),
        };
        for mut glyph in glyphs {
            // Far from 0 a glyph's bounds lose their precision, so it is drawn
            // near 0 and moved by whole pixels.
            glyph.position.x += along - along.floor();
            let Some(outlined) = FONT.outline_glyph(glyph) else {
                continue;
            };
            let origin = outlined.px_bounds().min;
            outlined.draw(|x, y, coverage| {
                let u = origin.x + x as f32 + along.floor();
                let v = origin.y + y as f32 + across;
                let (x, y) = match style.direction {
                    Direction::Right => (u, v),
                    Direction::Up => (v, -u - 1.0),
                };
                if x >= 0.0 && y >= 0.0 {
                    self.blend(x as u32, y as u32, style.color, coverage);
                }
            });
        }
    }

    /// Mixes a colour into one pixel, if that is inside the image.
    fn blend(&mut self, x: u32, y: u32, color: Rgb, coverage: f32) {
        let size = self.image.size();
        if x >= size.width || y >= size.height || coverage <= 0.0 {
            return;
        }
        let at = (y as usize * size.width as usize + x as usize) * CHANNELS;
        let share = coverage.min(1.0);
        for (old, new) in self.image.pixels_mut()[at..].iter_mut().zip(color) {
            let (from, to) = (f32::from(*old), f32::from(new));
            *old = (from + (to - from) * share + 0.5) as u8;
        }
    }
}

/// The length of a line of text of a height, both in pixels.
pub fn text_length(text: &str, height: f32) -> f32 {
    glyphs_in_a_line(text, height).1
}

/// `text`, or as much of its beginning as fits into `length` pixels with an
/// ellipsis after it.
pub fn text_that_fits(text: &str, height: f32, length: f32) -> String {
    const ELLIPSIS: char = '…';
    if text_length(text, height) <= length {
        return text.to_owned();
    }
    let mut shorter = text.to_owned();
    while shorter.pop().is_some() {
        let shown = format!("{}{ELLIPSIS}", shorter.trim_end());
        if text_length(&shown, height) <= length {
            return shown;
        }
    }
    String::new()
}

static FONT: LazyLock<FontRef<'static>> = LazyLock::new(|| {
    FontRef::try_from_slice(dejavu::sans_condensed::regular()).expect("the embedded font is sound")
});

/// The glyphs of a line that starts at 0, and the line's length.
fn glyphs_in_a_line(text: &str, height: f32) -> (Vec<Glyph>, f32) {
    let scaled = FONT.as_scaled(PxScale::from(height));
    let mut glyphs: Vec<Glyph> = Vec::new();
    let mut end = 0.0;
    for character in text.chars() {
        let mut glyph = scaled.scaled_glyph(character);
        if let Some(last) = glyphs.last() {
            end += scaled.kern(last.id, glyph.id);
        }
        glyph.position = ab_glyph::point(end, 0.0);
        end += scaled.h_advance(glyph.id);
        glyphs.push(glyph);
    }
    (glyphs, end)
}

/// How much of pixel `index` lies between `from` and `to`, 0 to 1.
fn overlap(index: u32, from: f32, to: f32) -> f32 {
    let start = index as f32;
    ((start + 1.0).min(to) - start.max(from)).max(0.0)
}

fn distance_to_segment(point: Point, from: Point, to: Point) -> f32 {
    let (dx, dy) = (to.x - from.x, to.y - from.y);
    let (px, py) = (point.x - from.x, point.y - from.y);
    let squared = dx * dx + dy * dy;
    let share = if squared > 0.0 {
        ((px * dx + py * dy) / squared).clamp(0.0, 1.0)
    } else {
        0.0
    };
    (px - share * dx).hypot(py - share * dy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ssdlite_core::ImageSize;

    const GREY: Rgb = [100, 100, 100];
    const INK: Rgb = [200, 0, 50];

    fn paper() -> RgbImage {
        RgbImage::filled(ImageSize::new(41, 29), GREY)
    }

    fn touched(image: &RgbImage) -> Vec<(u32, u32)> {
        let all = (0..image.height()).flat_map(|y| (0..image.width()).map(move |x| (x, y)));
        all.filter(|&(x, y)| image.pixel(x, y) != Some(GREY))
            .collect()
    }

    #[test]
    fn a_rectangle_covers_the_pixels_between_its_edges() {
        let mut image = paper();
        Canvas::new(&mut image).fill(PixelBox::new(2.0, 3.0, 5.0, 4.0), INK, 1.0);
        assert_eq!(touched(&image), [(2, 3), (3, 3), (4, 3)]);
        assert_eq!(image.pixel(3, 3), Some(INK));

        let mut image = paper();
        Canvas::new(&mut image).fill(PixelBox::new(2.5, 3.0, 3.0, 4.0), INK, 1.0);
        assert_eq!(image.pixel(2, 3), Some([150, 50, 75]));
    }

    #[test]
    fn nothing_outside_the_image_is_drawn_or_fails() {
        let mut image = paper();
        let mut canvas = Canvas::new(&mut image);
        let far = [f32::NAN, f32::INFINITY, -1e30, 1e30, -5.0, 50.0];
        for a in far {
            for b in far {
                let area = PixelBox::new(a, b, a + 3.0, b + 3.0);
                canvas.fill(area, INK, 1.0);
                canvas.outline(area, 2.0, INK, 1.0);
                canvas.line(&[Point::new(a, b)], 3.0, INK);
                canvas.text("x", Point::new(a, b), TextStyle::new(5.0, INK));
            }
        }
        assert_eq!(touched(&image), []);
    }

    #[test]
    fn an_outline_leaves_its_inside_alone() {
        let mut image = paper();
        let area = PixelBox::new(5.0, 7.0, 30.0, 20.0);
        Canvas::new(&mut image).outline(area, 2.0, INK, 1.0);
        for (x, y) in [(4, 6), (5, 7), (30, 20), (29, 19), (4, 13), (17, 20)] {
            assert_eq!(image.pixel(x, y), Some(INK), "{x}, {y}");
        }
        for (x, y) in [(6, 8), (28, 18), (3, 13), (17, 5), (31, 7)] {
            assert_eq!(image.pixel(x, y), Some(GREY), "{x}, {y}");
        }
    }

    #[test]
    fn a_line_passes_its_points_with_its_width() {
        let mut image = paper();
        let points = [Point::new(5.0, 10.5), Point::new(35.0, 10.5)];
        Canvas::new(&mut image).line(&points, 3.0, INK);
        for y in 9..=11 {
            assert_eq!(image.pixel(20, y), Some(INK));
        }
        assert_eq!(image.pixel(20, 7), Some(GREY));
        assert_eq!(image.pixel(20, 13), Some(GREY));
    }

    #[test]
    fn text_stands_where_its_alignment_says() {
        let style = TextStyle::new(12.0, INK);
        let (length, middle) = (text_length("Ab", 12.0), Point::new(20.0, 14.0));
        let spans = [
            (Align::Start, 20.0, 20.0 + length),
            (Align::Middle, 20.0 - length / 2.0, 20.0 + length / 2.0),
            (Align::End, 20.0 - length, 20.0),
        ];
        for (align, left, right) in spans {
            let mut image = paper();
            Canvas::new(&mut image).text("Ab", middle, style.aligned(align));
            let touched = touched(&image);
            assert!(touched.len() > 20);
            for (x, y) in touched {
                assert!((left - 1.0..right + 1.0).contains(&(x as f32)));
                assert!((8..20).contains(&y));
            }
        }
    }

    #[test]
    fn text_upwards_is_the_same_text_turned() {
        let style = TextStyle::new(12.0, INK);
        let mut right = RgbImage::filled(ImageSize::new(40, 40), GREY);
        Canvas::new(&mut right).text("Ab7", Point::new(10.0, 20.0), style);
        let mut up = RgbImage::filled(ImageSize::new(40, 40), GREY);
        Canvas::new(&mut up).text("Ab7", Point::new(20.0, 30.0), style.upwards());
        for y in 0..40 {
            for x in 0..40 {
                assert_eq!(right.pixel(x, y), up.pixel(y, 39 - x), "{x}, {y}");
            }
        }
    }

    #[test]
    fn long_text_is_cut_with_an_ellipsis() {
        let name = "Erythrozyten ÄÖÜ";
        assert_eq!(text_that_fits(name, 12.0, 500.0), name);
        let cut = text_that_fits(name, 12.0, 50.0);
        assert!(cut.starts_with("Eryt") && cut.ends_with('…'));
        assert!(text_length(&cut, 12.0) <= 50.0);
        assert_eq!(text_that_fits(name, 12.0, 1.0), "");
    }
}
