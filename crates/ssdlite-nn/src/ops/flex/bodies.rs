//! A switch from the kernels to the default bodies, for tests that compare them.

use std::cell::Cell;

thread_local! {
    static WANTED: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is to use the default bodies.
pub(super) fn default_bodies_wanted() -> bool {
    WANTED.get()
}

/// Runs `work` with the default bodies in the place of the kernels on this
/// thread.
pub fn with_default_bodies<R>(work: impl FnOnce() -> R) -> R {
    WANTED.set(true);
    let result = work();
    WANTED.set(false);
    result
}
