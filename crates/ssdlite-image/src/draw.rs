//! Boxes with labels on images, and images side by side.

use ssdlite_core::{ClassId, ClassNames, Detection, GroundTruth, ImageSize, PixelBox};

use crate::canvas::{Canvas, Point, TextStyle, text_length, text_that_fits};
use crate::color::{BLACK, WHITE, color_of_class, text_color_on};
use crate::resize::Resizer;
use crate::rgb::{Rgb, RgbImage};

/// Line width and text height as shares of the mean of an image's sides,
/// with the least of each in pixels.
const LINE_SHARE: f32 = 0.003;
const LEAST_LINE: f32 = 2.0;
const TEXT_SHARE: f32 = 0.028;
const LEAST_TEXT: f32 = 12.0;

/// The colour between and around images side by side.
const BACKDROP: Rgb = [32, 32, 36];

/// A box to draw.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelledBox {
    /// Where, in pixels of the image.
    pub bbox: PixelBox,
    /// What chooses the colour.
    pub class: ClassId,
    /// What stands on the box's tag. An empty text has no tag.
    pub label: String,
}

impl LabelledBox {
    /// A detection with its class and score.
    pub fn of_detection(detection: &Detection, names: &ClassNames) -> Self {
        let name = class_name(detection.class, names);
        Self {
            bbox: detection.bbox,
            class: detection.class,
            label: format!("{name} {:.2}", detection.score),
        }
    }

    /// Detections that come the surest first, in the order of [`draw_boxes`]: the
    /// surest lies over the others.
    pub fn of_detections<'a>(
        detections: impl DoubleEndedIterator<Item = &'a Detection>,
        names: &ClassNames,
    ) -> Vec<Self> {
        let least_sure_first = detections.rev();
        least_sure_first
            .map(|detection| Self::of_detection(detection, names))
            .collect()
    }

    /// An annotated object with its class, and a question mark where it is
    /// difficult.
    pub fn of_ground_truth(object: &GroundTruth, names: &ClassNames) -> Self {
        let name = class_name(object.class, names);
        let mark = if object.difficult { "?" } else { "" };
        Self {
            bbox: object.bbox,
            class: object.class,
            label: format!("{name}{mark}"),
        }
    }
}

fn class_name(class: ClassId, names: &ClassNames) -> String {
    names
        .get(class)
        .map_or_else(|| format!("class {}", class.index()), str::to_owned)
}

/// Draws boxes, each in its class's colour with a dark rim, and its label on a
/// tag above it, or in it where there is no room above. Lines and text grow
/// with the image. Later boxes lie over earlier ones, and all tags over all
/// boxes, so the most certain detections should come last.
pub fn draw_boxes(image: &mut RgbImage, boxes: &[LabelledBox]) {
    let mean_side = (image.width() + image.height()) as f32 / 2.0;
    let line = (mean_side * LINE_SHARE).max(LEAST_LINE).round();
    let text_height = (mean_side * TEXT_SHARE).max(LEAST_TEXT).round();
    let size = image.size();
    let mut canvas = Canvas::new(image);
    let visible = |item: &&LabelledBox| item.bbox.clipped(size).is_valid();
    for item in boxes.iter().filter(visible) {
        let area = on_whole_pixels(item.bbox.clipped(size));
        canvas.outline(area, line + 2.0, BLACK, 0.4);
        canvas.outline(area, line, color_of_class(item.class), 1.0);
    }
    for item in boxes.iter().filter(visible) {
        draw_tag(&mut canvas, item, text_height, line);
    }
}

/// Where lines of an even width have no blurred edge.
fn on_whole_pixels(area: PixelBox) -> PixelBox {
    let [x1, y1, x2, y2] = area.to_array().map(f32::round);
    PixelBox::new(x1, y1, x2, y2)
}

fn draw_tag(canvas: &mut Canvas<'_>, item: &LabelledBox, text_height: f32, line: f32) {
    let padding = (text_height * 0.25).round();
    let room = canvas.width() - 2.0 * padding;
    let label = text_that_fits(&item.label, text_height, room);
    if label.is_empty() {
        return;
    }
    let width = text_length(&label, text_height).ceil() + 2.0 * padding;
    let height = text_height + 2.0;
    let bbox = on_whole_pixels(item.bbox);
    let half_line = line / 2.0;
    let left = (bbox.x1 - half_line)
        .min(canvas.width() - width)
        .max(0.0)
        .floor();
    let above = bbox.y1 - half_line - height;
    let top = if above >= 0.0 {
        above
    } else {
        (bbox.y1 + half_line).min(canvas.height() - height).max(0.0)
    };
    let top = top.round();
    let color = color_of_class(item.class);
    let tag = PixelBox::new(left, top, left + width, top + height);
    canvas.fill(tag, color, 1.0);
    canvas.text(
        &label,
        Point::new(left + padding, top + height / 2.0),
        TextStyle::new(text_height, text_color_on(color)),
    );
}

/// Two images side by side, as if they were one, with a heading above each.
///
/// # Panics
/// If an image has no pixel.
pub fn pair(images: [&RgbImage; 2], headings: [&str; 2]) -> RgbImage {
    const GAP: u32 = 2;
    const HEADING: u32 = 22;
    let [left, right] = images;
    let size = ImageSize::new(
        left.width() + GAP + right.width(),
        HEADING + left.height().max(right.height()),
    );
    let mut sheet = RgbImage::filled(size, BACKDROP);
    let starts = [0, left.width() + GAP];
    for ((image, heading), start) in images.into_iter().zip(headings).zip(starts) {
        sheet.paste(image, start, HEADING);
        let height = HEADING as f32 - 6.0;
        let text = text_that_fits(heading, height, image.width() as f32 - 8.0);
        let at = Point::new(start as f32 + 4.0, HEADING as f32 / 2.0);
        Canvas::new(&mut sheet).text(&text, at, TextStyle::new(height, WHITE));
    }
    sheet
}

/// Images side by side, row by row, each scaled into the middle of a cell
/// with its shape kept.
///
/// # Panics
/// If there is no image, no column, or a cell without a pixel.
pub fn grid(images: &[RgbImage], cell: ImageSize, columns: u32) -> RgbImage {
    const GAP: u32 = 4;
    assert!(!images.is_empty() && columns > 0 && cell.pixels() > 0);
    let columns = columns.min(images.len() as u32);
    let rows = (images.len() as u32).div_ceil(columns);
    let size = ImageSize::new(
        columns * (cell.width + GAP) + GAP,
        rows * (cell.height + GAP) + GAP,
    );
    let mut sheet = RgbImage::filled(size, BACKDROP);
    for (index, image) in (0u32..).zip(images) {
        let left = GAP + index % columns * (cell.width + GAP);
        let top = GAP + index / columns * (cell.height + GAP);
        sheet.paste(&fitted(image, cell), left, top);
    }
    sheet
}

/// An image scaled into the middle of one of this size, with its shape kept.
///
/// # Panics
/// If `size` has no pixel.
pub fn fitted(image: &RgbImage, size: ImageSize) -> RgbImage {
    let inner = Resizer::new().stretch(image, size_inside(image.size(), size));
    let mut fitted = RgbImage::filled(size, BACKDROP);
    fitted.paste(
        &inner,
        (size.width - inner.width()) / 2,
        (size.height - inner.height()) / 2,
    );
    fitted
}

/// The largest size of the shape of `size` that fits into `cell`.
pub fn size_inside(size: ImageSize, cell: ImageSize) -> ImageSize {
    let scale = (f64::from(cell.width) / f64::from(size.width))
        .min(f64::from(cell.height) / f64::from(size.height));
    let scaled = |side: u32, most: u32| ((f64::from(side) * scale).round() as u32).clamp(1, most);
    ImageSize::new(
        scaled(size.width, cell.width),
        scaled(size.height, cell.height),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAPER: Rgb = [90, 91, 92];

    fn names() -> ClassNames {
        ClassNames::new(["RBC", "a very long class name that will not fit"]).unwrap()
    }

    fn changed(image: &RgbImage) -> usize {
        let colors = image.pixels().chunks(3);
        colors.filter(|color| *color != PAPER).count()
    }

    fn labelled(bbox: PixelBox, class: u32, label: &str) -> LabelledBox {
        LabelledBox {
            bbox,
            class: ClassId(class),
            label: label.into(),
        }
    }

    #[test]
    fn labels_name_the_class_and_the_score() {
        let bbox = PixelBox::new(1.0, 2.0, 3.0, 4.0);
        let detection = Detection {
            class: ClassId(0),
            score: 0.966,
            bbox,
        };
        let drawn = LabelledBox::of_detection(&detection, &names());
        assert_eq!(drawn.label, "RBC 0.97");
        let object = GroundTruth {
            class: ClassId(7),
            bbox,
            difficult: true,
        };
        let drawn = LabelledBox::of_ground_truth(&object, &names());
        assert_eq!(drawn.label, "class 7?");
    }

    #[test]
    fn the_tag_stands_above_the_box_and_inside_the_image() {
        let size = ImageSize::new(200, 120);
        let tag_color = color_of_class(ClassId(0));
        // The box, and a point that its tag must cover.
        let cases = [
            (PixelBox::new(50.0, 60.0, 90.0, 90.0), (51, 52)),
            (PixelBox::new(0.0, 0.0, 60.0, 60.0), (1, 3)),
            (PixelBox::new(185.0, 40.0, 200.0, 100.0), (199, 27)),
            (PixelBox::new(-30.0, -40.0, 260.0, 500.0), (1, 3)),
        ];
        for (bbox, (x, y)) in cases {
            let mut image = RgbImage::filled(size, PAPER);
            draw_boxes(&mut image, &[labelled(bbox, 0, "RBC 0.97")]);
            assert_eq!(image.pixel(x, y), Some(tag_color), "{bbox:?}");
        }
    }

    #[test]
    fn boxes_that_are_not_in_the_image_draw_nothing() {
        let mut image = RgbImage::filled(ImageSize::new(64, 48), PAPER);
        let outside = [
            PixelBox::new(70.0, 10.0, 90.0, 20.0),
            PixelBox::new(f32::NAN, 10.0, 90.0, 20.0),
            PixelBox::new(20.0, 20.0, 10.0, 30.0),
        ];
        draw_boxes(&mut image, &outside.map(|bbox| labelled(bbox, 1, "x")));
        assert_eq!(changed(&image), 0);
    }

    #[test]
    fn a_tiny_image_takes_a_long_label() {
        for side in [1, 2, 7, 20] {
            let mut image = RgbImage::filled(ImageSize::new(side, 3), PAPER);
            let bbox = PixelBox::new(0.0, 0.0, side as f32, 3.0);
            draw_boxes(&mut image, &[labelled(bbox, 1, "a very long name")]);
            assert!(changed(&image) > 0);
        }
    }

    #[test]
    fn a_pair_holds_both_images_below_their_headings() {
        let left = RgbImage::filled(ImageSize::new(60, 20), [250, 0, 0]);
        let right = RgbImage::filled(ImageSize::new(40, 30), [0, 250, 0]);
        let both = pair(
            [&left, &right],
            ["labelled", "a heading that is far too long"],
        );
        assert_eq!(both.size(), ImageSize::new(102, 52));
        assert_eq!(both.pixel(0, 22), Some([250, 0, 0]));
        assert_eq!(both.pixel(59, 41), Some([250, 0, 0]));
        assert_eq!(both.pixel(62, 22), Some([0, 250, 0]));
        assert_eq!(both.pixel(101, 51), Some([0, 250, 0]));
        let light = |columns: std::ops::Range<u32>| {
            let mut heading = (0..22).flat_map(|y| columns.clone().map(move |x| (x, y)));
            heading.any(|(x, y)| both.pixel(x, y).is_some_and(|color| color[0] > 150))
        };
        assert!(light(0..60) && light(62..102) && !light(60..62));
    }

    #[test]
    fn a_grid_holds_every_image_in_its_shape() {
        let colors: [Rgb; 5] = [[250, 0, 0], [0, 250, 0], [0, 0, 250], [9, 8, 7], [1, 2, 3]];
        let images = colors.map(|color| RgbImage::filled(ImageSize::new(40, 10), color));
        let sheet = grid(&images, ImageSize::new(20, 20), 3);
        assert_eq!(sheet.size(), ImageSize::new(3 * 24 + 4, 2 * 24 + 4));
        for (index, color) in (0u32..).zip(colors) {
            let (left, top) = (4 + index % 3 * 24, 4 + index / 3 * 24);
            assert_eq!(sheet.pixel(left, top + 9), Some(color));
            assert_eq!(sheet.pixel(left, top + 2), Some(BACKDROP));
        }
        let single = grid(&images[..1], ImageSize::new(3, 50), 8);
        assert_eq!(single.size(), ImageSize::new(11, 58));
    }
}
