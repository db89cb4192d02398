//! Arguments that say how a model is run.

use std::num::NonZeroUsize;

use ssdlite::{MOST_THREADS, RunOptions};

use crate::error::Fault;

/// Options of so many threads, as many as the machine's cores unless given.
pub(crate) fn run_options(threads: Option<i64>) -> Result<RunOptions, Fault> {
    let threads = threads.map(|asked| {
        let threads = usize::try_from(asked).ok().and_then(NonZeroUsize::new);
        let threads = threads.filter(|&threads| threads <= MOST_THREADS);
        threads.ok_or_else(|| {
            Fault::Argument(format!(
                "threads: expected 1 to {MOST_THREADS}, found {asked}"
            ))
        })
    });
    Ok(RunOptions {
        threads: threads.transpose()?,
        ..RunOptions::default()
    })
}

/// A number that counts something; how large it may be is the library's to say.
pub(crate) fn count(name: &str, number: i64) -> Result<usize, Fault> {
    usize::try_from(number)
        .map_err(|_| Fault::Argument(format!("{name}: expected 0 or more, found {number}")))
}
