//! A model and the process that loaded it.

use std::process;
use std::sync::Arc;

use crate::error::Fault;

/// A model with its threads, which a process that is forked does not have: there,
/// waiting for them would never end.
pub(crate) struct Loaded<T> {
    model: Arc<T>,
    threads: usize,
    process: u32,
}

impl<T> Loaded<T> {
    /// A model whose work so many threads share, the caller's included.
    pub(crate) fn new(model: T, threads: usize) -> Self {
        Self {
            model: Arc::new(model),
            threads,
            process: process::id(),
        }
    }

    /// The model, to be asked about itself.
    pub(crate) fn model(&self) -> &T {
        &self.model
    }

    /// The model, to be run.
    ///
    /// # Errors
    /// [`Fault::Argument`] where its threads are missing.
    pub(crate) fn to_run(&self) -> Result<&T, Fault> {
        if self.has_threads() {
            return Ok(&self.model);
        }
        Err(Fault::Argument(
            "expected a model that this process has loaded, found one of the process that it \
             was forked from: load it here, or with threads=1 there"
                .into(),
        ))
    }

    fn has_threads(&self) -> bool {
        self.threads == 1 || self.process == process::id()
    }
}

impl<T> Drop for Loaded<T> {
    fn drop(&mut self) {
        if !self.has_threads() {
            // Ending them would wait for them.
            std::mem::forget(Arc::clone(&self.model));
        }
    }
}
