//! A default box for every object, the greatest IoU first.
//!
//! By definition all pairs of an object and a default box that overlap are gone
//! through by falling IoU, and a pair is made where neither has a partner yet. Of
//! equal IoUs the lower object, then the lower box comes first. No list of all pairs
//! is made: each object knows its next few boxes, and stands in a heap by the best
//! of them.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};

use crate::default_boxes::DefaultBoxes;
use crate::geometry::FractionBox;

use super::grid::sizes;

/// How many times as many boxes an object asks for, when those that it knew are
/// taken.
const GROWTH: usize = 8;

/// A default box that an object would have.
#[derive(Clone, Copy)]
struct Wish {
    iou: f32,
    slot: usize,
}

/// Objects with the same box, which want the same.
struct Group {
    bbox: FractionBox,
    /// Their indices, the lowest last.
    members: Vec<usize>,
    /// The default boxes that they want next, the best last.
    wishes: Vec<Wish>,
    /// The most wishes that were asked for at once.
    asked: usize,
    /// Whether no box is left beyond the wishes.
    is_exhausted: bool,
}

impl Group {
    fn new(default_boxes: &DefaultBoxes, bbox: FractionBox) -> Self {
        let wishes = best_free(default_boxes, &bbox, 1, &[]);
        Self {
            bbox,
            members: Vec::new(),
            is_exhausted: wishes.is_empty(),
            wishes,
            asked: 1,
        }
    }

    /// The best box that is free, which stays the last of the wishes.
    fn wish(&mut self, default_boxes: &DefaultBoxes, taken: &[bool]) -> Option<Wish> {
        loop {
            while let Some(&wish) = self.wishes.last() {
                if !taken[wish.slot] {
                    return Some(wish);
                }
                self.wishes.pop();
            }
            if self.is_exhausted {
                return None;
            }
            self.asked *= GROWTH;
            self.wishes = best_free(default_boxes, &self.bbox, self.asked, taken);
            self.is_exhausted = self.wishes.len() < self.asked;
        }
    }
}

/// The wish of a group's lowest member, ordered as pairs are gone through.
struct Entry {
    wish: Wish,
    object: usize,
    group: usize,
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_iou = self.wish.iou.total_cmp(&other.wish.iou);
        by_iou.then(other.object.cmp(&self.object))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Entry {}

/// Gives each object the best default box that no better pair has.
///
/// Where there are more different boxes of objects than default boxes, only as many
/// take part as there are default boxes, those with the greatest IoU: the others
/// would find hardly any left.
pub(super) fn give_each_object_its_best(
    default_boxes: &DefaultBoxes,
    objects: &[FractionBox],
    matches: &mut [Option<u32>],
) {
    let mut groups = groups(default_boxes, objects);
    let best = |group: &Group| group.wishes.last().map_or(0.0, |wish| wish.iou);
    if groups.len() > matches.len() {
        groups.sort_by(|a, b| best(b).total_cmp(&best(a)));
        groups.truncate(matches.len());
    }
    let mut taken = vec![false; matches.len()];
    let mut free = matches.len();
    let mut heap: BinaryHeap<Entry> = BinaryHeap::with_capacity(groups.len());
    let entry = |groups: &mut [Group], index: usize, taken: &[bool]| {
        let group = &mut groups[index];
        let &object = group.members.last()?;
        let wish = group.wish(default_boxes, taken)?;
        Some(Entry {
            wish,
            object,
            group: index,
        })
    };
    heap.extend((0..groups.len()).filter_map(|index| entry(&mut groups, index, &taken)));
    while let Some(Entry {
        wish,
        object,
        group,
    }) = heap.pop()
    {
        if !taken[wish.slot] {
            taken[wish.slot] = true;
            matches[wish.slot] = u32::try_from(object).ok();
            groups[group].members.pop();
            free -= 1;
            if free == 0 {
                return;
            }
        }
        heap.extend(entry(&mut groups, group, &taken));
    }
}

/// The objects by their boxes.
fn groups(default_boxes: &DefaultBoxes, objects: &[FractionBox]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut by_box: HashMap<[u32; 4], usize> = HashMap::with_capacity(objects.len());
    for (object, bbox) in objects.iter().enumerate().rev() {
        let group = *by_box
            .entry(bbox.to_array().map(f32::to_bits))
            .or_insert_with(|| {
                groups.push(Group::new(default_boxes, *bbox));
                groups.len() - 1
            });
        groups[group].members.push(object);
    }
    groups
}

/// The `count` default boxes that overlap an object most and are not taken, the best
/// last; of equal IoUs the lower index is better. `taken` may be empty if none is.
fn best_free(
    default_boxes: &DefaultBoxes,
    object: &FractionBox,
    count: usize,
    taken: &[bool],
) -> Vec<Wish> {
    let mut sizes: Vec<_> = sizes(default_boxes, object, 0.0).collect();
    sizes.sort_by(|a, b| b.most_iou.total_cmp(&a.most_iou));
    let order = |a: &Wish, b: &Wish| b.iou.total_cmp(&a.iou).then(a.slot.cmp(&b.slot));
    let mut wishes: Vec<Wish> = Vec::new();
    let mut least_iou = 0.0;
    for size in &sizes {
        if size.most_iou < least_iou {
            break;
        }
        for slot in size.overlapping(object, least_iou) {
            let iou = default_boxes.corners()[slot].iou(object);
            if iou > 0.0 && iou >= least_iou && !taken.get(slot).is_some_and(|&taken| taken) {
                wishes.push(Wish { iou, slot });
                if wishes.len() >= count.saturating_mul(2) {
                    wishes.select_nth_unstable_by(count - 1, order);
                    wishes.truncate(count);
                    least_iou = wishes[count - 1].iou;
                }
            }
        }
    }
    wishes.sort_unstable_by(order);
    wishes.truncate(count);
    wishes.reverse();
    wishes
}
