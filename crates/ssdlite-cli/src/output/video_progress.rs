//! Progress through a video or a live source, on standard error.

use std::fmt::Write;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use crate::console;

/// A bar with frames a second, where standard error is a terminal.
pub(crate) struct VideoProgress(ProgressBar);

impl VideoProgress {
    /// A bar for about this many frames, or for no one knows how many.
    pub(crate) fn new(frames: Option<u64>) -> Self {
        let bar = ProgressBar::with_draw_target(frames, console::progress_target());
        let template = match frames {
            Some(_) => "{bar:24} {pos}/{len} frames, {rate} frames/s, {eta} left",
            None => "{pos} frames, {rate} frames/s{msg}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            let rate = |state: &ProgressState, text: &mut dyn Write| {
                // A bar without its rate is no reason to stop.
                write!(text, "{:.1}", state.per_sec()).ok();
            };
            bar.set_style(style.with_key("rate", rate));
        }
        Self(bar)
    }

    /// A frame is done; of a live source this many were skipped so far.
    pub(crate) fn frame(&self, skipped: Option<u64>) {
        if let Some(skipped) = skipped {
            self.0.set_message(format!(", {skipped} skipped"));
        }
        self.0.inc(1);
    }

    /// Prints without a bar in between.
    pub(crate) fn suspend<T>(&self, print: impl FnOnce() -> T) -> T {
        self.0.suspend(print)
    }
}

impl Drop for VideoProgress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
