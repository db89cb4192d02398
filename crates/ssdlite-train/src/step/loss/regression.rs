//! Losses of boxes, given as the box coder's four numbers.
//!
//! ```text
//! smooth L1: the sum over 4 numbers of d^2 / 2 where |d| < 1, else |d| - 1/2,
//!            for the distance d of a number from its target
//! GIoU:      2 (1 - IoU + (C - U) / C)
//! ```
//!
//! For GIoU both boxes are decoded. `U` is the area of their union, `C` that of the
//! smallest box around both. Smooth L1 is that of SSD, arXiv 1512.02325, section 2.2;
//! GIoU arXiv 1902.09630, algorithm 1. Its weight of 2 beside the loss of the classes is
//! that of MMDetection's configurations of ATSS and of generalized focal loss. Both are
//! summed over the boxes that have an object.
//!
//! Decoding ends a box's growth, and so its true slope. Here it goes on with the slope
//! that it has there, so that a box that is too large can become smaller.

use serde::{Deserialize, Serialize};
use ssdlite_core::box_coder::{BoxCoder, MAX_LOG_GROWTH};
use ssdlite_core::default_boxes::BoxSize;
use ssdlite_core::detector::BOX_NUMBERS;

/// The weight of the GIoU loss beside that of the classes.
const GIOU_WEIGHT: f64 = 2.0;

/// How far a box is from its object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RegressionLoss {
    /// By the box coder's numbers: arXiv 1512.02325.
    #[default]
    SmoothL1,
    /// By the generalized IoU: arXiv 1902.09630.
    Giou,
}

/// A box's four numbers.
pub(super) type Numbers = [f32; BOX_NUMBERS];

impl RegressionLoss {
    /// Adds the loss of a box that should be `target` to `sum` and returns its
    /// gradient. `default` is the size of its default box.
    pub(super) fn add_box(
        self,
        found: Numbers,
        target: Numbers,
        coder: &BoxCoder,
        default: BoxSize,
        sum: &mut f64,
    ) -> Numbers {
        match self {
            Self::SmoothL1 => smooth_l1(found, target, sum),
            // Comparisons would hide what is no number.
            Self::Giou if found.iter().any(|number| !number.is_finite()) => {
                *sum = f64::NAN;
                [f32::NAN; BOX_NUMBERS]
            }
            Self::Giou => Pair::new(found, target, coder, default).add_giou(sum),
        }
    }
}

fn smooth_l1(found: Numbers, target: Numbers, sum: &mut f64) -> Numbers {
    std::array::from_fn(|index| {
        let distance = found[index] - target[index];
        let beyond = distance.abs() >= 1.0;
        *sum += f64::from(if beyond {
            distance.abs() - 0.5
        } else {
            0.5 * distance * distance
        });
        if beyond { distance.signum() } else { distance }
    })
}

/// The IoU of two boxes that are given by their numbers, 0 to 1. It doesn't depend on
/// the default box.
pub(super) fn iou(found: Numbers, target: Numbers, coder: &BoxCoder) -> f64 {
    let default = BoxSize {
        width: 1.0,
        height: 1.0,
    };
    Pair::new(found, target, coder, default).iou()
}

/// A decoded box along one axis, its default box's centre at 0.
#[derive(Clone, Copy)]
struct Span {
    low: f64,
    high: f64,
    length: f64,
    /// Slope of the centre by its number.
    center_slope: f64,
    /// Slope of the length by its number.
    length_slope: f64,
}

impl Span {
    fn new(offset: f32, growth: f32, coder: &BoxCoder, default: f32) -> Self {
        let default = f64::from(default);
        let center_slope = f64::from(coder.center_variance) * default;
        let size_variance = f64::from(coder.size_variance);
        let growth = f64::from(growth) * size_variance;
        // Not `min`, which would drop a NaN.
        let most = f64::from(MAX_LOG_GROWTH);
        let length = default * if growth > most { most } else { growth }.exp();
        let center = f64::from(offset) * center_slope;
        Self {
            low: center - length / 2.0,
            high: center + length / 2.0,
            length,
            center_slope,
            length_slope: size_variance * length,
        }
    }
}

/// A decoded box.
#[derive(Clone, Copy)]
struct Decoded {
    x: Span,
    y: Span,
}

/// Slopes of a loss by a span's ends.
#[derive(Clone, Copy)]
struct BySpan {
    low: f64,
    high: f64,
}

impl Decoded {
    fn new(numbers: Numbers, coder: &BoxCoder, default: BoxSize) -> Self {
        let [dx, dy, dw, dh] = numbers;
        Self {
            x: Span::new(dx, dw, coder, default.width),
            y: Span::new(dy, dh, coder, default.height),
        }
    }

    fn area(&self) -> f64 {
        self.x.length * self.y.length
    }

    /// A gradient by the box's numbers from that by its spans.
    fn by_numbers(&self, [x, y]: [BySpan; 2]) -> [f64; BOX_NUMBERS] {
        let center = |span: &Span, by: BySpan| (by.low + by.high) * span.center_slope;
        let length = |span: &Span, by: BySpan| (by.high - by.low) / 2.0 * span.length_slope;
        [
            center(&self.x, x),
            center(&self.y, y),
            length(&self.x, x),
            length(&self.y, y),
        ]
    }
}

/// A length along one axis with its slopes by the ends of the box found.
#[derive(Clone, Copy)]
struct Length {
    value: f64,
    low: f64,
    high: f64,
}

/// 1 where the first is greater, half for equal ones as PyTorch's `max`, else 0.
fn share(first: f64, second: f64) -> f64 {
    match first.partial_cmp(&second) {
        Some(std::cmp::Ordering::Greater) => 1.0,
        Some(std::cmp::Ordering::Equal) => 0.5,
        _ => 0.0,
    }
}

/// The overlap of two spans, 0 for none, and the span around both.
fn overlap_and_around(found: &Span, target: &Span) -> (Length, Length) {
    let overlap = found.high.min(target.high) - found.low.max(target.low);
    let around = found.high.max(target.high) - found.low.min(target.low);
    let high = share(found.high, target.high);
    let low = share(found.low, target.low);
    let common = if overlap > 0.0 {
        Length {
            value: overlap,
            low: -low,
            high: 1.0 - high,
        }
    } else {
        Length {
            value: 0.0,
            low: 0.0,
            high: 0.0,
        }
    };
    let around = Length {
        value: around,
        low: low - 1.0,
        high,
    };
    (common, around)
}

/// A box and the one that it should be.
struct Pair {
    found: Decoded,
    target: Decoded,
    /// By axis.
    common: [Length; 2],
    around: [Length; 2],
}

impl Pair {
    fn new(found: Numbers, target: Numbers, coder: &BoxCoder, default: BoxSize) -> Self {
        let found = Decoded::new(found, coder, default);
        let target = Decoded::new(target, coder, default);
        let (common_x, around_x) = overlap_and_around(&found.x, &target.x);
        let (common_y, around_y) = overlap_and_around(&found.y, &target.y);
        Self {
            found,
            target,
            common: [common_x, common_y],
            around: [around_x, around_y],
        }
    }

    /// Adds the GIoU loss to `sum` and returns its gradient by the numbers.
    fn add_giou(&self, sum: &mut f64) -> Numbers {
        let (loss, by_spans) = self.giou_loss();
        *sum += GIOU_WEIGHT * loss;
        let gradient = self.found.by_numbers(by_spans);
        gradient.map(|slope| (GIOU_WEIGHT * slope) as f32)
    }

    fn intersection(&self) -> f64 {
        self.common[0].value * self.common[1].value
    }

    fn union(&self) -> f64 {
        self.found.area() + self.target.area() - self.intersection()
    }

    fn iou(&self) -> f64 {
        self.intersection() / self.union()
    }

    /// Slopes of intersection and union by the ends of the found box's spans.
    fn slopes_of_areas(&self) -> [[(f64, f64); 2]; 2] {
        let along = |axis: usize, own_area: f64| {
            let (common, across) = (self.common[axis], self.common[1 - axis].value);
            [(common.low, -own_area), (common.high, own_area)]
                .map(|(slope, own_area)| (slope * across, own_area - slope * across))
        };
        [along(0, self.found.y.length), along(1, self.found.x.length)]
    }

    /// `1 - IoU + (C - U) / C` and its slopes.
    fn giou_loss(&self) -> (f64, [BySpan; 2]) {
        let (intersection, union) = (self.intersection(), self.union());
        let area = self.around[0].value * self.around[1].value;
        let slope = |(by_intersection, by_union): (f64, f64), by_area: f64| {
            (intersection * by_union / union - by_intersection) / union
                + (union * by_area / area - by_union) / area
        };
        let areas = self.slopes_of_areas();
        let slopes = [0, 1].map(|axis| {
            let (around, across) = (self.around[axis], self.around[1 - axis].value);
            let [low, high] = areas[axis];
            BySpan {
                low: slope(low, around.low * across),
                high: slope(high, around.high * across),
            }
        });
        (1.0 - intersection / union + (1.0 - union / area), slopes)
    }
}

#[cfg(test)]
mod tests {
    use ssdlite_core::random::Rng;
    use ssdlite_core::{CenterBox, FractionBox};

    use super::*;

    const SIZE: BoxSize = BoxSize {
        width: 0.3,
        height: 0.17,
    };

    fn evaluate(loss: RegressionLoss, found: Numbers, target: Numbers) -> (f64, Numbers) {
        let mut sum = 0.0;
        let gradient = loss.add_box(found, target, &BoxCoder::default(), SIZE, &mut sum);
        (sum, gradient)
    }

    fn giou(found: Numbers, target: Numbers) -> (f64, Numbers) {
        evaluate(RegressionLoss::Giou, found, target)
    }

    /// Numbers by which boxes overlap a little, much or not at all.
    fn numbers(random: &mut Rng) -> Numbers {
        let spread = [1.0, 5.0, 30.0][random.below(3)];
        std::array::from_fn(|_| random.uniform(-spread..spread).clamp(-20.0, 20.0))
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        const STEP: f32 = 1.0 / 1024.0;
        let mut random = Rng::from_keys(&[3]);
        for _ in 0..2000 {
            let (found, target) = (numbers(&mut random), numbers(&mut random));
            let (_, gradient) = giou(found, target);
            for index in 0..BOX_NUMBERS {
                let at = |by: f32| {
                    let mut found = found;
                    found[index] += by;
                    (f64::from(found[index]), giou(found, target).0)
                };
                let (low, here, high) = (at(-STEP), at(0.0), at(STEP));
                let slope = |a: (f64, f64), b: (f64, f64)| (b.1 - a.1) / (b.0 - a.0);
                // Where edges pass each other the slopes of both sides differ.
                let (before, after) = (slope(low, here), slope(here, high));
                let gradient_here = f64::from(gradient[index]);
                let largest = gradient
                    .iter()
                    .fold(0.1, |most: f32, slope| most.max(slope.abs()));
                let tolerance = 2e-3 * f64::from(largest);
                let range = before.min(after) - tolerance..=before.max(after) + tolerance;
                assert!(
                    range.contains(&gradient_here),
                    "{found:?} {target:?}: {index}: {gradient_here}, {range:?}"
                );
            }
        }
    }

    #[test]
    fn equal_boxes_cost_nothing_and_stay() {
        let mut random = Rng::from_keys(&[4]);
        for loss in [RegressionLoss::SmoothL1, RegressionLoss::Giou] {
            for _ in 0..100 {
                let target = numbers(&mut random);
                let (found, gradient) = evaluate(loss, target, target);
                assert!(found.abs() < 1e-12, "{found}");
                assert!(
                    gradient.iter().all(|slope| slope.abs() < 1e-12),
                    "{gradient:?}"
                );
            }
        }
    }

    #[test]
    fn giou_lies_in_its_range() {
        let mut random = Rng::from_keys(&[5]);
        for _ in 0..1000 {
            let (found, _) = giou(numbers(&mut random), numbers(&mut random));
            assert!((-1e-12..=2.0 * GIOU_WEIGHT).contains(&found), "{found}");
        }
    }

    #[test]
    fn a_box_inside_has_the_iou_of_its_share() {
        let coder = BoxCoder::default();
        // Half the width and height.
        let half = 0.5_f32.ln() / coder.size_variance;
        let inside = [0.1, -0.2, half, half];
        assert!((iou(inside, [0.0; 4], &coder) - 0.25).abs() < 1e-6);
        let (loss, _) = giou(inside, [0.0; 4]);
        assert!((loss / GIOU_WEIGHT - 0.75).abs() < 1e-6);
        assert_eq!(iou([30.0, 0.0, 0.0, 0.0], [0.0; 4], &coder), 0.0);
    }

    #[test]
    fn the_iou_is_that_of_the_decoded_boxes() {
        let coder = BoxCoder::default();
        let default = CenterBox::new(0.4, 0.6, SIZE.width, SIZE.height);
        let mut random = Rng::from_keys(&[6]);
        for _ in 0..200 {
            let (found, target) = (numbers(&mut random), numbers(&mut random));
            let boxes: [FractionBox; 2] =
                [found, target].map(|numbers| coder.decode(numbers, &default));
            let expected = f64::from(boxes[0].iou(&boxes[1]));
            assert!((iou(found, target, &coder) - expected).abs() < 1e-4);
        }
    }

    #[test]
    fn extreme_numbers_have_sane_gradients() {
        for value in [-3e38_f32, -1e5, -400.0, 400.0, 1e5, 3e38] {
            for index in 0..BOX_NUMBERS {
                let mut found = [0.5, -0.5, 1.0, -1.0];
                found[index] = value;
                let (sum, gradient) = giou(found, [0.0; 4]);
                assert!(sum.is_finite(), "{found:?}");
                assert!(
                    gradient.iter().all(|slope| slope.is_finite()),
                    "{gradient:?}"
                );
            }
        }
    }

    #[test]
    fn a_box_beyond_the_largest_growth_shrinks() {
        let (_, gradient) = giou([0.0, 0.0, 25.0, 30.0], [0.0; 4]);
        assert!(gradient[2] > 0.0 && gradient[3] > 0.0, "{gradient:?}");
    }
}
