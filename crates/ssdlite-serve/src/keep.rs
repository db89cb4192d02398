//! Frames that are kept as training data: a VOC folder that labelImg opens.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

use ssdlite_core::{ClassNames, ImageSize, PixelBox};
use ssdlite_data::voc::{VocAnnotation, VocObject};
use ssdlite_files::write_atomically;
use ssdlite_image::encode::jpeg_from_image;
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

/// What was kept.
pub(crate) struct Kept {
    pub(crate) id: String,
    /// Whether the folder has lists, in which it now stands.
    pub(crate) is_listed: bool,
}

/// Writes frames and their boxes into a folder.
pub(crate) struct Keeper {
    folder: PathBuf,
    counter: AtomicU32,
    /// Held while files are written: whether the folder was empty is asked
    /// before.
    writing: Mutex<()>,
}

impl Keeper {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            counter: AtomicU32::new(0),
            writing: Mutex::new(()),
        }
    }

    /// The folder, as people write it.
    pub(crate) fn folder(&self) -> String {
        self.folder.display().to_string()
    }

    /// Writes picture, annotation and lists.
    ///
    /// JPEG and PNG files are kept as they are, unless their Exif data turns
    /// them: other programs may not.
    pub(crate) fn keep(
        &self,
        picture: &[u8],
        frame: &KeptFrame,
        classes: &ClassNames,
        limits: &ImageLimits,
    ) -> Result<Kept, Refusal> {
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
        let is_listed = self
            .write(&id, &filename, &bytes, &annotation.to_xml())
            .map_err(|error| Refusal::Broken(format!("{}: {error}", self.folder())))?;
        Ok(Kept { id, is_listed })
    }

    /// Tells whether the frame stands in a list.
    fn write(&self, id: &str, filename: &str, picture: &[u8], xml: &str) -> io::Result<bool> {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let lists = self.lists()?;
        let annotation = self.folder.join(ANNOTATIONS).join(format!("{id}.xml"));
        write_under(&self.folder.join(PICTURES).join(filename), picture)?;
        write_under(&annotation, xml.as_bytes())?;
        for list in &lists {
            append_line(list, id)?;
        }
        Ok(!lists.is_empty())
    }

    /// The lists that a kept frame goes into: those that are there, or in a
    /// folder without annotations new ones. A new list beside annotations that
    /// stand in none would leave those out of training.
    fn lists(&self) -> io::Result<Vec<PathBuf>> {
        let lists = LISTS.map(|list| self.folder.join(list));
        let there: Vec<PathBuf> = lists.iter().filter(|list| list.exists()).cloned().collect();
        if there.is_empty() && is_empty(&self.folder.join(ANNOTATIONS))? {
            return Ok(lists.into());
        }
        Ok(there)
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
    write_atomically(path, bytes)
}

/// Whether nothing is in a folder, or the folder is not there.
fn is_empty(folder: &Path) -> io::Result<bool> {
    match fs::read_dir(folder) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

/// Adds a line, also to a file whose last line was left without its end.
fn append_line(path: &Path, line: &str) -> io::Result<()> {
    let mut text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    if text.last().is_some_and(|&last| last != b'\n') {
        text.push(b'\n');
    }
    text.extend(line.bytes().chain([b'\n']));
    write_under(path, &text)
}
