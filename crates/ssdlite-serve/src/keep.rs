//! Frames that are kept as training data: a VOC folder that labelImg opens, and
//! whose annotations can be corrected.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};
use std::{fs, io};

use ssdlite_core::{ClassNames, ImageSize, PixelBox};
use ssdlite_data::DataFolder;
use ssdlite_data::voc::{
    Corrections, FrameList, VocAnnotation, VocEditor, VocFrames, VocObject, VocWriter,
};
use ssdlite_files::{NewFile, words_of};
use ssdlite_image::decode::WHOLE;
use ssdlite_image::encode::jpeg_from_image;
use ssdlite_image::{Format, Header, Limits, RgbImage, decode};

use crate::answer::{KeptFrame, KeptObject};
use crate::decoder::Decoder;
use crate::error::Error;
use crate::refusal::Refusal;

/// The quality of images that have to be written anew.
const KEPT_QUALITY: u8 = 95;

/// The most objects of a frame.
const MAX_OBJECTS: usize = 1000;

/// The name of a file that is never there: it is made without one, and removed.
const PROBE: &str = "probe";

/// Folders of VOC data.
const ANNOTATIONS: &str = "Annotations";
const IMAGES: &str = "JPEGImages";

/// What was kept.
pub(crate) struct Kept {
    pub(crate) id: String,
    /// Whether the folder has lists, in which it now stands.
    pub(crate) is_listed: bool,
}

/// A kept frame's annotation as it stands in the folder.
pub(crate) struct Annotated {
    /// An empty one, if there is none.
    pub(crate) editor: VocEditor,
    pub(crate) is_annotated: bool,
    /// Tells its bytes from others, as an entity tag of HTTP.
    pub(crate) revision: String,
}

/// Writes frames and their boxes into a folder, and corrects them.
pub(crate) struct Keeper {
    folder: PathBuf,
    counter: AtomicU32,
    frames: VocFrames,
    writer: Mutex<VocWriter>,
}

impl Keeper {
    /// Makes the folder if it is not there, and tries whether it can be written.
    ///
    /// # Errors
    /// [`Error::Keep`] for what is no folder, can't be made or written, or holds
    /// or is in a data set of another form.
    pub(crate) fn new(folder: PathBuf) -> Result<Self, Error> {
        match usable(&folder) {
            Ok(()) => Ok(Self {
                writer: Mutex::new(VocWriter::new(&folder)),
                frames: VocFrames::new(&folder),
                folder,
                counter: AtomicU32::new(0),
            }),
            Err(reason) => Err(Error::Keep { folder, reason }),
        }
    }

    /// The folder, as people write it.
    pub(crate) fn folder(&self) -> String {
        self.folder.display().to_string()
    }

    /// Writes image, annotation and lists.
    ///
    /// JPEG and PNG files are kept as they are, unless their Exif data turns
    /// them: other programs may not.
    pub(crate) fn keep(
        &self,
        file: &[u8],
        frame: &KeptFrame,
        classes: &ClassNames,
        decoder: &Decoder,
    ) -> Result<Kept, Refusal> {
        let header = decode::header(file).map_err(unusable)?;
        decoder.with_decoded(file, WHOLE, |image| {
            self.keep_decoded(file, &header, &image.into_image(), frame, classes)
        })
    }

    fn keep_decoded(
        &self,
        file: &[u8],
        header: &Header,
        image: &RgbImage,
        frame: &KeptFrame,
        classes: &ClassNames,
    ) -> Result<Kept, Refusal> {
        let size = ImageSize::new(frame.width, frame.height);
        if image.size() != size {
            return Err(Refusal::Unusable(format!(
                "expected an image of {size}, as its boxes are, found {}",
                image.size()
            )));
        }
        let objects = objects_to_keep(&frame.detections, classes, size)?;
        let (ending, bytes) = match header.format {
            Format::Jpeg if !header.is_turned() => ("jpg", file.to_vec()),
            Format::Png if !header.is_turned() => ("png", file.to_vec()),
            _ => (
                "jpg",
                jpeg_from_image(image, KEPT_QUALITY).map_err(unusable)?,
            ),
        };
        let id = self.new_id();
        let annotation = VocAnnotation {
            filename: &format!("{id}.{ending}"),
            size,
            objects,
        };
        let is_listed = self
            .writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .add_to_train(&bytes, &annotation)
            .map_err(|error| Refusal::Broken(error.to_string()))?;
        Ok(Kept { id, is_listed })
    }

    /// The frames that are there.
    pub(crate) fn list(&self) -> Result<FrameList, Refusal> {
        self.frames.list().map_err(refusal)
    }

    /// A frame's image file and what its header says.
    pub(crate) fn image(&self, id: &str, limits: &Limits) -> Result<(PathBuf, Header), Refusal> {
        let path = self.frames.image(id);
        let path = path.ok_or_else(|| Refusal::Unknown(format!("there is no frame `{id}`")))?;
        let header = decode::header_of_file(&path, limits).map_err(unusable)?;
        limits.check_size(header.stored).map_err(unusable)?;
        Ok((path, header))
    }

    /// A frame's annotation.
    pub(crate) fn annotated(&self, id: &str, limits: &Limits) -> Result<Annotated, Refusal> {
        let (path, header) = self.image(id, limits)?;
        let found = self.frames.annotation(id).map_err(refusal)?;
        let revision = revision_of(found.as_deref());
        let is_annotated = found.is_some();
        let bytes = found.unwrap_or_else(|| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let annotation = VocAnnotation {
                filename: &name,
                size: header.displayed,
                objects: Vec::new(),
            };
            annotation.to_xml().into_bytes()
        });
        let editor = VocEditor::new(&bytes, &header).map_err(refusal)?;
        Ok(Annotated {
            editor,
            is_annotated,
            revision,
        })
    }

    /// Corrects a frame's annotation that is still of this revision; gives it as it
    /// stands then.
    pub(crate) fn correct(
        &self,
        id: &str,
        revision: &str,
        corrections: &Corrections,
        limits: &Limits,
    ) -> Result<Annotated, Refusal> {
        // Nobody else corrects it between reading and writing.
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let annotated = self.annotated(id, limits)?;
        if annotated.revision != revision {
            return Err(Refusal::Changed(format!(
                "the annotation of `{id}` has changed meanwhile: read it again"
            )));
        }
        let text = annotated.editor.corrected(corrections).map_err(refusal)?;
        let written = match annotated.is_annotated {
            true => self.frames.replace_annotation(id, &text),
            false => writer.annotate(id, &text),
        };
        written.map_err(refusal)?;
        self.annotated(id, limits)
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

/// Refuses a folder in which no frames can be kept as VOC data.
fn usable(folder: &Path) -> Result<(), String> {
    if folder.exists() && !folder.is_dir() {
        return Err("expected a folder for kept frames, found a file".into());
    }
    if let Some(set) = yolo_set_around(folder) {
        return Err(format!(
            "expected a folder for VOC data, found one in the YOLO set {}: give a folder outside \
             of it",
            set.display()
        ));
    }
    let other = match DataFolder::open(folder, None) {
        Ok(DataFolder::Boxes(boxes)) if boxes.format() != ssdlite_data::Format::Voc => {
            "labels of another form"
        }
        Ok(DataFolder::Boxes(_)) if !has_vocs_folders(folder) => "annotations in another layout",
        Ok(DataFolder::Images(_)) => "images in class folders",
        Err(ssdlite_data::Error::Unsupported(_)) => "labels of another form",
        // It has no data yet, or VOC's.
        _ => "",
    };
    if !other.is_empty() {
        return Err(format!(
            "expected a new folder or one of VOC data ({ANNOTATIONS}, {IMAGES}), found {other}: \
             give another folder"
        ));
    }
    let cannot = |error: io::Error| format!("frames can't be kept there: {}", words_of(&error));
    fs::create_dir_all(folder).map_err(cannot)?;
    NewFile::create(&folder.join(PROBE))
        .map(drop)
        .map_err(cannot)
}

fn has_vocs_folders(folder: &Path) -> bool {
    [ANNOTATIONS, IMAGES]
        .iter()
        .any(|name| folder.join(name).is_dir())
}

/// The folder, or one that it is in, that has images and labels as YOLO's tools
/// lay them out.
fn yolo_set_around(folder: &Path) -> Option<PathBuf> {
    let folder = std::path::absolute(folder).ok()?;
    let mut around = folder.ancestors();
    let set = around.find(|set| {
        let has_both = ["images", "labels"]
            .iter()
            .all(|name| set.join(name).is_dir());
        has_both || set.join("data.yaml").is_file()
    });
    set.map(Path::to_owned)
}

/// An entity tag of an annotation file's bytes; none if there is no file.
fn revision_of(bytes: Option<&[u8]>) -> String {
    let Some(bytes) = bytes else {
        return "\"none\"".into();
    };
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    format!("\"{:x}-{:016x}\"", bytes.len(), hasher.finish())
}

/// What is wrong with data of the folder, or with what is to be done to it.
fn refusal(error: ssdlite_data::Error) -> Refusal {
    match error {
        error @ ssdlite_data::Error::Io { .. } => Refusal::Broken(error.to_string()),
        error => Refusal::Unusable(error.to_string()),
    }
}

fn unusable(error: ssdlite_image::Error) -> Refusal {
    Refusal::Unusable(error.to_string())
}

/// The objects of known classes, clipped to the image.
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
