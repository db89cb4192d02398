//! `classifier predict`: name what images show.

use std::ffi::{OsStr, OsString};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use clap::Args;
use serde::Serialize;
use ssdlite_core::classes::MAX_CLASSES;
use ssdlite_image::DecodeMemory;
use ssdlite_infer::{ClassScore, Classifier, all_cores};
use ssdlite_media::{LiveInput, MediaFile, MediaKind, Source};

use crate::args::limits::LimitArgs;
use crate::args::model::ModelArg;
use crate::args::number::whole;
use crate::args::threads::{Spread, threads};
use crate::console::{self, counted};
use crate::models::run_options;
use crate::outcome::{Outcome, for_each_input, inputs_of_all, told_files};
use crate::output::training_progress::duration_text;
use crate::paths::source_from_argument;

#[derive(Args)]
pub(crate) struct PredictArgs {
    /// A classifier's model file, or a run's folder for its best model
    model: ModelArg,
    /// Images, folders or patterns
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<OsString>,
    /// So many classes an image
    #[arg(long, default_value_t = 5, value_parser = whole(1..=MAX_CLASSES))]
    top: usize,
    /// Threads, 1 to 256 [default: all cores]
    #[arg(long, value_parser = threads)]
    threads: Option<NonZeroUsize>,
    /// Print one JSON object an image; in names, what is not UTF-8 is replaced
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    limits: LimitArgs,
}

#[derive(Serialize)]
struct PredictionJson<'a> {
    image: &'a str,
    top: Vec<ScoreJson<'a>>,
}

#[derive(Serialize)]
struct ScoreJson<'a> {
    class: &'a str,
    score: f32,
}

impl PredictArgs {
    pub(crate) fn run(self) -> Result<Outcome> {
        let images = inputs_of_all(&self.images, image_files);
        let threads = Spread::of(self.threads.unwrap_or_else(all_cores), images.len());
        let options = run_options(Some(threads.of_model));
        let classifier = Classifier::load_with(self.model.file()?, &options)?;
        let memory = DecodeMemory::default();
        let (start, mut named) = (Instant::now(), 0_u64);
        let look = |path: &PathBuf| self.look(&classifier, &memory, path);
        let outcome = for_each_input(threads.of_images, &images, look, |path, top| {
            self.tell(&classifier, path, &top?)?;
            named += 1;
            Ok(Outcome::Done)
        })?;
        if named > 0 {
            let (images, time) = (counted(named, "image"), start.elapsed());
            let rate = named as f64 / time.as_secs_f64();
            let time = duration_text(time);
            console::note(&format!("{images}; {time}, {rate:.1} images/s"));
        }
        Ok(outcome)
    }

    fn look(
        &self,
        classifier: &Classifier,
        memory: &DecodeMemory,
        path: &Path,
    ) -> Result<Vec<ClassScore>> {
        let least = classifier.enough();
        self.limits.with_decoded(memory, path, least, |image| {
            let top = classifier.top(&image, self.top);
            top.with_context(|| path.to_string_lossy().into_owned())
        })
    }

    fn tell(&self, classifier: &Classifier, path: &Path, top: &[ClassScore]) -> Result<()> {
        let name = path.to_string_lossy();
        let scores = top.iter().map(|top| ScoreJson {
            class: classifier.classes().get(top.class).unwrap_or_default(),
            score: top.score,
        });
        let prediction = PredictionJson {
            image: &name,
            top: scores.collect(),
        };
        if self.json {
            return console::json(&prediction);
        }
        console::text(format_args!("{name}:"))?;
        for score in &prediction.top {
            console::text(format_args!("  {:.3} {}", score.score, score.class))?;
        }
        Ok(())
    }
}

/// The image files that an argument names.
fn image_files(argument: &OsStr) -> Result<Vec<Result<PathBuf>>> {
    let found = match source_from_argument(argument)? {
        Source::Files(found) => found,
        live => {
            let name = LiveInput::from_source(live)?.name();
            anyhow::bail!("{name}: expected images, found a camera or a stream");
        }
    };
    let image = |file: MediaFile| match file.kind {
        MediaKind::Image => Ok(file.path),
        MediaKind::Video => Err(anyhow!(
            "{}: expected an image, found a video",
            file.path.display()
        )),
    };
    let images = told_files(found).map(|file| file.and_then(image));
    Ok(images.collect())
}
