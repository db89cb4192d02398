//! Points, colours and signed distances: what the sample's objects are drawn
//! with.
//!
//! Only operations that IEEE 754 defines to the last bit are used, and sine and
//! cosine from `libm`, so that an image is the same on every machine.
//!
//! Source of the distances: I. Quilez, "2D distance functions".

use std::ops::{Add, Mul, Sub};

use ssdlite_core::random::Rng;

/// A point or direction; x to the right, y down.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    pub(super) x: f32,
    pub(super) y: f32,
}

pub(super) const fn at(x: f32, y: f32) -> Point {
    Point { x, y }
}

impl Point {
    pub(super) fn dot(self, other: Self) -> f32 {
        self.x * other.x + self.y * other.y
    }

    pub(super) fn length(self) -> f32 {
        self.dot(self).sqrt()
    }

    /// The point turned clockwise, as it is seen, by an angle in radians.
    pub(super) fn turned(self, angle: f32) -> Self {
        let (sin, cos) = (libm::sinf(angle), libm::cosf(angle));
        at(self.x * cos - self.y * sin, self.x * sin + self.y * cos)
    }
}

impl Add for Point {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        at(self.x + other.x, self.y + other.y)
    }
}

impl Sub for Point {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        at(self.x - other.x, self.y - other.y)
    }
}

impl Mul<f32> for Point {
    type Output = Self;

    fn mul(self, factor: f32) -> Self {
        at(self.x * factor, self.y * factor)
    }
}

/// Distance to a circle around the origin; negative inside, as all distances.
pub(super) fn circle(p: Point, radius: f32) -> f32 {
    p.length() - radius
}

/// Distance to a box around the origin with rounded corners.
pub(super) fn rounded_box(p: Point, half: Point, radius: f32) -> f32 {
    let (x, y) = (p.x.abs() - half.x + radius, p.y.abs() - half.y + radius);
    at(x.max(0.0), y.max(0.0)).length() + x.max(y).min(0.0) - radius
}

/// Distance to the line from `a` to `b`, `radius` thick to each side.
pub(super) fn capsule(p: Point, a: Point, b: Point, radius: f32) -> f32 {
    let (along, line) = (p - a, b - a);
    let share = (along.dot(line) / line.dot(line)).clamp(0.0, 1.0);
    (along - line * share).length() - radius
}

/// Distance to an ellipse around the origin, to first order: exact where it is
/// 0, close to the edge elsewhere.
pub(super) fn ellipse(p: Point, half: Point) -> f32 {
    let scaled = at(p.x / half.x, p.y / half.y);
    let gradient = at(scaled.x / half.x, scaled.y / half.y).length();
    let level = scaled.length();
    if gradient > 0.0 {
        level * (level - 1.0) / gradient
    } else {
        -half.x.min(half.y)
    }
}

/// Distance to a lens around the origin that comes to points at
/// `(-length, 0)` and `(length, 0)`.
pub(super) fn lens(p: Point, length: f32, half_width: f32) -> f32 {
    // Two circles of this radius, moved apart by `offset` each.
    let radius = (length * length + half_width * half_width) / (2.0 * half_width);
    let offset = radius - half_width;
    let (x, y) = (p.x.abs(), p.y.abs());
    if (x - length) * offset > y * length {
        at(x - length, y).length()
    } else {
        at(x, y + offset).length() - radius
    }
}

/// The union of two shapes, its inner corner filled over about `blend`.
pub(super) fn smooth_union(a: f32, b: f32, blend: f32) -> f32 {
    let overlap = (blend - (a - b).abs()).max(0.0) / blend;
    a.min(b) - overlap * overlap * blend * 0.25
}

/// Rises from 0 at `low` to 1 at `high`, flat at both ends.
pub(super) fn smooth_step(low: f32, high: f32, value: f32) -> f32 {
    let t = ((value - low) / (high - low)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// Red, green and blue, 0 to 1 each.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Color(pub(super) [f32; 3]);

pub(super) const WHITE: Color = Color([1.0; 3]);
pub(super) const BLACK: Color = Color([0.0; 3]);

impl Color {
    /// From hue (turns), saturation and value, 0 to 1 each.
    pub(super) fn from_hsv(hue: f32, saturation: f32, value: f32) -> Self {
        let channel = |offset: f32| {
            let sixths = (offset + hue * 6.0).rem_euclid(6.0);
            let fade = sixths.min(4.0 - sixths).clamp(0.0, 1.0);
            value - value * saturation * fade
        };
        Self([channel(5.0), channel(3.0), channel(1.0)])
    }

    /// This colour at 0, the other at 1.
    pub(super) fn mixed(self, other: Self, share: f32) -> Self {
        let mut mixed = self.0;
        for (mine, theirs) in mixed.iter_mut().zip(other.0) {
            *mine += (theirs - *mine) * share;
        }
        Self(mixed)
    }

    /// Brighter for positive `amount`, darker for negative; white at 1 and
    /// black at -1.
    pub(super) fn lit(self, amount: f32) -> Self {
        if amount >= 0.0 {
            self.mixed(WHITE, amount.min(1.0))
        } else {
            self.mixed(BLACK, (-amount).min(1.0))
        }
    }
}

/// A colour that covers a part of what is below.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Paint {
    pub(super) color: Color,
    pub(super) alpha: f32,
}

impl Paint {
    pub(super) const CLEAR: Self = Self {
        color: BLACK,
        alpha: 0.0,
    };

    /// Puts a colour on top, `share` of it.
    pub(super) fn cover(&mut self, color: Color, share: f32) {
        let alpha = share + self.alpha * (1.0 - share);
        if alpha > 0.0 {
            self.color = self.color.mixed(color, share / alpha);
        }
        self.alpha = alpha;
    }
}

/// How much of a pixel of width `pixel` a shape at `distance` covers.
pub(super) fn coverage(distance: f32, pixel: f32) -> f32 {
    (0.5 - distance / pixel).clamp(0.0, 1.0)
}

/// Random values that vary smoothly over the plane, 0 to 1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Noise {
    seed: u64,
}

impl Noise {
    pub(super) fn new(rng: &mut Rng) -> Self {
        Self {
            seed: rng.next_u64(),
        }
    }

    /// The value at a point; it changes over a distance of about 1.
    pub(super) fn value(&self, p: Point) -> f32 {
        let (left, top) = (p.x.floor(), p.y.floor());
        let corner = |dx: f32, dy: f32| self.lattice(left + dx, top + dy);
        let [upper_left, upper_right] = [corner(0.0, 0.0), corner(1.0, 0.0)];
        let [lower_left, lower_right] = [corner(0.0, 1.0), corner(1.0, 1.0)];
        let across = smooth_step(0.0, 1.0, p.x - left);
        let down = smooth_step(0.0, 1.0, p.y - top);
        let upper = upper_left + (upper_right - upper_left) * across;
        let lower = lower_left + (lower_right - lower_left) * across;
        upper + (lower - upper) * down
    }

    /// Three layers, each twice as fine and half as strong as the one before.
    pub(super) fn layered(&self, p: Point) -> f32 {
        let fine = self.value(p * 2.0 + at(17.0, 31.0));
        let finest = self.value(p * 4.0 + at(57.0, 5.0));
        (self.value(p) * 4.0 + fine * 2.0 + finest) / 7.0
    }

    /// The value at a point of whole numbers: their hash, by the rounds of
    /// D. Stafford's 13th variant of MurmurHash3's finaliser.
    fn lattice(&self, x: f32, y: f32) -> f32 {
        let place = (u64::from(x as i32 as u32) << 32) | u64::from(y as i32 as u32);
        let mut hash = self.seed ^ place;
        hash = (hash ^ (hash >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        hash = (hash ^ (hash >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        // The 24 bits that an f32 holds exactly.
        ((hash ^ (hash >> 31)) >> 40) as f32 / (1_u32 << 24) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_negative_inside_and_zero_on_the_edge() {
        let near = |value: f32, expected: f32| assert!((value - expected).abs() < 1e-5, "{value}");
        near(circle(at(3.0, 4.0), 2.0), 3.0);
        near(rounded_box(at(5.0, 0.0), at(2.0, 1.0), 0.5), 3.0);
        near(rounded_box(at(0.0, 0.0), at(2.0, 1.0), 0.5), -1.0);
        near(capsule(at(-3.0, 0.0), at(0.0, 0.0), at(5.0, 0.0), 1.0), 2.0);
        near(ellipse(at(3.0, 0.0), at(3.0, 2.0)), 0.0);
        near(lens(at(0.0, 0.0), 2.0, 0.5), -0.5);
        near(lens(at(2.0, 0.0), 2.0, 0.5), 0.0);
        near(lens(at(3.0, 0.0), 2.0, 0.5), 1.0);
    }

    #[test]
    fn covering_adds_up_to_the_top_colour() {
        let mut paint = Paint::CLEAR;
        paint.cover(WHITE, 0.5);
        assert_eq!(paint.alpha, 0.5);
        assert_eq!(paint.color, WHITE);
        paint.cover(BLACK, 1.0);
        assert_eq!((paint.color, paint.alpha), (BLACK, 1.0));
    }

    #[test]
    fn hues_are_where_they_belong() {
        assert_eq!(Color::from_hsv(0.0, 1.0, 1.0), Color([1.0, 0.0, 0.0]));
        let blue = Color::from_hsv(2.0 / 3.0, 1.0, 1.0);
        assert!(blue.0[2] == 1.0 && blue.0[0].abs() < 1e-5 && blue.0[1].abs() < 1e-5);
        assert_eq!(Color::from_hsv(0.3, 0.0, 0.5), Color([0.5; 3]));
    }

    #[test]
    fn noise_is_continuous_and_bounded() {
        let noise = Noise::new(&mut Rng::from_keys(&[1]));
        for step in -200..200 {
            let p = at(step as f32 * 0.37, step as f32 * -0.11);
            let value = noise.value(p);
            assert!((0.0..=1.0).contains(&value));
            assert!((value - noise.value(p + at(1e-3, 1e-3))).abs() < 0.02);
        }
    }
}
