//! `live`: a source with its objects in a web page.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::process::{Command, Stdio};

use anyhow::Result;
use clap::Args;
use ssdlite_media::LiveInput;
use ssdlite_serve::ServerOptions;

use crate::args::model::ModelArg;
use crate::args::server::ServerArgs;
use crate::console;
use crate::models::load_served;
use crate::outcome::Outcome;
use crate::paths::source_from_argument;
use crate::server::run_server;
use crate::webhook::Webhook;

#[derive(Args)]
pub(crate) struct LiveArgs {
    /// A detector's model file, or a run's folder for its best model
    model: ModelArg,
    /// A camera (`0`, `/dev/video0`, `camera:NAME`), a video file or a stream
    /// (`rtsp://`, `http://`); the page offers this machine's cameras and the
    /// browser's in any case
    source: Option<OsString>,
    /// Open the page in the browser
    #[arg(long)]
    open: bool,
    /// Address (`http://` or `https://`) that rules of the page may call: each that
    /// fires posts JSON to it. Pages can't see or change it
    #[arg(long, value_name = "URL")]
    webhook: Option<String>,
    #[command(flatten)]
    server: ServerArgs,
}

impl LiveArgs {
    pub(crate) fn run(self) -> Result<Outcome> {
        self.server.check()?;
        let source = match &self.source {
            Some(argument) => Some(LiveInput::from_source(source_from_argument(argument)?)?),
            None => None,
        };
        let webhook = self.webhook.as_deref().map(Webhook::from_address);
        let webhook = webhook.transpose()?;
        // A live image comes soonest when all threads work on it.
        let options = self.server.model_options(self.server.threads());
        let model = load_served(&self.model, &options)?;
        let (events, caller) = webhook.map(Webhook::start).transpose()?.unzip();
        let options = ServerOptions {
            source,
            webhook: events,
            workers: NonZeroUsize::MIN,
            ..self.server.options(vec![model])?
        };
        let outcome = run_server(options, |server| {
            if self.open {
                open_in_browser(&server.page_address());
            }
            Ok(())
        })?;
        if let Some(caller) = caller {
            caller.finish();
        }
        Ok(outcome)
    }
}

/// The page is there whether or not a browser comes up: its address is printed.
fn open_in_browser(address: &str) {
    let program = if cfg!(target_os = "macos") {
        "open"
    } else if cfg!(windows) {
        "explorer"
    } else {
        "xdg-open"
    };
    let mut command = Command::new(program);
    command
        .arg(address)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    // A Ctrl-C that ends the server is not meant for the browser.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    match command.spawn() {
        // Nobody else would take note of its end.
        Ok(mut child) => drop(std::thread::spawn(move || child.wait())),
        Err(error) => console::warning(&format!("`{program}` opens no browser: {error}")),
    }
}
