//! The option of commands that read cameras and streams.

use std::time::Duration;

use anyhow::Result;
use clap::Args;

use crate::outcome::UsageError;

/// Who waits longer has no use for the option, and `ffmpeg` counts microseconds.
const LONGEST_STALL: Duration = Duration::from_secs(3600);

/// How patient a command is with cameras and streams.
#[derive(Args)]
pub(crate) struct StallArgs {
    /// Seconds without a frame after which a camera or a stream is opened again
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0)]
    stall: f64,
}

impl StallArgs {
    pub(crate) fn duration(&self) -> Result<Duration> {
        let seconds = self.stall;
        match Duration::try_from_secs_f64(seconds) {
            Ok(duration) if !duration.is_zero() && duration <= LONGEST_STALL => Ok(duration),
            _ => Err(UsageError(format!(
                "--stall: expected a number of seconds above 0 and up to {}, found {seconds}",
                LONGEST_STALL.as_secs()
            ))
            .into()),
        }
    }
}
