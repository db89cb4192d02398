//! What `live` and `serve` do with their options: run the server.

use std::io::{IsTerminal, stderr};
use std::net::IpAddr;
use std::sync::Arc;

use anyhow::Result;
use ssdlite_serve::{Error, Server, ServerOptions};

use crate::addresses::reachable_addresses;
use crate::console;
use crate::outcome::{Outcome, UsageError};
use crate::qr::qr_rows;

/// Runs a server until Ctrl-C or SIGTERM. Its page's address is printed, and
/// then given to `when_bound`.
pub(crate) fn run_server(options: ServerOptions, when_bound: impl FnOnce(&str)) -> Result<Outcome> {
    let server = Server::bind(options, Arc::new(console::note)).map_err(|error| match error {
        Error::InvalidRequest(message) => UsageError(message).into(),
        error @ Error::Keep { .. } => UsageError(format!("--keep {error}")).into(),
        other => anyhow::Error::from(other),
    })?;
    let address = server.page_address();
    console::text(&address)?;
    tell_others(&server);
    let own = server.page_ip();
    console::note(&format!(
        "for programs: {}; Ctrl-C ends the server",
        server.link(own, "/docs")
    ));
    when_bound(&address);
    server.run()?;
    Ok(Outcome::Done)
}

/// Tells how a phone and other machines reach a server that lets them in.
fn tell_others(server: &Server) {
    let address = server.address().ip();
    if address.is_loopback() {
        return;
    }
    let reachable = match address.is_unspecified() {
        true => reachable_addresses(address),
        false => vec![address],
    };
    let Some(&first) = reachable.first() else {
        console::note("found no address of this machine that others reach: is it in a network?");
        return;
    };
    let link = |ip: &IpAddr| server.link(*ip, "/");
    let links: Vec<String> = reachable.iter().map(link).collect();
    console::note(&format!("from other machines: {}", links.join("\n")));
    if stderr().is_terminal()
        && let Some(rows) = qr_rows(&link(&first))
    {
        console::picture(&rows);
    }
    console::note(
        "a browser gives its camera to pages of https and of localhost alone: put a proxy with \
         TLS in front for a phone's camera",
    );
}
