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

/// The scale of the boxes of a map of stride 8: SSD's for conv4_3, arXiv
/// 1512.02325, section 3.1.
const FINER_SCALE: f64 = 0.1;

/// The scales of the first and of the last map from stride 16 up: torchvision's for
/// SSD-lite.
const SCALE_RANGE: [f64; 2] = [0.2, 0.95];

/// Two square boxes, and one for each aspect ratio lying and standing.
const MOST_PAPER_BOXES: usize = 2 + 2 * ASPECT_RATIOS.len();

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

impl BoxSize {
    /// The IoU of two boxes of these sizes with one centre.
    pub fn iou(self, other: Self) -> f32 {
        let shared = self.width.min(other.width) * self.height.min(other.height);
        let both = self.width * self.height + other.width * other.height;
        shared / (both - shared)
    }
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
    /// SSD's for a detector with as many maps as it has at most, six at each cell:
    /// [`Self::paper_per_cell`].
    pub fn paper(head: Head, finest: FinestMap) -> Self {
        let maps = *head.map_counts(finest).end();
        Self::paper_per_cell(&vec![MOST_PAPER_BOXES; maps], finest)
    }

    /// SSD's for maps with so many boxes at a cell, the largest map first.
    ///
    /// Of `m` maps from stride 16 up, map `k` from 0 has the scale
    /// `0.2 + (0.95 - 0.2) k / (m - 1)`, by SSD's formula (4) with torchvision's
    /// numbers; one of stride 8 before them has 0.1, as SSD's conv4_3. The last map's
    /// scale is followed by 1. A cell of `n` boxes has a square one of the scale `s`;
    /// `(n - 1) / 2` of the aspect ratios 2 and 3, each also on its side; and, if `n` is
    /// even, a square one of the geometric mean of `s` and the next scale. Six boxes on
    /// six maps are those of [`Self::default`].
    ///
    /// # Panics
    /// If there is no map, or one is to have no box or more than six.
    pub fn paper_per_cell(per_cell: &[usize], finest: FinestMap) -> Self {
        let finer = match finest {
            FinestMap::Stride8 => Some(FINER_SCALE),
            FinestMap::Stride16 => None,
        };
        let coarse = per_cell.len() - finer.iter().len();
        let [first, last] = SCALE_RANGE;
        let step = (last - first) / coarse.saturating_sub(1).max(1) as f64;
        let coarse = (0..coarse).map(|map| first + step * map as f64);
        let scales = finer.into_iter().chain(coarse).chain([1.0]);
        let scales: Vec<f32> = scales.map(|scale| scale as f32).collect();
        let maps = scales.windows(2).zip(per_cell);
        Self {
            maps: maps
                .map(|(pair, &count)| sizes_of_map(pair, count))
                .collect(),
        }
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
    let pairs = scales.windows(2);
    pairs
        .map(|pair| sizes_of_map(pair, MOST_PAPER_BOXES))
        .collect()
}

/// The first `count` boxes of a map of the scale `pair[0]` before one of `pair[1]`.
fn sizes_of_map(pair: &[f32], count: usize) -> Vec<BoxSize> {
    assert!((1..=MOST_PAPER_BOXES).contains(&count), "{count}");
    let clamped = |width: f32, height: f32| BoxSize {
        width: width.min(1.0),
        height: height.min(1.0),
    };
    let (scale, between) = (pair[0], (pair[0] * pair[1]).sqrt());
    let mut sizes = vec![clamped(scale, scale)];
    if count.is_multiple_of(2) {
        sizes.push(clamped(between, between));
    }
    for ratio in &ASPECT_RATIOS[..(count - 1) / 2] {
        let root = ratio.sqrt();
        sizes.push(clamped(scale * root, scale / root));
        sizes.push(clamped(scale / root, scale * root));
    }
    sizes
}

/// All default boxes of a detector at one input size, in the order of its
/// outputs: map by map, row by row, cell by cell.
#[derive(Clone, Debug, PartialEq)]
pub struct DefaultBoxes {
    centers: Vec<CenterBox<Fractions>>,
    corners: Vec<FractionBox>,
    maps: Vec<BoxMap>,
}

/// The default boxes of one feature map.
#[derive(Clone, Debug, PartialEq)]
pub struct BoxMap {
    /// The index of the first of them.
    pub first: usize,
    /// The map's cells.
    pub size: MapSize,
    /// The boxes at each cell.
    pub boxes: Vec<BoxSize>,
}

impl BoxMap {
    /// The index of the first box at a cell.
    pub fn index(&self, row: usize, column: usize) -> usize {
        self.first + (row * self.size.width + column) * self.boxes.len()
    }
}

impl DefaultBoxes {
    /// The default boxes for maps of these sizes, one for each of `sizes`.
    ///
    /// Corners may lie outside the image, as in torchvision.
    pub fn new(sizes: &DefaultBoxSizes, maps: &[MapSize]) -> Self {
        let mut centers = Vec::new();
        let mut grids = Vec::new();
        for (map, sizes) in maps.iter().zip(&sizes.maps) {
            grids.push(BoxMap {
                first: centers.len(),
                size: *map,
                boxes: sizes.clone(),
            });
            for row in 0..map.height {
                for column in 0..map.width {
                    let sizes = sizes.iter();
                    centers.extend(sizes.map(|&size| at_cell(*map, row, column, size)));
                }
            }
        }
        let corners = centers.iter().map(|b| b.to_corners()).collect();
        Self {
            centers,
            corners,
            maps: grids,
        }
    }

    /// The greatest IoU that a box has with `object`; 0 if it touches none.
    ///
    /// Of boxes of one size on one map none overlaps an object more than the one of
    /// the cell that its centre is in: along each axis, what two boxes share falls with
    /// the distance of their centres, and their IoU rises with what they share.
    pub fn best_iou(&self, object: &FractionBox) -> f32 {
        let on_maps = (self.maps.iter()).map(|map| best_iou_on_map(map.size, &map.boxes, object));
        on_maps.fold(0.0, f32::max)
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

    /// The boxes by the map that they belong to.
    pub fn maps(&self) -> &[BoxMap] {
        &self.maps
    }
}

/// The greatest IoU that a default box of these sizes on one map has with `object`; see
/// [`DefaultBoxes::best_iou`].
pub fn best_iou_on_map(map: MapSize, sizes: &[BoxSize], object: &FractionBox) -> f32 {
    let (x, y) = object.center();
    // What lies outside of the map, or is no number, is at its edge.
    let cell = |at: f32, cells: usize| ((at * cells as f32) as usize).min(cells.max(1) - 1);
    let (column, row) = (cell(x, map.width), cell(y, map.height));
    let at_cell = sizes.iter().map(|&size| {
        let default = at_cell(map, row, column, size);
        default.to_corners().iou(object)
    });
    at_cell.fold(0.0, f32::max)
}

/// The default box of this size at a cell of a map.
fn at_cell(map: MapSize, row: usize, column: usize, size: BoxSize) -> CenterBox<Fractions> {
    let cx = (column as f32 + 0.5) / map.width as f32;
    let cy = (row as f32 + 0.5) / map.height as f32;
    CenterBox::new(cx, cy, size.width, size.height)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Rng;

    #[test]
    fn the_papers_boxes_for_six_maps_are_the_default() {
        let paper = DefaultBoxSizes::paper_per_cell(&[6; 6], FinestMap::Stride16);
        assert_eq!(paper, DefaultBoxSizes::default());
    }

    #[test]
    fn a_finer_map_goes_before_the_papers_and_changes_none() {
        let without = DefaultBoxSizes::paper_per_cell(&[6; 6], FinestMap::Stride16);
        let with = DefaultBoxSizes::paper_per_cell(&[3, 6, 6, 6, 6, 6, 6], FinestMap::Stride8);
        assert_eq!(with.maps[1..], without.maps);
        let [square, lying, standing] = with.maps[0][..] else {
            panic!("{:?}", with.maps[0]);
        };
        assert_eq!((square.width, square.height), (0.1, 0.1));
        assert_eq!(
            (lying.width, lying.height),
            (standing.height, standing.width)
        );
        for count in 1..=6 {
            let few = DefaultBoxSizes::paper_per_cell(&[count; 4], FinestMap::Stride8);
            assert_eq!(few.per_cell(), [count; 4]);
            assert_eq!(few.maps[0][0].width, 0.1);
            assert_eq!(few.maps[3][0].width, 0.95);
            assert!(few.validate().is_ok());
        }
    }

    #[test]
    fn the_best_iou_is_that_of_all_boxes() {
        let maps = [(7, 5), (3, 2), (1, 1)].map(|(height, width)| MapSize::new(height, width));
        let boxes = DefaultBoxes::new(
            &DefaultBoxSizes::paper_per_cell(&[4, 6, 1], FinestMap::Stride8),
            &maps,
        );
        let mut rng = Rng::from_keys(&[11]);
        for _ in 0..2000 {
            let (x, y) = (rng.uniform(-0.1..1.0), rng.uniform(-0.1..1.0));
            let (w, h) = (rng.uniform(0.0..0.9), rng.uniform(0.0..0.9));
            let object = FractionBox::new(x, y, x + w, y + h);
            let all = boxes.corners().iter().map(|default| default.iou(&object));
            let best = all.fold(0.0, f32::max);
            assert!((boxes.best_iou(&object) - best).abs() < 1e-6, "{object:?}");
        }
        let nowhere = FractionBox::new(f32::NAN, 0.0, 1.0, 1.0);
        assert!(boxes.best_iou(&nowhere) <= 1.0);
        assert_eq!(boxes.best_iou(&FractionBox::new(5.0, 5.0, 6.0, 6.0)), 0.0);
    }

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
