//! COCO's files as tools write them, and broken ones.

use ssdlite_core::{ClassNames, ImageSize};
use ssdlite_data::dataset::DetectionSet;
use ssdlite_data::finding::{FindingKind, Losses, Reading};
use ssdlite_data::split::{Split, SplitShares};
use ssdlite_data::{DetectionFolder, DetectionFolderOptions, Format, Overwrite};

use crate::maker::{
    Maker, assert_faults, boxes, divide, error, ids, jpeg_that_claims, turned_jpeg, warning,
};

const CATEGORIES: &str = r#"[{"id": 3, "name": "x"}, {"id": 90, "name": "y"}]"#;

/// The text of a file with these images, objects and categories.
fn file(images: &str, annotations: &str, categories: &str) -> String {
    format!(
        r#"{{"info": {{"year": 2017}}, "licenses": [], "images": [{images}],
            "annotations": [{annotations}], "categories": {categories}}}"#
    )
}

fn image(id: &str, name: &str) -> String {
    format!(r#"{{"id": {id}, "file_name": "{name}", "width": 40, "height": 20}}"#)
}

fn object(image: &str, category: u32, bbox: &str) -> String {
    format!(
        r#"{{"id": 1, "image_id": {image}, "category_id": {category}, "bbox": {bbox},
            "area": 3, "iscrowd": 0, "segmentation": []}}"#
    )
}

/// One image of 40x20, in train, with these annotations.
fn with_annotations(annotations: &[String]) -> Maker {
    let maker = Maker::new();
    maker.image("images/a.jpg", 40, 20);
    let text = file(&image("7", "a.jpg"), &annotations.join(","), CATEGORIES);
    maker.write("annotations/train.json", text);
    maker
}

fn read(maker: &Maker, split: Split) -> Reading<DetectionSet> {
    maker.read_as(Format::Coco, split)
}

fn classes(reading: &Reading<DetectionSet>) -> Vec<usize> {
    let objects = reading.set.images.iter().flat_map(|image| &image.objects);
    objects.map(|object| object.class.index()).collect()
}

#[test]
fn splits_are_the_files_that_tools_write() {
    for (train, train_image, val, val_image) in [
        (
            "annotations/train.json",
            "images/a.jpg",
            "annotations/val.json",
            "images/b.jpg",
        ),
        (
            "annotations/instances_train2017.json",
            "train2017/a.jpg",
            "annotations/instances_val2017.json",
            "val2017/b.jpg",
        ),
        (
            "train/_annotations.coco.json",
            "train/a.jpg",
            "valid/_annotations.coco.json",
            "valid/b.jpg",
        ),
        (
            "set/train.json",
            "set/img/deep/a.jpg",
            "set/val.json",
            "set/img/b.jpg",
        ),
    ] {
        let maker = Maker::new();
        for (json, place, name) in [(train, train_image, "a.jpg"), (val, val_image, "b.jpg")] {
            maker.image(place, 40, 20);
            let objects = object("1", 90, "[3, 4, 10, 12]");
            maker.write(json, file(&image("1", name), &objects, CATEGORIES));
        }
        for (split, place) in [(Split::Train, train_image), (Split::Val, val_image)] {
            let reading = read(&maker, split);
            assert_eq!(reading.set.images[0].path, maker.path(place), "{train}");
            assert_eq!(boxes(&reading), [[3.0, 4.0, 13.0, 16.0]], "{train}");
            assert_eq!(reading.set.classes, ClassNames::new(["x", "y"]).unwrap());
            assert_eq!(classes(&reading), [1]);
            assert_faults(&reading.findings, Vec::new());
        }
        assert_faults(maker.open().findings(), Vec::new());
        assert_eq!(read(&maker, Split::TrainVal).set.images.len(), 2);
    }
}

#[test]
fn names_stand_for_the_file_that_is_nearest() {
    // Both splits have an image of this name, as some exports do.
    let maker = Maker::new();
    for split in ["train", "valid"] {
        maker.image(&format!("{split}/0001.jpg"), 40, 20);
        let text = file(
            &image("1", "0001.jpg"),
            &object("1", 3, "[1, 1, 5, 5]"),
            CATEGORIES,
        );
        maker.write(&format!("{split}/_annotations.coco.json"), text);
    }
    let valid = read(&maker, Split::Val);
    assert_eq!(valid.set.images[0].path, maker.path("valid/0001.jpg"));
    assert_eq!(ids(&valid), ["valid/0001"]);
    // Paths of another machine, and a letter in another case.
    for name in [
        "images/A.JPG",
        "/home/me/images/a.jpg",
        r"C:\\sets\\images\\a.jpg",
        "../../data/upload/1/a.jpg",
        "a.jpg",
    ] {
        let maker = Maker::new();
        maker.image("images/a.jpg", 40, 20);
        let text = file(
            &image("1", name),
            &object("1", 3, "[1, 1, 5, 5]"),
            CATEGORIES,
        );
        maker.write("annotations/train.json", text);
        let reading = read(&maker, Split::Train);
        assert_eq!(ids(&reading), ["a"], "{name}");
        assert_faults(&reading.findings, Vec::new());
    }
    // Where ends of names are not of one image alone they tell none.
    let maker = Maker::new();
    maker.image("images/one/0001.jpg", 40, 20);
    let images = [image("1", "one/0001.jpg"), image("2", "two/0001.jpg")].join(",");
    let objects = object("1", 3, "[1, 1, 5, 5]");
    maker.write(
        "annotations/train.json",
        file(&images, &objects, CATEGORIES),
    );
    let reading = read(&maker, Split::Train);
    let missing = error("annotations/train.json", None, FindingKind::MissingImage);
    assert_faults(&reading.findings, vec![missing]);
    assert!(reading.findings[0].message.starts_with("`two/0001.jpg`: "));
    // Of two that are as near none is taken.
    maker.image("images/two/sub/0002.jpg", 40, 20);
    maker.image("images/one/0002.jpg", 40, 20);
    let images = [image("1", "one/0001.jpg"), image("2", "0002.jpg")].join(",");
    maker.write(
        "annotations/train.json",
        file(&images, &objects, CATEGORIES),
    );
    let folder = maker.open();
    let ambiguous = error("annotations/train.json", None, FindingKind::AmbiguousImage);
    let unread = |place| warning(place, None, FindingKind::NotRead);
    assert_faults(
        folder.findings(),
        vec![ambiguous, unread("images/one"), unread("images/two/sub")],
    );
    assert_eq!(folder.losses().images_skipped, 1);
}

#[test]
fn super_categories_are_no_classes() {
    for (above, classes) in [("animals", ["ant", "bee"]), ("ant", ["ant", "bee"])] {
        let categories = format!(
            r#"[{{"id": 0, "name": "{above}", "supercategory": "none"}},
                {{"id": 1, "name": "ant", "supercategory": "{above}"}},
                {{"id": 2, "name": "bee", "supercategory": "{above}"}}]"#
        );
        let maker = Maker::new();
        maker.image("train/a.jpg", 40, 20);
        let objects = [
            object("1", 1, "[1, 1, 5, 5]"),
            object("1", 2, "[1, 1, 5, 5]"),
        ]
        .join(",");
        maker.write(
            "train/_annotations.coco.json",
            file(&image("1", "a.jpg"), &objects, &categories),
        );
        let reading = read(&maker, Split::Train);
        assert_eq!(
            reading.set.classes,
            ClassNames::new(classes).unwrap(),
            "{above}"
        );
        assert_eq!(reading.set.object_count(), 2);
        let told = warning("train/_annotations.coco.json", None, FindingKind::NotRead);
        assert_faults(maker.open().findings(), vec![told]);
    }
    // COCO's own super-categories have the names of classes too.
    let categories = r#"[{"id": 1, "name": "person", "supercategory": "person"},
        {"id": 2, "name": "dog", "supercategory": "animal"}]"#;
    let maker = Maker::new();
    maker.image("images/a.jpg", 40, 20);
    let text = file(
        &image("1", "a.jpg"),
        &object("1", 2, "[1, 1, 5, 5]"),
        categories,
    );
    maker.write("annotations/train.json", text);
    let expected = ClassNames::new(["person", "dog"]).unwrap();
    assert_eq!(read(&maker, Split::Train).set.classes, expected);
}

#[test]
fn crowds_are_difficult_and_outlines_are_counted() {
    let with = |from: &str, to: &str| object("7", 3, "[1, 1, 5, 5]").replace(from, to);
    let maker = with_annotations(&[
        with("\"iscrowd\": 0", "\"iscrowd\": 1"),
        with("\"iscrowd\": 0", "\"iscrowd\": 2"),
        with("[]", r#"{"counts": [1, 2], "size": [20, 40]}"#),
        with("[]", "[[1, 1, 2, 2, 3, 3]]"),
        with(", \"segmentation\": []", "").replace("\"iscrowd\": 0,", ""),
    ]);
    let reading = read(&maker, Split::Train);
    let difficult: Vec<bool> = (reading.set.images[0].objects.iter())
        .map(|object| object.difficult)
        .collect();
    assert_eq!(difficult, [true, false, false, false, false]);
    let file = "annotations/train.json";
    assert_faults(
        &reading.findings,
        vec![warning(file, 2, FindingKind::BadNumber)],
    );
    let folder = maker.open();
    assert_faults(
        folder.findings(),
        vec![warning(file, None, FindingKind::Outline)],
    );
    let message = &folder.findings()[0].message;
    assert!(
        message.contains("(1 as polygons, 1 as run lengths)"),
        "{message}"
    );
}

#[test]
fn broken_objects_are_skipped_or_clipped() {
    let maker = with_annotations(&[
        object("7", 3, "[1, 2, 5.5, 6]"),
        object("7", 4, "[1, 2, 5, 6]"),
        object("7", 3, "[1, 2, -5, 6]"),
        object("7", 3, "[1, 2, 0, 6]"),
        object("7", 3, "[NaN, 2, 5, 6]"),
        object("7", 3, "[1, \"two\", 5, 6]"),
        object("7", 3, "[1, 2, 5]"),
        object("7", 3, "null"),
        object("7", 3, "{\"x\": 1}"),
        object("7", 3, "[-20, 2, 5, 6]"),
        object("7", 3, "[36, 2, 5, 6]"),
        object("7", 3, "[30, 2, 50, 6]"),
        object("7", 3, "[0.1, 0.1, 0.5, 0.6]"),
        object("7", 3, "[1e300, 2, 5, 6]"),
        object("8", 3, "[1, 2, 5, 6]"),
        object("null", 3, "[1, 2, 5, 6]"),
    ]);
    let reading = read(&maker, Split::Train);
    let file = "annotations/train.json";
    use FindingKind::*;
    assert_faults(
        &reading.findings,
        vec![
            error(file, 2, UnknownClass),
            error(file, 3, DegenerateBox),
            error(file, 4, DegenerateBox),
            error(file, 5, BadNumber),
            error(file, 6, BadNumber),
            error(file, 7, MalformedObject),
            error(file, 8, MalformedObject),
            error(file, 9, MalformedObject),
            error(file, 10, OutsideBox),
            warning(file, 11, ClippedBox),
            error(file, 12, ClippedBox),
            error(file, 13, NormalisedBox),
            error(file, 14, DegenerateBox),
        ],
    );
    assert!(reading.findings[0].message.starts_with("`a.jpg`: "));
    let expected = Losses {
        images_skipped: 0,
        objects_skipped: 11,
        objects_clipped: 2,
    };
    assert_eq!(reading.losses, expected);
    assert_eq!(boxes(&reading)[0], [1.0, 2.0, 6.5, 8.0]);
    let folder = maker.open();
    let unknown = |object| error(file, object, UnknownId);
    assert_faults(folder.findings(), vec![unknown(15), unknown(16)]);
    assert_eq!(folder.losses().objects_skipped, 2);
    let report = folder.check(&DetectionFolderOptions::default()).unwrap();
    assert_eq!(report.losses.objects_skipped, 13);
}

#[test]
fn broken_images_and_categories_are_named() {
    let maker = Maker::new();
    for name in ["a", "b", "c", "d"] {
        maker.image(&format!("images/{name}.jpg"), 40, 20);
    }
    maker.write("images/d.jpg", jpeg_that_claims(60_000, 60_000));
    let images = [
        image("1", "a.jpg"),
        image("1", "b.jpg"),
        image("2", "a.jpg"),
        r#"{"id": 3}"#.into(),
        image("4", "d.jpg"),
        image("5", "gone.jpg"),
        image("\"six\"", "c.jpg").replace("40", "80"),
    ];
    let objects = [
        object("1", 3, "[1, 1, 5, 5]"),
        object("2", 3, "[1, 1, 5, 5]"),
        object("2", 3, "[2, 2, 5, 5]"),
        object("\"six\"", 3, "[1, 1, 5, 5]"),
    ];
    let categories = r#"[{"id": 3, "name": "x"}, {"id": 3, "name": "y"}, {"id": 4, "name": "x"},
        {"id": 5, "name": "background"}, {"name": "z"}]"#;
    let text = file(&images.join(","), &objects.join(","), categories);
    maker.write("annotations/train.json", text);
    let folder = maker.open();
    let file = "annotations/train.json";
    use FindingKind::*;
    assert_faults(
        folder.findings(),
        vec![
            error(file, None, RepeatedId),
            error(file, None, RepeatedId),
            error(file, None, MissingImage),
            error(file, None, RepeatedId),
            warning(file, None, SimilarClasses),
            error(file, None, InvalidClass),
            error(file, None, BadDescription),
            warning("images", None, NotRead),
        ],
    );
    assert_eq!(folder.losses().images_skipped, 2);
    let reading = read(&maker, Split::Train);
    assert_faults(
        &reading.findings,
        vec![
            error("images/d.jpg", None, BadImage),
            error(file, None, MissingImage),
            error(file, None, SizeMismatch),
        ],
    );
    // The image that stands twice has the objects of both entries, each once.
    assert_eq!(ids(&reading), ["a"]);
    assert_eq!(
        boxes(&reading),
        [[1.0, 1.0, 6.0, 6.0], [2.0, 2.0, 7.0, 7.0]]
    );
}

#[test]
fn broken_files_cost_themselves_alone() {
    let maker = with_annotations(&[object("7", 3, "[1, 2, 5, 6]")]);
    for (name, text) in [
        ("val.json", "{\"images\": [], \"annotations\": [".to_owned()),
        ("instances_test.json", "[]".repeat(3)),
        (
            "deep_coco.json",
            format!("{{\"images\": {}", "[".repeat(1_000_000)),
        ),
        (
            "typed_coco.json",
            r#"{"images": 3, "annotations": [], "categories": []}"#.into(),
        ),
        (
            "twice_coco.json",
            r#"{"images": [], "images": [], "annotations": []}"#.into(),
        ),
        (
            "captions_val2017.json",
            r#"{"images": [], "annotations": [{"image_id": 7, "caption": "a cup"}]}"#.into(),
        ),
        (
            "boxes_coco.json",
            r#"{"images": [], "annotations": [{"bbox": [1, 2, 3, 4]}]}"#.into(),
        ),
        ("notes.json", "{}".into()),
    ] {
        maker.write(&format!("annotations/{name}"), text);
    }
    let folder = maker.open();
    let place = |name: &str| format!("annotations/{name}");
    use FindingKind::*;
    assert_faults(
        folder.findings(),
        vec![
            error(&place("val.json"), None, BadAnnotation),
            error(&place("instances_test.json"), None, BadAnnotation),
            error(&place("deep_coco.json"), None, BadAnnotation),
            error(&place("typed_coco.json"), None, BadAnnotation),
            error(&place("twice_coco.json"), None, BadAnnotation),
            warning(&place("captions_val2017.json"), None, NotRead),
            error(&place("boxes_coco.json"), None, BadAnnotation),
            warning(&place("notes.json"), None, NotRead),
        ],
    );
    assert_eq!(read(&maker, Split::Train).set.object_count(), 1);
}

#[test]
fn an_image_in_two_files_has_the_objects_of_both() {
    let shared = object("7", 3, "[1, 2, 5, 6]");
    let maker = with_annotations(std::slice::from_ref(&shared));
    let other = |objects: &[String]| {
        let text = file(&image("7", "a.jpg"), &objects.join(","), CATEGORIES);
        maker.write("annotations/val.json", text);
        let folder = DetectionFolder::open(maker.root(), None).unwrap();
        let findings = folder.findings().to_vec();
        (findings, read(&maker, Split::Val).set.object_count())
    };
    // Such as those of key points, which COCO has beside its own.
    let (findings, count) = other(std::slice::from_ref(&shared));
    assert_faults(&findings, Vec::new());
    assert_eq!(count, 1);
    let (findings, count) = other(&[shared, object("7", 90, "[1, 2, 5, 6]")]);
    let both = error(
        "annotations/val.json",
        None,
        FindingKind::AmbiguousAnnotation,
    );
    assert_faults(&findings, vec![both]);
    assert_eq!(count, 2);
    let report = maker
        .open()
        .check(&DetectionFolderOptions::default())
        .unwrap();
    let is_leak = |finding: &&ssdlite_data::finding::Finding| finding.kind == FindingKind::Leak;
    assert_eq!(report.findings.iter().filter(is_leak).count(), 1);
}

#[test]
fn sizes_tell_how_boxes_of_turned_images_are_meant() {
    // Stored 40x20, shown 20x40.
    for (width, height, expected) in [
        (40, 20, [12.0, 1.0, 18.0, 6.0]),
        (20, 40, [1.0, 2.0, 6.0, 8.0]),
    ] {
        let maker = Maker::new();
        maker.write("images/a.jpg", turned_jpeg(40, 20, 6));
        let images =
            format!(r#"{{"id": 1, "file_name": "a.jpg", "width": {width}, "height": {height}}}"#);
        let objects = object("1", 3, "[1, 2, 5, 6]");
        maker.write(
            "annotations/train.json",
            file(&images, &objects, CATEGORIES),
        );
        let reading = read(&maker, Split::Train);
        assert_eq!(boxes(&reading), [expected], "{width}");
        assert_eq!(reading.set.images[0].size, ImageSize::new(20, 40));
    }
}

#[test]
fn a_set_in_one_file_is_divided_by_lists() {
    let maker = Maker::new();
    let names: Vec<String> = (0..6).map(|index| format!("{index}.jpg")).collect();
    let images: Vec<String> = (names.iter())
        .map(|name| {
            maker.image(&format!("images/{name}"), 40, 20);
            image(&format!("\"{name}\""), name)
        })
        .collect();
    let objects = names
        .iter()
        .map(|name| object(&format!("\"{name}\""), 3, "[1, 2, 5, 6]"));
    let objects: Vec<String> = objects.collect();
    maker.write(
        "result.json",
        file(&images.join(","), &objects.join(","), CATEGORIES),
    );
    let folder = maker.open();
    assert!(!folder.has_split(Split::Train));
    let counts = divide(&folder, &SplitShares::default(), Overwrite::Refuse).unwrap();
    assert_eq!((counts.train, counts.val, counts.test), (4, 1, 1));
    assert_eq!(read(&maker, Split::Train).set.images.len(), 4);
    assert_faults(maker.open().findings(), Vec::new());
}
