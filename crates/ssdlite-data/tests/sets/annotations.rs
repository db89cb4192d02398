//! Annotations as tools write them: what is read, and what is named instead.

use std::fmt::Write;

use ssdlite_core::ClassNames;
use ssdlite_core::random::Rng;
use ssdlite_data::DetectionFolderOptions;
use ssdlite_data::dataset::DetectionSet;
use ssdlite_data::finding::{FindingKind, Reading, Severity};
use ssdlite_data::split::Split;

use crate::maker::{Maker, annotation, assert_faults, error, turned_jpeg, warning};

const GOOD: (&str, [&str; 4]) = ("x", ["2", "3", "9", "9"]);
const SIZE: &str = "<size><width>31</width><height>17</height></size>";

/// Reads one image of 31x17 with this annotation, expecting the class x.
fn read(xml: impl AsRef<[u8]>) -> Reading<DetectionSet> {
    let maker = Maker::voc();
    maker.image("JPEGImages/a.jpg", 31, 17);
    maker.write("Annotations/a.xml", xml);
    maker.list("train", "a");
    let options = DetectionFolderOptions {
        classes: Some(ClassNames::new(["x"]).unwrap()),
        ..DetectionFolderOptions::default()
    };
    maker.open().read(Split::Train, &options).unwrap()
}

fn object(inner: &str) -> String {
    format!("<annotation>{SIZE}<object><name>x</name>{inner}</object></annotation>")
}

fn bndbox([xmin, ymin, xmax, ymax]: [&str; 4]) -> String {
    format!(
        "<bndbox><xmin>{xmin}</xmin><ymin>{ymin}</ymin><xmax>{xmax}</xmax><ymax>{ymax}</ymax>\
         </bndbox>"
    )
}

fn boxes(reading: &Reading<DetectionSet>) -> Vec<[f32; 4]> {
    (reading.set.images[0].objects.iter())
        .map(|object| object.bbox.to_array())
        .collect()
}

/// Elements around and beside objects, and objects whole and broken, at random.
struct Scribe {
    rng: Rng,
    xml: String,
    objects: usize,
}

impl Scribe {
    fn chance(&mut self, of: u64) -> bool {
        self.rng.next_u64().is_multiple_of(of)
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.rng.next_u64() as usize % from.len()]
    }

    /// An element in any case, with or without prefix and attributes.
    fn element(&mut self, name: &str, inside: impl FnOnce(&mut Self)) {
        let name = match self.rng.next_u64() % 8 {
            0 => name.to_uppercase(),
            1 => format!("v:{name}"),
            _ => name.to_owned(),
        };
        let attribute = self.pick(&["", "", " id='1'", " object=\"&lt;object>\""]);
        write!(self.xml, "<{name}{attribute}>").unwrap();
        inside(self);
        write!(self.xml, "</{name}>").unwrap();
    }

    fn text(&mut self, name: &str, text: &str) {
        self.element(name, |scribe| scribe.xml.push_str(text));
    }

    fn object(&mut self, depth: usize) {
        self.objects += 1;
        if self.chance(9) {
            self.xml.push_str("<object/>");
            return;
        }
        self.element("object", |scribe| {
            let mut fields = [
                "name",
                "bndbox",
                "part",
                "difficult",
                "attributes",
                "nested",
            ];
            scribe.rng.shuffle(&mut fields);
            for field in fields {
                match field {
                    "name" if !scribe.chance(9) => {
                        let name = scribe.pick(&["x", "x", "käfer", "y", ""]);
                        scribe.text("name", name);
                    }
                    "bndbox" if !scribe.chance(9) => {
                        let corners = scribe.pick(&["2 3 9 9", "2 3 9 9", "9 3 2 9", "0 0 .5 .5"]);
                        scribe.element("bndbox", |scribe| {
                            for (name, corner) in ["xmin", "ymin", "xmax", "ymax"]
                                .iter()
                                .zip(corners.split(' '))
                            {
                                scribe.text(name, corner);
                            }
                        });
                    }
                    "part" if scribe.chance(5) => {
                        scribe.element("part", |scribe| scribe.text("name", "head"));
                    }
                    "difficult" if scribe.chance(2) => scribe.text("difficult", "1"),
                    "attributes" if scribe.chance(5) => scribe.element("attributes", |scribe| {
                        scribe.element("attribute", |scribe| {
                            scribe.text("name", "rotation");
                            scribe.text("value", "12");
                        });
                    }),
                    "nested" if scribe.chance(9) => scribe.contents(depth + 1),
                    _ => {}
                }
            }
        });
    }

    /// Some objects, in other elements or not, with comments between them.
    fn contents(&mut self, depth: usize) {
        for _ in 0..self.rng.next_u64() % 4 {
            match self.rng.next_u64() % 6 {
                0 if depth < 4 => {
                    let wrapper = self.pick(&["objects", "deleted", "part", "layer"]);
                    self.element(wrapper, |scribe| scribe.contents(depth + 1));
                }
                1 => self
                    .xml
                    .push_str("<!-- <object/> --><![CDATA[<object/>]]>\n"),
                _ => self.object(depth),
            }
        }
    }
}

#[test]
fn every_object_arrives_or_is_counted() {
    let mut read_objects = 0;
    for seed in 0..400 {
        let mut scribe = Scribe {
            rng: Rng::from_keys(&[seed]),
            xml: String::new(),
            objects: 0,
        };
        scribe.element("annotation", |scribe| {
            scribe.text("filename", "a.jpg");
            scribe.object(1);
            scribe.contents(1);
            scribe.xml.push_str(SIZE);
        });
        let xml = scribe.xml;
        let utf16 = |xml: &str| -> Vec<u8> {
            let words = xml.encode_utf16().flat_map(u16::to_le_bytes);
            [0xFF, 0xFE].into_iter().chain(words).collect()
        };
        let latin = |xml: &str| -> Vec<u8> {
            let declared = format!("<?xml version='1.0' encoding='ISO-8859-1'?>{xml}");
            declared.chars().map(|c| u8::try_from(c).unwrap()).collect()
        };
        let maker = Maker::voc();
        maker.image("JPEGImages/a.jpg", 31, 17);
        maker.list("train", "a");
        let options = DetectionFolderOptions {
            classes: Some(ClassNames::new(["x", "käfer"]).unwrap()),
            ..DetectionFolderOptions::default()
        };
        let mut first = None;
        for bytes in [xml.clone().into_bytes(), utf16(&xml), latin(&xml)] {
            maker.write("Annotations/a.xml", bytes);
            let reading = match maker.open().read(Split::Train, &options) {
                Ok(reading) => reading,
                Err(fault) => {
                    assert!(fault.to_string().contains("Annotations/a.xml: "), "{fault}");
                    continue;
                }
            };
            let read = reading.set.object_count();
            let skipped = reading.losses.objects_skipped;
            assert_eq!(read + skipped, scribe.objects, "{xml}");
            let named: std::collections::BTreeSet<usize> = (reading.findings.iter())
                .filter(|finding| finding.severity == Severity::Error)
                .filter_map(|finding| finding.object)
                .collect();
            let is_cut =
                (reading.findings.iter()).any(|finding| finding.kind == FindingKind::MoreFindings);
            assert!(is_cut || named.len() >= skipped, "{xml}");
            let objects = reading.set.images[0].objects.clone();
            assert_eq!(
                first.get_or_insert_with(|| objects.clone()),
                &objects,
                "{xml}"
            );
            read_objects += read;
        }
    }
    assert!(read_objects > 400, "{read_objects}");
}

#[test]
fn objects_that_stand_elsewhere_are_read_or_named() {
    let good = annotation(31, 17, &[GOOD, GOOD]);
    let (start, end) = (
        good.find("<object>").unwrap(),
        good.rfind("</annot").unwrap(),
    );
    let (head, objects, tail) = (&good[..start], &good[start..end], &good[end..]);
    let reading = read(format!("{head}<objects>{objects}</objects>{tail}"));
    assert_eq!(boxes(&reading), boxes(&read(&good)));
    assert!(reading.findings.is_empty());
    let reading = read(format!("{head}<deleted>{objects}</deleted>{objects}{tail}"));
    let misplaced = |number| error("Annotations/a.xml", number, FindingKind::MisplacedObject);
    assert_faults(&reading.findings, vec![misplaced(1), misplaced(2)]);
    assert_eq!(
        reading.findings[0].to_string(),
        "Annotations/a.xml: object 1: <object> in annotation/deleted is not read; objects stand \
         in <annotation>"
    );
    assert_eq!(
        (boxes(&reading).len(), reading.losses.objects_skipped),
        (2, 2)
    );
    let part = "<part><name>head</name></part>".to_owned() + &bndbox(GOOD.1);
    let parts = warning("Annotations/a.xml", None, FindingKind::PartsOfObjects);
    assert_faults(&read(object(&part)).findings, vec![parts]);
}

#[test]
fn rotated_boxes_are_named_and_stood_upright() {
    let around = |inner: &str| {
        let reading = read(object(inner));
        let rotated = warning("Annotations/a.xml", 1, FindingKind::RotatedBox);
        assert_faults(&reading.findings, vec![rotated]);
        boxes(&reading)[0].map(|edge| (edge * 100.0).round() / 100.0)
    };
    // [10, 6, 18, 8) about (14, 7).
    let upright = bndbox(["11", "7", "18", "8"]);
    let rotation = |degrees: &str| {
        format!(
            "{upright}<attributes><attribute><name>rotation</name><value>{degrees}</value>\
             </attribute></attributes>"
        )
    };
    assert_eq!(around(&rotation("90")), [13.0, 3.0, 15.0, 11.0]);
    assert_eq!(around(&rotation("-45.0")), [10.46, 3.46, 17.54, 10.54]);
    assert_eq!(around(&rotation("x")), [10.0, 6.0, 18.0, 8.0]);
    assert!(read(object(&rotation("0.0"))).findings.is_empty());
    for element in ["<rotation>30</rotation>", "<angle>.5</angle>"] {
        assert_eq!(
            around(&format!("{upright}{element}")),
            [10.0, 6.0, 18.0, 8.0]
        );
    }
    let robndbox = |angle: &str| {
        format!("<robndbox><cx>14</cx><cy>7</cy><w>8</w><h>2</h><angle>{angle}</angle></robndbox>")
    };
    assert_eq!(around(&robndbox("1.5707963")), [13.0, 3.0, 15.0, 11.0]);
    let both = format!("{upright}{}", robndbox("1"));
    assert_eq!(around(&both), [10.0, 6.0, 18.0, 8.0]);
    let straight = read(object(&robndbox("0")));
    assert_eq!(boxes(&straight), [[10.0, 6.0, 18.0, 8.0]]);
    assert!(straight.findings.is_empty());
    let reading = read(object("<polygon><x1>1</x1></polygon>"));
    let malformed = error("Annotations/a.xml", 1, FindingKind::MalformedObject);
    assert_faults(&reading.findings, vec![malformed]);
    assert!(reading.findings[0].message.contains("<polygon>"));
}

#[test]
fn what_stands_twice_is_named() {
    let bndbox = bndbox(GOOD.1);
    let half = "<bndbox><xmax>9</xmax><ymax>9</ymax></bndbox>";
    for inner in [
        bndbox.repeat(2),
        format!("<bndbox><xmin>2</xmin><ymin>3</ymin></bndbox>{half}"),
        format!("<NAME>y</NAME>{bndbox}"),
    ] {
        let reading = read(object(&inner));
        assert_eq!(reading.findings[0].object, Some(1), "{inner}");
        assert_eq!(reading.losses.objects_skipped, 1, "{inner}");
    }
    let other = "<size><width>5</width><height>17</height></size>";
    let sizes = |other: &str| read(object(&bndbox).replace(SIZE, &format!("{SIZE}{other}")));
    assert!(sizes(SIZE).findings.is_empty());
    let unknown = error("Annotations/a.xml", None, FindingKind::UnknownSize);
    assert_faults(&sizes(other).findings, vec![unknown]);
}

#[test]
fn a_fault_of_every_file_is_told_of_every_file() {
    let good = annotation(31, 17, &[GOOD]);
    let normalised = annotation(31, 17, &[("x", ["0.1", "0.2", "0.5", "0.75"])]);
    let nameless = good.replace("<name>x</name>", "<name></name>");
    use FindingKind::*;
    let all: [(&[u8], FindingKind); 6] = [
        (b"<annotation><object><name>k\xE4fer", BadAnnotation),
        (
            b"<?xml version='1.0' encoding='klingon'?><annotation>\xE4",
            BadAnnotation,
        ),
        (b"<annotation><object>", BadAnnotation),
        (nameless.as_bytes(), InvalidClass),
        (b"<annotation><object/></annotation>", MalformedObject),
        (normalised.as_bytes(), NormalisedBox),
    ];
    for (xml, kind) in all {
        let maker = Maker::voc();
        for id in ["a", "b", "c"] {
            maker.image(&format!("JPEGImages/{id}.jpg"), 31, 17);
            maker.write(&format!("Annotations/{id}.xml"), xml);
        }
        maker.list("train", "a\nb\nc");
        let report = maker
            .open()
            .check(&DetectionFolderOptions::default())
            .unwrap();
        let fault = maker
            .open()
            .read(Split::Train, &DetectionFolderOptions::default())
            .unwrap_err()
            .to_string();
        for id in ["a", "b", "c"] {
            let file = format!("Annotations/{id}.xml");
            let is_named = (report.findings.iter()).any(|finding| {
                finding.file == file && finding.kind == kind && finding.severity == Severity::Error
            });
            assert!(is_named, "{kind:?} {file} {:#?}", report.findings);
            assert!(fault.contains(&format!("{file}: ")), "{fault}");
        }
        let has_no_class = report
            .findings
            .iter()
            .any(|finding| finding.kind == NoClasses);
        assert_eq!(has_no_class, kind != NormalisedBox);
    }
}

#[test]
fn encodings_are_read_as_declared_and_doubts_told() {
    let xml = annotation(31, 17, &[("käfer", GOOD.1)]);
    let declared = format!("<?xml version=\"1.0\" encoding=\"Windows-1252\"?>{xml}");
    let latin: Vec<u8> = declared.chars().map(|c| u8::try_from(c).unwrap()).collect();
    let doubt = warning("Annotations/a.xml", None, FindingKind::DoubtfulEncoding);
    for (bytes, faults) in [(latin, vec![]), (declared.into_bytes(), vec![doubt])] {
        let maker = Maker::voc();
        maker.image("JPEGImages/a.jpg", 31, 17);
        maker.write("Annotations/a.xml", bytes);
        maker.list("train", "a");
        let reading = maker
            .open()
            .read(Split::Train, &DetectionFolderOptions::default())
            .unwrap();
        assert_eq!(reading.set.classes, ClassNames::new(["käfer"]).unwrap());
        assert_faults(&reading.findings, faults);
    }
}

#[test]
fn shares_of_the_image_are_no_pixels() {
    let share = ("x", ["0", "0.25", "1", "0.75"]);
    let maker = Maker::voc();
    maker.labelled("all", 31, 17, &[share, ("x", ["0.5", "0.5", "0.2", "0.1"])]);
    maker.labelled("one", 31, 17, &[GOOD, share]);
    maker.labelled("none", 31, 17, &[GOOD]);
    maker.list("train", "all\none\nnone");
    let reading = maker
        .open()
        .read(Split::Train, &DetectionFolderOptions::default())
        .unwrap();
    assert_faults(
        &reading.findings,
        vec![
            error("Annotations/all.xml", None, FindingKind::NormalisedBox),
            error("Annotations/one.xml", 2, FindingKind::NormalisedBox),
        ],
    );
    assert_eq!(
        (
            reading.losses.images_skipped,
            reading.losses.objects_skipped
        ),
        (1, 1)
    );
    assert_eq!(reading.set.object_count(), 2);
}

#[test]
fn sizes_that_differ_are_told_with_the_likely_reason() {
    let sizes = |width, height, corners| {
        let reading = {
            let maker = Maker::voc();
            maker.labelled("a", 31, 17, &[("x", corners)]);
            maker.labelled("sound", 31, 17, &[GOOD]);
            maker.annotation("a", &annotation(width, height, &[("x", corners)]));
            maker.list("train", "a\nsound");
            maker
                .open()
                .read(Split::Train, &DetectionFolderOptions::default())
                .unwrap()
        };
        let finding = reading.findings[0].clone();
        assert_eq!(
            finding.kind == FindingKind::SizeMismatch,
            width != 0,
            "{finding}"
        );
        let is_kept = reading.set.images.len() == 2;
        assert_eq!(is_kept, finding.severity == Severity::Warning, "{finding}");
        (finding.severity, finding.message)
    };
    for (width, height) in [(30, 17), (31, 18), (32, 16), (17, 31), (0, 0), (0, 17)] {
        let (severity, message) = sizes(width, height, GOOD.1);
        assert_eq!(severity, Severity::Warning, "{message}");
    }
    for (width, height, corners, reason) in [
        (29, 17, GOOD.1, "found 31x17"),
        (17, 31, ["2", "3", "9", "29"], "turned"),
        (62, 34, GOOD.1, "resized"),
        (31, 17, ["20", "22", "60", "33"], "resized"),
        (31, 18, ["20", "22", "60", "33"], "resized"),
    ] {
        let (severity, message) = sizes(width, height, corners);
        assert_eq!(severity, Severity::Error, "{message}");
        assert!(message.contains(reason), "{message}");
    }
}

#[test]
fn sizes_of_turned_images_may_be_off_or_missing() {
    // Stored 40x20, shown 20x40.
    let of = |xml: &str| {
        let maker = Maker::voc();
        maker.write("JPEGImages/a.jpg", turned_jpeg(40, 20, 6));
        maker.annotation("a", xml);
        maker.list("train", "a");
        let reading = maker
            .open()
            .read(Split::Train, &DetectionFolderOptions::default())
            .unwrap();
        (boxes(&reading)[0], reading.findings)
    };
    let corners = ["3", "5", "16", "9"];
    let (stored, findings) = of(&annotation(40, 20, &[("x", corners)]));
    assert!(findings.is_empty());
    let (near, findings) = of(&annotation(41, 20, &[("x", corners)]));
    assert_eq!(near, stored);
    let mismatch = warning("Annotations/a.xml", None, FindingKind::SizeMismatch);
    assert_faults(&findings, vec![mismatch]);
    let (shown, findings) = of(&annotation(0, 0, &[("x", corners)]));
    assert_eq!(shown, [2.0, 4.0, 16.0, 9.0]);
    let unknown = warning("Annotations/a.xml", None, FindingKind::UnknownSize);
    assert_faults(&findings, vec![unknown]);
    assert!(findings[0].message.contains("Exif"), "{}", findings[0]);
}

#[test]
fn names_of_one_text_are_one_class_and_similar_ones_are_told() {
    let names = ["caf\u{e9}", "cafe\u{301}", "Caf\u{e9}", "caf\u{e9}\u{200b}"];
    let maker = Maker::voc();
    for (id, name) in ["a", "b", "c", "d"].into_iter().zip(names) {
        maker.labelled(id, 31, 17, &[(name, GOOD.1)]);
    }
    maker.list("train", "a\nb\nc\nd");
    maker.list("val", "a");
    maker.list("test", "b");
    let folder = maker.open();
    assert_eq!(folder.classes().unwrap().len(), 3);
    let report = folder.check(&DetectionFolderOptions::default()).unwrap();
    let similar: Vec<&str> = (report.findings.iter())
        .filter(|finding| finding.kind == FindingKind::SimilarClasses)
        .map(|finding| finding.message.as_str())
        .collect();
    let expected =
        r"the classes `Café`, `café`, `café\u{200b}` look alike; they count as 3 classes";
    assert_eq!(similar, [expected]);
    for name in &names[..2] {
        let options = DetectionFolderOptions {
            classes: Some(ClassNames::new([name]).unwrap()),
            ..DetectionFolderOptions::default()
        };
        let reading = folder.read(Split::Train, &options).unwrap();
        assert_eq!(reading.set.object_count(), 2);
        assert!(
            reading.findings[0]
                .message
                .ends_with("it looks like the class `café`")
        );
    }
}

#[test]
fn findings_of_a_file_are_bounded() {
    let count = 20_000;
    let maker = Maker::voc();
    maker.labelled("a", 31, 17, &[GOOD]);
    maker.image("JPEGImages/b.jpg", 31, 17);
    maker.annotation(
        "b",
        &format!(
            "<annotation>{SIZE}{}</annotation>",
            "<object/>".repeat(count)
        ),
    );
    maker.list("train", "a\nb");
    let options = DetectionFolderOptions::default();
    let reading = maker.open().read(Split::Train, &options).unwrap();
    assert_eq!(reading.findings.len(), 21);
    assert_eq!(reading.losses.objects_skipped, count);
    let report = maker.open().check(&options).unwrap();
    let of_file: Vec<_> = (report.findings.iter())
        .filter(|finding| finding.file == "Annotations/b.xml")
        .collect();
    assert_eq!(of_file.len(), 21);
    assert_eq!(of_file[20].kind, FindingKind::MoreFindings);
    let message = format!(
        "and {} errors and 0 warnings more of this file",
        2 * count - 20
    );
    assert_eq!(of_file[20].message, message);
}

#[test]
fn boxes_written_otherwise_are_named_by_what_was_found() {
    for (inner, told) in [
        (
            "<bndbox><xmin>1</xmin><ymin>1</ymin><width>9</width><height>9</height></bndbox>",
            "found no <xmax> but <width>",
        ),
        (
            "<bndbox><left>1</left><top>1</top><right>9</right><bottom>9</bottom></bndbox>",
            "found no <xmin> but <left>",
        ),
        ("<bndbox/>", "found no <xmin>"),
    ] {
        let reading = read(object(inner));
        assert_eq!(reading.losses.objects_skipped, 1);
        let message = &reading.findings[0].message;
        assert!(message.contains(told), "{message}");
    }
    let maker = Maker::voc();
    maker.labelled("a", 31, 17, &[GOOD]);
    maker.annotation(
        "b",
        "<annotation><path>C:\\a & b\\1.jpg</path></annotation>",
    );
    maker.image("JPEGImages/b.jpg", 31, 17);
    maker.list("train", "a\nb");
    let reading = maker
        .open()
        .read(Split::Train, &DetectionFolderOptions::default())
        .unwrap();
    let message = reading.findings[0].to_string();
    assert!(message.contains("line 1: found a lone `&`"), "{message}");
}

#[test]
fn the_path_of_another_machine_is_no_other_name() {
    for (filename, warnings) in [
        (r"C:\shots\A.JPG", 0),
        ("/home/me/shots/a.png", 0),
        ("a", 0),
        (r"C:\shots\b.jpg", 1),
    ] {
        let file = format!("<filename>{filename}</filename>");
        let xml = annotation(31, 17, &[GOOD]).replace("<size>", &format!("{file}<size>"));
        assert_eq!(read(xml).findings.len(), warnings, "{filename}");
    }
}

#[test]
fn boxes_that_all_end_within_100_of_large_images_are_doubted() {
    let doubts = |side: u32, edge: &str| {
        let maker = Maker::voc();
        let objects = [("x", ["10.5", "12", edge, "60"]); 5];
        for id in ["a", "b"] {
            maker.labelled(id, side, side, &objects);
        }
        maker.list("train", "a\nb");
        let folder = maker.open();
        let options = DetectionFolderOptions::default();
        let report = folder.check(&options).unwrap();
        let reading = folder.read(Split::Train, &options).unwrap();
        [report.findings, reading.findings].map(|findings| {
            let is_doubt = |kind| kind == FindingKind::NormalisedBox;
            findings.into_iter().any(|finding| is_doubt(finding.kind))
        })
    };
    assert_eq!(doubts(400, "99.5"), [true; 2]);
    assert_eq!(doubts(400, "130"), [false; 2]);
    assert_eq!(doubts(120, "99.5"), [false; 2]);
}
