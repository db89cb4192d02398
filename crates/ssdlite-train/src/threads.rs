//! How many threads a step has.

use std::num::NonZeroUsize;

use ssdlite_infer::{MOST_THREADS, all_cores};

use crate::error::{Error, Result};

/// The number that an option asks for; all cores for 0.
///
/// # Errors
/// [`Error::Config`] for more than anything here is shared among.
pub(crate) fn threads_from_option(threads: usize) -> Result<NonZeroUsize> {
    let threads = NonZeroUsize::new(threads).unwrap_or_else(all_cores);
    if threads <= MOST_THREADS {
        Ok(threads)
    } else {
        Err(Error::Config(format!(
            "threads: expected at most {MOST_THREADS}, found {threads}"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_threads_are_refused_and_all_cores_are_not() {
        assert_eq!(threads_from_option(0).unwrap(), all_cores());
        assert_eq!(threads_from_option(3).unwrap().get(), 3);
        assert!(threads_from_option(256).is_ok());
        for threads in [257, usize::MAX] {
            let error = threads_from_option(threads).unwrap_err();
            assert!(matches!(error, Error::Config(_)), "{error}");
        }
    }
}
