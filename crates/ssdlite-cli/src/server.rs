//! What `live` and `serve` do with their options: run the server.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use anyhow::{Result, anyhow};
use ssdlite_files::words_of;
use ssdlite_serve::{Error, Server, ServerOptions};

use crate::addresses::reachable_addresses;
use crate::console;
use crate::outcome::{Outcome, UsageError};
use crate::qr::qr_rows;

/// Runs a server until Ctrl-C or SIGTERM. Its page's address is printed, and then
/// it is given to `when_bound`.
pub(crate) fn run_server(
    options: ServerOptions,
    when_bound: impl FnOnce(&Server) -> Result<()>,
) -> Result<Outcome> {
    let keeps = options.keep.is_some();
    let server = Server::bind(options, Arc::new(console::notice)).map_err(|error| match error {
        Error::InvalidRequest(message) => UsageError(message).into(),
        error @ Error::Keep { .. } => UsageError(format!("--keep {error}")).into(),
        Error::Listen { address, source } => not_listening(address, &source),
        other => anyhow::Error::from(other),
    })?;
    console::text(server.page_address())?;
    tell_others(&server);
    let own = server.page_ip();
    if keeps {
        let page = server.link(own, "/label");
        console::note(&format!("to put kept frames right: {page}"));
    }
    console::note(&format!(
        "for programs: {}; Ctrl-C ends the server",
        server.link(own, "/docs")
    ));
    when_bound(&server)?;
    server.run()?;
    Ok(Outcome::Done)
}

/// Why the server can't listen, and what to do about it.
fn not_listening(address: SocketAddr, error: &io::Error) -> anyhow::Error {
    match error.kind() {
        ErrorKind::AddrInUse => anyhow!(
            "{address}: another program listens there; --port takes another port, 0 a free one"
        ),
        ErrorKind::AddrNotAvailable => anyhow!(
            "--host {}: this machine doesn't have that address; 0.0.0.0 listens on all that it has",
            address.ip()
        ),
        _ => anyhow!("{address}: {}", words_of(error)),
    }
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
    if let Some(rows) = qr_rows(&link(&first)) {
        console::picture(&rows);
    }
    console::note(
        "a browser gives its camera to pages of https and of localhost alone: put a proxy with \
         TLS in front for a phone's camera",
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_can_t_listen_is_told_once_why_and_what_to_do() {
        let address = "192.0.2.77:8765".parse().unwrap();
        for (code, told) in [
            (ErrorKind::AddrInUse, "--port takes another"),
            (ErrorKind::AddrNotAvailable, "0.0.0.0 listens on all"),
        ] {
            let error = not_listening(address, &code.into());
            assert!(error.to_string().contains(told), "{error}");
            assert_eq!(error.chain().count(), 1);
        }
    }
}
