//! How many threads a step has.

use std::num::NonZeroUsize;
use std::thread;

/// The number that an option asks for; all cores for 0.
pub fn threads_from_option(threads: usize) -> NonZeroUsize {
    NonZeroUsize::new(threads)
        .or_else(|| thread::available_parallelism().ok())
        .unwrap_or(NonZeroUsize::MIN)
}
