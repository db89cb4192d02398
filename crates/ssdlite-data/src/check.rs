//! The whole truth about a data set: every fault of every file.
//!
//! Reading for training looks at annotations and headers. A check also decodes
//! every image, compares the splits, and looks for what nothing refers to.

use serde::Serialize;

use crate::finding::{Finding, FindingKind, Losses, Severity};

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CheckReport {
    /// Every fault, sorted by file, then by object.
    pub findings: Vec<Finding>,
    /// How much training would leave out or change.
    pub losses: Losses,
    /// The images that are sound.
    pub images: usize,
    /// The labelled objects in them; for a classifier's images, one each.
    pub objects: usize,
}

impl CheckReport {
    pub(crate) fn new(mut findings: Vec<Finding>, losses: Losses) -> Self {
        // The count of further findings follows those of its file.
        findings.sort_by(|one, other| {
            let key = |finding: &Finding| finding.kind == FindingKind::MoreFindings;
            (&one.file, key(one), one).cmp(&(&other.file, key(other), other))
        });
        findings.dedup();
        Self {
            findings,
            losses,
            images: 0,
            objects: 0,
        }
    }

    /// The number of findings of a severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.findings
            .iter()
            .filter(|finding| finding.severity == severity)
            .count()
    }

    /// Whether anything is wrong, warnings not counted.
    pub fn has_errors(&self) -> bool {
        self.count(Severity::Error) > 0
    }
}
