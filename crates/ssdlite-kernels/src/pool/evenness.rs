//! Whether threads get on evenly.

use std::time::{Duration, Instant};

use super::until::Until;

/// For how long threads count as getting on unevenly after one had to wait for another:
/// longer than between two frames of a camera.
const REMEMBERED: Duration = Duration::from_millis(100);

/// Whether a thread had to wait for another a short time ago.
#[derive(Debug)]
pub(super) struct Evenness {
    uneven: Until,
}

impl Evenness {
    pub(super) fn new() -> Self {
        Self {
            uneven: Until::new(),
        }
    }

    /// Tells that a thread has to wait for another.
    pub(super) fn waits(&self, now: Instant) {
        self.uneven.set(now + REMEMBERED);
    }

    /// Whether none had to a short time ago.
    pub(super) fn is_even(&self, now: Instant) -> bool {
        self.uneven.is_over(now)
    }
}
