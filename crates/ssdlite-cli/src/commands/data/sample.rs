//! `data sample`: a rendered sample set.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use clap::builder::RangedU64ValueParser;
use ssdlite_data::sample::{
    ClassificationSampleOptions, DetectionSampleOptions, write_classification_sample,
    write_detection_sample,
};

use crate::console;
use crate::outcome::Outcome;

#[derive(Args)]
pub(crate) struct SampleArgs {
    /// A folder that does not exist yet, or is empty
    dir: PathBuf,
    /// Images of the detection set
    #[arg(
        long,
        default_value_t = DetectionSampleOptions::default().images,
        value_parser = number_in(&DetectionSampleOptions::IMAGES)
    )]
    images: usize,
    /// Training images a class of the classification set
    #[arg(
        long,
        default_value_t = ClassificationSampleOptions::default().train_images_per_class,
        value_parser = number_in(&ClassificationSampleOptions::TRAIN_IMAGES_PER_CLASS)
    )]
    images_per_class: usize,
    /// Another seed gives other images
    #[arg(long, default_value_t = DetectionSampleOptions::default().seed)]
    seed: u64,
}

/// Refuses numbers outside of a range.
fn number_in(range: &RangeInclusive<usize>) -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(*range.start() as u64..=*range.end() as u64)
}

/// Where the classification set lies in the folder of the detection set.
const CLASSIFICATION_FOLDER: &str = "classification";

impl SampleArgs {
    pub(crate) fn run(self) -> Result<Outcome> {
        write_detection_sample(
            &self.dir,
            &DetectionSampleOptions {
                images: self.images,
                seed: self.seed,
            },
        )?;
        let classification = self.dir.join(CLASSIFICATION_FOLDER);
        write_classification_sample(
            &classification,
            &ClassificationSampleOptions {
                train_images_per_class: self.images_per_class,
                seed: self.seed,
            },
        )?;
        console::note(&format!(
            "{}: {} images with boxes\n{}: images in class folders",
            self.dir.display(),
            self.images,
            classification.display()
        ));
        Ok(Outcome::Done)
    }
}
