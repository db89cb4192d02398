//! The option of how many threads work on images.

use std::num::NonZeroUsize;

use ssdlite_infer::MOST_THREADS;

/// Reads a number of threads.
pub(crate) fn threads(text: &str) -> Result<NonZeroUsize, String> {
    let threads = text.parse().ok();
    threads
        .filter(|threads| *threads <= MOST_THREADS)
        .ok_or_else(|| format!("expected a whole number of 1 to {MOST_THREADS}"))
}
