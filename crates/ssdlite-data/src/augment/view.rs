//! Which part of an image a network sees, and where objects end up in it.
//!
//! Expanding, cropping, mirroring and resizing are all one rectangle of the
//! image, which may reach beyond its edges, and a mirror flag. So the random
//! transforms only move the rectangle, and the pixels are resampled once.

use ssdlite_core::{GroundTruth, ImageSize, PixelBox};

/// An object narrower or lower than this many pixels of the network's input
/// can't be learnt and is left out, as by torchvision's
/// `SanitizeBoundingBoxes` with its default `min_size`.
pub const MIN_OBJECT_SIDE: f32 = 1.0;

/// A rectangle of an image, stretched to the network's input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct View {
    /// The rectangle, in pixels of the image. It may reach beyond the
    /// image; what lies there shows the mean colour.
    pub window: PixelBox,
    /// Whether left and right are swapped after that.
    pub mirrored: bool,
}

/// Where the image itself lies in a view of it: whole pixels of the input,
/// mirroring not applied, and the part of the image that falls on them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Placement {
    pub(crate) left: u32,
    pub(crate) top: u32,
    pub(crate) size: ImageSize,
    pub(crate) source: PixelBox,
}

impl View {
    /// The whole image as it is.
    pub const fn whole(image: ImageSize) -> Self {
        Self {
            window: PixelBox::new(0.0, 0.0, image.width as f32, image.height as f32),
            mirrored: false,
        }
    }

    /// Where a box of the image is in the input, which may be outside of it.
    pub fn box_in_input(&self, bbox: PixelBox, input: ImageSize) -> PixelBox {
        let x_scale = input.width as f32 / self.window.width();
        let y_scale = input.height as f32 / self.window.height();
        let moved = PixelBox::new(
            (bbox.x1 - self.window.x1) * x_scale,
            (bbox.y1 - self.window.y1) * y_scale,
            (bbox.x2 - self.window.x1) * x_scale,
            (bbox.y2 - self.window.y1) * y_scale,
        );
        if self.mirrored {
            moved.mirrored(input.width)
        } else {
            moved
        }
    }

    /// The objects that the view shows, with their boxes in pixels of the
    /// input: those whose centre lies inside the window (SSD, section 2.2),
    /// clipped to it, and at least [`MIN_OBJECT_SIDE`] wide and high.
    pub fn objects_in_input(&self, objects: &[GroundTruth], input: ImageSize) -> Vec<GroundTruth> {
        objects
            .iter()
            .filter(|object| has_center_of(&self.window, &object.bbox))
            .map(|object| GroundTruth {
                bbox: self.box_in_input(object.bbox, input).clipped(input),
                ..*object
            })
            .filter(|object| {
                let bbox = &object.bbox;
                bbox.is_valid() && bbox.width().min(bbox.height()) >= MIN_OBJECT_SIDE
            })
            .collect()
    }

    /// The whole pixels of the input that the image covers, and the part of
    /// the image on them; none if it covers no whole pixel.
    pub(crate) fn placement(&self, image: ImageSize, input: ImageSize) -> Option<Placement> {
        let (image_width, image_height) = (image.width as f32, image.height as f32);
        let horizontal = Axis {
            start: self.window.x1,
            length: self.window.width(),
            pixels: input.width,
        };
        let vertical = Axis {
            start: self.window.y1,
            length: self.window.height(),
            pixels: input.height,
        };
        let (left, right) = horizontal.covered(image_width)?;
        let (top, bottom) = vertical.covered(image_height)?;
        Some(Placement {
            left,
            top,
            size: ImageSize::new(right - left, bottom - top),
            source: PixelBox::new(
                horizontal.source(left),
                vertical.source(top),
                horizontal.source(right),
                vertical.source(bottom),
            )
            .clipped(image),
        })
    }
}

/// Whether the centre of `bbox` lies inside `window`, not on its edge.
pub(crate) fn has_center_of(window: &PixelBox, bbox: &PixelBox) -> bool {
    let (x, y) = bbox.center();
    window.x1 < x && x < window.x2 && window.y1 < y && y < window.y2
}

/// One direction of a view: `length` source pixels from `start` on become
/// `pixels` of the input.
struct Axis {
    start: f32,
    length: f32,
    pixels: u32,
}

impl Axis {
    /// The first whole input pixel inside an image `extent` long and the one
    /// after the last.
    fn covered(&self, extent: f32) -> Option<(u32, u32)> {
        // Rounding of the window must not cost the outermost pixel.
        const TOLERANCE: f32 = 1e-3;
        let scale = self.pixels as f32 / self.length;
        let last = self.pixels as f32;
        let first_edge = ((0.0 - self.start) * scale - TOLERANCE).ceil();
        let last_edge = ((extent - self.start) * scale + TOLERANCE).floor();
        let (first_edge, last_edge) = (first_edge.clamp(0.0, last), last_edge.clamp(0.0, last));
        (first_edge < last_edge).then_some((first_edge as u32, last_edge as u32))
    }

    fn source(&self, pixel: u32) -> f32 {
        self.start + pixel as f32 * self.length / self.pixels as f32
    }
}

#[cfg(test)]
mod tests {
    use ssdlite_core::ClassId;

    use super::*;

    const IMAGE: ImageSize = ImageSize::new(641, 479);
    const INPUT: ImageSize = ImageSize::new(307, 293);

    fn object(x1: f32, y1: f32, x2: f32, y2: f32) -> GroundTruth {
        GroundTruth {
            class: ClassId(2),
            bbox: PixelBox::new(x1, y1, x2, y2),
            difficult: true,
        }
    }

    #[test]
    fn the_whole_view_resizes() {
        let bbox = PixelBox::new(10.0, 20.0, 400.0, 300.0);
        let seen = View::whole(IMAGE).box_in_input(bbox, INPUT);
        for (a, b) in seen
            .to_array()
            .iter()
            .zip(bbox.rescaled(IMAGE, INPUT).to_array())
        {
            assert!((a - b).abs() < 1e-3);
        }
        let placed = View::whole(IMAGE).placement(IMAGE, INPUT).unwrap();
        assert_eq!((placed.left, placed.top, placed.size), (0, 0, INPUT));
        assert_eq!(placed.source, View::whole(IMAGE).window);
    }

    #[test]
    fn mirroring_twice_changes_nothing() {
        let bbox = PixelBox::new(10.0, 20.0, 400.0, 300.0);
        let view = View::whole(IMAGE);
        let mirrored = View {
            mirrored: true,
            ..view
        };
        let once = mirrored.box_in_input(bbox, INPUT);
        assert_ne!(once, view.box_in_input(bbox, INPUT));
        let twice = once.mirrored(INPUT.width);
        for (a, b) in twice
            .to_array()
            .iter()
            .zip(view.box_in_input(bbox, INPUT).to_array())
        {
            assert!((a - b).abs() < 1e-3);
        }
    }

    #[test]
    fn objects_are_kept_by_centre_clipped_and_keep_their_flags() {
        let view = View {
            window: PixelBox::new(100.0, 100.0, 200.0, 150.0),
            mirrored: false,
        };
        let objects = [
            object(90.0, 110.0, 150.0, 140.0),
            object(50.0, 110.0, 140.0, 140.0),
            object(150.0, 120.0, 150.2, 140.0),
        ];
        let kept = view.objects_in_input(&objects, ImageSize::new(200, 100));
        assert_eq!(kept, [object(0.0, 20.0, 100.0, 80.0)]);
    }

    #[test]
    fn a_image_beyond_its_edges_is_placed_on_whole_pixels() {
        // Two input pixels for each pixel of the image, which starts at
        // (20.5, 10): half an input pixel is left to the border.
        let view = View {
            window: PixelBox::new(-10.25, -5.0, 89.75, 45.0),
            mirrored: false,
        };
        let placed = view
            .placement(ImageSize::new(30, 20), ImageSize::new(200, 100))
            .unwrap();
        assert_eq!((placed.left, placed.top), (21, 10));
        assert_eq!(placed.size, ImageSize::new(59, 40));
        assert_eq!(placed.source.to_array(), [0.25, 0.0, 29.75, 20.0]);
    }

    #[test]
    fn a_image_outside_of_the_view_is_nowhere() {
        let view = View {
            window: PixelBox::new(40.0, 0.0, 50.0, 10.0),
            mirrored: false,
        };
        assert!(
            view.placement(ImageSize::new(30, 20), ImageSize::new(20, 20))
                .is_none()
        );
    }
}
