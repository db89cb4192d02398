//! Fetching a file over HTTP: checked, and only then put in place.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use sha2::{Digest, Sha256};
use ssdlite_files::{remove_leftovers_of, write_atomically};

use crate::{console, http};

/// The published files have 10 to 22 MB.
const MAX_BYTES: u64 = 64 << 20;

/// A server that says nothing for this long is given up.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What to fetch.
pub(crate) struct Request<'a> {
    pub(crate) url: &'a str,
    pub(crate) to: &'a Path,
    pub(crate) sha256_prefix: &'a str,
}

/// Fetches a file. One that does not arrive whole, or has another digest, is
/// not kept.
pub(crate) fn download(request: &Request<'_>) -> Result<()> {
    let url = request.url;
    let bytes = fetch(url).with_context(|| format!("can't fetch {url}"))?;
    check_digest(&bytes, request.sha256_prefix)
        .with_context(|| format!("{url} is not the published file"))?;
    remove_leftovers_of(request.to);
    write_atomically(request.to, &bytes).with_context(|| request.to.display().to_string())
}

fn fetch(url: &str) -> Result<Vec<u8>> {
    if url.starts_with("https:") {
        http::check_tls()?;
    }
    let mut response = agent().get(url).call()?;
    let bar = progress_bar(url, response.body().content_length());
    let body = response.body_mut().with_config().limit(MAX_BYTES).reader();
    let mut bytes = Vec::new();
    std::io::copy(&mut bar.wrap_read(body), &mut bytes)?;
    bar.finish_and_clear();
    Ok(bytes)
}

fn agent() -> ureq::Agent {
    http::config()
        .timeout_connect(Some(TIMEOUT))
        .timeout_per_read(Some(TIMEOUT))
        .build()
        .into()
}

fn progress_bar(url: &str, length: Option<u64>) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(length, console::progress_target());
    let style = "{msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    let name = url.rsplit('/').next().unwrap_or(url);
    bar.with_message(name.to_owned())
}

/// Whether the SHA-256 of a file's bytes begins with these digits.
pub(crate) fn check_digest(bytes: &[u8], sha256_prefix: &str) -> Result<()> {
    let digest = Sha256::digest(bytes);
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    ensure!(
        digest.starts_with(sha256_prefix),
        "expected a SHA-256 that begins with {sha256_prefix}, found {digest}"
    );
    Ok(())
}
