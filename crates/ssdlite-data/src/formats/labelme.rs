//! Detection data as labelme has it: a JSON file an image, beside it or elsewhere.
//!
//! The names of the files pair annotation and image; where they don't, the name that the
//! annotation gives its image (`imagePath`, often a path of another machine) does. Of a
//! rectangle, polygon or circle the upright box around it is taken; other shapes are
//! named. An image that is embedded (`imageData`) is not read.
//!
//! Source: labelme's `label_file.py` and `shape.py`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::Deserialize;
use ssdlite_core::ImageSize;

use crate::detection::annotation::{
    ClaimedSize, Corners, Fault, ImageLabels, LabelledObject, ObjectFields, Parsed, Unit,
};
use crate::detection::lists::folded;
use crate::error::{self, Error};
use crate::finding::{FindingKind, quoted};
use crate::formats::contents::{AnnotationReader, Contents};
use crate::formats::json::{self, Loose, LooseList};
use crate::formats::pairs::contents_of;
use crate::formats::places::BoxLayout;
use crate::parallel;
use crate::tree::Tree;

/// The largest file that is read: an image of a hundred megapixels may be embedded.
const MAX_ANNOTATION_BYTES: u64 = 512 << 20;

/// The least points of shapes whose box is taken.
const LEAST_POINTS: usize = 2;

#[derive(Deserialize)]
struct RawFile {
    #[serde(default)]
    shapes: Option<Vec<RawShape>>,
    #[serde(default, rename = "imagePath")]
    image_path: Loose,
    #[serde(default, rename = "imageWidth")]
    image_width: Loose,
    #[serde(default, rename = "imageHeight")]
    image_height: Loose,
}

#[derive(Deserialize)]
struct RawShape {
    #[serde(default)]
    label: Loose,
    #[serde(default)]
    shape_type: Loose,
    #[serde(default)]
    points: LooseList<LooseList<Loose>>,
    #[serde(default)]
    difficult: Loose,
}

/// Reads labelme's files.
#[derive(Debug)]
struct ShapeReader;

impl AnnotationReader for ShapeReader {
    fn max_bytes(&self) -> u64 {
        MAX_ANNOTATION_BYTES
    }

    fn parse(&self, _: &str, bytes: &[u8]) -> Parsed {
        let raw: RawFile = json::parse(bytes)?;
        let size = raw.size();
        let shapes = raw
            .shapes
            .ok_or("expected `shapes` as labelme has them, found none")?;
        let objects = shapes
            .iter()
            .enumerate()
            .map(|(index, shape)| LabelledObject {
                number: index + 1,
                fields: shape.fields(),
            });
        Ok(ImageLabels {
            filename: raw.image_path.text().filter(|name| !name.is_empty()),
            size,
            objects: objects.collect(),
            doubts: Vec::new(),
        })
    }
}

impl RawFile {
    fn size(&self) -> ClaimedSize {
        let (width, height) = (&self.image_width, &self.image_height);
        let unusable = |message: String, is_error| ClaimedSize::Unusable { message, is_error };
        match (width.side(), height.side()) {
            (Some(0), _) | (_, Some(0)) => unusable("found a size of 0".into(), false),
            (Some(width), Some(height)) => ClaimedSize::Pixels(ImageSize::new(width, height)),
            _ if *width == Loose::Missing || *height == Loose::Missing => {
                unusable("found no imageWidth and imageHeight".into(), false)
            }
            _ => unusable(
                format!(
                    "expected imageWidth and imageHeight in pixels, found {width} and {height}"
                ),
                true,
            ),
        }
    }
}

impl RawShape {
    fn fields(&self) -> Result<ObjectFields, Fault> {
        let malformed = |message: String| (FindingKind::MalformedObject, message);
        let kind = self.shape_type.text();
        let corners = match kind.as_deref() {
            // Files before version 3.3 have polygons alone.
            None | Some("" | "rectangle" | "polygon") => self.points().and_then(around),
            Some("circle") => self.points().and_then(|points| around_circle(&points)),
            Some(other) => {
                let message = format!(
                    "found a shape of the kind {}; rectangles, polygons and circles are read",
                    quoted(other)
                );
                return Err(malformed(message));
            }
        };
        let label = self.label.text();
        let no_label = || malformed(format!("expected a label, found {}", self.label));
        Ok(ObjectFields {
            class: label.map(Arc::from).ok_or_else(no_label),
            corners,
            difficult: self.difficult.flag().ok_or_else(|| {
                format!(
                    "expected difficult to be true or false, found {}",
                    self.difficult
                )
            }),
            is_outline: kind.as_deref() != Some("rectangle"),
        })
    }

    fn points(&self) -> Result<Vec<[f64; 2]>, Fault> {
        let malformed = |message: &str| (FindingKind::MalformedObject, message.to_owned());
        let LooseList::List(points) = &self.points else {
            return Err(malformed("expected points as [[x, y], ...], found none"));
        };
        let point = |point: &LooseList<Loose>| match point {
            LooseList::List(numbers) if numbers.len() == 2 => {
                let [x, y] = [0, 1].map(|axis| {
                    numbers[axis].finite().ok_or_else(|| {
                        let message = format!("expected a number, found {}", numbers[axis]);
                        (FindingKind::BadNumber, message)
                    })
                });
                Ok([x?, y?])
            }
            _ => Err(malformed("expected a point as [x, y]")),
        };
        let points: Vec<[f64; 2]> = points.iter().map(point).collect::<Result<_, _>>()?;
        if points.len() < LEAST_POINTS {
            let found = points.len();
            let message = format!("expected {LEAST_POINTS} points or more, found {found}");
            return Err(malformed(&message));
        }
        Ok(points)
    }
}

fn around(points: Vec<[f64; 2]>) -> Result<Corners, Fault> {
    let none = || (FindingKind::MalformedObject, "found no point".to_owned());
    Corners::around(points, Unit::Pixels).ok_or_else(none)
}

/// The box around a circle, told by its centre and a point on it.
fn around_circle(points: &[[f64; 2]]) -> Result<Corners, Fault> {
    let [[x, y], [to_x, to_y]] = points else {
        let message = format!(
            "expected a circle's centre and a point on it, found {}",
            points.len()
        );
        return Err((FindingKind::MalformedObject, message));
    };
    let radius = libm::hypot(to_x - x, to_y - y);
    let edges = [x - radius, y - radius, x + radius, y + radius];
    Ok(Corners::new(edges, Unit::Pixels))
}

/// What a folder holds whose annotations are labelme's.
///
/// # Errors
/// [`Error::Malformed`] if there are no annotations with images.
pub(crate) fn contents(tree: Tree) -> error::Result<Contents> {
    let tree = tree.with_annotations(|file| file.ending() == "json");
    let layout = BoxLayout::of(&tree, "an annotation in JSON").map_err(|fault| {
        Error::Malformed(format!(
            "{}: expected images with labelme's annotations (ID.json and ID.jpg), {fault}",
            tree.root().display()
        ))
    })?;
    let mut contents = contents_of(layout, tree, Arc::new(ShapeReader));
    pair_by_image_path(&mut contents);
    Ok(contents)
}

/// Puts annotations whose names no image has together with the images that they name.
fn pair_by_image_path(contents: &mut Contents) {
    let bare = |name: &str| folded(name.rsplit(['/', '\\']).next().unwrap_or(name));
    let mut alone: HashMap<String, Vec<String>> = HashMap::new();
    for (id, files) in &contents.images {
        if !contents.annotations.contains_key(id) {
            for file in files {
                alone.entry(bare(&file.file)).or_default().push(id.clone());
            }
        }
    }
    let without_image: Vec<String> = (contents.annotations.keys())
        .filter(|id| !contents.images.contains_key(*id))
        .cloned()
        .collect();
    let named_by = |id: &String| {
        let parsed = contents
            .annotations
            .get(id)?
            .labels(contents.reader.as_deref());
        parsed.as_ref().ok()?.filename.as_deref().map(bare)
    };
    let names = match alone.is_empty() {
        true => Vec::new(),
        false => parallel::map(&without_image, named_by),
    };
    let mut pairs: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (annotation, name) in without_image.into_iter().zip(names) {
        let images = name.and_then(|name| alone.get(&name));
        if let Some([image]) = images.map(Vec::as_slice) {
            pairs.entry(image.clone()).or_default().push(annotation);
        }
    }
    for (image, annotations) in pairs {
        // Of several that name one image none can be told to be its.
        let [annotation] = &annotations[..] else {
            continue;
        };
        if let Some(labels) = contents.annotations.remove(annotation) {
            contents.annotations.insert(image.clone(), labels);
            contents.aliases.push((annotation.clone(), image));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> ImageLabels {
        ShapeReader.parse("a.json", json.as_bytes()).unwrap()
    }

    #[test]
    fn boxes_are_put_around_shapes() {
        let labels = parse(
            r#"{"imagePath": "..\\photos\\a.jpg", "imageWidth": 40, "imageHeight": 30,
                "imageData": null, "shapes": [
                {"label": " x ", "shape_type": "rectangle", "points": [[9, 20.5], [2, 3]]},
                {"label": "x", "points": [[1, 2], [5, 1], [4, 8]], "difficult": true},
                {"label": 7, "shape_type": "circle", "points": [[10, 10], [13, 14]]}]}"#,
        );
        assert_eq!(labels.size, ClaimedSize::Pixels(ImageSize::new(40, 30)));
        assert_eq!(labels.filename.as_deref(), Some(r"..\photos\a.jpg"));
        assert!(labels.class_names().eq(["x", "x", "7"]));
        let fields: Vec<&ObjectFields> = labels
            .objects
            .iter()
            .flat_map(|object| &object.fields)
            .collect();
        let edges: Vec<[f64; 4]> = fields
            .iter()
            .map(|fields| fields.corners.as_ref().unwrap().edges)
            .collect();
        assert_eq!(edges[0], [2.0, 3.0, 9.0, 20.5]);
        assert_eq!(edges[1], [1.0, 1.0, 5.0, 8.0]);
        assert_eq!(edges[2], [5.0, 5.0, 15.0, 15.0]);
        let outlines: Vec<bool> = fields.iter().map(|fields| fields.is_outline).collect();
        assert_eq!(outlines, [false, true, true]);
        assert_eq!(fields[1].difficult, Ok(true));
    }

    #[test]
    fn what_is_no_box_is_told() {
        for (shape, kind) in [
            (
                r#"{"shape_type": "line", "label": "x"}"#,
                FindingKind::MalformedObject,
            ),
            (
                r#"{"label": "x", "points": [[1, 2]]}"#,
                FindingKind::MalformedObject,
            ),
            (
                r#"{"label": "x", "points": 3}"#,
                FindingKind::MalformedObject,
            ),
            (
                r#"{"label": "x", "points": [[1], [2, 3]]}"#,
                FindingKind::MalformedObject,
            ),
            (
                r#"{"label": "x", "points": [[1, NaN], [2, 3]]}"#,
                FindingKind::BadNumber,
            ),
            (
                r#"{"label": "x", "shape_type": "circle", "points": [[1, 2], [2, 3], [3, 3]]}"#,
                FindingKind::MalformedObject,
            ),
        ] {
            let labels = parse(&format!(r#"{{"shapes": [{shape}]}}"#));
            let fault = match &labels.objects[0].fields {
                Ok(fields) => fields.corners.as_ref().unwrap_err(),
                Err(fault) => fault,
            };
            assert_eq!(fault.0, kind, "{shape}: {fault:?}");
        }
        let error = ShapeReader.parse("a.json", b"{}").unwrap_err();
        assert!(error.contains("expected `shapes`"), "{error}");
        assert!(ShapeReader.parse("a.json", br#"{"shapes": 3}"#).is_err());
    }
}
