//! The option of commands that read cameras and streams.

use std::time::Duration;

use clap::Args;
use ssdlite_media::LiveOptions;

/// Who waits longer has no use for the option, and `ffmpeg` counts microseconds.
const LONGEST_STALL: Duration = Duration::from_secs(3600);

/// How patient a command is with cameras and streams.
#[derive(Args)]
pub(crate) struct StallArgs {
    #[arg(
        long,
        value_name = "SECONDS",
        value_parser = stall,
        help = format!(
            "Seconds without a frame after which a camera or a stream is opened again [default: {}]",
            LiveOptions::default().stall.as_secs()
        )
    )]
    stall: Option<Duration>,
}

impl StallArgs {
    pub(crate) fn duration(&self) -> Duration {
        self.stall.unwrap_or(LiveOptions::default().stall)
    }

    pub(crate) fn is_given(&self) -> bool {
        self.stall.is_some()
    }
}

fn stall(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok();
    let duration = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let bearable = |duration: &Duration| !duration.is_zero() && *duration <= LONGEST_STALL;
    duration.filter(bearable).ok_or_else(|| {
        let most = LONGEST_STALL.as_secs();
        format!("expected a number of seconds above 0 and up to {most}")
    })
}
