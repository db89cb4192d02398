//! `detect`: find objects in images and videos.

mod labels;
mod look;
mod summary;
mod video;

use std::ffi::{OsStr, OsString};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use anyhow::Result;
use clap::Args;
use ssdlite_core::ClassNames;
use ssdlite_image::DecodeMemory;
use ssdlite_infer::all_cores;
use ssdlite_media::{AtStart, LiveInput, MediaFile, MediaKind, Source};

use self::labels::Labels;
use self::look::{Looked, Looking};
use self::summary::{Counts, Summary};
use self::video::{VideoTask, settings_to_track};
use crate::args::labels::LabelArgs;
use crate::args::limits::LimitArgs;
use crate::args::model::ModelArg;
use crate::args::post_processing::PostProcessingArgs;
use crate::args::stall::StallArgs;
use crate::args::threads::{Spread, threads};
use crate::console::{self, counted};
use crate::models::{Purpose, load_detector};
use crate::outcome::{Outcome, UsageError, for_each_input, inputs_of_all, told_files};
use crate::output::found::{ImageJson, json_from_found};
use crate::output::save_folder::SaveFolder;
use crate::output::training_progress::duration_text;
use crate::paths::source_from_argument;
use crate::signals::stop_on_signal;

#[derive(Args)]
pub(crate) struct DetectArgs {
    /// A detector's model file, or a run's folder for its best model
    model: ModelArg,
    /// Images, videos, folders, patterns such as `photos/*.jpg`, a camera (`0`,
    /// `/dev/video0`, `camera:NAME`) or a stream (`rtsp://`, `http://`); all but
    /// images need the program `ffmpeg`, and cameras and streams go on until
    /// Ctrl-C; a file behind an address is read once
    #[arg(required = true, value_name = "SOURCE")]
    sources: Vec<OsString>,
    /// Save images and videos with boxes drawn in this folder, and with each
    /// video a file of one JSON object a frame
    #[arg(long, value_name = "DIR")]
    save: Option<PathBuf>,
    /// Print one JSON object an image or frame; in names, what is not UTF-8 is
    /// replaced
    #[arg(long)]
    json: bool,
    /// Follow the objects of videos, cameras and streams: each keeps its number
    #[arg(long)]
    track: bool,
    /// Go on trying where a camera or a stream can't be opened at the start
    #[arg(long)]
    retry: bool,
    /// Threads, 1 to 256 [default: all cores]
    #[arg(long, value_parser = threads)]
    threads: Option<NonZeroUsize>,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    stall: StallArgs,
    #[command(flatten)]
    labels: LabelArgs,
    #[command(flatten)]
    post_processing: PostProcessingArgs,
}

/// Where what is found in an image goes besides being told.
struct Saved<'a> {
    folder: Option<&'a mut SaveFolder>,
    labels: Option<&'a mut Labels>,
}

/// One thing to find objects in.
enum Input {
    Image(PathBuf),
    Video(PathBuf),
    Live(LiveInput),
}

impl Input {
    fn is_image(&self) -> bool {
        matches!(self, Self::Image(_))
    }
}

impl DetectArgs {
    pub(crate) fn run(mut self) -> Result<Outcome> {
        if let Some(band) = self.labels.review() {
            self.post_processing.ask_for_score(band.low());
        }
        let inputs = inputs_of_all(&self.sources, inputs_of);
        self.expect_effect(&inputs)?;
        let threads = self.threads.unwrap_or_else(all_cores);
        let threads = match inputs.iter().flatten().all(Input::is_image) {
            true => Spread::of(threads, inputs.len()),
            false => Spread::beside_others(threads, inputs.len()),
        };
        let mut labels = Labels::from_args(&self.labels, self.save.as_deref())?;
        let mut detector = load_detector(
            &self.model.file()?,
            &self.post_processing,
            Purpose::Show,
            Some(threads.of_model),
        )?;
        let least_score = detector.post_processing().score_threshold;
        if self.track {
            let settings = *detector.post_processing();
            detector.set_post_processing(settings_to_track(settings))?;
        }
        let mut folder = self.save.as_deref().map(SaveFolder::new).transpose()?;
        let stop = stop_on_signal("stopping after this image")?;
        let video = VideoTask {
            detector: &detector,
            json: self.json,
            track: self.track,
            least_score,
            stall: self.stall.duration(),
            at_start: if self.retry {
                AtStart::Retry
            } else {
                AtStart::Stop
            },
            stop: &stop,
        };
        let mut summary = Summary::new(least_score);
        let looking = Looking {
            detector: &detector,
            limits: &self.limits,
            memory: DecodeMemory::default(),
            least_score,
            draws: self.save.is_some(),
        };
        let look = |input: &Input| match input {
            Input::Image(path) if !stop.load(Ordering::Relaxed) => Some(looking.look(path)),
            _ => None,
        };
        let tell = |input: &Input, looked: Option<Result<Looked>>| {
            if stop.load(Ordering::Relaxed) {
                return Ok(Outcome::Failed);
            }
            let (folder, summary) = (folder.as_mut(), &mut summary);
            match (input, looked) {
                (Input::Image(path), Some(looked)) => {
                    let saved = Saved {
                        folder,
                        labels: labels.as_mut(),
                    };
                    self.tell(path, looked?, detector.classes(), saved, summary)
                }
                // It was stopped before this image.
                (Input::Image(_), None) => Ok(Outcome::Failed),
                (Input::Video(path), _) => video.detect_in_file(path, folder, summary),
                (Input::Live(input), _) => video.detect_in_live(input, folder, summary),
            }
        };
        let outcome = for_each_input(threads.of_images, &inputs, look, tell);
        if outcome.is_ok() {
            summary.tell(folder.as_ref().and_then(SaveFolder::if_used));
        }
        // Also where nobody reads what is told any more.
        if let Some(labels) = labels {
            labels.write(detector.classes())?;
        }
        outcome
    }

    /// Refuses options that none of the inputs takes notice of, or that one of them can't
    /// have.
    fn expect_effect(&self, inputs: &[Result<Input>]) -> Result<()> {
        // What can't be found may be anything.
        let any = |is: fn(&Input) -> bool| {
            let mut inputs = inputs.iter();
            inputs.any(|input| input.as_ref().map_or(true, is))
        };
        let is_live = any(|input| matches!(input, Input::Live(_)));
        let moves = any(|input| !input.is_image());
        for (option, is_given, has_effect, expected) in [
            (
                "--track",
                self.track,
                moves,
                "a video, a camera or a stream",
            ),
            (
                "--stall",
                self.stall.is_given(),
                is_live,
                "a camera or a stream",
            ),
            ("--retry", self.retry, is_live, "a camera or a stream"),
        ] {
            if is_given && !has_effect {
                let found = if moves { "files" } else { "images" };
                return Err(UsageError(format!(
                    "{option}: this would have no effect: expected {expected} among the sources, \
                     found {found} alone"
                ))
                .into());
            }
        }
        let mut found = inputs.iter().flatten();
        if self.labels.asked().is_some() && !found.all(Input::is_image) {
            let fault = "--save-labels: expected images alone among the sources, found a video, a \
                         camera or a stream";
            return Err(UsageError(fault.into()).into());
        }
        Ok(())
    }

    /// Tells of an image, and saves what is to be saved.
    fn tell(
        &self,
        path: &Path,
        looked: Looked,
        classes: &ClassNames,
        saved: Saved<'_>,
        summary: &mut Summary,
    ) -> Result<Outcome> {
        let name = path.to_string_lossy();
        if looked.found.is_empty() {
            summary.fell_short(looked.nearest.as_ref(), classes, &name);
        }
        self.print(&name, &looked, classes)?;
        if let (Some(folder), Some(drawn)) = (saved.folder, &looked.drawn) {
            folder.save_jpeg(path, drawn)?;
        }
        if let Some(labels) = saved.labels {
            labels.add(path, looked.size, &looked.found);
        }
        let mut counts = Counts {
            images: 1,
            ..Counts::default()
        };
        counts.found(looked.found.len());
        summary.add(counts);
        console::detail(&format!("{name}: {}", duration_text(looked.time)));
        Ok(Outcome::Done)
    }

    fn print(&self, name: &str, looked: &Looked, classes: &ClassNames) -> Result<()> {
        let Looked { size, found, .. } = looked;
        if self.json {
            return console::json(&ImageJson {
                image: name,
                width: size.width,
                height: size.height,
                detections: json_from_found(found, classes),
            });
        }
        let objects = counted(found.len() as u64, "object");
        console::text(format_args!("{name}: {objects}"))?;
        for found in found {
            let object = found.detection.named(classes);
            let [x1, y1, x2, y2] = object.bbox;
            console::text(format_args!(
                "  {} {:.3} [{x1:.1}, {y1:.1}, {x2:.1}, {y2:.1}]",
                object.class, object.score
            ))?;
        }
        Ok(())
    }
}

fn inputs_of(source: &OsStr) -> Result<Vec<Result<Input>>> {
    let input = |file: MediaFile| match file.kind {
        MediaKind::Image => Input::Image(file.path),
        MediaKind::Video => Input::Video(file.path),
    };
    Ok(match source_from_argument(source)? {
        Source::Files(found) => told_files(found).map(|file| file.map(input)).collect(),
        live => vec![Ok(Input::Live(LiveInput::from_source(live)?))],
    })
}
