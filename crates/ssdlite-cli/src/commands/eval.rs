//! `eval`: how good a detector is.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::{Args, ValueEnum};
use ssdlite_data::split::Split;
use ssdlite_data::voc::{VocFolder, VocOptions};
use ssdlite_eval::{Evaluation, IouThreshold, VocMetric};

use crate::args::post_processing::PostProcessingArgs;
use crate::args::reading::coordinates;
use crate::args::split::split;
use crate::console;
use crate::evaluation::detector::{evaluate, save};
use crate::evaluation::{MOST_PRINTED_CLASSES, SHOWN_SCORE};
use crate::models::{Purpose, load_detector};
use crate::outcome::Outcome;
use crate::output::findings::{warn_of, warn_of_reading};
use crate::paths::expect_folder_there;
use crate::signals::finish_writing;

#[derive(Args)]
pub(crate) struct EvalArgs {
    /// A detector's model file
    model: PathBuf,
    /// A folder of images with boxes (Annotations, ImageSets, JPEGImages)
    data: PathBuf,
    /// Which part of the data
    #[arg(long, default_value_t = Split::Test, value_parser = split())]
    split: Split,
    /// Average precision: of VOC 2007 (11 points), of VOC since 2010 (area), or of
    /// COCO (IoU 0.5 to 0.95)
    #[arg(long, value_enum, default_value_t = Metric::Voc07)]
    metric: Metric,
    /// Read boxes as counted from 0 with exclusive right and bottom edges
    #[arg(long)]
    voc_zero_based: bool,
    /// Save precision-recall curves, the confusion matrix and all numbers in this
    /// folder
    #[arg(long, value_name = "DIR")]
    save: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    post_processing: PostProcessingArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Metric {
    Voc07,
    Voc,
    Coco,
}

impl EvalArgs {
    pub(crate) fn run(self) -> Result<Outcome> {
        // Images, not layers, are shared out among threads.
        let detector = load_detector(
            &self.model,
            &self.post_processing,
            Purpose::Evaluate,
            Some(NonZeroUsize::MIN),
        )?;
        expect_folder_there(&self.data)?;
        let folder = VocFolder::open(&self.data)?;
        warn_of(folder.findings());
        let reading = folder.read(
            self.split,
            &VocOptions {
                coordinates: coordinates(self.voc_zero_based),
                classes: Some(detector.classes().clone()),
            },
        )?;
        warn_of_reading(&self.data, &reading);
        ensure!(
            reading.set.has_countable(),
            "{}: expected objects of the model's classes ({}) in the split {}, not all marked \
             difficult, found none",
            self.data.display(),
            detector.classes(),
            self.split
        );
        let (evaluation, failures) = evaluate(&detector, reading.set)?;
        self.print(&evaluation)?;
        if let Some(folder) = &self.save {
            finish_writing()?;
            save(&evaluation, folder)?;
        }
        Ok(Outcome::from_failures(
            failures + reading.losses.images_skipped,
        ))
    }

    fn print(&self, evaluation: &Evaluation) -> Result<()> {
        let voc = |metric| evaluation.voc(metric, IouThreshold::HALF);
        if self.json {
            return match self.metric {
                Metric::Voc07 => console::json(&voc(VocMetric::ElevenPoint)),
                Metric::Voc => console::json(&voc(VocMetric::Area)),
                Metric::Coco => console::json(&evaluation.coco()?),
            };
        }
        match self.metric {
            Metric::Voc07 => console::table(voc(VocMetric::ElevenPoint))?,
            Metric::Voc => console::table(voc(VocMetric::Area))?,
            Metric::Coco => console::table(evaluation.coco()?)?,
        }
        console::table(evaluation.detection_rates(SHOWN_SCORE, IouThreshold::HALF)?)?;
        if evaluation.classes().len() <= MOST_PRINTED_CLASSES {
            console::table(evaluation.confusion(SHOWN_SCORE, IouThreshold::HALF)?)?;
        }
        Ok(())
    }
}
