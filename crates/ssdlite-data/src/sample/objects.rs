//! The objects of the sample: an apple, a book, a key, a leaf and a mug.
//!
//! Each is a function from a point to a paint, in coordinates of its own: the
//! object lies around the origin, upright, at most 1 away from it.

use std::ops::Range;

use crate::sample::paint::{
    BLACK, Color, Noise, Paint, Point, WHITE, at, capsule, circle, coverage, ellipse, lens,
    rounded_box, smooth_step, smooth_union,
};
use ssdlite_core::random::Rng;

/// What can be drawn, sorted by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Thing {
    Apple,
    Book,
    Key,
    Leaf,
    Mug,
}

impl Thing {
    pub(super) const ALL: [Self; 5] = [Self::Apple, Self::Book, Self::Key, Self::Leaf, Self::Mug];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Apple => "apple",
            Self::Book => "book",
            Self::Key => "key",
            Self::Leaf => "leaf",
            Self::Mug => "mug",
        }
    }
}

/// A thing with the colours and proportions of one copy of it.
#[derive(Clone, Debug)]
pub(super) struct Object {
    pub(super) thing: Thing,
    /// How far it is turned clockwise, in radians.
    pub(super) angle: f32,
    /// Where the light comes from in the object's own coordinates, length 1.
    light: Point,
    main: Color,
    second: Color,
    /// What else varies, 0 to 1.
    shape: f32,
    variant: usize,
    noise: Noise,
}

/// Where the light comes from in all images: the upper left.
const LIGHT: Point = at(-0.6, -0.8);

const TURN: f32 = std::f32::consts::TAU;

impl Object {
    /// A copy of a thing that is like no other.
    pub(super) fn new(thing: Thing, rng: &mut Rng) -> Self {
        let (main, second) = colors(thing, rng);
        let angle = match thing {
            Thing::Apple | Thing::Mug => rng.uniform(-0.07 * TURN..0.07 * TURN),
            Thing::Book | Thing::Key | Thing::Leaf => rng.uniform(0.0..TURN),
        };
        Self {
            thing,
            angle,
            light: LIGHT.turned(-angle),
            main,
            second,
            shape: rng.unit(),
            variant: rng.below(3),
            noise: Noise::new(rng),
        }
    }

    /// What is seen at a point, in pixels `pixel` wide.
    pub(super) fn paint(&self, p: Point, pixel: f32) -> Paint {
        let mut brush = Brush {
            paint: Paint::CLEAR,
            pixel,
        };
        match self.thing {
            Thing::Apple => self.apple(p, &mut brush),
            Thing::Book => self.book(p, &mut brush),
            Thing::Key => self.key(p, &mut brush),
            Thing::Leaf => self.leaf(p, &mut brush),
            Thing::Mug => self.mug(p, &mut brush),
        }
        brush.paint
    }

    fn apple(&self, p: Point, brush: &mut Brush) {
        let wide = 0.30 + 0.06 * self.shape;
        let p = p - at(0.0, 0.12);
        let shoulder = circle(at(p.x.abs() - wide, p.y + 0.14), 0.5);
        let foot = circle(at(p.x.abs() - 0.2, p.y - 0.3), 0.48);
        let body = smooth_union(shoulder, foot, 0.3);
        let round = at(p.x / (wide + 0.5), (p.y - 0.06) / 0.74);
        let blush = smooth_step(-0.6, 0.9, round.x + 0.5 * self.noise.layered(p * 3.0));
        let freckles = smooth_step(0.7, 0.95, self.noise.value(p * 28.0));
        let skin = self
            .main
            .mixed(self.second, blush * 0.7)
            .lit(0.22 * freckles)
            .lit(self.roundness(round));
        brush.fill(body, skin);
        let dimple = ellipse(p - at(0.0, -0.47), at(0.2, 0.09));
        brush.shade(dimple, BLACK, 0.4, 0.12);
        self.shine(p, at(wide, 0.34), 0.17, body, brush);
        let wood = Color([0.36, 0.24, 0.13]);
        brush.fill(capsule(p, at(0.0, -0.45), at(0.1, -0.86), 0.045), wood);
        let blade = (p - at(0.33, -0.76)).turned(0.35);
        let green = Color([0.36, 0.62, 0.2]);
        brush.fill(
            lens(blade, 0.27, 0.11),
            green.lit(0.25 * smooth_step(0.0, 0.06, blade.y)),
        );
    }

    fn book(&self, p: Point, brush: &mut Brush) {
        let half = at(0.56 + 0.08 * self.shape, 0.8);
        let pages = rounded_box(p - at(0.05, 0.05), half, 0.03);
        let edge = (p.x - half.x).max(p.y - half.y);
        let leaves = smooth_step(0.4, 0.6, (edge * 60.0).rem_euclid(1.0));
        brush.fill(pages, Color([0.95, 0.92, 0.83]).lit(-0.12 - 0.14 * leaves));
        let cover = rounded_box(p, half, 0.05);
        let cloth = self.noise.value(p * 40.0) * 0.08 - 0.04;
        let sheen = 0.14 * p.dot(self.light);
        brush.fill(cover, self.main.lit(cloth + sheen));
        brush.shade(cover.max(p.x + half.x - 0.17), BLACK, 0.28, 0.01);
        brush.fill(
            rounded_box(p - at(0.19 - half.x, 0.0), at(0.012, half.y), 0.01),
            self.main.lit(0.35),
        );
        let middle = p - at(0.09, 0.0);
        match self.variant {
            0 => {
                brush.fill(
                    rounded_box(middle - at(0.0, -0.36), at(0.36, 0.2), 0.03),
                    self.second,
                );
                self.lettering(middle - at(0.0, -0.36), BLACK, brush);
                brush.fill(
                    circle(middle - at(0.0, 0.36), 0.17).abs() - 0.03,
                    self.second,
                );
            }
            1 => {
                let frame = rounded_box(middle, at(half.x - 0.2, half.y - 0.13), 0.04);
                brush.fill(frame.abs() - 0.018, self.second);
                self.lettering(middle - at(0.0, -0.28), self.second, brush);
                let diamond = (middle.x.abs() + (middle.y - 0.3).abs() - 0.2) * 0.7;
                brush.fill(diamond, self.second);
            }
            _ => {
                brush.fill(cover.max((p.y - 0.38).abs() - 0.22), self.second);
                self.lettering(middle - at(0.0, -0.3), WHITE, brush);
            }
        }
    }

    /// Two lines of what could be a title.
    fn lettering(&self, p: Point, color: Color, brush: &mut Brush) {
        let long = 0.2 + 0.08 * self.shape;
        brush.shade(
            rounded_box(p - at(0.0, -0.06), at(long, 0.035), 0.02),
            color,
            0.85,
            0.01,
        );
        brush.shade(
            rounded_box(p - at(0.0, 0.07), at(long * 0.7, 0.025), 0.02),
            color,
            0.85,
            0.01,
        );
    }

    fn key(&self, p: Point, brush: &mut Brush) {
        let bow_center = at(-0.56, 0.0);
        let from_bow = p - bow_center;
        let (bow, hole) = match self.variant {
            0 => (
                circle(from_bow, 0.42),
                circle(from_bow - at(-0.08, 0.0), 0.2),
            ),
            1 => (
                rounded_box(from_bow, at(0.38, 0.38), 0.16),
                rounded_box(from_bow - at(-0.1, 0.0), at(0.14, 0.18), 0.08),
            ),
            _ => (
                ellipse(from_bow, at(0.4, 0.46)),
                ellipse(from_bow - at(-0.05, 0.0), at(0.2, 0.26)),
            ),
        };
        let blade = rounded_box(p - at(0.34, 0.0), at(0.6, 0.12), 0.06);
        let tooth = |x: f32, deep: f32| rounded_box(p - at(x, 0.1), at(0.06, deep), 0.02);
        let teeth = tooth(0.46, 0.2)
            .min(tooth(0.64, 0.14 + 0.1 * self.shape))
            .min(tooth(0.82, 0.22));
        let collar = rounded_box(p - at(-0.1, 0.0), at(0.05, 0.2), 0.04);
        let metal = bow.max(-hole).min(blade).min(teeth).min(collar);
        // The light falls on the edge that faces it and leaves the other dark.
        let bevel = |offset: f32| coverage(metal + offset, 0.08);
        let facing = smooth_step(-0.5, 0.5, p.dot(self.light) + 0.6 * from_bow.y);
        let brushed = 0.1 * self.noise.value(at(p.x * 6.0, p.y * 60.0));
        let tone = 0.45 * facing - 0.2 + brushed;
        brush.fill(metal, self.main.lit(tone));
        brush.shade(metal, BLACK, 0.45 * (1.0 - bevel(0.05)), 0.01);
        let groove = rounded_box(p - at(0.36, -0.02), at(0.5, 0.022), 0.02);
        brush.shade(groove, BLACK, 0.4, 0.015);
    }

    fn leaf(&self, p: Point, brush: &mut Brush) {
        let p = p - at(0.08, 0.0);
        let bend = 0.22 * (self.shape - 0.5);
        let p = at(p.x, p.y - bend * (p.x * p.x - 0.3));
        let stem = capsule(p, at(-0.98, 0.0), at(-0.6, 0.0), 0.03);
        brush.fill(stem, self.main.lit(-0.35));
        let saw = ((p.x - p.y.abs() * 0.4) * 9.0).rem_euclid(1.0);
        let half_width = 0.36 + 0.08 * self.shape;
        let blade = lens(at(p.x - 0.06, p.y), 0.82, half_width) - 0.025 * saw;
        let mottled = 0.5 * self.noise.layered(p * 3.0) + 0.5 * smooth_step(-0.8, 0.8, p.x);
        let side = p.y * if self.light.y > 0.0 { 1.0 } else { -1.0 };
        let tone = 0.16 * smooth_step(-0.03, 0.03, side) - 0.08;
        brush.fill(blade, self.main.mixed(self.second, mottled).lit(tone));
        brush.shade(blade.abs(), BLACK, 0.25, 0.03);
        let ribs = ((p.x - p.y.abs() * 0.9) * 5.5).rem_euclid(1.0) - 0.5;
        let rib = (ribs.abs() * 0.13).max(blade + 0.05);
        brush.shade(rib - 0.008, self.second.lit(0.55), 0.6, 0.012);
        let midrib = capsule(p, at(-0.7, 0.0), at(0.78, 0.0), 0.016);
        brush.fill(midrib, self.second.lit(0.5));
    }

    fn mug(&self, p: Point, brush: &mut Brush) {
        let p = p - at(-0.16, 0.0);
        let half = at(0.52 + 0.06 * self.shape, 0.66);
        let grip = at(p.x - half.x - 0.02, p.y - 0.06);
        let handle = (rounded_box(grip, at(0.3, 0.34), 0.26)).abs() - 0.075;
        let ring = 0.3 * grip.dot(self.light) - 0.12;
        brush.fill(handle, self.main.lit(ring));
        let taper = 1.0 + 0.08 * p.y;
        let wall = rounded_box(at(p.x * taper, p.y - 0.05), half, 0.16);
        let around = (p.x * taper / half.x).clamp(-1.0, 1.0);
        let cylinder = 0.28 * around * self.light.x - 0.42 * around * around + 0.1;
        let pattern = match self.variant {
            0 => (p.y - 0.2 - 0.05 * (1.0 - around * around)).abs() - 0.15,
            1 => {
                let cell = at(around * 2.2, p.y * 3.2 - 0.2);
                let near = at(cell.x - cell.x.round(), cell.y - cell.y.round());
                circle(near, 0.24) * 0.3
            }
            _ => (at(p.x * 0.9, p.y - 0.12).length() - 0.25).abs() - 0.06,
        };
        let band = coverage(pattern, brush.pixel);
        brush.fill(wall, self.main.mixed(self.second, band).lit(cylinder));
        let mouth = p - at(0.0, -0.6);
        let rim = at(half.x * 0.97, 0.15);
        brush.fill(ellipse(mouth, rim), self.main.lit(0.3));
        let inner = ellipse(mouth, at(rim.x - 0.06, rim.y - 0.035));
        brush.fill(inner, self.main.lit(-0.35));
        let coffee = Color([0.26, 0.15, 0.08]);
        let level = ellipse(mouth - at(0.0, 0.04), at(rim.x - 0.1, rim.y - 0.05));
        brush.fill(
            level.max(inner),
            coffee.lit(0.15 * smooth_step(0.0, 0.3, mouth.x)),
        );
    }

    /// How bright a ball is where its surface is at `round`, of length up to 1.
    fn roundness(&self, round: Point) -> f32 {
        0.3 * round.dot(self.light) - 0.28 * round.dot(round) + 0.08
    }

    /// The bright spot on something smooth.
    fn shine(&self, p: Point, reach: Point, radius: f32, body: f32, brush: &mut Brush) {
        let spot = p - at(self.light.x * reach.x, self.light.y * reach.y);
        let glow = 1.0 - smooth_step(0.0, radius, spot.length());
        let inside = coverage(body, brush.pixel);
        brush.paint.color = brush.paint.color.mixed(WHITE, 0.65 * glow * inside);
    }
}

/// The paint of one pixel while it is put together.
struct Brush {
    paint: Paint,
    pixel: f32,
}

impl Brush {
    /// Fills a shape with a colour.
    fn fill(&mut self, distance: f32, color: Color) {
        self.paint.cover(color, coverage(distance, self.pixel));
    }

    /// Tints what is there already inside a shape, `share` at most, with an
    /// edge that is `soft` wide.
    fn shade(&mut self, distance: f32, color: Color, share: f32, soft: f32) {
        let inside = coverage(distance, self.pixel.max(soft));
        self.paint.color = self.paint.color.mixed(color, share * inside);
    }
}

/// The main and the second colour of a thing.
fn colors(thing: Thing, rng: &mut Rng) -> (Color, Color) {
    let mut color = |hue: Range<f32>, saturation: Range<f32>, value: Range<f32>| {
        let hue = rng.uniform(hue).rem_euclid(1.0);
        Color::from_hsv(hue, rng.uniform(saturation), rng.uniform(value))
    };
    match thing {
        Thing::Apple => (
            color(-0.03..0.3, 0.75..0.95, 0.7..0.9),
            color(-0.03..0.12, 0.7..0.95, 0.65..0.9),
        ),
        Thing::Book => (
            color(0.0..1.0, 0.45..0.85, 0.3..0.75),
            color(0.08..0.16, 0.2..0.6, 0.8..0.95),
        ),
        Thing::Key => {
            let metal = color(0.09..0.14, 0.1..0.65, 0.62..0.85);
            (metal, metal)
        }
        Thing::Leaf => (
            color(0.05..0.38, 0.6..0.85, 0.4..0.7),
            color(0.1..0.3, 0.55..0.8, 0.5..0.8),
        ),
        Thing::Mug => (
            color(0.0..1.0, 0.1..0.7, 0.65..0.95),
            color(0.0..1.0, 0.4..0.8, 0.35..0.95),
        ),
    }
}
