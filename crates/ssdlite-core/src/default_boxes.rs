//! Default boxes: the fixed boxes that a detector adjusts.
//!
//! "Prior" and "anchor" are other names for them. Source: arXiv 1512.02325
//! (SSD), section 2.2, as torchvision's `DefaultBoxGenerator` lays them out.

use serde::{Deserialize, Serialize};

use crate::detector::{FEATURE_MAP_COUNTS, FinestMap, Head};
use crate::error::{Error, Result};
use crate::geometry::{CenterBox, CornerBox, FractionBox, Fractions};
use crate::unit::MapSize;

/// Aspect ratios besides 1; each also stands on its side.
const ASPECT_RATIOS: [f32; 2] = [2.0, 3.0];

/// torchvision's scales for SSD-lite: 0.2 to 0.95 in equal steps, then 1.
const SCALES: [f32; 7] = [0.2, 0.35, 0.5, 0.65, 0.8, 0.95, 1.0];

/// The most default boxes at a cell.
const MOST_BOXES_PER_CELL: usize = 64;

/// Width and height of a default box as fractions of the image's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "[f32; 2]", into = "[f32; 2]")]
pub struct BoxSize {
    /// Part of the image's width, above 0 and at most 1.
    pub width: f32,
    /// Part of the image's height, above 0 and at most 1.
    pub height: f32,
}

impl From<[f32; 2]> for BoxSize {
    fn from([width, height]: [f32; 2]) -> Self {
        Self { width, height }
    }
}

impl From<BoxSize> for [f32; 2] {
    fn from(size: BoxSize) -> Self {
        [size.width, size.height]
    }
}

/// The default boxes at a cell of each feature map, the largest map first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "StoredSizes")]
pub struct DefaultBoxSizes {
    /// For each map the boxes at each of its cells, in the order of the
    /// network's outputs.
    pub maps: Vec<Vec<BoxSize>>,
}

/// How sizes are written down: themselves, or, in format version 1, the scales
/// that they are computed from.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredSizes {
    maps: Option<Vec<Vec<BoxSize>>>,
    scales: Option<[f32; 7]>,
}

impl TryFrom<StoredSizes> for DefaultBoxSizes {
    type Error = Error;

    fn try_from(stored: StoredSizes) -> Result<Self> {
        match stored {
            StoredSizes {
                maps: Some(maps),
                scales: None,
            } => Ok(Self { maps }),
            StoredSizes {
                maps: None,
                scales: Some(scales),
            } => Self::from_scales(&scales),
            _ => Err(Error::Malformed(
                "default boxes: expected either `maps` or `scales`".into(),
            )),
        }
    }
}

impl Default for DefaultBoxSizes {
    /// torchvision's for SSD-lite: six maps of six boxes.
    fn default() -> Self {
        Self {
            maps: sizes_from_scales(&SCALES),
        }
    }
}

impl DefaultBoxSizes {
    /// SSD's for a detector with as many maps as it has at most. A map of stride 8
    /// comes before the six of SSD-lite, with half the first one's scale.
    pub fn paper(head: Head, finest: FinestMap) -> Self {
        let finer = match finest {
            FinestMap::Stride8 => Some(SCALES[0] / 2.0),
            FinestMap::Stride16 => None,
        };
        let scales: Vec<f32> = finer.into_iter().chain(SCALES).collect();
        let mut maps = sizes_from_scales(&scales);
        maps.truncate(*head.map_counts(finest).end());
        Self { maps }
    }

    /// Boxes from one scale a map, and one more: a square box of each map's
    /// scale, a square one whose side is the geometric mean of its scale and the
    /// next, and one of its scale for each aspect ratio. Sides end at the
    /// image's.
    ///
    /// # Errors
    /// [`Error::Malformed`] unless all scales lie in 0 (exclusive) to 2.
    fn from_scales(scales: &[f32]) -> Result<Self> {
        for (map, &scale) in scales.iter().enumerate() {
            if !(scale > 0.0 && scale <= 2.0) {
                return Err(Error::Malformed(format!(
                    "default boxes: expected a scale in 0 to 2 for map {map}, found {scale}"
                )));
            }
        }
        Ok(Self {
            maps: sizes_from_scales(scales),
        })
    }

    /// Default boxes at a cell of each map.
    pub fn per_cell(&self) -> Vec<usize> {
        self.maps.iter().map(Vec::len).collect()
    }

    /// Checks the numbers.
    ///
    /// # Errors
    /// [`Error::Malformed`] for a number of maps that no network has, a map
    /// without boxes or a side outside 0 (exclusive) to 1;
    /// [`Error::OverLimit`] for more than 64 boxes at a cell.
    pub fn validate(&self) -> Result<()> {
        if !FEATURE_MAP_COUNTS.contains(&self.maps.len()) {
            return Err(Error::Malformed(format!(
                "default boxes: expected {} to {} maps, found {}",
                FEATURE_MAP_COUNTS.start(),
                FEATURE_MAP_COUNTS.end(),
                self.maps.len()
            )));
        }
        for (map, sizes) in self.maps.iter().enumerate() {
            if sizes.is_empty() {
                return Err(Error::Malformed(format!(
                    "default boxes: expected boxes for map {map}, found none"
                )));
            }
            if sizes.len() > MOST_BOXES_PER_CELL {
                return Err(Error::OverLimit(format!(
                    "default boxes: expected at most {MOST_BOXES_PER_CELL} a cell, found {} for \
                     map {map}",
                    sizes.len()
                )));
            }
            for &BoxSize { width, height } in sizes {
                if [width, height]
                    .iter()
                    .any(|&side| !(side > 0.0 && side <= 1.0))
                {
                    return Err(Error::Malformed(format!(
                        "default boxes: expected sides above 0 and at most 1 for map {map}, \
                         found {width} x {height}"
                    )));
                }
            }
        }
        Ok(())
    }
}

fn sizes_from_scales(scales: &[f32]) -> Vec<Vec<BoxSize>> {
    let clamped = |width: f32, height: f32| BoxSize {
        width: width.min(1.0),
        height: height.min(1.0),
    };
    let of_map = |pair: &[f32]| {
        let (scale, between) = (pair[0], (pair[0] * pair[1]).sqrt());
        let mut sizes = vec![clamped(scale, scale), clamped(between, between)];
        for ratio in ASPECT_RATIOS {
            let root = ratio.sqrt();
            sizes.push(clamped(scale * root, scale / root));
            sizes.push(clamped(scale / root, scale * root));
        }
        sizes
    };
    scales.windows(2).map(of_map).collect()
}

/// All default boxes of a detector at one input size, in the order of its
/// outputs: map by map, row by row, cell by cell.
#[derive(Clone, Debug, PartialEq)]
pub struct DefaultBoxes {
    centers: Vec<CenterBox<Fractions>>,
    corners: Vec<FractionBox>,
}

impl DefaultBoxes {
    /// The default boxes for maps of these sizes, one for each of `sizes`.
    ///
    /// Corners may lie outside the image, as in torchvision.
    pub fn new(sizes: &DefaultBoxSizes, maps: &[MapSize]) -> Self {
        let mut centers = Vec::new();
        for (map, sizes) in maps.iter().zip(&sizes.maps) {
            for row in 0..map.height {
                let cy = (row as f32 + 0.5) / map.height as f32;
                for column in 0..map.width {
                    let cx = (column as f32 + 0.5) / map.width as f32;
                    let at_cell = sizes.iter();
                    centers.extend(at_cell.map(|b| CenterBox::new(cx, cy, b.width, b.height)));
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

    #[test]
    fn order_and_count_follow_the_outputs() {
        let maps = [(3, 5), (2, 3), (1, 2), (1, 1), (1, 1), (1, 1)];
        let maps = maps.map(|(height, width)| MapSize::new(height, width));
        let boxes = DefaultBoxes::new(&DefaultBoxSizes::default(), &maps);
        assert_eq!(boxes.len(), (15 + 6 + 2 + 3) * 6);
        let second_cell = boxes.centers()[6];
        assert_eq!((second_cell.cx, second_cell.cy), (1.5 / 5.0, 0.5 / 3.0));
        let second_row = boxes.centers()[5 * 6];
        assert_eq!((second_row.cx, second_row.cy), (0.5 / 5.0, 1.5 / 3.0));
    }

    #[test]
    fn maps_may_have_different_numbers_of_boxes() {
        let size = |width, height| BoxSize { width, height };
        let sizes = DefaultBoxSizes {
            maps: vec![vec![size(0.1, 0.2)], vec![size(0.5, 0.6), size(0.7, 0.3)]],
        };
        assert!(sizes.validate().is_ok());
        let boxes = DefaultBoxes::new(&sizes, &[MapSize::new(2, 1), MapSize::new(1, 1)]);
        let widths: Vec<f32> = boxes.centers().iter().map(|b| b.w).collect();
        assert_eq!(widths, [0.1, 0.1, 0.5, 0.7]);
    }

    #[test]
    fn shapes_keep_area_and_swap_sides() {
        let sizes = &DefaultBoxSizes::default().maps[0];
        assert_eq!((sizes[0].width, sizes[0].height), (0.2, 0.2));
        assert!((sizes[1].width - 0.07f32.sqrt()).abs() < 1e-7);
        for pair in sizes[2..].chunks_exact(2) {
            let (lying, standing) = (pair[0], pair[1]);
            assert_eq!(
                (lying.width, lying.height),
                (standing.height, standing.width)
            );
            assert!((lying.width * lying.height - 0.04).abs() < 1e-6);
        }
    }

    #[test]
    fn sides_do_not_exceed_the_image() {
        let sizes = DefaultBoxSizes::default();
        assert!(sizes.validate().is_ok());
        assert_eq!(sizes.per_cell(), [6; 6]);
    }

    #[test]
    fn bad_sizes_are_refused() {
        for bad in [0.0, -0.1, 1.5, f32::NAN, f32::INFINITY] {
            let mut sizes = DefaultBoxSizes::default();
            sizes.maps[3][2].height = bad;
            assert!(sizes.validate().is_err(), "{bad}");
        }
        let mut sizes = DefaultBoxSizes::default();
        sizes.maps[5].clear();
        assert!(sizes.validate().is_err());
        for count in [0, 1, 8] {
            let mut sizes = DefaultBoxSizes::default();
            sizes.maps.resize(count, vec![[0.5, 0.5].into()]);
            assert!(sizes.validate().is_err(), "{count} maps");
        }
        let mut sizes = DefaultBoxSizes::default();
        sizes.maps[0].resize(65, [0.5, 0.5].into());
        assert!(matches!(sizes.validate(), Err(Error::OverLimit(_))));
    }

    #[test]
    fn sizes_are_read_in_both_forms() {
        let old = "{\"scales\":[0.2,0.35,0.5,0.65,0.8,0.95,1.0]}";
        let sizes: DefaultBoxSizes = serde_json::from_str(old).unwrap();
        assert_eq!(sizes, DefaultBoxSizes::default());
        let new = serde_json::to_string(&sizes).unwrap();
        assert!(new.starts_with("{\"maps\":[[[0.2,0.2],"), "{new}");
        assert_eq!(
            serde_json::from_str::<DefaultBoxSizes>(&new).unwrap(),
            sizes
        );
        for broken in [
            "{}",
            "{\"scales\":[0.2,0.35,0.5,0.65,0.8,0.95]}",
            "{\"scales\":[0.2,0.35,0.5,0.65,0.8,0.95,-1.0]}",
            "{\"maps\":[],\"scales\":[0.2,0.35,0.5,0.65,0.8,0.95,1.0]}",
            "{\"maps\":[[[0.5]]]}",
        ] {
            assert!(
                serde_json::from_str::<DefaultBoxSizes>(broken).is_err(),
                "{broken}"
            );
        }
    }
}
