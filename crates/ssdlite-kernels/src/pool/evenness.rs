//! Whether threads get on evenly.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// For how long threads count as getting on unevenly after one had to wait for another:
/// longer than between two frames of a camera.
const REMEMBERED: Duration = Duration::from_millis(100);

/// When a thread last had to wait for another.
#[derive(Debug)]
pub(super) struct Evenness {
    start: Instant,
    /// Milliseconds from the start until when it is remembered.
    uneven_until: AtomicU64,
}

impl Evenness {
    pub(super) fn new() -> Self {
        Self {
            start: Instant::now(),
            uneven_until: AtomicU64::new(0),
        }
    }

    /// Tells that a thread has to wait for another.
    pub(super) fn waits(&self, now: Instant) {
        let until = self.milliseconds(now + REMEMBERED);
        self.uneven_until.store(until, Ordering::Relaxed);
    }

    /// Whether none had to a short time ago.
    pub(super) fn is_even(&self, now: Instant) -> bool {
        self.milliseconds(now) >= self.uneven_until.load(Ordering::Relaxed)
    }

    fn milliseconds(&self, now: Instant) -> u64 {
        (now - self.start).as_millis() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_remembered_for_a_while() {
        let evenness = Evenness::new();
        let now = evenness.start + Duration::from_secs(5);
        assert!(evenness.is_even(evenness.start) && evenness.is_even(now));
        evenness.waits(now);
        assert!(!evenness.is_even(now));
        assert!(!evenness.is_even(now + REMEMBERED / 2));
        assert!(evenness.is_even(now + REMEMBERED));
    }
}
