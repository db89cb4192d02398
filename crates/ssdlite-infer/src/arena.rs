//! One buffer for all maps of a network, each placed for the steps during which
//! it is needed.

use std::ops::Range;

use ssdlite_kernels::infer::Block;

/// A map or a vector in the arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot(usize);

/// Sizes and lifetimes, before they are placed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layout {
    wishes: Vec<Wish>,
}

#[derive(Clone, Debug)]
struct Wish {
    len: usize,
    first_step: usize,
    last_step: usize,
}

impl Layout {
    /// A slot of `len` blocks that step `step` is the first to use.
    pub(crate) fn slot(&mut self, len: usize, step: usize) -> Slot {
        self.wishes.push(Wish {
            // Empty ranges inside of others would count as overlaps.
            len: len.max(1),
            first_step: step,
            last_step: step,
        });
        Slot(self.wishes.len() - 1)
    }

    /// Step `step` uses the slot, too.
    pub(crate) fn used(&mut self, slot: Slot, step: usize) {
        let wish = &mut self.wishes[slot.0];
        wish.last_step = wish.last_step.max(step);
    }

    /// Places all slots: the largest first, each at the lowest place where no
    /// slot of a common step is.
    pub(crate) fn placed(&self) -> Places {
        let mut order: Vec<usize> = (0..self.wishes.len()).collect();
        order.sort_by_key(|&index| std::cmp::Reverse(self.wishes[index].len));
        let mut ranges = vec![0..0; self.wishes.len()];
        let mut done: Vec<usize> = Vec::new();
        let mut len = 0;
        for index in order {
            let wish = &self.wishes[index];
            let mut taken: Vec<Range<usize>> = done
                .iter()
                .filter(|&&other| wish.overlaps(&self.wishes[other]))
                .map(|&other| ranges[other].clone())
                .collect();
            taken.sort_by_key(|range| range.start);
            let mut start = 0;
            for range in taken {
                if start + wish.len <= range.start {
                    break;
                }
                start = start.max(range.end);
            }
            ranges[index] = start..start + wish.len;
            len = len.max(start + wish.len);
            done.push(index);
        }
        Places { ranges, len }
    }
}

impl Wish {
    fn overlaps(&self, other: &Self) -> bool {
        self.first_step <= other.last_step && other.first_step <= self.last_step
    }
}

/// Where each slot lies.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    ranges: Vec<Range<usize>>,
    len: usize,
}

impl Places {
    /// Buffer for the slots.
    pub(crate) fn arena(&self) -> Vec<Block> {
        vec![Block::ZERO; self.len]
    }

    /// Slots of one step.
    ///
    /// # Panics
    /// If two of them have no step in common, which building a plan rules out.
    pub(crate) fn slots<'a, const N: usize>(
        &self,
        arena: &'a mut [Block],
        slots: [Slot; N],
    ) -> [&'a mut [Block]; N] {
        let ranges = slots.map(|slot| self.ranges[slot.0].clone());
        arena
            .get_disjoint_mut(ranges)
            .expect("slots of one step lie apart")
    }

    /// Slots of one step, each empty where there is none.
    ///
    /// # Panics
    /// As [`Self::slots`].
    pub(crate) fn some_slots<'a, const N: usize>(
        &self,
        arena: &'a mut [Block],
        slots: [Option<Slot>; N],
    ) -> [&'a mut [Block]; N] {
        // An empty range at the end overlaps nothing.
        let end = self.len..self.len;
        let ranges = slots.map(|slot| slot.map_or(end.clone(), |slot| self.ranges[slot.0].clone()));
        arena
            .get_disjoint_mut(ranges)
            .expect("slots of one step lie apart")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_that_live_together_lie_apart() {
        let mut layout = Layout::default();
        let mut state = 1_u64;
        let mut next = |bound: u64| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1);
            ((state >> 33) % bound) as usize
        };
        let slots: Vec<Slot> = (0..60)
            .map(|_| {
                let step = next(30);
                let slot = layout.slot(next(50), step);
                layout.used(slot, step + next(6));
                slot
            })
            .collect();
        let places = layout.placed();
        let total: usize = layout.wishes.iter().map(|wish| wish.len).sum();
        assert!(places.len < total);
        for a in &slots {
            assert!(places.ranges[a.0].end <= places.len);
            for b in &slots {
                let together = layout.wishes[a.0].overlaps(&layout.wishes[b.0]);
                let (a, b) = (&places.ranges[a.0], &places.ranges[b.0]);
                let apart = a.end <= b.start || b.end <= a.start || a == b;
                assert!(!together || apart);
            }
        }
    }
}
