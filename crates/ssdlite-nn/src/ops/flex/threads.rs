//! The threads that the kernels share.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use ssdlite_kernels::pool::all_cores;
use ssdlite_kernels::{Context, Pool};

use crate::error::{Error, Result};

static POOL: Mutex<Option<Arc<Pool>>> = Mutex::new(None);

/// Sets how many threads the operations on the CPU share: all cores unless it
/// is called. It holds for the whole process, as Burn's CPU device has no place
/// for it.
///
/// # Errors
/// [`Error::Threads`] if the operating system can't start them.
pub fn set_cpu_threads(threads: NonZeroUsize) -> Result<()> {
    let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
    if pool
        .as_ref()
        .is_none_or(|pool| pool.threads() != threads.get())
    {
        let new = Pool::new(threads).map_err(|source| Error::Threads { threads, source })?;
        *pool = Some(Arc::new(new));
    }
    Ok(())
}

/// Runs `work` with what kernels need: the threads of the operations on the
/// CPU and the machine's instruction set. Where no number of threads was set
/// and the operating system can't start one for each core, there is one.
pub fn with_cpu_context<R>(work: impl FnOnce(Context<'_>) -> R) -> R {
    let pool = {
        let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(pool.get_or_insert_with(|| {
            let all = Pool::new(all_cores());
            Arc::new(all.unwrap_or_else(|_| Pool::single()))
        }))
    };
    work(Context::detect(&pool))
}
