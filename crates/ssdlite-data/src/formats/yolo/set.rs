//! A labelled set as YOLO's tools have it.
//!
//! Images that stand in no split lie in `images` itself. Shares are written with all
//! digits, so that they come back to the pixel they came from.

use std::fmt::Write;

use ssdlite_core::{ClassNames, GroundTruth, ImageSize};

use crate::dataset::DetectionImage;
use crate::detection::LabelledSet;
use crate::error::Result;
use crate::formats::write_set::{Target, WrittenSet};
use crate::formats::yolo::DIFFICULT;
use crate::split::Split;
use crate::tree::under;

/// Writes images, label files, the description and the list of difficult objects.
pub(crate) fn write(
    target: &Target<'_>,
    set: &LabelledSet,
    written: &mut WrittenSet,
) -> Result<()> {
    let mut difficult = String::new();
    for part in &set.parts {
        let inner = part.split.map_or("", Split::name);
        let (images, labels) = (folder("images", inner), folder("labels", inner));
        let file_of =
            |image: &DetectionImage| under(&labels, &format!("{}.txt", target.name(image)));
        target.each(&part.images, |image| {
            target.put_image(image, &images)?;
            target.put_text(&file_of(image), &rows(image))
        })?;
        for image in &part.images {
            push_difficult(&mut difficult, &file_of(image), &image.objects);
        }
    }
    if !difficult.is_empty() {
        target.put_text(DIFFICULT, &difficult)?;
    }
    let files: usize = set.parts.iter().map(|part| part.images.len()).sum();
    written.repeated_images = files - written.images;
    target.put_text("data.yaml", &description(set))
}

fn folder(kind: &str, inner: &str) -> String {
    match inner {
        "" => kind.to_owned(),
        inner => under(kind, inner),
    }
}

/// A row an object: its class, centre, width and height.
fn rows(image: &DetectionImage) -> String {
    let ImageSize { width, height } = image.size;
    let (width, height) = (f64::from(width), f64::from(height));
    let mut rows = String::new();
    for object in &image.objects {
        let [x1, y1, x2, y2] = object.bbox.to_array().map(f64::from);
        writeln!(
            rows,
            "{} {} {} {} {}",
            object.class.index(),
            (x1 + x2) / 2.0 / width,
            (y1 + y2) / 2.0 / height,
            (x2 - x1) / width,
            (y2 - y1) / height
        )
        .expect("writing to a string can't fail");
    }
    rows
}

/// A line a difficult object: its label file and its row.
fn push_difficult(list: &mut String, file: &str, objects: &[GroundTruth]) {
    for (index, _) in objects
        .iter()
        .enumerate()
        .filter(|(_, object)| object.difficult)
    {
        writeln!(list, "{file} {}", index + 1).expect("writing to a string can't fail");
    }
}

/// `data.yaml`. Without `path` its places are seen from its own folder.
fn description(set: &LabelledSet) -> String {
    let mut yaml = String::new();
    for split in set.parts.iter().filter_map(|part| part.split) {
        writeln!(yaml, "{split}: images/{split}").expect("writing to a string can't fail");
    }
    if !yaml.is_empty() {
        yaml.push('\n');
    }
    yaml + &names(&set.classes)
}

/// The names by their numbers, each as a string of JSON, which YAML reads too.
fn names(classes: &ClassNames) -> String {
    let mut yaml = format!("nc: {}\nnames:\n", classes.len());
    for (number, name) in classes.iter().enumerate() {
        let name = serde_json::Value::from(name);
        writeln!(yaml, "  {number}: {name}").expect("writing to a string can't fail");
    }
    yaml
}
