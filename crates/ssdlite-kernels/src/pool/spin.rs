//! Waiting for something that is likely to come within microseconds.

use std::thread;
use std::time::{Duration, Instant};

/// Turns between two looks at the clock.
const TURNS_PER_LOOK: u32 = 64;

/// Between two looks of a thread that runs there are a few microseconds; of one
/// that was put aside in between, a time slice.
const PUT_ASIDE: Duration = Duration::from_micros(40);

/// Spins for a while; gives way to others from when it sees that they want its
/// core until it sees that they don't.
#[derive(Default)]
pub(super) struct Spin {
    gives_way: bool,
}

impl Spin {
    /// Until `done`, or for about `time`; whether `done` was seen.
    pub(super) fn until(&mut self, time: Duration, done: impl Fn() -> bool) -> bool {
        let start = Instant::now();
        let mut looked = start;
        loop {
            for _ in 0..TURNS_PER_LOOK {
                if done() {
                    return true;
                }
                std::hint::spin_loop();
            }
            if self.gives_way {
                thread::yield_now();
            }
            let now = Instant::now();
            self.gives_way = now - looked > PUT_ASIDE;
            looked = now;
            if now - start >= time {
                return false;
            }
        }
    }
}
