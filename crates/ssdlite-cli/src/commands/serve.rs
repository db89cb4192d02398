//! `serve`: detectors behind an HTTP interface.

use std::ffi::{OsStr, OsString};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use clap::Args;
use ssdlite_serve::{FetchImages, Model, ModelOptions, ServerOptions};

use crate::args::server::ServerArgs;
use crate::label_studio::LabelStudio;
use crate::outcome::{Outcome, UsageError};
use crate::reload::{Origin, Reloader, on_hangup};
use crate::server::run_server;

#[derive(Args)]
pub(crate) struct ServeArgs {
    /// Detectors' model files, each known by its name without the ending, or
    /// runs' folders, each known by its name, for their best models; another name
    /// may be put before it: `cars=runs/first`; the first answers where a request
    /// names none
    #[arg(required = true, value_name = "MODEL")]
    models: Vec<OsString>,
    /// Take up models whose files change, as training does: a new file is read and
    /// tried first, and one that can't be used changes nothing. SIGHUP has all of
    /// them read again, with and without this
    #[arg(long)]
    watch: bool,
    /// Fetch images that Label Studio's tasks name from this address, such as
    /// http://localhost:8080, with the key in the variable LABEL_STUDIO_API_KEY; from no
    /// other address, and from none without this
    #[arg(long, value_name = "URL")]
    label_studio: Option<String>,
    #[command(flatten)]
    server: ServerArgs,
}

impl ServeArgs {
    pub(crate) fn run(self) -> Result<Outcome> {
        self.server.check()?;
        let label_studio = self.label_studio.as_deref().map(LabelStudio::from_address);
        let label_studio = label_studio.transpose()?;
        // Most gets done when every thread has an image of its own.
        let model_options = self.server.model_options(NonZeroUsize::MIN);
        let models = self.models.iter();
        let models = models.map(|argument| load(argument, &model_options));
        let models = models.collect::<Result<Vec<_>>>()?;
        let (models, origins) = models.into_iter().unzip();
        let reloader = Reloader {
            origins,
            options: model_options,
            watches: self.watch,
        };
        let (on_hangup, told) = on_hangup();
        let options = ServerOptions {
            workers: self.server.threads(),
            on_hangup: Some(on_hangup),
            fetch: label_studio.map(|studio| Arc::new(studio) as Arc<dyn FetchImages>),
            ..self.server.options(models)?
        };
        run_server(options, |server| reloader.start(server.models(), told))
    }
}

fn load(argument: &OsStr, options: &ModelOptions) -> Result<(Model, Origin)> {
    match named_file(argument) {
        (Some(""), _) => Err(UsageError(format!(
            "{}: expected a name before the `=`, found none",
            argument.display()
        ))
        .into()),
        (name, path) => Origin::load(path.into(), name, options),
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
