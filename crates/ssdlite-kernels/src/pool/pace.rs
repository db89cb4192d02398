//! How a thread waits, and how it lets others have its core.

use std::thread;
use std::time::{Duration, Instant};

/// Turns between two looks at the clock.
const TURNS_PER_LOOK: u32 = 64;

/// Between two looks of a thread that runs there are a few microseconds; of one
/// that was put aside in between, a time slice.
const PUT_ASIDE: Duration = Duration::from_micros(40);

/// How long a thread works and spins before it offers its core to others: less
/// than the system's time slice, so that it is not put aside in the middle of a
/// part, for which everybody would wait. Where nobody wants the core that costs a
/// fraction of a microsecond.
const OFFER: Duration = Duration::from_millis(2);

/// Since when a thread has run without offering its core, or being put aside.
#[derive(Debug)]
pub(super) struct Pace(Instant);

impl Pace {
    pub(super) fn new() -> Self {
        Self(Instant::now())
    }

    /// Offers the core to others if it is time to; the time.
    ///
    /// To be called where nobody waits for this thread.
    pub(super) fn offer(&mut self) -> Instant {
        let now = Instant::now();
        if now - self.0 < OFFER {
            return now;
        }
        thread::yield_now();
        self.0 = Instant::now();
        self.0
    }

    /// Spins until `done`, or for about `time`; whether `done` was seen.
    pub(super) fn spin_until(&mut self, time: Duration, done: impl Fn() -> bool) -> bool {
        let start = Instant::now();
        let mut looked = start;
        loop {
            for _ in 0..TURNS_PER_LOOK {
                if done() {
                    return true;
                }
                std::hint::spin_loop();
            }
            let now = Instant::now();
            if now - looked > PUT_ASIDE {
                self.0 = now;
            }
            looked = self.offer();
            if looked - start >= time {
                return false;
            }
        }
    }
}
