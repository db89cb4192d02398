//! Whether other programs want the cores of all threads.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How often in a row each thread finds its core wanted until all count as wanted. A
/// single program that moves from core to core is found by one thread at a time.
const OFTEN: u32 = 3;

/// For how long all cores count as wanted then.
const REMEMBERED: Duration = Duration::from_millis(100);

/// What the threads of a pool find when they offer their cores.
#[derive(Debug)]
pub(super) struct Crowd {
    /// How often in a row each thread's core was wanted.
    wanted: Vec<AtomicU32>,
    start: Instant,
    /// Milliseconds from the start until when all count as wanted.
    everywhere_until: AtomicU64,
}

impl Crowd {
    pub(super) fn new(threads: usize) -> Self {
        Self {
            wanted: (0..threads).map(|_| AtomicU32::new(0)).collect(),
            start: Instant::now(),
            everywhere_until: AtomicU64::new(0),
        }
    }

    /// Tells whether others wanted the core that a thread offered.
    pub(super) fn tell(&self, thread: usize, wanted: bool, now: Instant) {
        let count = match wanted {
            true => self.wanted[thread]
                .load(Ordering::Relaxed)
                .saturating_add(1),
            false => 0,
        };
        self.wanted[thread].store(count, Ordering::Relaxed);
        let often = |wanted: &AtomicU32| wanted.load(Ordering::Relaxed) >= OFTEN;
        if self.wanted.iter().all(often) {
            for wanted in &self.wanted {
                wanted.store(0, Ordering::Relaxed);
            }
            let until = self.milliseconds(now + REMEMBERED);
            self.everywhere_until.store(until, Ordering::Relaxed);
        }
    }

    /// Whether all cores were wanted a short time ago.
    pub(super) fn is_everywhere(&self, now: Instant) -> bool {
        self.milliseconds(now) < self.everywhere_until.load(Ordering::Relaxed)
    }

    fn milliseconds(&self, moment: Instant) -> u64 {
        moment.saturating_duration_since(self.start).as_millis() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_threads_have_to_find_it_in_a_row() {
        let (crowd, now) = (Crowd::new(2), Instant::now());
        let tell = |thread, wanted| {
            crowd.tell(thread, wanted, now);
            crowd.is_everywhere(now)
        };
        assert!(!crowd.is_everywhere(now));
        // A program that goes from core to core.
        for _ in 0..4 {
            for thread in [0, 1] {
                let found = (0..2 * OFTEN).any(|_| tell(thread, true)) || tell(thread, false);
                assert!(!found, "thread {thread}");
            }
        }
        let found: Vec<_> = (0..OFTEN).map(|_| tell(0, true) || tell(1, true)).collect();
        assert_eq!(found, [false, false, true]);
        assert!(crowd.is_everywhere(now + REMEMBERED / 2));
        assert!(!crowd.is_everywhere(now + REMEMBERED));
        // Then it is found anew.
        crowd.tell(0, true, now + REMEMBERED);
        assert!(!crowd.is_everywhere(now + REMEMBERED));
    }
}
