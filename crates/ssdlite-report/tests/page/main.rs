//! Reports, written into folders and looked at as text and in a real browser.

#![expect(clippy::print_stderr, reason = "a test that is skipped says so")]

mod browser;
#[expect(dead_code, reason = "a page without a camera needs but a part of it")]
#[path = "../../../ssdlite-serve/tests/serving/devtools.rs"]
mod devtools;
mod fixtures;
mod writing;
