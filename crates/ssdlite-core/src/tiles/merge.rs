//! What the passes over an image find together: each object once, and whole where any
//! pass sees it whole.

use super::Tile;
use crate::detection::Detection;
use crate::geometry::{ImageSize, PixelBox};
use crate::post_processing::{PostProcessing, Suppression};

/// A box this near to an edge of its tile, as a share of the tile's side, ends there
/// because the tile does.
const EDGE_MARGIN: f32 = 0.02;

/// The share of a cut box that a box must cover to show the same object.
const COVERED_SHARE: f32 = 0.7;

/// A box longer than this share of its tile's side is left to the whole image.
const LARGE_SHARE: f32 = 0.5;

/// The share of a box's score that another must have to take its place by being whole.
const RIVAL_SHARE: f32 = 0.25;

/// What was found in a part of an image, or in all of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Pass {
    /// The part.
    pub tile: Tile,
    /// What was found in it, in pixels of the image, best first.
    pub detections: Vec<Detection>,
}

/// The objects that several passes over an image found, best first.
///
/// Of boxes of a class and of different passes, those remain that are left by:
///
/// - A box that ends at an edge of its tile inside the image goes where another covers
///   it and goes on beyond that edge.
/// - A box longer than half its tile goes where the pass over the whole image has one
///   that overlaps it.
/// - A box goes where one of a higher score overlaps it: suppression, with the IoU of
///   `settings`. Soft suppression lowers the scores of rivals; the same object
///   seen twice is none, so that the usual IoU decides here.
///
/// The boxes of one pass don't compete again. The order of the passes changes nothing.
pub fn merge_passes(
    mut passes: Vec<Pass>,
    image: ImageSize,
    settings: &PostProcessing,
) -> Vec<Detection> {
    if passes.len() == 1 {
        return passes.pop().map_or_else(Vec::new, |pass| pass.detections);
    }
    let max_iou = match settings.suppression {
        Suppression::Hard { max_iou } => max_iou,
        Suppression::Soft { .. } => PostProcessing::USUAL_MAX_IOU,
    };
    let mut found: Vec<Seen> = (passes.iter().enumerate())
        .flat_map(|(index, pass)| {
            let seen = move |found| Seen::new(found, index, pass.tile, image);
            pass.detections.iter().copied().map(seen)
        })
        .collect();
    found.sort_by(Seen::compare);
    let mut kept: Vec<&Seen> = Vec::new();
    for seen in &found {
        if kept.len() == settings.max_detections {
            break;
        }
        let is_new = kept
            .iter()
            .all(|other| !other.is_rival_of(seen) || other.bbox().iou(seen.bbox()) <= max_iou);
        let gives_way = || found.iter().any(|other| seen.gives_way_to(other, max_iou));
        if is_new && !(seen.may_give_way() && gives_way()) {
            kept.push(seen);
        }
    }
    kept.into_iter().map(|seen| seen.found).collect()
}

/// A detection with what its pass says of it.
struct Seen {
    found: Detection,
    /// The number of its pass.
    pass: usize,
    /// Whether its pass is over the whole image.
    is_of_whole: bool,
    /// The lines at which its tile cuts it.
    cuts: Cuts,
    /// Whether it is longer than [`LARGE_SHARE`] of its tile.
    is_large: bool,
}

/// Coordinates of a tile's edges beyond which a box may go on.
#[derive(Default)]
struct Cuts {
    left: Option<f32>,
    top: Option<f32>,
    right: Option<f32>,
    bottom: Option<f32>,
}

impl Cuts {
    fn any(&self) -> bool {
        [self.left, self.top, self.right, self.bottom]
            .iter()
            .any(Option::is_some)
    }

    /// Whether a box goes on beyond one of them.
    fn are_exceeded_by(&self, bbox: &PixelBox) -> bool {
        self.left.is_some_and(|edge| bbox.x1 < edge)
            || self.top.is_some_and(|edge| bbox.y1 < edge)
            || self.right.is_some_and(|edge| bbox.x2 > edge)
            || self.bottom.is_some_and(|edge| bbox.y2 > edge)
    }
}

impl Seen {
    fn new(found: Detection, pass: usize, tile: Tile, image: ImageSize) -> Self {
        let (area, whole, bbox) = (tile.to_box(), Tile::whole(image).to_box(), found.bbox);
        let (x_margin, y_margin) = (EDGE_MARGIN * area.width(), EDGE_MARGIN * area.height());
        let cut = |edge: f32, of_image: f32, side: f32, margin: f32| {
            (edge != of_image && (side - edge).abs() <= margin).then_some(edge)
        };
        Self {
            found,
            pass,
            is_of_whole: area == whole,
            cuts: Cuts {
                left: cut(area.x1, whole.x1, bbox.x1, x_margin),
                top: cut(area.y1, whole.y1, bbox.y1, y_margin),
                right: cut(area.x2, whole.x2, bbox.x2, x_margin),
                bottom: cut(area.y2, whole.y2, bbox.y2, y_margin),
            },
            is_large: bbox.width() > LARGE_SHARE * area.width()
                || bbox.height() > LARGE_SHARE * area.height(),
        }
    }

    fn bbox(&self) -> &PixelBox {
        &self.found.bbox
    }

    /// Best first; what is equal by all that is told of it may stand either way.
    fn compare(&self, other: &Self) -> std::cmp::Ordering {
        let (a, b) = (&self.found, &other.found);
        let corners = || a.bbox.to_array().into_iter().zip(b.bbox.to_array());
        (b.score.total_cmp(&a.score))
            .then(a.class.0.cmp(&b.class.0))
            .then_with(|| {
                let mut orders = corners().map(|(a, b)| a.total_cmp(&b));
                let first = orders.find(|order| order.is_ne());
                first.unwrap_or(std::cmp::Ordering::Equal)
            })
    }

    /// Whether both may be the same object, seen by different passes.
    fn is_rival_of(&self, other: &Self) -> bool {
        self.pass != other.pass && self.found.class == other.found.class
    }

    /// Whether there is any reason for which another may take its place.
    fn may_give_way(&self) -> bool {
        self.cuts.any() || (self.is_large && !self.is_of_whole)
    }

    /// Whether another shows the same object better, though its score may be lower.
    fn gives_way_to(&self, other: &Self, max_iou: f32) -> bool {
        if !self.is_rival_of(other) || other.found.score < RIVAL_SHARE * self.found.score {
            return false;
        }
        self.is_half_of(other)
            || (self.is_large && other.is_of_whole && self.bbox().iou(other.bbox()) > max_iou)
    }

    /// Whether another covers this box and goes on where the tile cuts it. Of two that
    /// are both cut, the larger goes on.
    fn is_half_of(&self, other: &Self) -> bool {
        let (bbox, others) = (self.bbox(), other.bbox());
        self.cuts.are_exceeded_by(others)
            && bbox.intersection(others) > COVERED_SHARE * bbox.area()
            && (!other.cuts.any() || others.area() > bbox.area())
    }
}

#[cfg(test)]
mod tests;
