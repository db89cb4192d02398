//! An image of the sample: objects and clutter on a ground, with shadows and
//! the grain of a camera.

use std::ops::RangeInclusive;

use ssdlite_core::{ImageSize, PixelBox};
use ssdlite_image::RgbImage;

use crate::sample::background::Background;
use crate::sample::objects::{Object, Thing};
use crate::sample::paint::{
    BLACK, Color, Paint, Point, WHITE, at, capsule, circle, coverage, ellipse, smooth_step,
};
use ssdlite_core::random::Rng;

/// An object as it lies in its image.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PlacedObject {
    pub(super) thing: Thing,
    /// The smallest box of whole pixels around all of it that is in the
    /// image, also what another object hides.
    pub(super) bbox: PixelBox,
    /// Whether the edge of the image cuts it.
    pub(super) truncated: bool,
    /// The part of it in the image that no other object hides, 0 to 1.
    pub(super) visible: f32,
}

/// An image and what is in it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scene {
    pub(super) image: RgbImage,
    pub(super) objects: Vec<PlacedObject>,
}

/// How objects are laid out in an image.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) size: ImageSize,
    /// What to show, in the order in which it is laid down. All but the first
    /// are left out where no room is found for them.
    pub(super) objects: Vec<Wanted>,
    /// How many things of no class lie under the objects.
    pub(super) clutter: RangeInclusive<usize>,
    /// How far an object's centre may lie beyond where it is whole, as a part
    /// of its radius.
    pub(super) overhang: f32,
}

/// An object that an image is to show.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) thing: Thing,
    /// Its least and its greatest radius, as a part of the image's shorter side.
    pub(super) radius: (f32, f32),
}

/// How near two objects may come: the distance of their centres as a part of
/// the sum of their radii.
const LEAST_GAP: f32 = 0.62;

/// Attempts to find room for one more object.
const ATTEMPTS: usize = 40;

/// How much of a pixel an object must cover to be in it.
const IN_PIXEL: f32 = 0.5;

/// The nobody that owns a pixel without an object.
const NO_OBJECT: usize = usize::MAX;

/// Draws an image; the generator alone decides about it.
pub(super) fn draw(layout: &Layout, rng: &mut Rng) -> Scene {
    let mut canvas = Canvas::new(layout.size, &Background::new(rng));
    for _ in 0..any_of(&layout.clutter, rng) {
        draw_clutter(&mut canvas, rng);
    }
    let mut spots: Vec<(Point, f32)> = Vec::new();
    let mut owners = vec![NO_OBJECT; canvas.colors.len()];
    let mut drawn = Vec::new();
    for wanted in &layout.objects {
        let object = Object::new(wanted.thing, rng);
        let Some((center, radius)) = find_room(layout, wanted.radius, &spots, rng) else {
            continue;
        };
        spots.push((center, radius));
        let stamp = Stamp::new(center, radius, |p| {
            object.paint(p.turned(-object.angle), 1.0 / radius)
        });
        canvas.lay(&stamp, radius);
        for index in stamp.pixels_within(layout.size) {
            owners[index] = drawn.len();
        }
        drawn.push((wanted.thing, stamp));
    }
    let objects = drawn
        .iter()
        .enumerate()
        .filter_map(|(index, (thing, stamp))| {
            let inside: Vec<usize> = stamp.pixels_within(layout.size).collect();
            let seen = inside.iter().filter(|&&pixel| owners[pixel] == index);
            let visible = seen.count() as f32 / inside.len() as f32;
            let whole = stamp.bounds()?;
            let bbox = whole.clipped(layout.size);
            bbox.is_valid().then_some(PlacedObject {
                thing: *thing,
                bbox,
                truncated: bbox != whole,
                visible,
            })
        })
        .collect();
    Scene {
        image: canvas.photographed(rng),
        objects,
    }
}

/// Any number of a range.
pub(super) fn any_of(range: &RangeInclusive<usize>, rng: &mut Rng) -> usize {
    range.start() + rng.below(range.end() - range.start() + 1)
}

/// A centre and a radius that come too near to none of `spots`. The first
/// object always finds room.
fn find_room(
    layout: &Layout,
    (least, greatest): (f32, f32),
    spots: &[(Point, f32)],
    rng: &mut Rng,
) -> Option<(Point, f32)> {
    let (width, height) = (layout.size.width as f32, layout.size.height as f32);
    for _ in 0..ATTEMPTS {
        let radius = width.min(height) * rng.uniform(least..greatest);
        let margin = (radius * (1.0 - layout.overhang)).min(width.min(height) * 0.5);
        let center = at(
            rng.uniform(margin..width - margin),
            rng.uniform(margin..height - margin),
        );
        let is_free = spots
            .iter()
            .all(|&(other, reach)| (center - other).length() >= LEAST_GAP * (radius + reach));
        if is_free {
            return Some((center, radius));
        }
    }
    None
}

/// Something drawn apart from the image, pixel by pixel of a square.
struct Stamp {
    left: i64,
    top: i64,
    side: usize,
    paints: Vec<Paint>,
}

impl Stamp {
    /// Draws in coordinates around `center`, in which `radius` pixels are 1.
    fn new(center: Point, radius: f32, paint: impl Fn(Point) -> Paint) -> Self {
        /// Room for what reaches a little beyond the radius.
        const REACH: f32 = 1.1;
        let half = (radius * REACH).ceil();
        let (left, top) = ((center.x - half).floor(), (center.y - half).floor());
        let side = 2 * half as usize + 2;
        let mut paints = Vec::with_capacity(side * side);
        for row in 0..side {
            for column in 0..side {
                let pixel = at(left + column as f32 + 0.5, top + row as f32 + 0.5);
                paints.push(paint((pixel - center) * (1.0 / radius)));
            }
        }
        Self {
            left: left as i64,
            top: top as i64,
            side,
            paints,
        }
    }

    /// The box around everything drawn, also outside of the image.
    fn bounds(&self) -> Option<PixelBox> {
        let mut bounds: Option<[usize; 4]> = None;
        for (index, paint) in self.paints.iter().enumerate() {
            if paint.alpha >= IN_PIXEL {
                let (x, y) = (index % self.side, index / self.side);
                let [x1, y1, x2, y2] = bounds.unwrap_or([x, y, x, y]);
                bounds = Some([x1.min(x), y1.min(y), x2.max(x), y2.max(y)]);
            }
        }
        bounds.map(|[x1, y1, x2, y2]| {
            PixelBox::new(x1 as f32, y1 as f32, x2 as f32 + 1.0, y2 as f32 + 1.0)
                .translated(self.left as f32, self.top as f32)
        })
    }

    /// The indices of the image's pixels that it is in.
    fn pixels_within(&self, size: ImageSize) -> impl Iterator<Item = usize> {
        self.placed(size)
            .filter(|(_, paint)| paint.alpha >= IN_PIXEL)
            .map(|(index, _)| index)
    }

    /// Its paints in the image, each with the pixel's index.
    fn placed(&self, size: ImageSize) -> impl Iterator<Item = (usize, &Paint)> {
        let (width, height) = (i64::from(size.width), i64::from(size.height));
        self.paints
            .iter()
            .enumerate()
            .filter_map(move |(index, paint)| {
                let x = self.left + (index % self.side) as i64;
                let y = self.top + (index / self.side) as i64;
                let inside = (0..width).contains(&x) && (0..height).contains(&y);
                inside.then_some(((y * width + x) as usize, paint))
            })
    }
}

/// An image in the making.
struct Canvas {
    size: ImageSize,
    colors: Vec<Color>,
}

impl Canvas {
    fn new(size: ImageSize, background: &Background) -> Self {
        let unit = 1.0 / size.width.min(size.height) as f32;
        let colors = (0..size.height)
            .flat_map(|y| (0..size.width).map(move |x| at(x as f32 + 0.5, y as f32 + 0.5)))
            .map(|pixel| background.color(pixel * unit))
            .collect();
        Self { size, colors }
    }

    /// Puts a stamp on the image, its shadow to the lower right under it.
    fn lay(&mut self, stamp: &Stamp, radius: f32) {
        self.cast_shadow(stamp, radius);
        for (index, paint) in stamp.placed(self.size) {
            self.colors[index] = self.colors[index].mixed(paint.color, paint.alpha);
        }
    }

    fn cast_shadow(&mut self, stamp: &Stamp, radius: f32) {
        const DARKNESS: f32 = 0.45;
        let offset = (radius * 0.07).ceil() as i64;
        let blur = (radius * 0.05).ceil() as usize;
        let side = stamp.side + 4 * blur;
        let mut alphas = vec![0.0; side * side];
        for (index, paint) in stamp.paints.iter().enumerate() {
            let (x, y) = (index % stamp.side + 2 * blur, index / stamp.side + 2 * blur);
            alphas[y * side + x] = paint.alpha;
        }
        for _ in 0..2 {
            alphas = blurred_and_transposed(&alphas, side, blur);
            alphas = blurred_and_transposed(&alphas, side, blur);
        }
        let shadow = Stamp {
            left: stamp.left - 2 * blur as i64 + offset,
            top: stamp.top - 2 * blur as i64 + offset,
            side,
            paints: (alphas.into_iter())
                .map(|alpha| Paint {
                    color: BLACK,
                    alpha: DARKNESS * alpha,
                })
                .collect(),
        };
        for (index, paint) in shadow.placed(self.size) {
            self.colors[index] = self.colors[index].mixed(paint.color, paint.alpha);
        }
    }

    /// The image as a camera sees it: uneven light, exposure and grain.
    fn photographed(self, rng: &mut Rng) -> RgbImage {
        let exposure = rng.uniform(-0.06..0.14);
        let grain = rng.uniform(0.005..0.03);
        let fall = at(rng.uniform(-0.12..0.12), rng.uniform(-0.12..0.12));
        let (width, height) = (self.size.width as usize, self.size.height as usize);
        let mut pixels = Vec::with_capacity(width * height * 3);
        for (index, color) in self.colors.into_iter().enumerate() {
            let x = (index % width) as f32 / width as f32 - 0.5;
            let y = (index / width) as f32 / height as f32 - 0.5;
            let corner = 0.25 * (x * x + y * y);
            let lit = color.lit(exposure + fall.dot(at(x, y)) - corner);
            // The sum of two draws falls off to both sides, as grain does.
            let speck = grain * (rng.unit() + rng.unit() - 1.0);
            pixels.extend(lit.0.map(|channel| {
                let level = (channel + speck).clamp(0.0, 1.0) * 255.0;
                (level + 0.5) as u8
            }));
        }
        RgbImage::new(self.size, pixels).expect("every pixel was drawn")
    }
}

/// The mean over `2 * blur + 1` values of each row, as columns.
fn blurred_and_transposed(values: &[f32], side: usize, blur: usize) -> Vec<f32> {
    let mut result = vec![0.0; values.len()];
    for (y, row) in values.chunks_exact(side).enumerate() {
        for x in 0..side {
            let window = &row[x.saturating_sub(blur)..(x + blur + 1).min(side)];
            result[x * side + y] = window.iter().sum::<f32>() / (2 * blur + 1) as f32;
        }
    }
    result
}

/// Something that belongs to no class: a coin, a pencil, a pebble or a ring.
fn draw_clutter(canvas: &mut Canvas, rng: &mut Rng) {
    let (width, height) = (canvas.size.width as f32, canvas.size.height as f32);
    let center = at(rng.uniform(0.0..width), rng.uniform(0.0..height));
    let angle = rng.uniform(0.0..std::f32::consts::TAU);
    let kind = rng.below(4);
    let part = if kind == 1 { 0.12..0.3 } else { 0.03..0.09 };
    let radius = width.min(height) * rng.uniform(part);
    let color = Color::from_hsv(rng.unit(), rng.uniform(0.1..0.7), rng.uniform(0.4..0.9));
    let steel = Color::from_hsv(rng.uniform(0.06..0.13), 0.25, rng.uniform(0.5..0.8));
    let stamp = Stamp::new(center, radius, |p| {
        let (p, pixel) = (p.turned(-angle), 1.0 / radius);
        let mut paint = Paint::CLEAR;
        match kind {
            0 => {
                let disc = circle(p, 0.9);
                let rim = coverage((disc + 0.12).abs() - 0.05, pixel);
                paint.cover(steel.lit(0.2 * p.y - 0.25 * rim), coverage(disc, pixel));
            }
            1 => {
                let shaft = capsule(p, at(-0.85, 0.0), at(0.7, 0.0), 0.07);
                let tone = smooth_step(-0.07, 0.07, p.y) * 0.3 - 0.15;
                let wood = smooth_step(0.62, 0.64, p.x);
                let lead = smooth_step(0.72, 0.74, p.x);
                let beige = Color([0.85, 0.7, 0.5]);
                let body = color.mixed(beige, wood).mixed(BLACK, 0.8 * lead);
                paint.cover(body.lit(tone), coverage(shaft, pixel));
            }
            2 => {
                let stone = ellipse(p, at(0.95, 0.65));
                let round = 0.3 - 0.5 * p.dot(p);
                paint.cover(color.mixed(WHITE, 0.2).lit(round), coverage(stone, pixel));
            }
            _ => {
                let ring = circle(p, 0.72).abs() - 0.14;
                paint.cover(color, coverage(ring, pixel));
            }
        }
        paint
    });
    canvas.lay(&stamp, radius);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(seed: u64) -> Scene {
        let layout = Layout {
            size: ImageSize::new(97, 61),
            objects: Thing::ALL
                .map(|thing| Wanted {
                    thing,
                    radius: (0.2, 0.4),
                })
                .to_vec(),
            clutter: 0..=4,
            overhang: 0.2,
        };
        draw(&layout, &mut Rng::from_keys(&[seed]))
    }

    /// FNV-1a, 64 bits.
    fn hash(bytes: &[u8]) -> u64 {
        bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, &byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
        })
    }

    /// The numbers are this program's own: they tell when a machine or a
    /// change of the code gives other images.
    #[test]
    fn images_are_the_same_to_the_last_bit() {
        let hashes: Vec<u64> = (0..3)
            .map(|seed| hash(drawn(seed).image.pixels()))
            .collect();
        assert_eq!(
            hashes,
            [
                16_204_061_340_488_555_386,
                1_503_721_090_455_935_838,
                16_473_381_775_026_671_251
            ]
        );
    }

    #[test]
    fn objects_are_boxed_closely_and_inside_the_image() {
        for seed in 0..20 {
            let scene = drawn(seed);
            assert!(!scene.objects.is_empty());
            for object in &scene.objects {
                let bbox = object.bbox;
                assert!(bbox.is_valid());
                assert_eq!(bbox, bbox.clipped(scene.image.size()));
                assert!((0.0..=1.0).contains(&object.visible));
                // An object is at most as wide as its circle, with its reach.
                assert!(bbox.width().max(bbox.height()) <= 0.4 * 61.0 * 2.2 + 2.0);
            }
        }
    }

    #[test]
    fn a_stamp_covers_the_pixels_that_it_should() {
        let disc = |p: Point| Paint {
            color: WHITE,
            alpha: coverage(circle(p, 1.0), 0.1),
        };
        let stamp = Stamp::new(at(3.0, 20.0), 10.0, disc);
        let bounds = stamp.bounds().unwrap();
        assert_eq!(bounds, PixelBox::new(-7.0, 10.0, 13.0, 30.0));
        let size = ImageSize::new(17, 25);
        let left_edge: Vec<usize> = (stamp.pixels_within(size))
            .filter(|index| index % 17 == 0)
            .map(|index| index / 17)
            .collect();
        // Half a chord 2.5 from the centre is the root of 100 - 6.25.
        assert_eq!(left_edge, (10..25).collect::<Vec<_>>());
    }
}
