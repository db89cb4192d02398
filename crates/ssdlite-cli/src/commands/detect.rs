//! `detect`: find objects in images and videos.

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use serde::Serialize;
use ssdlite_core::{ClassNames, Detection};
use ssdlite_image::RgbImage;
use ssdlite_image::draw::{LabelledBox, draw_boxes};
use ssdlite_infer::Detector;
use ssdlite_media::{MediaFile, MediaKind, Source};

use super::Outcome;
use super::model_args::{PostProcessingArgs, Purpose, load_detector};
use crate::console;

#[derive(Args)]
pub(crate) struct DetectArgs {
    /// A detector's model file
    model: PathBuf,
    /// Images, folders or patterns such as `photos/*.jpg`
    #[arg(required = true, value_name = "SOURCE")]
    sources: Vec<String>,
    /// Save pictures with boxes drawn in this folder
    #[arg(long, value_name = "DIR")]
    save: Option<PathBuf>,
    /// Print one JSON object an image
    #[arg(long)]
    json: bool,
    /// Threads [default: all cores]
    #[arg(long)]
    threads: Option<NonZeroUsize>,
    #[command(flatten)]
    post_processing: PostProcessingArgs,
}

#[derive(Serialize)]
pub(crate) struct ImageJson<'a> {
    pub(crate) image: &'a str,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) detections: Vec<DetectionJson<'a>>,
}

#[derive(Serialize)]
pub(crate) struct DetectionJson<'a> {
    class: &'a str,
    score: f32,
    #[serde(rename = "box")]
    bbox: [f32; 4],
}

impl<'a> DetectionJson<'a> {
    pub(crate) fn list(detections: &[Detection], classes: &'a ClassNames) -> Vec<Self> {
        let json = |detection: &Detection| Self {
            class: classes.get(detection.class).unwrap_or_default(),
            score: detection.score,
            bbox: detection.bbox.to_array(),
        };
        detections.iter().map(json).collect()
    }
}

impl DetectArgs {
    pub(crate) fn run(self) -> Result<Outcome> {
        let detector = load_detector(
            &self.model,
            &self.post_processing,
            Purpose::Show,
            self.threads,
        )?;
        let mut pictures = self.save.as_deref().map(PictureFolder::new).transpose()?;
        let mut failures = 0;
        for source in &self.sources {
            let files = match files_of(source) {
                Ok(files) => files,
                Err(error) => {
                    console::error(&format!("{error:#}"));
                    failures += 1;
                    continue;
                }
            };
            for file in files {
                if let Err(error) = self.detect_in(&detector, &file, pictures.as_mut()) {
                    if console::is_closed_pipe(&error) {
                        return Err(error);
                    }
                    console::error(&format!("{error:#}"));
                    failures += 1;
                }
            }
        }
        Ok(Outcome::from_failures(failures))
    }

    fn detect_in(
        &self,
        detector: &Detector,
        file: &MediaFile,
        pictures: Option<&mut PictureFolder>,
    ) -> Result<()> {
        let mut image = ssdlite_image::decode::decode_file(&file.path, &Default::default())?;
        let name = file.path.to_string_lossy();
        let detections = detector.detect(&image).with_context(|| name.to_string())?;
        self.print(&name, &image, &detections, detector.classes())?;
        if let Some(pictures) = pictures {
            let of_detection = |d: &Detection| LabelledBox::of_detection(d, detector.classes());
            let boxes: Vec<_> = detections.iter().map(of_detection).collect();
            draw_boxes(&mut image, &boxes);
            pictures.save(&file.path, &image)?;
        }
        Ok(())
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

fn files_of(source: &str) -> Result<Vec<MediaFile>> {
    let Source::Files(files) = Source::parse(source)? else {
        anyhow::bail!("{source}: a camera or a stream has no end; expected images");
    };
    if let Some(video) = files.iter().find(|file| file.kind == MediaKind::Video) {
        anyhow::bail!("{}: expected an image", video.path.display());
    }
    Ok(files)
}

/// A folder for pictures, each under a name of its own.
pub(crate) struct PictureFolder {
    folder: PathBuf,
    taken: HashSet<PathBuf>,
}

impl PictureFolder {
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("can't make the folder {}", folder.display()))?;
        Ok(Self {
            folder: folder.to_owned(),
            taken: HashSet::new(),
        })
    }

    /// Saves a picture as JPEG under the name of the file that it came from,
    /// with a number where two files have the same name.
    pub(crate) fn save(&mut self, origin: &Path, image: &RgbImage) -> Result<()> {
        let stem = origin.file_stem().unwrap_or(origin.as_os_str());
        let mut name = PathBuf::from(stem).with_added_extension("jpg");
        let mut number = 1;
        while !self.taken.insert(name.clone()) {
            number += 1;
            let mut numbered = stem.to_owned();
            numbered.push(format!("-{number}.jpg"));
            name = numbered.into();
        }
        Ok(ssdlite_image::encode::save(&self.folder.join(name), image)?)
    }
}
