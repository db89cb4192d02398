//! Labels in forms that are not read: known, so that they are named and their
//! images are not taken for something else.

use crate::files::read_start;
use crate::finding::quoted;
use crate::tree::{Tree, TreeFile};

/// What the labels of a folder are and where, if they have a known form.
pub(crate) fn other_labels(tree: &Tree) -> Option<String> {
    let images = tree.image_stems();
    let form = |file: &TreeFile| match file.ending().as_str() {
        "xml" => form_of_xml(file),
        "json" => form_of_json(file),
        "yaml" | "yml" => is_yolo_description(file).then_some("YOLO"),
        "txt" => {
            let is_beside = images.contains(&(file.folder.as_str(), file.stem()));
            let may_be = is_beside || file.folder.split('/').any(|name| name == "labels");
            (may_be && is_yolo_labels(file)).then_some("YOLO")
        }
        "csv" => is_table_of_boxes(file).then_some("CSV"),
        "tfrecord" | "record" => Some("TFRecord"),
        _ => None,
    };
    /// Of thousands of files the first of each kind tell what all are.
    const ASKED: usize = 20;
    [
        "xml", "json", "yaml", "yml", "txt", "csv", "tfrecord", "record",
    ]
    .into_iter()
    .find_map(|ending| {
        let of_ending = (tree.files.iter()).filter(|file| file.ending() == ending);
        let mut asked = of_ending.take(ASKED);
        asked.find_map(|file| Some(format!("{} labels ({})", form(file)?, quoted(&file.file()))))
    })
}

/// The form of an XML file that is none of VOC's.
fn form_of_xml(file: &TreeFile) -> Option<&'static str> {
    let start = String::from_utf8_lossy(&read_start(&file.path)).into_owned();
    let has = |element: &str| start.contains(&format!("<{element}"));
    if has("annotations") && (has("image") || has("track") || has("meta")) {
        return Some("CVAT");
    }
    (has("dataset") && has("images")).then_some("dlib")
}

fn form_of_json(file: &TreeFile) -> Option<&'static str> {
    let name = file.name.to_lowercase();
    if name.contains("coco") || name.starts_with("instances") {
        return Some("COCO");
    }
    if name.contains("createml") {
        return Some("CreateML");
    }
    let start = String::from_utf8_lossy(&read_start(&file.path)).into_owned();
    let has = |key: &str| start.contains(&format!("\"{key}\""));
    if has("shapes") && has("points") {
        return Some("LabelMe");
    }
    if has("regions") && has("shape_attributes") {
        return Some("VIA");
    }
    if has("rectanglelabels") {
        return Some("Label Studio");
    }
    let is_coco = has("bbox") || has("categories") || has("images") && has("annotations");
    is_coco.then_some("COCO")
}

/// Whether a YAML file describes a set as YOLO's tools expect it.
fn is_yolo_description(file: &TreeFile) -> bool {
    let start = read_start(&file.path);
    let text = String::from_utf8_lossy(&start);
    let has = |key: &str| text.lines().any(|line| line.trim_start().starts_with(key));
    has("names:") && (has("train:") || has("val:") || has("nc:"))
}

/// Whether the first line is a class's number and the numbers of a box or outline.
fn is_yolo_labels(file: &TreeFile) -> bool {
    let start = read_start(&file.path);
    let text = String::from_utf8_lossy(&start);
    let line = text.lines().find(|line| !line.trim().is_empty());
    let mut columns = line.unwrap_or_default().split_whitespace();
    let class = columns.next().and_then(|class| class.parse::<u32>().ok());
    let numbers: Option<Vec<f64>> = columns.map(|number| number.parse().ok()).collect();
    class.is_some() && numbers.is_some_and(|numbers| numbers.len() >= 4)
}

/// Whether the heading of a table names the corners of boxes, or its first row has a
/// file, four numbers and a class.
fn is_table_of_boxes(file: &TreeFile) -> bool {
    let start = read_start(&file.path);
    let text = String::from_utf8_lossy(&start);
    let heading = text.lines().next().unwrap_or_default().to_lowercase();
    let columns: Vec<&str> = heading.split(',').collect();
    let corners = columns.get(1..5).filter(|_| columns.len() == 6);
    ["xmin", "x_min", "x1", "bbox"]
        .iter()
        .any(|corner| heading.contains(corner))
        || corners.is_some_and(|corners| {
            corners
                .iter()
                .all(|text| text.trim().parse::<f64>().is_ok())
        })
}
