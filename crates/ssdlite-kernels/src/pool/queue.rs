//! A thread's parts that nobody has claimed yet.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

/// A range of parts from which its thread takes the first and others the last.
/// On a cache line of its own, so that who takes from it disturbs nobody else.
#[derive(Default)]
#[repr(align(128))]
pub(super) struct Queue(AtomicU64);

/// The first part, and the one after the last, each below 2^32.
fn unpacked(packed: u64) -> (u64, u64) {
    (packed >> 32, packed & u64::from(u32::MAX))
}

impl Queue {
    /// Makes parts ready to be claimed, and with them all that was written
    /// before. The queue is empty.
    ///
    /// # Panics
    /// For a part beyond `u32::MAX`.
    pub(super) fn fill(&self, parts: Range<usize>) {
        let [first, end] = [parts.start, parts.end]
            .map(|part| u64::from(u32::try_from(part).expect("fewer than 2^32 parts")));
        self.0.store(first << 32 | end, Ordering::Release);
    }

    /// Claims the first part.
    pub(super) fn take_first(&self) -> Option<usize> {
        self.take(|first, end| (first, (first + 1) << 32 | end))
    }

    /// Claims the last part.
    pub(super) fn take_last(&self) -> Option<usize> {
        self.take(|first, end| (end - 1, first << 32 | (end - 1)))
    }

    /// Claims the part that `choose` names first; what it names second is left.
    ///
    /// Whatever happened between the two looks at the range, a claim is one of
    /// the range that is there when it succeeds.
    fn take(&self, choose: impl Fn(u64, u64) -> (u64, u64)) -> Option<usize> {
        let mut seen = self.0.load(Ordering::Relaxed);
        loop {
            let (first, end) = unpacked(seen);
            if first >= end {
                return None;
            }
            let (part, left) = choose(first, end);
            match self
                .0
                .compare_exchange_weak(seen, left, Ordering::Acquire, Ordering::Relaxed)
            {
                Ok(_) => return Some(part as usize),
                Err(now) => seen = now,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thread_takes_the_first_and_others_the_last() {
        let queue = Queue::default();
        assert_eq!(queue.take_first(), None);
        assert_eq!(queue.take_last(), None);
        queue.fill(3..6);
        assert_eq!(queue.take_last(), Some(5));
        assert_eq!(queue.take_first(), Some(3));
        assert_eq!(queue.take_first(), Some(4));
        assert_eq!(queue.take_first(), None);
        assert_eq!(queue.take_last(), None);
    }

    #[test]
    fn every_part_is_claimed_once() {
        let queue = Queue::default();
        let claimed: Vec<_> = (0..5000).map(|_| AtomicU64::new(0)).collect();
        queue.fill(0..claimed.len());
        std::thread::scope(|scope| {
            for thief in [false, true, true] {
                let (queue, claimed) = (&queue, &claimed);
                scope.spawn(move || {
                    let take = || {
                        if thief {
                            queue.take_last()
                        } else {
                            queue.take_first()
                        }
                    };
                    while let Some(part) = take() {
                        claimed[part].fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        assert!(
            claimed
                .iter()
                .all(|times| times.load(Ordering::Relaxed) == 1)
        );
    }
}
