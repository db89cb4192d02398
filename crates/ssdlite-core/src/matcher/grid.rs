//! The default boxes that may overlap an object, without looking at the others.

use std::ops::Range;

use crate::default_boxes::{BoxMap, BoxSize, DefaultBoxes};
use crate::geometry::FractionBox;
use crate::unit::MapSize;

/// Parts of a cell by which windows are wider than by the formula, and the part of
/// an IoU by which bounds are lower: more than rounding takes.
const ROUNDING: f32 = 1e-2;

/// The default boxes of one size in one map.
pub(super) struct Size<'a> {
    map: &'a BoxMap,
    /// The place of the size in its cells.
    place: usize,
    /// No box of the size has a greater IoU with the object.
    pub(super) most_iou: f32,
}

impl Size<'_> {
    /// The indices of all boxes that may have an IoU above 0 and of at least
    /// `least_iou` with the object.
    ///
    /// From `I >= t (A + B - I)` follows `I >= t max(A, B)` for the intersection, so
    /// that a side of it has at least `t max(A, B)` over the other side's most; and
    /// it has half of both boxes' sides less the distance of the centres.
    pub(super) fn overlapping(
        &self,
        object: &FractionBox,
        least_iou: f32,
    ) -> impl Iterator<Item = usize> + use<'_> {
        let BoxSize { width, height } = self.map.boxes[self.place];
        let area = least_iou * (1.0 - ROUNDING) * (width * height).max(object.area());
        let (columns, rows) = (self.map.size.width, self.map.size.height);
        let (cx, cy) = object.center();
        let (reach_x, reach_y) = (
            (width + object.width()) / 2.0 - area / height.min(object.height()),
            (height + object.height()) / 2.0 - area / width.min(object.width()),
        );
        let columns = cells_within(cx - reach_x, cx + reach_x, columns);
        let rows = cells_within(cy - reach_y, cy + reach_y, rows);
        rows.flat_map(move |row| {
            let columns = columns.clone();
            columns.map(move |column| self.map.index(row, column) + self.place)
        })
    }
}

/// The cells of a line of `count` whose centres lie from `first` to `last`, in
/// fractions of the line.
fn cells_within(first: f32, last: f32, count: usize) -> Range<usize> {
    let place = |fraction: f32| fraction * count as f32 - 0.5;
    let start = (place(first) - ROUNDING).ceil().max(0.0) as usize;
    let end = (place(last) + ROUNDING).floor() + 1.0;
    start..(end.max(0.0) as usize).min(count)
}

/// All sizes of default boxes that may have an IoU of at least `least_iou` with the
/// object.
pub(super) fn sizes<'a>(
    default_boxes: &'a DefaultBoxes,
    object: &FractionBox,
    least_iou: f32,
) -> impl Iterator<Item = Size<'a>> + use<'a> {
    let (width, height) = (object.width(), object.height());
    let of_map = move |map: &'a BoxMap| {
        let sizes = map.boxes.iter().enumerate();
        sizes.map(move |(place, size)| {
            let common = size.width.min(width) * size.height.min(height);
            let union = size.width * size.height + width * height - common;
            let most_iou = common / union * (1.0 + ROUNDING);
            Size {
                map,
                place,
                most_iou,
            }
        })
    };
    let all = default_boxes.maps().iter().flat_map(of_map);
    all.filter(move |size| size.most_iou >= least_iou)
}

/// The `count` cells of a map whose centres are nearest to the object's, each as
/// row and column; of equally near ones those that come first.
pub(super) fn nearest_cells(
    size: MapSize,
    object: &FractionBox,
    count: usize,
) -> Vec<(usize, usize)> {
    let (cx, cy) = object.center();
    let near = |center: f32, cells: usize| {
        let own = ((center * cells as f32).max(0.0) as usize).min(cells.saturating_sub(1));
        (own, own.saturating_sub(count)..(own + count + 1).min(cells))
    };
    let (own_row, rows) = near(cy, size.height);
    let (own_column, columns) = near(cx, size.width);
    let mut cells = Vec::new();
    for row in rows {
        for column in columns.clone() {
            // That many cells between it and the object's own are nearer.
            if row.abs_diff(own_row) * column.abs_diff(own_column) >= count {
                continue;
            }
            let dx = (column as f32 + 0.5) / size.width as f32 - cx;
            let dy = (row as f32 + 0.5) / size.height as f32 - cy;
            cells.push((dx * dx + dy * dy, row, column));
        }
    }
    let order = |a: &(f32, usize, usize), b: &(f32, usize, usize)| {
        a.0.total_cmp(&b.0).then((a.1, a.2).cmp(&(b.1, b.2)))
    };
    if cells.len() > count {
        cells.select_nth_unstable_by(count, order);
        cells.truncate(count);
    }
    cells
        .into_iter()
        .map(|(_, row, column)| (row, column))
        .collect()
}
