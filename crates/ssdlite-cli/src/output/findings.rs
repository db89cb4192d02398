//! What was wrong in the data, told to the user.

use std::path::Path;

use ssdlite_data::finding::{Finding, Reading};

use crate::console;

/// Prints the first findings; there may be thousands.
pub(crate) fn warn_of(findings: &[Finding]) {
    const SHOWN: usize = 10;
    for finding in findings.iter().take(SHOWN) {
        console::warning(&finding.to_string());
    }
    if findings.len() > SHOWN {
        console::warning(&format!("... and {} more", findings.len() - SHOWN));
    }
}

/// Prints the first findings in a folder, and what was lost by them.
pub(crate) fn warn_of_reading<T>(folder: &Path, reading: &Reading<T>) {
    warn_of(&reading.findings);
    if !reading.losses.is_none() {
        console::warning(&format!("{}: {}", folder.display(), reading.losses));
    }
}
