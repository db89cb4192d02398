//! Frames that are kept as training data: a VOC folder that labelImg opens.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

use ssdlite_core::{ClassNames, ImageSize, PixelBox};
use ssdlite_data::voc::{VocAnnotation, VocObject};
use ssdlite_image::encode::{jpeg_from_image, write_file};
use ssdlite_image::{Format, Limits as ImageLimits, decode};

use crate::answer::{KeptFrame, KeptObject};
use crate::refusal::Refusal;

const ANNOTATIONS: &str = "Annotations";
const PICTURES: &str = "JPEGImages";
/// A kept frame is for training, like the pictures that were there before.
const LISTS: [&str; 2] = ["ImageSets/Main/train.txt", "ImageSets/Main/trainval.txt"];

/// The quality of pictures that have to be written anew.
const KEPT_QUALITY: u8 = 95;

/// The most objects of a frame.
const MAX_OBJECTS: usize = 1000;

/// Writes frames and their boxes into a folder.
pub(crate) struct Keeper {
    folder: PathBuf,
    counter: AtomicU32,
    lists: Mutex<()>,
}

impl Keeper {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            counter: AtomicU32::new(0),
            lists: Mutex::new(()),
        }
    }

    /// The folder, as people write it.
    pub(crate) fn folder(&self) -> String {
        self.folder.display().to_string()
    }

    /// Writes picture, annotation and lists; gives the frame's id.
    ///
    /// JPEG and PNG files are kept as they are, unless their Exif data turns
    /// them: other programs may not.
    pub(crate) fn keep(
        &self,
        picture: &[u8],
        frame: &KeptFrame,
        classes: &ClassNames,
        limits: &ImageLimits,
    ) -> Result<String, Refusal> {
        let unusable = |error: ssdlite_image::Error| Refusal::Unusable(error.to_string());
        let header = decode::header(picture).map_err(unusable)?;
        let image = decode::decode(picture, limits).map_err(unusable)?;
        let size = ImageSize::new(frame.width, frame.height);
        if image.size() != size {
            return Err(Refusal::Unusable(format!(
                "expected a picture of {size}, as its boxes are, found {}",
                image.size()
            )));
        }
        let objects = objects_to_keep(&frame.detections, classes, size)?;
        let (ending, bytes) = match header.format {
            Format::Jpeg if !header.is_turned() => ("jpg", picture.to_vec()),
            Format::Png if !header.is_turned() => ("png", picture.to_vec()),
            _ => (
                "jpg",
                jpeg_from_image(&image, KEPT_QUALITY).map_err(unusable)?,
            ),
        };
        let id = self.new_id();
        let filename = format!("{id}.{ending}");
        let annotation = VocAnnotation {
            filename: &filename,
            size,
            objects,
        };
        self.write(&id, &filename, &bytes, &annotation.to_xml())
            .map_err(|error| Refusal::Broken(format!("{}: {error}", self.folder())))?;
        Ok(id)
    }

    fn write(&self, id: &str, filename: &str, picture: &[u8], xml: &str) -> io::Result<()> {
        let annotation = self.folder.join(ANNOTATIONS).join(format!("{id}.xml"));
        write_under(&self.folder.join(PICTURES).join(filename), picture)?;
        write_under(&annotation, xml.as_bytes())?;
        let _alone = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        for list in LISTS {
            append_line(&self.folder.join(list), id)?;
        }
        Ok(())
    }

    /// An id by the time of day; the counter tells frames of one millisecond
    /// apart.
    fn new_id(&self) -> String {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let number = self.counter.fetch_add(1, Relaxed);
        format!("kept_{}_{number}", now.as_millis())
    }
}

/// The objects of known classes, clipped to the picture.
fn objects_to_keep<'a>(
    objects: &'a [KeptObject],
    classes: &ClassNames,
    size: ImageSize,
) -> Result<Vec<VocObject<'a>>, Refusal> {
    if objects.len() > MAX_OBJECTS {
        return Err(Refusal::Unusable(format!(
            "expected at most {MAX_OBJECTS} objects, found {}",
            objects.len()
        )));
    }
    let mut kept = Vec::with_capacity(objects.len());
    for KeptObject { class, bbox } in objects {
        if classes.id_of(class).is_none() {
            return Err(Refusal::Unusable(format!("there is no class `{class}`")));
        }
        let [x1, y1, x2, y2] = bbox.map(f32::round);
        let whole = PixelBox::new(x1, y1, x2, y2);
        let bbox = whole.clipped(size);
        if !bbox.is_valid() {
            // It rounds to nothing, or lies outside: there is no such object.
            continue;
        }
        kept.push(VocObject {
            name: class,
            bbox,
            truncated: bbox != whole,
            difficult: false,
        });
    }
    Ok(kept)
}

fn write_under(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    write_file(path, bytes).map_err(io::Error::other)
}

fn append_line(path: &Path, line: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    writeln!(file, "{line}")
}
