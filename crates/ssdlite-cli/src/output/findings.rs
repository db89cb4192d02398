//! What was wrong in the data, told to the user.

use std::path::Path;

use ssdlite_data::finding::{Finding, Reading};

use crate::console;

/// The most findings that are printed unless all are asked for; there may be thousands.
const SHOWN: usize = 10;

/// Prints the first findings, or all of them with `--verbose`.
pub(crate) fn warn_of(findings: &[Finding]) {
    let shown = match console::is_verbose() {
        true => findings.len(),
        false => findings.len().min(SHOWN),
    };
    for finding in &findings[..shown] {
        console::warning(&finding.to_string());
    }
    if findings.len() > shown {
        let more = findings.len() - shown;
        console::warning(&format!("... and {more} more, which --verbose tells too"));
    }
}

/// Prints the first findings in a folder, and what was lost by them.
pub(crate) fn warn_of_reading<T>(folder: &Path, reading: &Reading<T>) {
    warn_of(&reading.findings);
    if !reading.losses.is_none() {
        console::warning(&format!("{}: {}", folder.display(), reading.losses));
    }
}
