//! One buffer for all that a plan's steps hand on: each tensor has a place for
//! the steps during which it is needed.
//!
//! Steps are numbers that rise in the order in which they run; a training
//! step's backward pass counts on from its forward pass. First a [`Layout`]
//! gathers what is needed when, then [`Layout::placed`] decides where, once;
//! what [`Places::slots`] hands out are parts of a buffer of
//! [`Places::len`] elements of any type.

use std::ops::Range;

/// A tensor in the arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(usize);

/// Lengths and lifetimes, before they are placed.
#[derive(Clone, Debug)]
pub struct Layout {
    alignment: usize,
    requests: Vec<Request>,
}

/// How much room is needed, and from which step to which.
#[derive(Clone, Debug)]
struct Request {
    len: usize,
    /// Elements that are set aside: `len`, or at least one, rounded up.
    reserved: usize,
    first_step: usize,
    last_step: usize,
}

impl Layout {
    /// A layout whose slots begin at multiples of `alignment` elements:
    /// [`Buffer::LINE`](crate::Buffer::LINE) for numbers in a
    /// [`Buffer`](crate::Buffer), 1 for elements that need none.
    ///
    /// # Panics
    /// If `alignment` is 0.
    pub fn new(alignment: usize) -> Self {
        assert!(alignment > 0, "expected an alignment of at least 1 element");
        Self {
            alignment,
            requests: Vec::new(),
        }
    }

    /// A slot of `len` elements that step `step` is the first to use.
    ///
    /// # Panics
    /// If that many can't be counted.
    pub fn slot(&mut self, len: usize, step: usize) -> Slot {
        // Empty ranges inside of others would count as overlaps.
        let reserved = len.max(1).checked_next_multiple_of(self.alignment);
        self.requests.push(Request {
            len,
            reserved: reserved.expect("a slot that can be counted"),
            first_step: step,
            last_step: step,
        });
        Slot(self.requests.len() - 1)
    }

    /// Step `step` uses the slot, too.
    pub fn used(&mut self, slot: Slot, step: usize) {
        let request = &mut self.requests[slot.0];
        request.last_step = request.last_step.max(step);
    }

    /// Places all slots: the largest first, each at the lowest place where no
    /// slot of a common step is.
    pub fn placed(&self) -> Places {
        let mut order: Vec<usize> = (0..self.requests.len()).collect();
        order.sort_by_key(|&index| std::cmp::Reverse(self.requests[index].reserved));
        let mut starts = vec![0; self.requests.len()];
        let mut done: Vec<usize> = Vec::new();
        let mut len = 0;
        for index in order {
            let request = &self.requests[index];
            let mut taken: Vec<Range<usize>> = done
                .iter()
                .filter(|&&other| request.overlaps(&self.requests[other]))
                .map(|&other| starts[other]..starts[other] + self.requests[other].reserved)
                .collect();
            taken.sort_by_key(|range| range.start);
            let mut start = 0;
            for range in taken {
                if start + request.reserved <= range.start {
                    break;
                }
                start = start.max(range.end);
            }
            starts[index] = start;
            len = len.max(start + request.reserved);
            done.push(index);
        }
        let ranges = starts.iter().zip(&self.requests);
        Places {
            ranges: ranges
                .map(|(&start, request)| start..start + request.len)
                .collect(),
            len,
        }
    }
}

impl Request {
    fn overlaps(&self, other: &Self) -> bool {
        self.first_step <= other.last_step && other.first_step <= self.last_step
    }
}

/// Where each slot lies.
#[derive(Clone, Debug)]
pub struct Places {
    ranges: Vec<Range<usize>>,
    len: usize,
}

impl Places {
    /// Elements of a buffer that holds the slots.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no slot.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Slots of one step.
    ///
    /// # Panics
    /// If two of them are the same or have no step in common, which building a
    /// plan rules out, or if the arena is shorter than [`Self::len`].
    pub fn slots<'a, T, const N: usize>(
        &self,
        arena: &'a mut [T],
        slots: [Slot; N],
    ) -> [&'a mut [T]; N] {
        self.some_slots(arena, slots.map(Some))
    }

    /// Slots of one step, each empty where there is none.
    ///
    /// # Panics
    /// As [`Self::slots`].
    pub fn some_slots<'a, T, const N: usize>(
        &self,
        arena: &'a mut [T],
        slots: [Option<Slot>; N],
    ) -> [&'a mut [T]; N] {
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

    /// A layout of 60 slots at random; their lengths, first and last steps.
    fn random(alignment: usize) -> (Layout, Vec<(Slot, [usize; 3])>) {
        let mut layout = Layout::new(alignment);
        let mut state = 1_u64;
        let mut next = |bound: u64| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1);
            ((state >> 33) % bound) as usize
        };
        let mut slots = Vec::new();
        for _ in 0..60 {
            let (len, first) = (next(50), next(30));
            let last = first + next(6);
            let slot = layout.slot(len, first);
            layout.used(slot, last);
            slots.push((slot, [len, first, last]));
        }
        (layout, slots)
    }

    #[test]
    fn slots_that_live_together_lie_apart() {
        for alignment in [1, 16] {
            let (layout, slots) = random(alignment);
            let places = layout.placed();
            let total: usize = slots.iter().map(|(_, [len, ..])| len).sum();
            assert!(places.len() < total);
            let mut arena = vec![0_u8; places.len()];
            for (i, &(a, [a_len, a_first, a_last])) in slots.iter().enumerate() {
                let start = arena.as_ptr().addr();
                let [slot] = places.slots(&mut arena, [a]);
                assert_eq!(slot.len(), a_len);
                assert_eq!((slot.as_ptr().addr() - start) % alignment, 0);
                for &(b, [b_len, b_first, b_last]) in &slots[i + 1..] {
                    if a_first <= b_last && b_first <= a_last {
                        // Overlapping slots would panic.
                        let [_, none, other] =
                            places.some_slots(&mut arena, [Some(a), None, Some(b)]);
                        assert_eq!((none.len(), other.len()), (0, b_len));
                    }
                }
            }
        }
    }
}
