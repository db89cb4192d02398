//! Default boxes: the fixed boxes that a detector adjusts.
//!
//! "Prior" and "anchor" are other names for them. Source: arXiv 1512.02325
//! (SSD), section 2.2, as torchvision's `DefaultBoxGenerator` lays them out.

use serde::{Deserialize, Serialize};

use crate::detector::FEATURE_MAPS;
use crate::error::{Error, Result};
use crate::geometry::{CenterBox, CornerBox, FractionBox, Fractions};
use crate::unit::MapSize;

/// Default boxes at each cell of each map.
pub const BOXES_PER_CELL: usize = 6;

/// Aspect ratios besides 1; each also stands on its side.
const ASPECT_RATIOS: [f32; 2] = [2.0, 3.0];

/// Sides of the default boxes of each map as fractions of the image's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DefaultBoxScales {
    /// One scale a map, and one more: a map also has a square box whose side
    /// is the geometric mean of its scale and the next.
    pub scales: [f32; FEATURE_MAPS + 1],
}

impl Default for DefaultBoxScales {
    /// torchvision's for SSD-lite: 0.2 to 0.95 in equal steps, then 1.
    fn default() -> Self {
        Self {
            scales: [0.2, 0.35, 0.5, 0.65, 0.8, 0.95, 1.0],
        }
    }
}

impl DefaultBoxScales {
    /// Checks the numbers.
    ///
    /// # Errors
    /// [`Error::Malformed`] unless all scales lie in 0 (exclusive) to 2.
    pub fn validate(&self) -> Result<()> {
        for (map, &scale) in self.scales.iter().enumerate() {
            if !(scale > 0.0 && scale <= 2.0) {
                return Err(Error::Malformed(format!(
                    "default boxes: expected a scale in 0 to 2 for map {map}, found {scale}"
                )));
            }
        }
        Ok(())
    }

    /// Width and height of the boxes at a cell of map `map`, in fractions of
    /// the image.
    fn shapes(&self, map: usize) -> [(f32, f32); BOXES_PER_CELL] {
        let scale = self.scales[map];
        let between = (scale * self.scales[map + 1]).sqrt();
        let mut shapes = [(scale, scale); BOXES_PER_CELL];
        shapes[1] = (between, between);
        for (pair, ratio) in shapes[2..].chunks_exact_mut(2).zip(ASPECT_RATIOS) {
            let root = ratio.sqrt();
            pair[0] = (scale * root, scale / root);
            pair[1] = (scale / root, scale * root);
        }
        shapes.map(|(w, h)| (w.clamp(0.0, 1.0), h.clamp(0.0, 1.0)))
    }
}

/// All default boxes of a detector at one input size, in the order of its
/// outputs: map by map, row by row, cell by cell.
#[derive(Clone, Debug, PartialEq)]
pub struct DefaultBoxes {
    centers: Vec<CenterBox<Fractions>>,
    corners: Vec<FractionBox>,
}

impl DefaultBoxes {
    /// The default boxes for maps of these sizes.
    ///
    /// Corners may lie outside the image, as in torchvision.
    pub fn new(scales: &DefaultBoxScales, maps: &[MapSize; FEATURE_MAPS]) -> Self {
        let mut centers = Vec::new();
        for (index, map) in maps.iter().enumerate() {
            let shapes = scales.shapes(index);
            for row in 0..map.height {
                let cy = (row as f32 + 0.5) / map.height as f32;
                for column in 0..map.width {
                    let cx = (column as f32 + 0.5) / map.width as f32;
                    centers.extend(shapes.map(|(w, h)| CenterBox::new(cx, cy, w, h)));
                }
            }
        }
        let corners = centers.iter().map(|b| b.to_corners()).collect();
        Self { centers, corners }
    }

    /// The number of boxes.
    pub fn len(&self) -> usize {
        self.centers.len()
    }

    /// Whether there is no box, as for maps without cells.
    pub fn is_empty(&self) -> bool {
        self.centers.is_empty()
    }

    /// The boxes by centre and size.
    pub fn centers(&self) -> &[CenterBox<Fractions>] {
        &self.centers
    }

    /// The boxes by their corners.
    pub fn corners(&self) -> &[CornerBox<Fractions>] {
        &self.corners
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn maps(sides: [(usize, usize); FEATURE_MAPS]) -> [MapSize; FEATURE_MAPS] {
        sides.map(|(height, width)| MapSize::new(height, width))
    }

    #[test]
    fn order_and_count_follow_the_outputs() {
        let maps = maps([(3, 5), (2, 3), (1, 2), (1, 1), (1, 1), (1, 1)]);
        let boxes = DefaultBoxes::new(&DefaultBoxScales::default(), &maps);
        assert_eq!(boxes.len(), (15 + 6 + 2 + 3) * BOXES_PER_CELL);
        let second_cell = boxes.centers()[BOXES_PER_CELL];
        assert_eq!((second_cell.cx, second_cell.cy), (1.5 / 5.0, 0.5 / 3.0));
        let second_row = boxes.centers()[5 * BOXES_PER_CELL];
        assert_eq!((second_row.cx, second_row.cy), (0.5 / 5.0, 1.5 / 3.0));
    }

    #[test]
    fn shapes_keep_area_and_swap_sides() {
        let shapes = DefaultBoxScales::default().shapes(0);
        assert_eq!(shapes[0], (0.2, 0.2));
        assert!((shapes[1].0 - 0.07f32.sqrt()).abs() < 1e-7);
        for pair in shapes[2..].chunks_exact(2) {
            assert_eq!((pair[0].0, pair[0].1), (pair[1].1, pair[1].0));
            assert!((pair[0].0 * pair[0].1 - 0.04).abs() < 1e-6);
        }
    }

    #[test]
    fn sides_do_not_exceed_the_image() {
        for map in 0..FEATURE_MAPS {
            for (w, h) in DefaultBoxScales::default().shapes(map) {
                assert!(w <= 1.0 && h <= 1.0);
            }
        }
    }

    #[test]
    fn bad_scales_are_refused() {
        for bad in [0.0, -0.1, f32::NAN, f32::INFINITY] {
            let mut scales = DefaultBoxScales::default();
            scales.scales[3] = bad;
            assert!(scales.validate().is_err());
        }
    }
}
