//! `classifier eval`: how good a classifier is.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use ssdlite_data::folders::{ImageFolder, ImageFolderOptions};
use ssdlite_data::split::Split;
use ssdlite_infer::Classifier;
use ssdlite_train::division_from_info;

use crate::args::model::ModelArg;
use crate::args::split::split;
use crate::console;
use crate::evaluation::classifier::{evaluate, save};
use crate::evaluation::words::top1_text;
use crate::models::run_options;
use crate::outcome::Outcome;
use crate::output::findings::{warn_of, warn_of_reading};
use crate::paths::expect_folder_there;
use crate::signals::finish_writing;

#[derive(Args)]
pub(crate) struct ClassifierEvalArgs {
    /// A classifier's model file, or a run's folder for its best model
    model: ModelArg,
    /// A folder of images in class folders, under train, val and test, or alone and
    /// then divided at random as the model's was
    data: PathBuf,
    /// Which part of the data
    #[arg(long, default_value_t = Split::Test, value_parser = split())]
    split: Split,
    /// Save the confusion matrix and all numbers in this folder
    #[arg(long, value_name = "DIR")]
    save: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl ClassifierEvalArgs {
    pub(crate) fn run(self) -> Result<Outcome> {
        // Images, not layers, are shared out among threads.
        let options = run_options(Some(NonZeroUsize::MIN));
        let classifier = Classifier::load_with(self.model.file()?, &options)?;
        expect_folder_there(&self.data)?;
        let folder = ImageFolder::open(&self.data)?;
        warn_of(folder.findings());
        let reading = folder.read(
            self.split,
            &ImageFolderOptions {
                classes: Some(classifier.classes().clone()),
                shares: division_from_info(classifier.info()).unwrap_or_default(),
            },
        )?;
        warn_of_reading(&self.data, &reading);
        let (report, failures) = evaluate(&classifier, reading.set)?;
        if self.json {
            console::json(&report)?;
        } else {
            console::table(&report)?;
            console::table(&report.confusion)?;
            console::text(top1_text(&report, self.split))?;
        }
        if let Some(folder) = &self.save {
            finish_writing()?;
            save(&report, folder)?;
        }
        Ok(Outcome::from_failures(
            failures + reading.losses.images_skipped,
        ))
    }
}
