//! Ctrl-C and SIGTERM: long work ends in good order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};

use crate::console;

/// What shells give for a program that Ctrl-C ended.
const INTERRUPTED: i32 = 130;

/// From here on Ctrl-C and SIGTERM let what is being written become whole. For the
/// end of a command, where that takes a moment; to be called once.
pub(crate) fn finish_writing() -> Result<()> {
    stop_on_signal("finishing what is being written").map(drop)
}

/// Set by Ctrl-C and by SIGTERM, which is answered with `note`; a second one
/// ends the program at once. To be called once.
pub(crate) fn stop_on_signal(note: &'static str) -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&stop);
    ctrlc::set_handler(move || {
        if seen.swap(true, Ordering::Relaxed) {
            std::process::exit(INTERRUPTED);
        }
        console::notice(&format!("{note}; once more ends at once"));
    })
    .context("can't listen for signals")?;
    Ok(stop)
}
