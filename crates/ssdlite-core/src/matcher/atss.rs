//! Adaptive training sample selection: arXiv 1912.02424, section 3.2.
//!
//! ```text
//! candidates of an object = in each map, the default boxes at the 9 cells whose
//!                           centres are nearest to the object's
//! least IoU of an object  = mean + deviation of its candidates' IoUs
//! positives               = candidates of at least that IoU whose centre lies in
//!                           the object
//! ```
//!
//! The paper has one box a cell; with several, all boxes at the cell are candidates,
//! as in its authors' code (`k * num_anchors_per_loc`), from which the deviation by
//! `n - 1` is too. Distances are measured in fractions of the image. A box that is
//! positive for several objects takes that of the greatest IoU.

use crate::default_boxes::DefaultBoxes;
use crate::geometry::FractionBox;

use super::Match;
use super::grid::nearest_cells;

/// The cells of each map that an object looks at: the paper's `k`.
const CELLS: usize = 9;

/// Offers every object to its positives.
pub(super) fn offer_positives(
    default_boxes: &DefaultBoxes,
    objects: &[FractionBox],
    matches: &mut [Match],
) {
    let mut candidates: Vec<(usize, f32)> = Vec::new();
    for (index, object) in objects.iter().enumerate() {
        candidates.clear();
        for map in default_boxes.maps() {
            for (row, column) in nearest_cells(map.size, object, CELLS) {
                let first = map.index(row, column);
                candidates.extend((first..first + map.boxes.len()).map(|slot| {
                    let iou = default_boxes.corners()[slot].iou(object);
                    (slot, iou)
                }));
            }
        }
        let least_iou = mean_and_deviation(&candidates);
        for &(slot, iou) in &candidates {
            let center = &default_boxes.centers()[slot];
            let is_inside = object.x1 < center.cx
                && center.cx < object.x2
                && object.y1 < center.cy
                && center.cy < object.y2;
            if is_inside && f64::from(iou) >= least_iou {
                matches[slot].offer(index, iou);
            }
        }
    }
}

/// The sum of mean and deviation.
fn mean_and_deviation(candidates: &[(usize, f32)]) -> f64 {
    let ious = candidates.iter().map(|&(_, iou)| f64::from(iou));
    let count = candidates.len() as f64;
    let mean = ious.clone().sum::<f64>() / count.max(1.0);
    let squares: f64 = ious.map(|iou| (iou - mean).powi(2)).sum();
    mean + (squares / (count - 1.0).max(1.0)).sqrt()
}
