//! A labelled set as a VOC folder.

use std::collections::{BTreeSet, HashSet};

use ssdlite_core::ClassId;

use crate::dataset::DetectionImage;
use crate::detection::LabelledSet;
use crate::error::Result;
use crate::formats::voc::layout::{IMAGES, annotation_file, list_file};
use crate::formats::voc::write::written_box;
use crate::formats::voc::{VocAnnotation, VocObject};
use crate::formats::write_set::{Target, WrittenSet, distinct, part_of};
use crate::split::Split;

/// Writes images, annotations and lists; `trainval` also where it is `train` and `val`
/// together, as VOC has it.
pub(crate) fn write(
    target: &Target<'_>,
    set: &LabelledSet,
    written: &mut WrittenSet,
) -> Result<()> {
    target.each(distinct(set), |image| {
        target.put_image(image, IMAGES)?;
        let text = annotation(target, set, image);
        target.put_text(&annotation_file(target.name(image)), &text)
    })?;
    for split in Split::ALL {
        let Some(names) = names_of_split(target, set, split) else {
            continue;
        };
        let text: String = names.iter().flat_map(|name| [*name, "\n"]).collect();
        target.put_text(&list_file(split), &text)?;
    }
    let objects = || distinct(set).flat_map(|image| &image.objects);
    written.rounded_boxes = objects()
        .filter(|object| written_box(object.bbox) != object.bbox)
        .count();
    let used: HashSet<ClassId> = objects().map(|object| object.class).collect();
    let classes = set.classes.ids().zip(set.classes.iter());
    let lost = classes.filter(|(id, _)| !used.contains(id));
    written.lost_classes = lost.map(|(_, name)| name.to_owned()).collect();
    Ok(())
}

fn names_of_split<'a>(
    target: &'a Target<'_>,
    set: &LabelledSet,
    split: Split,
) -> Option<Vec<&'a str>> {
    let names = |split| -> Option<Vec<&'a str>> {
        let part = part_of(set, split)?;
        Some(part.images.iter().map(|image| target.name(image)).collect())
    };
    match (names(split), names(Split::Train), names(Split::Val)) {
        (None, Some(train), Some(val)) if split == Split::TrainVal => {
            let both: BTreeSet<&str> = train.into_iter().chain(val).collect();
            Some(both.into_iter().collect())
        }
        (names, ..) => names,
    }
}

fn annotation(target: &Target<'_>, set: &LabelledSet, image: &DetectionImage) -> String {
    let filename = target.file_name(image);
    let bare = filename
        .rsplit_once('/')
        .map_or(&*filename, |(_, name)| name);
    let objects = image.objects.iter().map(|object| VocObject {
        name: set.classes.get(object.class).unwrap_or_default(),
        bbox: object.bbox,
        truncated: false,
        difficult: object.difficult,
    });
    let annotation = VocAnnotation {
        filename: bare,
        size: image.size,
        objects: objects.collect(),
    };
    annotation.to_xml()
}
