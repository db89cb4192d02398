//! Deliberately broken files: each is named, and none stops the others.

use ssdlite_core::ClassNames;
use ssdlite_data::DetectionFolderOptions;
use ssdlite_data::finding::{FindingKind, Losses};
use ssdlite_data::split::Split;

use crate::maker::{Maker, annotation, assert_faults, error, jpeg, jpeg_that_claims, warning};

const GOOD: (&str, [&str; 4]) = ("x", ["2", "3", "9", "9"]);

fn expecting_x() -> DetectionFolderOptions {
    DetectionFolderOptions {
        classes: Some(ClassNames::new(["x"]).unwrap()),
        ..DetectionFolderOptions::default()
    }
}

#[test]
fn broken_objects_are_skipped_or_clipped() {
    let maker = Maker::voc();
    maker.labelled(
        "a",
        31,
        17,
        &[
            GOOD,
            ("x", ["12", "3", "12", "9"]),
            ("x", ["9", "12", "20", "4"]),
            ("x", ["40", "3", "50", "9"]),
            ("x", ["-8", "3", "-2", "9"]),
            ("x", ["9", "3", "50", "9"]),
            ("x", ["0", "3", "31", "17"]),
            ("x", ["nan", "3", "9", "9"]),
            ("x", ["2", "1e400", "9", "9"]),
            ("x", ["2", "three", "9", "9"]),
            ("y", ["2", "3", "9", "9"]),
            ("", ["2", "3", "9", "9"]),
            ("background", ["2", "3", "9", "9"]),
            ("y", ["9", "3", "2", "9"]),
            ("x", ["", "3", "9", "9"]),
        ],
    );
    maker.labelled("b", 31, 17, &[]);
    maker.annotation(
        "b",
        "<annotation><size><width>31</width><height>17</height></size>
         <object><name>x</name></object>
         <object><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>5</xmax><ymax>5</ymax></bndbox></object>
         <object><name>x</name><name>y</name><difficult>maybe</difficult>
           <bndbox><xmin>1</xmin><ymin>1</ymin><xmax>5</xmax><ymax>5</ymax></bndbox></object>
         </annotation>",
    );
    maker.list("train", "a\nb");
    let reading = maker.open().read(Split::Train, &expecting_x()).unwrap();
    use FindingKind::*;
    let (a, b) = ("Annotations/a.xml", "Annotations/b.xml");
    assert_faults(
        &reading.findings,
        vec![
            error(a, 2, DegenerateBox),
            error(a, 3, DegenerateBox),
            error(a, 4, OutsideBox),
            error(a, 5, OutsideBox),
            error(a, 6, ClippedBox),
            warning(a, 7, ClippedBox),
            error(a, 8, BadNumber),
            error(a, 9, BadNumber),
            error(a, 10, BadNumber),
            error(a, 11, UnknownClass),
            error(a, 12, InvalidClass),
            error(a, 13, InvalidClass),
            error(a, 14, UnknownClass),
            error(a, 14, DegenerateBox),
            error(a, 15, BadNumber),
            error(b, 1, MalformedObject),
            error(b, 2, MalformedObject),
            error(b, 3, MalformedObject),
            error(b, 3, UnknownClass),
            warning(b, 3, BadNumber),
        ],
    );
    let expected = Losses {
        images_skipped: 0,
        objects_skipped: 15,
        objects_clipped: 2,
    };
    assert_eq!(reading.losses, expected);
    let boxes: Vec<_> = (reading.set.images[0].objects.iter())
        .map(|object| object.bbox.to_array())
        .collect();
    let kept = [
        [1.0, 2.0, 9.0, 9.0],
        [8.0, 2.0, 31.0, 9.0],
        [0.0, 2.0, 31.0, 17.0],
    ];
    assert_eq!(boxes, kept);
    assert!(reading.set.images[1].objects.is_empty());
    let message = reading.findings[0].to_string();
    assert_eq!(message, "Annotations/a.xml: object 2: xmax 12 <= xmin 12");
}

#[test]
fn broken_annotations_and_images_are_skipped() {
    let maker = Maker::voc();
    maker.labelled("good", 31, 17, &[GOOD]);
    let mut ids = vec!["good", "no xml", "no image"];
    let mut broken = |id: &'static str, xml: &str| {
        maker.image(&format!("JPEGImages/{id}.jpg"), 31, 17);
        maker.annotation(id, xml);
        ids.push(id);
    };
    broken("doctype", "<!DOCTYPE a><annotation></annotation>");
    broken("deep", &format!("<annotation>{}", "<a>".repeat(10_000)));
    broken("cut", "<annotation><object><name>x");
    broken("huge", &" ".repeat(9 << 20));
    broken("size", &annotation(19, 31, &[GOOD]));
    broken("zero", &annotation(0, 17, &[GOOD]));
    broken("no size", "<annotation></annotation>");
    broken(
        "other name",
        "<annotation><filename>x.jpg</filename>\
         <size><width>31</width><height>17</height></size></annotation>",
    );
    for (id, image) in [
        ("truncated", jpeg(310, 170)[..900].to_vec()),
        ("claims", jpeg_that_claims(60_000, 60_000)),
        ("text", b"hello".to_vec()),
        ("nothing", Vec::new()),
    ] {
        broken(id, &annotation(310, 170, &[GOOD]));
        maker.write(&format!("JPEGImages/{id}.jpg"), image);
    }
    broken("twice", &annotation(31, 17, &[GOOD]));
    maker.image("JPEGImages/twice.png", 5, 5);
    maker.image("JPEGImages/no xml.jpg", 31, 17);
    maker.annotation("no image", &annotation(31, 17, &[GOOD]));
    maker.list("train", &ids.join("\n"));
    maker.list("val", "good 2");
    maker.labelled("good 2", 31, 17, &[GOOD]);
    let report = maker.open().check(&expecting_x()).unwrap();
    use FindingKind::*;
    let xml = |id: &str| format!("Annotations/{id}.xml");
    let image = |id: &str| format!("JPEGImages/{id}.jpg");
    assert_faults(
        &report.findings,
        vec![
            warning("ImageSets/Main/test.txt", None, EmptySplit),
            warning("ImageSets/Main/trainval.txt", None, EmptySplit),
            error(&xml("no xml"), None, MissingAnnotation),
            error(&xml("no image"), None, MissingImage),
            error(&xml("doctype"), None, BadAnnotation),
            error(&xml("deep"), None, BadAnnotation),
            error(&xml("cut"), None, BadAnnotation),
            error(&xml("huge"), None, BadAnnotation),
            error(&xml("size"), None, SizeMismatch),
            warning(&xml("zero"), None, UnknownSize),
            warning(&xml("no size"), None, UnknownSize),
            warning(&xml("other name"), None, NameMismatch),
            error(&image("truncated"), None, BadImage),
            error(&image("claims"), None, BadImage),
            error(&image("text"), None, BadImage),
            error(&image("nothing"), None, BadImage),
            warning(&image("twice"), None, AmbiguousImage),
        ],
    );
    assert_eq!(report.losses.images_skipped, 11);
    assert_eq!((report.images, report.objects), (6, 4));
    assert!(report.has_errors());
    let claims = (report.findings.iter())
        .find(|finding| finding.file == image("claims"))
        .unwrap();
    assert!(claims.message.contains("60000x60000"), "{claims}");
    assert!(!claims.message.contains("JPEGImages"), "{claims}");
    // Reading for training decodes nothing, so it can't know what is cut off.
    let reading = maker.open().read(Split::Train, &expecting_x()).unwrap();
    assert_eq!(reading.losses.images_skipped, 10);
    assert_eq!(reading.set.images.len(), 6);
}

#[test]
fn broken_lists_are_compared() {
    let maker = Maker::voc();
    for id in ["a", "b", "c", "d", "unlisted"] {
        maker.labelled(id, 31, 17, &[GOOD]);
    }
    maker.image("JPEGImages/bare.jpg", 31, 17);
    maker.list("train", "a\nb\na\n../../etc/passwd\n");
    maker.list("val", "b\n");
    maker.list("trainval", "a\nb\nd\n");
    maker.list("test", "a\nc\n");
    let report = maker
        .open()
        .check(&DetectionFolderOptions::default())
        .unwrap();
    use FindingKind::*;
    let list = |split: &str| format!("ImageSets/Main/{split}.txt");
    assert_faults(
        &report.findings,
        vec![
            error(&list("train"), None, RepeatedId),
            error(&list("train"), None, UnknownId),
            error(&list("val"), None, Leak),
            error(&list("test"), None, Leak),
            error(&list("test"), None, Leak),
            warning(&list("trainval"), None, SplitsDisagree),
            warning("Annotations/unlisted.xml", None, Unlisted),
            warning("JPEGImages/bare.jpg", None, MissingAnnotation),
        ],
    );
    assert_eq!(report.losses.images_skipped, 2);
    maker.list("test", "\n");
    let report = maker
        .open()
        .check(&DetectionFolderOptions::default())
        .unwrap();
    let empty = error(&list("test"), None, EmptySplit);
    assert!(
        report
            .findings
            .iter()
            .map(crate::maker::fault_of)
            .any(|fault| fault == empty)
    );
}

#[test]
fn annotations_in_no_list_are_checked_too() {
    let maker = Maker::voc();
    maker.labelled("listed", 31, 17, &[GOOD]);
    maker.labelled("outside", 31, 17, &[GOOD, ("x", ["40", "3", "50", "9"])]);
    maker.labelled("cut", 31, 17, &[GOOD]);
    maker.annotation("cut", "<annotation><object>");
    maker.list("train", "listed");
    let report = maker
        .open()
        .check(&DetectionFolderOptions::default())
        .unwrap();
    use FindingKind::*;
    let list = |split: &str| format!("ImageSets/Main/{split}.txt");
    assert_faults(
        &report.findings,
        vec![
            warning(&list("val"), None, EmptySplit),
            warning(&list("trainval"), None, EmptySplit),
            warning(&list("test"), None, EmptySplit),
            warning("Annotations/outside.xml", None, Unlisted),
            error("Annotations/outside.xml", 2, OutsideBox),
            warning("Annotations/cut.xml", None, Unlisted),
            error("Annotations/cut.xml", None, BadAnnotation),
        ],
    );
    assert_eq!((report.images, report.objects), (1, 1));
    assert!(report.losses.is_none());
}

#[test]
fn a_set_without_lists_is_checked_by_its_annotations() {
    let maker = Maker::voc();
    maker.labelled("a", 31, 17, &[GOOD, ("X", ["2", "3", "9", "9"])]);
    let report = maker
        .open()
        .check(&DetectionFolderOptions::default())
        .unwrap();
    assert_faults(
        &report.findings,
        vec![
            warning("ImageSets/Main", None, FindingKind::EmptySplit),
            warning("Annotations", None, FindingKind::SimilarClasses),
        ],
    );
    assert_eq!((report.images, report.objects), (1, 2));
    assert!(!report.has_errors());
}
