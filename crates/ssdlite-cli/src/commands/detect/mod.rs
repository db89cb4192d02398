//! `detect`: find objects in images and videos.

mod video;

use std::ffi::{OsStr, OsString};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use anyhow::{Context, Result};
use clap::Args;
use ssdlite_core::ClassNames;
use ssdlite_image::RgbImage;
use ssdlite_infer::Detector;
use ssdlite_media::{LiveInput, MediaFile, MediaKind, Source};

use self::video::{VideoTask, settings_to_track};
use crate::args::limits::LimitArgs;
use crate::args::model::ModelArg;
use crate::args::post_processing::PostProcessingArgs;
use crate::args::stall::StallArgs;
use crate::args::threads::threads;
use crate::console;
use crate::models::{Purpose, load_detector};
use crate::outcome::{Outcome, for_each_input, told_files};
use crate::output::found::{Found, ImageJson, draw_found, json_from_found};
use crate::output::save_folder::SaveFolder;
use crate::signals::stop_on_signal;

#[derive(Args)]
pub(crate) struct DetectArgs {
    /// A detector's model file, or a run's folder for its best model
    model: ModelArg,
    /// Images, videos, folders, patterns such as `photos/*.jpg`, a camera (`0`,
    /// `/dev/video0`, `camera:NAME`) or a stream (`rtsp://`, `http://`); all but
    /// images need the program `ffmpeg`, and cameras and streams that give a
    /// frame in five tries go on until Ctrl-C; a file behind an address is read
    /// once
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
    /// Threads, 1 to 256 [default: all cores]
    #[arg(long, value_parser = threads)]
    threads: Option<NonZeroUsize>,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    stall: StallArgs,
    #[command(flatten)]
    post_processing: PostProcessingArgs,
}

/// One thing to find objects in.
enum Input {
    Image(PathBuf),
    Video(PathBuf),
    Live(LiveInput),
}

impl DetectArgs {
    pub(crate) fn run(self) -> Result<Outcome> {
        let mut detector = load_detector(
            &self.model.file()?,
            &self.post_processing,
            Purpose::Show,
            self.threads,
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
            stall: self.stall.duration()?,
            stop: &stop,
        };
        for_each_input(&self.sources, inputs_of, |input| {
            if stop.load(Ordering::Relaxed) {
                return Ok(Outcome::Failed);
            }
            match &input {
                Input::Image(path) => {
                    self.detect_in_image(&detector, least_score, path, folder.as_mut())
                }
                Input::Video(path) => video.detect_in_file(path, folder.as_mut()),
                Input::Live(input) => video.detect_in_live(input, folder.as_mut()),
            }
        })
    }

    fn detect_in_image(
        &self,
        detector: &Detector,
        least_score: f32,
        path: &Path,
        folder: Option<&mut SaveFolder>,
    ) -> Result<Outcome> {
        let mut image = self.limits.decode(path)?;
        let name = path.to_string_lossy();
        let detections = detector.detect(&image).with_context(|| name.to_string())?;
        let shown = detections
            .into_iter()
            .filter(|detection| detection.score >= least_score);
        let found: Vec<Found> = shown.map(Found::from).collect();
        self.print(&name, &image, &found, detector.classes())?;
        if let Some(folder) = folder {
            draw_found(&mut image, &found, detector.classes());
            folder.save_image(path, &image)?;
        }
        Ok(Outcome::Done)
    }

    fn print(
        &self,
        name: &str,
        image: &RgbImage,
        found: &[Found],
        classes: &ClassNames,
    ) -> Result<()> {
        if self.json {
            return console::json(&ImageJson {
                image: name,
                width: image.width(),
                height: image.height(),
                detections: json_from_found(found, classes),
            });
        }
        console::text(format_args!("{name}: {} objects", found.len()))?;
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
    Ok(match Source::parse(source)? {
        Source::Files(found) => told_files(found).map(|file| file.map(input)).collect(),
        live => vec![Ok(Input::Live(LiveInput::from_source(live)?))],
    })
}
