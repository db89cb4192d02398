//! Where a training run goes and what it goes on from.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

/// Where a run goes and what it goes on from.
#[derive(Args)]
#[command(next_help_heading = "Run")]
pub(crate) struct RunArgs {
    /// Name of the run's folder under --runs [default: the next free number]
    #[arg(long, conflicts_with = "resume")]
    pub(crate) name: Option<OsString>,
    /// Folder of all runs
    #[arg(
        long,
        value_name = "DIR",
        default_value = "runs",
        conflicts_with = "resume"
    )]
    pub(crate) runs: PathBuf,
    /// Go on with a run that was stopped, in its folder and with its options
    #[arg(long, value_name = "RUN")]
    pub(crate) resume: Option<PathBuf>,
    /// A TOML file with any of these options, such as a run's config.toml; options
    /// given here override it
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    pub(crate) config: Option<PathBuf>,
    /// Print one JSON object an epoch
    #[arg(long)]
    pub(crate) json: bool,
}
