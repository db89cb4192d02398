//! `classifier predict`: name what images show.

use std::ffi::{OsStr, OsString};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use clap::Args;
use serde::Serialize;
use ssdlite_core::classes::MAX_CLASSES;
use ssdlite_infer::Classifier;
use ssdlite_media::{LiveInput, MediaFile, MediaKind, Source};

use crate::args::limits::LimitArgs;
use crate::args::model::ModelArg;
use crate::args::number::whole;
use crate::args::threads::threads;
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
        let classifier = Classifier::load_with(self.model.file()?, &run_options(self.threads))?;
        let images = inputs_of_all(&self.images, image_files);
        let (start, mut named) = (Instant::now(), 0_u64);
        let outcome = for_each_input(images, |path| {
            self.predict(&classifier, &path)?;
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

    fn predict(&self, classifier: &Classifier, path: &Path) -> Result<()> {
        let image = self.limits.decode(path)?;
        let name = path.to_string_lossy();
        let top = classifier
            .top(&image, self.top)
            .with_context(|| name.to_string())?;
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
