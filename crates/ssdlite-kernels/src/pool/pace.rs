//! How a thread waits, and how it lets others have its core.

use std::thread;
use std::time::{Duration, Instant};

use super::crowd::Crowd;

/// Turns between two looks at the clock.
const TURNS_PER_LOOK: u32 = 64;

/// Between two looks of a thread that runs, and while it offers a core that nobody wants,
/// there are a few microseconds; of one that was put aside in between, a time slice.
const PUT_ASIDE: Duration = Duration::from_micros(40);

/// How long a thread works and spins before it offers its core to others: less
/// than the system's time slice, so that it is not put aside in the middle of a
/// part, for which everybody would wait. Where nobody wants the core that costs a
/// fraction of a microsecond.
const OFFER: Duration = Duration::from_millis(2);

/// How a thread of a pool keeps its core.
#[derive(Debug)]
pub(super) struct Pace {
    thread: usize,
    /// Since when it has run without offering its core, or being put aside.
    since: Instant,
}

impl Pace {
    pub(super) fn new(thread: usize) -> Self {
        Self {
            thread,
            since: Instant::now(),
        }
    }

    /// Which thread, below their number.
    pub(super) fn thread(&self) -> usize {
        self.thread
    }

    /// Offers the core to others if it is time to; the time.
    ///
    /// Where others want all cores no thread can do what another leaves, and the system
    /// takes an offered core for longer than it gives one: then none is offered.
    ///
    /// To be called where nobody waits for this thread.
    pub(super) fn offer(&mut self, crowd: &Crowd) -> Instant {
        let now = Instant::now();
        if now - self.since < OFFER || crowd.is_everywhere(now) {
            return now;
        }
        thread::yield_now();
        self.since = Instant::now();
        let is_wanted = self.since - now > PUT_ASIDE;
        crowd.tell(self.thread, is_wanted, self.since);
        self.since
    }

    /// Spins until `done`, or for about `time`; whether `done` was seen.
    pub(super) fn spin_until(
        &mut self,
        time: Duration,
        crowd: &Crowd,
        done: impl Fn() -> bool,
    ) -> bool {
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
                self.since = now;
            }
            looked = self.offer(crowd);
            if looked - start >= time {
                return false;
            }
        }
    }
}
