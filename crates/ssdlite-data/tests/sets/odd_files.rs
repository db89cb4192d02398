//! Files that are no image or no plain file, and names that are no UTF-8.

use ssdlite_data::finding::{FindingKind, Severity};
use ssdlite_data::folders::{ImageFolder, ImageFolderOptions};
use ssdlite_data::split::Split;

use crate::checked::{OBJECT, checked};
use crate::maker::{Maker, annotation, assert_faults, error, warning};

#[test]
fn images_that_are_not_read_are_named_by_their_format() {
    let maker = Maker::voc();
    for (id, ending, name) in [
        ("a", "tif", "TIFF"),
        ("b", "ppm", "PPM"),
        ("c", "heic", "HEIC"),
    ] {
        maker.write(
            &format!("Annotations/{id}.xml"),
            annotation(31, 17, &[OBJECT]),
        );
        maker.write(&format!("JPEGImages/{id}.{ending}"), "x");
        let (_, findings) = checked(&maker);
        let file = format!("JPEGImages/{id}.{ending}");
        let finding = findings
            .iter()
            .find(|finding| finding.file == file)
            .unwrap();
        assert_eq!(finding.severity, Severity::Error);
        assert!(finding.message.contains(name), "{finding}");
    }
    let maker = Maker::new();
    maker.image("train/ant/1.jpg", 7, 5);
    maker.write("train/ant/2.tga", "x");
    let folder = ImageFolder::open(maker.root()).unwrap();
    let reading = folder
        .read(Split::Train, &ImageFolderOptions::default())
        .unwrap();
    let message = reading.findings[0].to_string();
    assert!(
        message.contains("train/ant/2.tga: is a TGA image"),
        "{message}"
    );
    assert_eq!(reading.losses.images_skipped, 1);
}

#[cfg(unix)]
#[test]
fn links_that_point_back_end() {
    use std::os::unix::fs::symlink;
    let maker = Maker::voc();
    maker.labelled("part/a", 31, 17, &[OBJECT]);
    symlink(maker.root(), maker.path("JPEGImages/part/loop")).unwrap();
    symlink(maker.path("Annotations"), maker.path("Annotations/again")).unwrap();
    let (objects, findings) = checked(&maker);
    assert_eq!(objects, 1);
    use FindingKind::NotRead;
    assert_faults(
        &findings,
        vec![
            warning("Annotations/again", None, NotRead),
            warning("JPEGImages/part/loop", None, NotRead),
        ],
    );
}

#[cfg(unix)]
#[test]
fn what_is_no_plain_file_is_named_and_not_waited_for() {
    use std::os::unix::net::UnixListener;
    let maker = Maker::voc();
    for id in ["a", "b", "c"] {
        maker.labelled(id, 31, 17, &[OBJECT]);
    }
    maker.list("train", "a\nb\nc\n");
    let files = [
        "Annotations/a.xml",
        "JPEGImages/b.jpg",
        "ImageSets/Main/val.txt",
    ];
    let sockets = files.map(|file| {
        std::fs::remove_file(maker.path(file)).ok();
        UnixListener::bind(maker.path(file)).unwrap()
    });
    let (objects, findings) = checked(&maker);
    drop(sockets);
    assert_eq!(objects, 1);
    use FindingKind::*;
    assert_faults(
        &findings,
        vec![
            error(files[0], None, BadAnnotation),
            error(files[1], None, BadImage),
            error(files[2], None, BadList),
        ],
    );
    for finding in findings {
        assert!(
            finding.message.contains("expected a plain file"),
            "{finding}"
        );
    }
}

#[cfg(target_os = "linux")]
#[test]
fn names_that_are_not_utf_8_are_read() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let maker = Maker::voc();
    maker.labelled("a", 31, 17, &[OBJECT]);
    for (folder, ending) in [("Annotations", "xml"), ("JPEGImages", "jpg")] {
        let name = [b"\xE9.", ending.as_bytes()].concat();
        let from = maker.path(&format!("{folder}/a.{ending}"));
        std::fs::rename(from, maker.path(folder).join(OsStr::from_bytes(&name))).unwrap();
    }
    assert_eq!(checked(&maker), (1, Vec::new()));
}
