//! `detect`: find objects in images and videos.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use anyhow::{Context, Result};
use clap::Args;
use ssdlite_core::{ClassNames, Detection};
use ssdlite_image::RgbImage;
use ssdlite_image::draw::{LabelledBox, draw_boxes};
use ssdlite_infer::Detector;
use ssdlite_media::{LiveInput, MediaFile, MediaKind, Source};

use super::Outcome;
use super::detect_video::{VideoTask, settings_to_track};
use super::detection_json::{DetectionJson, ImageJson};
use super::live_args::StallArgs;
use super::model_args::{PostProcessingArgs, Purpose, load_detector};
use super::save_folder::SaveFolder;
use crate::console;
use crate::signals::stop_on_signal;

#[derive(Args)]
pub(crate) struct DetectArgs {
    /// A detector's model file
    model: PathBuf,
    /// Images, videos, folders, patterns such as `photos/*.jpg`, a camera (`0`,
    /// `/dev/video0`, `camera:NAME`) or a stream (`rtsp://`, `http://`); all but
    /// images need the program `ffmpeg`, and cameras and streams go on until
    /// Ctrl-C
    #[arg(required = true, value_name = "SOURCE")]
    sources: Vec<String>,
    /// Save pictures and videos with boxes drawn in this folder, and with each
    /// video a file of one JSON object a frame
    #[arg(long, value_name = "DIR")]
    save: Option<PathBuf>,
    /// Print one JSON object an image or frame
    #[arg(long)]
    json: bool,
    /// Follow the objects of videos, cameras and streams: each keeps its number
    #[arg(long)]
    track: bool,
    /// Threads [default: all cores]
    #[arg(long)]
    threads: Option<NonZeroUsize>,
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
            &self.model,
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
        let stop = stop_on_signal("stopping after this picture")?;
        let video = VideoTask {
            detector: &detector,
            json: self.json,
            track: self.track,
            least_score,
            stall: self.stall.duration()?,
            stop: &stop,
        };
        let mut failures = 0;
        for source in &self.sources {
            let inputs = match inputs_of(source) {
                Ok(inputs) => inputs,
                Err(error) => {
                    console::failure(&error);
                    failures += 1;
                    continue;
                }
            };
            for input in inputs {
                if stop.load(Ordering::Relaxed) {
                    return Ok(Outcome::Failed);
                }
                let done = match &input {
                    Input::Image(path) => {
                        self.detect_in_image(&detector, least_score, path, folder.as_mut())
                    }
                    Input::Video(path) => video.detect_in_file(path, folder.as_mut()),
                    Input::Live(input) => video.detect_in_live(input, folder.as_mut()),
                };
                match done {
                    Ok(Outcome::Done) => {}
                    Ok(Outcome::Failed) => return Ok(Outcome::Failed),
                    Err(error) if console::is_closed_pipe(&error) => return Err(error),
                    Err(error) => {
                        console::failure(&error);
                        failures += 1;
                    }
                }
            }
        }
        Ok(Outcome::from_failures(failures))
    }

    fn detect_in_image(
        &self,
        detector: &Detector,
        least_score: f32,
        path: &Path,
        folder: Option<&mut SaveFolder>,
    ) -> Result<Outcome> {
        let mut image = ssdlite_image::decode::decode_file(path, &Default::default())?;
        let name = path.to_string_lossy();
        let mut detections = detector.detect(&image).with_context(|| name.to_string())?;
        detections.retain(|found| found.score >= least_score);
        self.print(&name, &image, &detections, detector.classes())?;
        if let Some(folder) = folder {
            let of_detection = |d: &Detection| LabelledBox::of_detection(d, detector.classes());
            // The best comes last, over the others.
            let boxes: Vec<_> = detections.iter().rev().map(of_detection).collect();
            draw_boxes(&mut image, &boxes);
            folder.save_picture(path, &image)?;
        }
        Ok(Outcome::Done)
    }

    fn print(
        &self,
        name: &str,
        image: &RgbImage,
        detections: &[Detection],
        classes: &ClassNames,
    ) -> Result<()> {
        if self.json {
            return console::json(&ImageJson {
                image: name,
                width: image.width(),
                height: image.height(),
                detections: DetectionJson::list(detections, classes),
            });
        }
        console::text(format_args!("{name}: {} objects", detections.len()))?;
        for detection in detections {
            let class = classes.get(detection.class).unwrap_or_default();
            let [x1, y1, x2, y2] = detection.bbox.to_array();
            console::text(format_args!(
                "  {class} {:.3} [{x1:.1}, {y1:.1}, {x2:.1}, {y2:.1}]",
                detection.score
            ))?;
        }
        Ok(())
    }
}

fn inputs_of(source: &str) -> Result<Vec<Input>> {
    let input = |file: MediaFile| match file.kind {
        MediaKind::Image => Input::Image(file.path),
        MediaKind::Video => Input::Video(file.path),
    };
    Ok(match Source::parse(source)? {
        Source::Files(files) => files.into_iter().map(input).collect(),
        live => vec![Input::Live(LiveInput::from_source(live)?)],
    })
}
