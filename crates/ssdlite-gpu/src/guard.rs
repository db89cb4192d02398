//! Errors in place of Burn's panics.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ssdlite_train::{Error, Result};

/// Runs what uses Burn, which panics where a device is missing, out of memory
/// or lost. Its own message is printed by the panic hook, which belongs to the
/// program.
pub(crate) fn guarded<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    // What a panic leaves half done is dropped by the callers, which hand out
    // a device or a step's results only after it has been completed.
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|panic| Err(failed(what, &message(&*panic))))
}

pub(crate) fn failed(what: &str, reason: &impl ToString) -> Error {
    Error::Device(format!("{what}; {}", reason.to_string()))
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("no reason was given").to_owned()
}
