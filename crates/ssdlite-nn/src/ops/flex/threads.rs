//! The threads that the kernels share.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use ssdlite_kernels::{Context, Pool};

static POOL: Mutex<Option<Arc<Pool>>> = Mutex::new(None);

/// Sets how many threads the operations on the CPU share: all cores unless it
/// is called. It holds for the whole process, as Burn's CPU device has no place
/// for it.
pub fn set_cpu_threads(threads: NonZeroUsize) {
    let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
    if pool
        .as_ref()
        .is_none_or(|pool| pool.threads() != threads.get())
    {
        *pool = Some(Arc::new(Pool::new(threads)));
    }
}

/// Runs `work` with what kernels need: the threads of the operations on the
/// CPU and the machine's instruction set.
pub fn with_cpu_context<R>(work: impl FnOnce(Context<'_>) -> R) -> R {
    let pool = {
        let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(pool.get_or_insert_with(|| Arc::new(Pool::with_all_cores())))
    };
    work(Context::detect(&pool))
}
