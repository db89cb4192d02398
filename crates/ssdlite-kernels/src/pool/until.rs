//! A moment that threads tell each other.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// A moment to the millisecond, at first in the past.
#[derive(Debug)]
pub(super) struct Until {
    start: Instant,
    /// Milliseconds from the start.
    end: AtomicU64,
}

impl Until {
    pub(super) fn new() -> Self {
        Self {
            start: Instant::now(),
            end: AtomicU64::new(0),
        }
    }

    pub(super) fn set(&self, end: Instant) {
        self.end.store(self.milliseconds(end), Ordering::Relaxed);
    }

    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.milliseconds(now) >= self.end.load(Ordering::Relaxed)
    }

    fn milliseconds(&self, moment: Instant) -> u64 {
        moment.saturating_duration_since(self.start).as_millis() as u64
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn it_is_over_from_its_end_on() {
        let until = Until::new();
        assert!(until.is_over(until.start));
        let [now, end] = [5, 6].map(|seconds| until.start + Duration::from_secs(seconds));
        until.set(end);
        assert!(!until.is_over(now));
        assert!(!until.is_over(end - Duration::from_millis(1)));
        assert!(until.is_over(end));
    }
}
