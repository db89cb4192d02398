//! A labelled set as COCO has it.
//!
//! Ids count from 1, which all tools take. Difficult objects have `iscrowd`, and every
//! object an empty `segmentation`, as some readers expect the key.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write};

use serde::Serialize;
use serde_json::Number;

use crate::dataset::DetectionImage;
use crate::detection::{LabelledSet, SetPart};
use crate::error::{Error, Result};
use crate::formats::write_set::{Target, distinct};

/// The name of the file with images that stand in no split.
const UNSPLIT: &str = "instances";

#[derive(Serialize)]
struct CocoFile<'a> {
    images: Vec<CocoImage>,
    annotations: Vec<CocoAnnotation>,
    categories: &'a [CocoCategory<'a>],
}

#[derive(Serialize)]
struct CocoImage {
    id: usize,
    file_name: String,
    width: u32,
    height: u32,
}

#[derive(Serialize)]
struct CocoAnnotation {
    id: usize,
    image_id: usize,
    category_id: usize,
    /// Left and top edge, width and height in pixels.
    bbox: [Number; 4],
    area: Number,
    iscrowd: u8,
    segmentation: [u8; 0],
}

#[derive(Serialize)]
struct CocoCategory<'a> {
    id: usize,
    name: &'a str,
    supercategory: &'static str,
}

/// Writes images and a JSON file a split.
pub(crate) fn write(target: &Target<'_>, set: &LabelledSet) -> Result<()> {
    target.each(distinct(set), |image| target.put_image(image, "images"))?;
    let ids: HashMap<&str, usize> = distinct(set)
        .map(|image| image.id.as_str())
        .zip(1..)
        .collect();
    let names = set.classes.iter().zip(1..);
    let categories: Vec<CocoCategory<'_>> = names
        .map(|(name, id)| CocoCategory {
            id,
            name,
            supercategory: "",
        })
        .collect();
    let mut next = 1;
    for part in &set.parts {
        let name = part.split.map_or(UNSPLIT, |split| split.name());
        let path = target.path(&format!("annotations/{name}.json"))?;
        let io_error = |source| Error::io(&path, source);
        let mut file = BufWriter::new(File::create_new(&path).map_err(io_error)?);
        let content = content(target, part, &ids, &categories, &mut next);
        serde_json::to_writer(&mut file, &content).map_err(|error| io_error(error.into()))?;
        file.flush().map_err(io_error)?;
    }
    Ok(())
}

fn content<'a>(
    target: &Target<'_>,
    part: &SetPart,
    ids: &HashMap<&str, usize>,
    categories: &'a [CocoCategory<'a>],
    next: &mut usize,
) -> CocoFile<'a> {
    let mut content = CocoFile {
        images: Vec::new(),
        annotations: Vec::new(),
        categories,
    };
    for image in &part.images {
        let id = ids.get(image.id.as_str()).copied().unwrap_or_default();
        content.images.push(CocoImage {
            id,
            file_name: target.file_name(image),
            width: image.size.width,
            height: image.size.height,
        });
        content.annotations.extend(annotations(image, id, next));
    }
    content
}

fn annotations(image: &DetectionImage, image_id: usize, next: &mut usize) -> Vec<CocoAnnotation> {
    let annotation = |object: &ssdlite_core::GroundTruth| {
        let [x1, y1, x2, y2] = object.bbox.to_array().map(f64::from);
        let (width, height) = (x2 - x1, y2 - y1);
        let id = *next;
        *next += 1;
        CocoAnnotation {
            id,
            image_id,
            category_id: object.class.index() + 1,
            bbox: [x1, y1, width, height].map(number),
            area: number(width * height),
            iscrowd: object.difficult.into(),
            segmentation: [],
        }
    };
    image.objects.iter().map(annotation).collect()
}

/// A finite number, a whole one without a fraction.
fn number(value: f64) -> Number {
    /// From here on a float has no odd numbers.
    const LARGEST_EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() < LARGEST_EXACT {
        return Number::from(value as i64);
    }
    Number::from_f64(value).unwrap_or_else(|| Number::from(0))
}
