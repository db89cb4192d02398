//! `data check`: everything that is wrong in a data set.

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use ssdlite_data::DataFolder;
use ssdlite_data::check::CheckReport;
use ssdlite_data::finding::Severity;

use crate::args::reading::ReadingArgs;
use crate::console::{self, counted};
use crate::outcome::Outcome;

#[derive(Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    reading: ReadingArgs,
    /// Print one JSON object a finding, then one with the totals
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct CheckTotals {
    images: usize,
    objects: usize,
    errors: usize,
    warnings: usize,
}

impl CheckArgs {
    pub(crate) fn run(self) -> Result<Outcome> {
        self.reading.expect_there()?;
        let report = match self.reading.open()? {
            DataFolder::Boxes(folder) => folder.check(&self.reading.box_options()?)?,
            DataFolder::Images(folder) => folder.check(&self.reading.folder_options()?)?,
        };
        self.print(&report)?;
        Ok(if report.has_errors() {
            Outcome::Failed
        } else {
            Outcome::Done
        })
    }

    fn print(&self, report: &CheckReport) -> Result<()> {
        let totals = CheckTotals {
            images: report.images,
            objects: report.objects,
            errors: report.count(Severity::Error),
            warnings: report.count(Severity::Warning),
        };
        if self.json {
            for finding in &report.findings {
                console::json(finding)?;
            }
            return console::json(&totals);
        }
        for finding in &report.findings {
            let severity = match finding.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            };
            console::text(format_args!("{severity}: {finding}"))?;
        }
        console::text(format_args!(
            "{} with {}; {}, {} ({} when training)",
            counted(totals.images, "sound image"),
            counted(totals.objects, "object"),
            counted(totals.errors, "error"),
            counted(totals.warnings, "warning"),
            report.losses
        ))
    }
}
