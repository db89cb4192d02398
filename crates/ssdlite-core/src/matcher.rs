//! Which object each default box learns to find.

mod atss;
mod best;
mod grid;

use serde::{Deserialize, Serialize};

use crate::default_boxes::DefaultBoxes;
use crate::geometry::FractionBox;

/// Least IoU of a default box with the object it learns to find.
pub const MATCH_IOU: f32 = 0.5;

/// How objects are assigned to default boxes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Assignment {
    /// By an IoU of at least [`MATCH_IOU`]: SSD, arXiv 1512.02325, section 2.2,
    /// "Matching strategy".
    #[default]
    Iou,
    /// By the statistics of the IoUs near each object: ATSS, arXiv 1912.02424,
    /// section 3.2.
    Atss,
}

impl Assignment {
    /// For every default box the index of its object, or none for background.
    ///
    /// By IoU, a default box takes the object that it overlaps most, if that is
    /// enough. By ATSS, an object takes, of the default boxes at the 9 nearest cells
    /// of each map, those of at least the mean and one deviation of their IoUs whose
    /// centre lies in it. Of two objects the greater IoU wins.
    ///
    /// Then every object also gets the default box that overlaps it most, whatever
    /// their IoU. Where two objects want the same one, the greater IoU wins and the
    /// other object takes its next best that is free: the original code of SSD does
    /// so too, while torchvision lets one object go without. So every object has a
    /// box as long as there is a free one that it overlaps. An object that touches no
    /// default box gets none. Among equal IoUs the lower index wins. Where there are
    /// more different boxes of objects than default boxes, those with the smallest
    /// best IoU don't take part in this.
    pub fn assign(self, default_boxes: &DefaultBoxes, objects: &[FractionBox]) -> Vec<Option<u32>> {
        let mut matches = vec![Match::default(); default_boxes.len()];
        match self {
            Self::Iou => offer_above(default_boxes, objects, MATCH_IOU, &mut matches),
            Self::Atss => atss::offer_positives(default_boxes, objects, &mut matches),
        }
        let mut matches: Vec<_> = matches.into_iter().map(|found| found.object).collect();
        best::give_each_object_its_best(default_boxes, objects, &mut matches);
        matches
    }
}

/// The object of a default box so far.
#[derive(Clone, Copy, Default)]
struct Match {
    object: Option<u32>,
    iou: f32,
}

impl Match {
    /// Takes an object that it overlaps more than the one it has.
    fn offer(&mut self, object: usize, iou: f32) {
        if iou > self.iou {
            self.iou = iou;
            self.object = u32::try_from(object).ok();
        }
    }
}

/// Offers every object to the default boxes that it overlaps by `least_iou`.
fn offer_above(
    default_boxes: &DefaultBoxes,
    objects: &[FractionBox],
    least_iou: f32,
    matches: &mut [Match],
) {
    for (index, object) in objects.iter().enumerate() {
        for size in grid::sizes(default_boxes, object, least_iou) {
            for slot in size.overlapping(object, least_iou) {
                let iou = default_boxes.corners()[slot].iou(object);
                if iou >= least_iou {
                    matches[slot].offer(index, iou);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
