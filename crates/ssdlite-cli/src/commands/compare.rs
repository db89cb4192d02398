//! `compare`: two detectors on the same images.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::{Args, ValueEnum};
use serde::Serialize;
use ssdlite_data::DetectionSet;
use ssdlite_eval::bootstrap::CONFIDENCE;
use ssdlite_eval::{
    Bootstrap, Comparison, ComparisonOptions, ImageDifference, IouThreshold, VocMetric,
};
use ssdlite_image::{Limits, decode};
use ssdlite_infer::Detector;
use ssdlite_infer::bench::{DetectionTime, Turns};
use ssdlite_report::{ComparedPage, ComparedSide, ReportFolder, ShownData, ShownModel};

use crate::args::model::ModelArg;
use crate::args::post_processing::PostProcessingArgs;
use crate::console::{self, cell, counted};
use crate::evaluation::detector::evaluate_both;
use crate::evaluation::report::{shown_images, shown_model, shown_name, shown_score, tell_of_page};
use crate::evaluation::split::SplitArgs;
use crate::models::{Costs, Purpose, backbone_text, load_detector};
use crate::outcome::Outcome;
use crate::signals::finish_writing;

/// Images whose detection is timed, and how often each: a hundred times in all say what
/// is usual.
const TIMED_IMAGES: usize = 5;
const ROUNDS: usize = 20;

/// Images that are listed as those that differ most.
const MOST_LISTED: usize = 10;

#[derive(Args)]
pub(crate) struct CompareArgs {
    /// A detector's model file, or a run's folder for its best model
    #[arg(value_name = "A")]
    a: ModelArg,
    /// Another one, of the same classes
    #[arg(value_name = "B")]
    b: ModelArg,
    #[command(flatten)]
    data: SplitArgs,
    /// Average precision: of VOC 2007 (11 points) or of VOC since 2010 (area)
    #[arg(long, value_enum, default_value_t = Metric::Voc07)]
    metric: Metric,
    /// Write a page into this folder that shows the numbers, and the images in which
    /// the detectors differ most
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Those of `eval` whose difference has an interval.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Metric {
    Voc07,
    Voc,
}

impl From<Metric> for VocMetric {
    fn from(metric: Metric) -> Self {
        match metric {
            Metric::Voc07 => Self::ElevenPoint,
            Metric::Voc => Self::Area,
        }
    }
}

/// One of the two models, with what it takes.
struct Model {
    file: PathBuf,
    costs: Costs,
    /// Threads that share the work of an image where it is timed.
    threads: usize,
    time: DetectionTime,
}

impl CompareArgs {
    pub(crate) fn run(self) -> Result<Outcome> {
        let files = [self.a.file()?, self.b.file()?];
        // Images, not layers, are shared out among threads.
        let detectors = load(&files, Purpose::Evaluate, Some(NonZeroUsize::MIN))?;
        let [a, b] = &detectors;
        ensure!(
            a.classes() == b.classes(),
            "expected two models of the same classes, found {} in {} and {} in {}",
            a.classes(),
            files[0].display(),
            b.classes(),
            files[1].display()
        );
        let reading = self.data.read(a.classes())?;
        let report = self
            .report
            .as_deref()
            .map(ReportFolder::create)
            .transpose()?;
        let set = Arc::new(reading.set);
        let (evaluated, failures) = evaluate_both([a, b], Arc::clone(&set))?;
        let options = ComparisonOptions {
            metric: self.metric.into(),
            iou: IouThreshold::HALF,
            min_scores: [shown_score(a), shown_score(b)],
            bootstrap: Bootstrap::default(),
        };
        let [of_a, of_b] = &evaluated;
        let comparison = Comparison::new(&of_a.evaluation, &of_b.evaluation, &options)?;
        let models = measured(files, &set, &of_a.images)?;
        let images = shown_images(&set, &of_a.images);
        if self.json {
            let differing = comparison.differing.iter();
            console::json(&ComparisonJson {
                split: self.data.split.name(),
                models: models.each_ref().map(Model::json),
                comparison: &comparison,
                confidence: CONFIDENCE,
                differing: differing
                    .map(|found| DifferingJson::new(&images[found.image].path, found))
                    .collect(),
            })?;
        } else {
            self.print_text(&comparison, [&models[0].text(a), &models[1].text(b)])?;
            let differing = comparison.differing.iter().take(MOST_LISTED);
            let rows = differing.map(|found| (images[found.image].name.as_str(), found));
            print_differing(rows.collect(), comparison.differing.len())?;
        }
        if let Some(folder) = report {
            finish_writing()?;
            let side = |index: usize, model: &ModelArg| ComparedSide {
                evaluation: &evaluated[index].evaluation,
                model: models[index].shown(model, &detectors[index]),
            };
            let data = ShownData {
                name: shown_name(&self.data),
                images,
                known_from: a.post_processing().score_threshold,
            };
            let sides = [side(0, &self.a), side(1, &self.b)];
            let page = ComparedPage::new(comparison, sides, data)?;
            tell_of_page(&folder.write_compared(&page)?);
        }
        Ok(Outcome::from_failures(
            failures + reading.losses.images_skipped,
        ))
    }

    fn print_text(&self, comparison: &Comparison, models: [&str; 2]) -> Result<()> {
        for (side, model) in ["A", "B"].iter().zip(models) {
            console::text(format_args!("{side}: {model}"))?;
        }
        console::table(comparison)?;
        let map = &comparison.map;
        if let (Some(difference), Some(interval)) = (map.difference, map.interval) {
            console::text(format_args!(
                "mAP ({}) of B - A on {}: {difference:+.3}, {:.0} % of {} resampled sets from \
                 {:+.3} to {:+.3}: {}",
                comparison.metric.name(),
                self.data.split,
                1e2 * CONFIDENCE,
                comparison.resamples,
                interval.low,
                interval.high,
                map.better()
            ))?;
        }
        Ok(())
    }
}

/// Both detectors, by the settings in their files.
fn load(
    files: &[PathBuf; 2],
    purpose: Purpose,
    threads: Option<NonZeroUsize>,
) -> Result<[Detector; 2]> {
    let load = |file: &Path| {
        let settings = PostProcessingArgs::default();
        load_detector(file, &settings, purpose, threads)
    };
    Ok([load(&files[0])?, load(&files[1])?])
}

/// What both models take, timed in turns on some of the images that were evaluated, on
/// all cores and by the settings that their users have.
fn measured(files: [PathBuf; 2], set: &DetectionSet, images: &[usize]) -> Result<[Model; 2]> {
    let detectors = load(&files, Purpose::Show, None)?;
    let mut turns = Turns::new(detectors.iter().collect());
    for &index in images.iter().take(TIMED_IMAGES) {
        let image = decode::decode_file(&set.images[index].path, &Limits::default())?;
        turns.run(&image, ROUNDS)?;
    }
    let times = turns.times();
    let [file_a, file_b] = files;
    let model = |file: PathBuf, index: usize| -> Result<Model> {
        Ok(Model {
            costs: Costs::of(&file, detectors[index].info())?,
            file,
            threads: detectors[index].threads(),
            time: times[index],
        })
    };
    Ok([model(file_a, 0)?, model(file_b, 1)?])
}

impl Model {
    /// Such as `small.safetensors, MobileNetV3-Small, 300x300: ...`.
    fn text(&self, detector: &Detector) -> String {
        let info = detector.info();
        format!(
            "{}, {}, {}: {}, {} parameters, {:.3} GMACs, {:.1} MB",
            self.file.display(),
            backbone_text(info),
            info.preprocessing.size,
            self.time_text(),
            self.costs.parameters,
            self.costs.macs as f64 / 1e9,
            self.costs.file_bytes as f64 / 1e6
        )
    }

    fn time_text(&self) -> String {
        format!(
            "{:.2} ms an image (at best {:.2}) on {}",
            milliseconds(self.time.median),
            milliseconds(self.time.min),
            counted(self.threads as u64, "thread")
        )
    }

    fn shown(&self, model: &ModelArg, detector: &Detector) -> ShownModel {
        let mut shown = shown_model(model, detector, &self.costs);
        let fact = ("speed".to_owned(), self.time_text());
        shown.facts.push(fact);
        shown
    }

    fn json(&self) -> ModelJson<'_> {
        ModelJson {
            model: &self.file,
            costs: self.costs,
            median_ms: milliseconds(self.time.median),
            min_ms: milliseconds(self.time.min),
            runs: self.time.runs,
            threads: self.threads,
        }
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn print_differing(images: Vec<(&str, &ImageDifference)>, all: usize) -> Result<()> {
    if images.is_empty() {
        return console::text("they differ in no image");
    }
    let mut text = format!("the {} that differ most of {all} that do\n", images.len());
    text += &format!("{:>10} {:>10}  image", "mistakes A", "mistakes B");
    for (name, found) in images {
        let [a, b] = found.mistakes;
        text += &format!("\n{a:>10} {b:>10}  {}", cell(name));
    }
    console::table(text)
}

/// The answer of `--json`.
#[derive(Serialize)]
struct ComparisonJson<'a> {
    split: &'static str,
    /// A and B.
    models: [ModelJson<'a>; 2],
    #[serde(flatten)]
    comparison: &'a Comparison,
    /// The share of the resamples' differences that lie within an interval.
    confidence: f64,
    differing: Vec<DifferingJson<'a>>,
}

#[derive(Serialize)]
struct ModelJson<'a> {
    model: &'a Path,
    #[serde(flatten)]
    costs: Costs,
    /// Of an image in memory, from pixels to boxes.
    median_ms: f64,
    min_ms: f64,
    runs: usize,
    threads: usize,
}

/// An image in which the detectors differ.
#[derive(Serialize)]
struct DifferingJson<'a> {
    image: &'a Path,
    /// Of A and of B: a missed object counts 1, a wrong detection its score.
    costs: [f64; 2],
    mistakes: [usize; 2],
}

impl<'a> DifferingJson<'a> {
    fn new(image: &'a Path, found: &ImageDifference) -> Self {
        Self {
            image,
            costs: found.costs,
            mistakes: found.mistakes,
        }
    }
}
