//! `serve`: detectors behind an HTTP interface.

use std::ffi::{OsStr, OsString};
use std::num::NonZeroUsize;
use std::path::Path;

use anyhow::Result;
use clap::Args;
use ssdlite_serve::{Model, ModelOptions, ServerOptions};

use crate::args::server::ServerArgs;
use crate::models::load_served;
use crate::outcome::{Outcome, UsageError};
use crate::server::run_server;

#[derive(Args)]
pub(crate) struct ServeArgs {
    /// Detectors' model files, each known by its name without the ending, or
    /// runs' folders, each known by its name, for their best models; another name
    /// may be put before it: `cars=runs/first`; the first answers where a request
    /// names none
    #[arg(required = true, value_name = "MODEL")]
    models: Vec<OsString>,
    #[command(flatten)]
    server: ServerArgs,
}

impl ServeArgs {
    pub(crate) fn run(self) -> Result<Outcome> {
        self.server.check()?;
        // Most gets done when every thread has an image of its own.
        let model_options = self.server.model_options(NonZeroUsize::MIN);
        let models = self.models.iter();
        let models = models.map(|argument| load(argument, &model_options));
        let models = models.collect::<Result<_>>()?;
        let options = ServerOptions {
            workers: self.server.threads(),
            ..self.server.options(models)?
        };
        run_server(options, |_| {})
    }
}

fn load(argument: &OsStr, options: &ModelOptions) -> Result<Model> {
    match named_file(argument) {
        (Some(""), _) => Err(UsageError(format!(
            "{}: expected a name before the `=`, found none",
            argument.display()
        ))
        .into()),
        (Some(name), path) => Ok(Model {
            name: name.to_owned(),
            ..load_served(&path.into(), options)?
        }),
        (None, path) => load_served(&path.into(), options),
    }
}

/// The name and the file in `NAME=FILE`. A file that is there under exactly
/// that name has no other, nor has one whose name is not UTF-8.
fn named_file(argument: &OsStr) -> (Option<&str>, &Path) {
    let path = Path::new(argument);
    match argument.to_str().and_then(|text| text.split_once('=')) {
        Some((name, file)) if !path.exists() => (Some(name), Path::new(file)),
        _ => (None, path),
    }
}
