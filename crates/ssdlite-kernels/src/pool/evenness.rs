//! Whether threads get on evenly.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Threads get on unevenly from the second of two jobs on in which one had to wait for
/// another, if they are less than so many jobs apart, and for as many jobs. A run of a
/// network is some fifty jobs. On an idle virtual machine a thread had to wait in one run
/// of forty, by chance; beside a busy program it has to more often.
const NEAR: usize = 1000;

/// Which jobs had a thread that had to wait for another. Jobs are counted, not time, so
/// that it doesn't matter how often a network runs.
#[derive(Debug)]
pub(super) struct Evenness {
    /// The last such job.
    last: AtomicUsize,
    /// The last one that had another near before it.
    uneven: AtomicUsize,
}

impl Evenness {
    /// Before job 1.
    pub(super) fn new() -> Self {
        const LONG_AGO: usize = 0usize.wrapping_sub(NEAR);
        Self {
            last: AtomicUsize::new(LONG_AGO),
            uneven: AtomicUsize::new(LONG_AGO),
        }
    }

    /// Tells that a thread has to wait for another in a job.
    pub(super) fn waits(&self, job: usize) {
        let last = self.last.swap(job, Ordering::Relaxed);
        if last != job && job.wrapping_sub(last) < NEAR {
            self.uneven.store(job, Ordering::Relaxed);
        }
    }

    /// Whether threads get on evenly in what follows a job.
    pub(super) fn is_even(&self, job: usize) -> bool {
        job.wrapping_sub(self.uneven.load(Ordering::Relaxed)) >= NEAR
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_wait_makes_it_uneven_for_a_while() {
        let evenness = Evenness::new();
        assert!(evenness.is_even(0) && evenness.is_even(1));
        // Of several threads in one job, and another one long after it.
        for job in [1, 1, 1, 1 + NEAR, 1 + NEAR] {
            evenness.waits(job);
            assert!(evenness.is_even(job + 1), "{job}");
        }
        evenness.waits(5 + NEAR);
        assert!(!evenness.is_even(6 + NEAR));
        assert!(!evenness.is_even(4 + 2 * NEAR));
        assert!(evenness.is_even(5 + 2 * NEAR));
    }
}
