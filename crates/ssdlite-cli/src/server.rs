//! What `live` and `serve` do with their options: run the server.

use std::sync::Arc;

use anyhow::Result;
use ssdlite_serve::{Error, Server, ServerOptions};

use crate::console;
use crate::outcome::{Outcome, UsageError};

/// Runs a server until Ctrl-C or SIGTERM. Its page's address is printed, and
/// then given to `when_bound`.
pub(crate) fn run_server(options: ServerOptions, when_bound: impl FnOnce(&str)) -> Result<Outcome> {
    let server = Server::bind(options, Arc::new(console::note)).map_err(|error| match error {
        Error::InvalidRequest(message) => UsageError(message).into(),
        other => anyhow::Error::from(other),
    })?;
    let address = server.page_address();
    console::text(&address)?;
    console::note("Ctrl-C ends the server");
    when_bound(&address);
    server.run()?;
    Ok(Outcome::Done)
}
