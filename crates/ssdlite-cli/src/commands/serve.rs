//! `serve`: detectors behind an HTTP interface.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use ssdlite_serve::{Model, ServerOptions};

use super::Outcome;
use super::server_args::{ServerArgs, run_server};

#[derive(Args)]
pub(crate) struct ServeArgs {
    /// Detectors' model files, each known by its name without the ending; the
    /// first answers where a request names none
    #[arg(required = true, value_name = "MODEL")]
    models: Vec<PathBuf>,
    #[command(flatten)]
    server: ServerArgs,
}

impl ServeArgs {
    pub(crate) fn run(self) -> Result<Outcome> {
        self.server.check()?;
        // Most gets done when every thread has a picture of its own.
        let load = |path: &PathBuf| Model::load(path, NonZeroUsize::MIN);
        let models = self.models.iter().map(load).collect::<Result<_, _>>()?;
        let options = ServerOptions {
            workers: self.server.threads(),
            ..self.server.options(models)
        };
        run_server(options, |_| {})
    }
}
