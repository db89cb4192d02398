//! What the objects of the sample lie on.

use crate::sample::paint::{BLACK, Color, Noise, Point, WHITE, at, smooth_step};
use ssdlite_core::random::Rng;

/// A ground, the same at any size of image.
#[derive(Clone, Debug)]
pub(super) struct Background {
    pattern: Pattern,
    main: Color,
    second: Color,
    angle: f32,
    noise: Noise,
}

#[derive(Clone, Copy, Debug)]
enum Pattern {
    Planks,
    Checked,
    Plain,
    Stone,
    Tiles,
}

const PATTERNS: [Pattern; 5] = [
    Pattern::Planks,
    Pattern::Checked,
    Pattern::Plain,
    Pattern::Stone,
    Pattern::Tiles,
];

impl Background {
    pub(super) fn new(rng: &mut Rng) -> Self {
        let pattern = PATTERNS[rng.below(PATTERNS.len())];
        let hue = rng.unit();
        let (main, second) = match pattern {
            Pattern::Planks => {
                let value = rng.uniform(0.35..0.8);
                let wood = |darker: f32| Color::from_hsv(0.075, 0.45, value * darker);
                (wood(1.0), wood(0.65))
            }
            Pattern::Checked => (
                Color::from_hsv(hue, rng.uniform(0.2..0.45), rng.uniform(0.6..0.85)),
                Color::from_hsv(hue, 0.04, 0.92),
            ),
            Pattern::Plain => (
                Color::from_hsv(hue, rng.uniform(0.05..0.4), rng.uniform(0.35..0.9)),
                Color::from_hsv(hue + 0.08, rng.uniform(0.05..0.35), rng.uniform(0.35..0.9)),
            ),
            Pattern::Stone => {
                let value = rng.uniform(0.35..0.85);
                let stone = |value| Color::from_hsv(hue, 0.08, value);
                (stone(value), stone(value * 0.7))
            }
            Pattern::Tiles => (
                Color::from_hsv(hue, rng.uniform(0.05..0.35), rng.uniform(0.5..0.85)),
                Color::from_hsv(hue, 0.05, rng.uniform(0.4..0.95)),
            ),
        };
        Self {
            pattern,
            main,
            second,
            angle: rng.uniform(-0.5..0.5),
            noise: Noise::new(rng),
        }
    }

    /// The colour at a point; the shorter side of the image is 1 long.
    pub(super) fn color(&self, p: Point) -> Color {
        let fine = 0.06 * self.noise.value(p * 90.0) - 0.03;
        let q = p.turned(self.angle);
        let color = match self.pattern {
            Pattern::Planks => self.planks(q),
            Pattern::Checked => self.checked(q),
            Pattern::Plain => {
                let wave = 0.25 * self.noise.value(p * 2.0);
                self.main
                    .mixed(self.second, (p.dot(at(0.4, 0.6)) + wave).clamp(0.0, 1.0))
            }
            Pattern::Stone => {
                let cloud = self.noise.layered(p * 5.0);
                let grain = smooth_step(0.6, 1.0, self.noise.value(p * 45.0));
                self.main.mixed(self.second, cloud).lit(0.25 * grain)
            }
            Pattern::Tiles => self.tiles(q),
        };
        color.lit(fine)
    }

    fn planks(&self, p: Point) -> Color {
        let across = p.y * 4.0;
        let board = across.floor();
        let shift = 13.7 * board;
        let grain = self.noise.layered(at(p.x * 2.5 + shift, across * 7.0));
        let ring = (grain * 7.0 + 0.5 * board).rem_euclid(1.0);
        let line = smooth_step(0.0, 0.5, ring) - smooth_step(0.5, 1.0, ring);
        let age = 0.3 * self.noise.value(at(shift, 3.0)) - 0.15;
        let from_gap = (across - board - 0.5).abs();
        let gap = smooth_step(0.47, 0.495, from_gap);
        self.main
            .mixed(self.second, 0.15 + 0.4 * line)
            .lit(age)
            .mixed(BLACK, 0.55 * gap)
    }

    fn checked(&self, p: Point) -> Color {
        let stripe = |t: f32| {
            let place = (t * 6.0).rem_euclid(1.0);
            smooth_step(0.23, 0.27, place) - smooth_step(0.73, 0.77, place)
        };
        let threads = (p.x * 150.0).rem_euclid(1.0) - (p.y * 150.0).rem_euclid(1.0);
        let share = (stripe(p.x) + stripe(p.y)) * 0.5;
        self.second.mixed(self.main, share).lit(0.04 * threads)
    }

    fn tiles(&self, p: Point) -> Color {
        let cell = p * 3.0;
        let tile = at(cell.x.floor(), cell.y.floor());
        let inside = cell - tile - at(0.5, 0.5);
        let from_edge = 0.5 - inside.x.abs().max(inside.y.abs());
        let shade = 0.16 * self.noise.value(tile * 5.3) - 0.08;
        let marble = self.noise.layered(p * 4.0 + tile * 3.1);
        let glaze = self.main.lit(shade).mixed(WHITE, 0.25 * marble * marble);
        self.second
            .mixed(glaze, smooth_step(0.02, 0.035, from_edge))
    }
}
