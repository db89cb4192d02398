//! labelme's files as people have them, and broken ones.

use ssdlite_core::ImageSize;
use ssdlite_data::finding::{Finding, FindingKind};
use ssdlite_data::split::{Split, SplitShares};
use ssdlite_data::{DetectionFolderOptions, Format, Overwrite};

use crate::maker::{Maker, assert_faults, divide, error, fault_of, warning};

const RECTANGLE: &str = r#"{"label": "x", "points": [[10, 15], [2, 3]],
    "shape_type": "rectangle", "flags": {}, "group_id": null}"#;

fn json(image: &str, shapes: &[&str]) -> String {
    format!(
        r#"{{"version": "5.4.1", "flags": {{}}, "shapes": [{}], "imagePath": "{image}",
            "imageData": "{}", "imageHeight": 20, "imageWidth": 40}}"#,
        shapes.join(","),
        "/9j4".repeat(1000)
    )
}

/// The findings but those about splits that are missing, and the objects.
fn checked(maker: &Maker) -> (usize, Vec<Finding>) {
    let folder = maker.open();
    assert_eq!(folder.format(), Format::LabelMe);
    let report = folder.check(&DetectionFolderOptions::default()).unwrap();
    let told = report.findings.into_iter();
    let told = told.filter(|finding| finding.kind != FindingKind::EmptySplit);
    (report.objects, told.collect())
}

#[test]
fn annotations_lie_where_they_like() {
    for (annotations, images) in [("photos", "photos"), ("json", "images"), (".", ".")] {
        let maker = Maker::new();
        for id in ["a", "b", "c"] {
            maker.image(&format!("{images}/{id}.jpg"), 40, 20);
            let text = json(&format!("{id}.jpg"), &[RECTANGLE]);
            maker.write(&format!("{annotations}/{id}.json"), text);
        }
        assert_eq!(checked(&maker), (3, Vec::new()), "{annotations}");
        divide(&maker.open(), &SplitShares::default(), Overwrite::Refuse).unwrap();
        let options = DetectionFolderOptions::default();
        let reading = maker.open().read(Split::Test, &options).unwrap();
        let image = &reading.set.images[0];
        assert_eq!(image.size, ImageSize::new(40, 20));
        assert_eq!(image.objects[0].bbox.to_array(), [2.0, 3.0, 10.0, 15.0]);
    }
}

#[test]
fn splits_are_told_by_folders() {
    let maker = Maker::new();
    for (split, id) in [("train", "a"), ("valid", "b")] {
        maker.image(&format!("{split}/{id}.jpg"), 40, 20);
        maker.write(
            &format!("{split}/{id}.json"),
            json(&format!("{id}.jpg"), &[RECTANGLE]),
        );
    }
    let folder = maker.open();
    for split in [Split::Train, Split::Val] {
        let reading = folder
            .read(split, &DetectionFolderOptions::default())
            .unwrap();
        assert_eq!(reading.set.images.len(), 1, "{split}");
    }
}

#[test]
fn images_are_found_by_the_name_that_is_told() {
    let maker = Maker::new();
    for (json_name, image) in [("1", "IMG_1.jpg"), ("2", "IMG_2.jpg")] {
        maker.image(&format!("photos/{image}"), 40, 20);
        let text = json(&format!(r"C:\\mine\\{image}"), &[RECTANGLE]);
        maker.write(&format!("photos/{json_name}.json"), text);
    }
    assert_eq!(checked(&maker), (2, Vec::new()));
    // A name of another image than the annotation's own.
    maker.image("photos/3.jpg", 40, 20);
    maker.write("photos/3.json", json("other.jpg", &[RECTANGLE]));
    let (_, findings) = checked(&maker);
    assert_faults(
        &findings,
        vec![warning("photos/3.json", None, FindingKind::NameMismatch)],
    );
    // Two that name one image, of which none is its own.
    maker.image("photos/IMG_4.jpg", 40, 20);
    maker.write("photos/4.json", json("IMG_4.jpg", &[RECTANGLE]));
    maker.write("photos/5.json", json("IMG_4.jpg", &[RECTANGLE]));
    let (objects, findings) = checked(&maker);
    assert_eq!(objects, 3);
    for file in ["photos/4.json", "photos/5.json"] {
        let missing = error(file, None, FindingKind::MissingImage);
        assert!(
            findings.iter().any(|finding| fault_of(finding) == missing),
            "{findings:#?}"
        );
    }
}

#[test]
fn broken_shapes_and_files_are_named() {
    let maker = Maker::new();
    let shape = |from: &str, to: &str| RECTANGLE.replace(from, to);
    let shapes = [
        RECTANGLE.to_owned(),
        shape("rectangle", "line"),
        shape("rectangle", "polygon"),
        shape("\"x\"", "null"),
        shape("[10, 15]", "[10, NaN]"),
        shape("[10, 15]", "[10, 3]"),
        shape("[10, 15], [2, 3]", "[50, 3], [60, 9]"),
        shape("[10, 15]", "[45, 15]"),
        shape("[[10, 15], [2, 3]]", "[]"),
    ];
    let shapes: Vec<&str> = shapes.iter().map(String::as_str).collect();
    maker.image("a.jpg", 40, 20);
    maker.write("a.json", json("a.jpg", &shapes));
    for (id, text) in [
        ("cut", "{\"shapes\": [".to_owned()),
        ("none", "{}".to_owned()),
        (
            "deep",
            format!("{{\"shapes\": [{{\"points\": {}", "[".repeat(1_000_000)),
        ),
        ("size", json("size.jpg", &[RECTANGLE]).replace("40", "-4")),
        ("other", json("other.jpg", &[RECTANGLE]).replace("40", "90")),
    ] {
        maker.image(&format!("{id}.jpg"), 40, 20);
        maker.write(&format!("{id}.json"), text);
    }
    maker.image("bare.jpg", 40, 20);
    let (objects, findings) = checked(&maker);
    use FindingKind::*;
    assert_faults(
        &findings,
        vec![
            error("a.json", 2, MalformedObject),
            error("a.json", 4, MalformedObject),
            error("a.json", 5, BadNumber),
            error("a.json", 6, DegenerateBox),
            error("a.json", 7, OutsideBox),
            error("a.json", 8, ClippedBox),
            error("a.json", 9, MalformedObject),
            error("cut.json", None, BadAnnotation),
            error("none.json", None, BadAnnotation),
            error("deep.json", None, BadAnnotation),
            error("size.json", None, UnknownSize),
            error("other.json", None, SizeMismatch),
            warning("bare.jpg", None, MissingAnnotation),
            warning(".", None, Outline),
        ],
    );
    assert_eq!(objects, 4);
}
