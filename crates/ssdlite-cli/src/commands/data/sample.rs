//! `data sample`: a rendered sample set.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use anyhow::Result;
use clap::Args;
use ssdlite_data::Error;
use ssdlite_data::sample::{
    ClassificationSampleOptions, DetectionSampleOptions, SampleObjects,
    write_classification_sample_until, write_detection_sample_until,
};

use crate::args::number::whole;
use crate::console::{self, counted};
use crate::outcome::Outcome;
use crate::signals::stop_on_signal;

#[derive(Args)]
pub(crate) struct SampleArgs {
    /// A folder that does not exist yet, or is empty
    dir: PathBuf,
    /// Images of the detection set
    #[arg(
        long,
        default_value_t = DetectionSampleOptions::default().images,
        value_parser = whole(DetectionSampleOptions::IMAGES)
    )]
    images: usize,
    /// Many small objects in larger images full of clutter, for the detection set
    #[arg(long)]
    small: bool,
    /// Training images a class of the classification set
    #[arg(
        long,
        default_value_t = ClassificationSampleOptions::default().train_images_per_class,
        value_parser = whole(ClassificationSampleOptions::TRAIN_IMAGES_PER_CLASS)
    )]
    images_per_class: usize,
    /// Another seed gives other images
    #[arg(
        long,
        default_value_t = DetectionSampleOptions::default().seed,
        value_parser = whole(0..=u64::MAX)
    )]
    seed: u64,
}

/// Where the classification set lies in the folder of the detection set.
const CLASSIFICATION_FOLDER: &str = "classification";

impl SampleArgs {
    pub(crate) fn run(self) -> Result<Outcome> {
        let stop = stop_on_signal("stopping")?;
        match self.write(&stop) {
            Err(Error::Stopped) => {
                console::notice("stopped: what was not finished was removed");
                return Ok(Outcome::Failed);
            }
            written => written?,
        }
        console::note(&format!(
            "{}: {} with boxes\n{}: images in class folders",
            self.dir.display(),
            counted(self.images, "image"),
            self.classification().display()
        ));
        Ok(Outcome::Done)
    }

    fn write(&self, stop: &AtomicBool) -> ssdlite_data::Result<()> {
        let detection = DetectionSampleOptions {
            images: self.images,
            objects: if self.small {
                SampleObjects::ManySmall
            } else {
                SampleObjects::FewLarge
            },
            seed: self.seed,
        };
        write_detection_sample_until(&self.dir, &detection, stop)?;
        let classification = ClassificationSampleOptions {
            train_images_per_class: self.images_per_class,
            seed: self.seed,
        };
        write_classification_sample_until(&self.classification(), &classification, stop)
    }

    fn classification(&self) -> PathBuf {
        self.dir.join(CLASSIFICATION_FOLDER)
    }
}
