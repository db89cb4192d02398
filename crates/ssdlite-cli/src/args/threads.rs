//! The option of how many threads work on images.

use std::num::NonZeroUsize;

use ssdlite_infer::MOST_THREADS;

use super::number::whole;

/// Reads a number of threads.
pub(crate) fn threads(text: &str) -> Result<NonZeroUsize, String> {
    whole(NonZeroUsize::MIN..=MOST_THREADS)(text)
}
