//! Boxes as four numbers relative to a default box, and back.
//!
//! Source: arXiv 1311.2524 (R-CNN), appendix C, with the variances of the
//! original SSD code; torchvision's `BoxCoder` with weights `1 / variance`.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::geometry::{CenterBox, CornerBox, Space};

/// The largest growth that decoding allows, `ln(1000 / 16)`: torchvision's
/// `bbox_xform_clip`, which keeps `exp` from overflowing.
pub const MAX_LOG_GROWTH: f32 = 4.135_166_6;

/// Turns boxes into regression targets and back.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoxCoder {
    /// Divisor of the centre's offset, which counts in default-box sides.
    pub center_variance: f32,
    /// Divisor of the logarithm of the growth.
    pub size_variance: f32,
}

impl Default for BoxCoder {
    /// 0.1 and 0.2, as in the original SSD code.
    fn default() -> Self {
        Self {
            center_variance: 0.1,
            size_variance: 0.2,
        }
    }
}

impl BoxCoder {
    /// Checks the numbers.
    ///
    /// # Errors
    /// [`Error::Malformed`] unless both variances are finite and positive.
    pub fn validate(&self) -> Result<()> {
        let sound = |variance: f32| variance.is_finite() && variance > 0.0;
        if sound(self.center_variance) && sound(self.size_variance) {
            Ok(())
        } else {
            Err(Error::Malformed(format!(
                "box coder: expected positive variances, found {} and {}",
                self.center_variance, self.size_variance
            )))
        }
    }

    /// `[dx, dy, dw, dh]` that [`Self::decode`] turns back into `bbox`, which
    /// must have positive sides.
    pub fn encode<S: Space>(&self, bbox: &CornerBox<S>, default: &CenterBox<S>) -> [f32; 4] {
        let bbox = bbox.to_center();
        [
            (bbox.cx - default.cx) / default.w / self.center_variance,
            (bbox.cy - default.cy) / default.h / self.center_variance,
            (bbox.w / default.w).ln() / self.size_variance,
            (bbox.h / default.h).ln() / self.size_variance,
        ]
    }

    /// The box that `[dx, dy, dw, dh]` describe; not clipped to the image.
    pub fn decode<S: Space>(&self, numbers: [f32; 4], default: &CenterBox<S>) -> CornerBox<S> {
        let [dx, dy, dw, dh] = numbers;
        let growth = |number: f32| (number * self.size_variance).min(MAX_LOG_GROWTH).exp();
        CenterBox::new(
            default.cx + dx * self.center_variance * default.w,
            default.cy + dy * self.center_variance * default.h,
            default.w * growth(dw),
            default.h * growth(dh),
        )
        .to_corners()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::{FractionBox, Fractions};

    #[test]
    fn decoding_undoes_encoding() {
        let coder = BoxCoder::default();
        let default = CenterBox::<Fractions>::new(0.3, 0.6, 0.2, 0.35);
        for corners in [
            [0.1, 0.2, 0.3, 0.9],
            [0.25, 0.5, 0.26, 0.52],
            [0.0, 0.0, 1.0, 1.0],
        ] {
            let bbox = FractionBox::new(corners[0], corners[1], corners[2], corners[3]);
            let back = coder.decode(coder.encode(&bbox, &default), &default);
            for (a, b) in bbox.to_array().iter().zip(back.to_array()) {
                assert!((a - b).abs() < 1e-5, "{bbox:?} {back:?}");
            }
        }
    }

    #[test]
    fn a_default_box_itself_is_zero() {
        let default = CenterBox::<Fractions>::new(0.25, 0.5, 0.25, 0.5);
        let zero = BoxCoder::default().encode(&default.to_corners(), &default);
        assert_eq!(zero, [0.0; 4]);
    }

    #[test]
    fn decoding_never_overflows() {
        let default = CenterBox::<Fractions>::new(0.5, 0.5, 0.2, 0.2);
        let bbox = BoxCoder::default().decode([0.0, 0.0, 1e30, 1e30], &default);
        assert!(bbox.to_array().iter().all(|value| value.is_finite()));
        assert!((bbox.width() - 0.2 * 62.5).abs() < 1e-3);
    }
}
