//! Lists of splits: where they are read, how they are written, what is wrong in them.

use ssdlite_data::DetectionFolderOptions;
use ssdlite_data::finding::FindingKind;
use ssdlite_data::split::Split;

use crate::checked::{OBJECT, checked, ids, pair};
use crate::maker::{Maker, assert_faults, error, fault_of, warning};

#[test]
fn lists_where_none_is_read_are_named() {
    for file in ["splits/train.txt", "Annotations/train.txt", "train.txt"] {
        let maker = Maker::voc();
        maker.labelled("a", 31, 17, &[OBJECT]);
        maker.list("val", "a");
        maker.write(file, "a");
        maker.write("ImageSets/Layout/train.txt", "a");
        let named = warning(file, None, FindingKind::NotRead);
        assert_faults(maker.open().findings(), vec![named]);
    }
}

#[test]
fn lists_in_any_encoding_place_and_form_name_the_same_images() {
    let utf_16: Vec<u8> = "\u{feff}a.jpg\r\nb.jpg\r\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    for (file, bytes) in [
        ("ImageSets/Main/train.txt", utf_16.as_slice()),
        ("ImageSets/Main/Train.TXT", b"\xEF\xBB\xBFa\nb"),
        (
            "ImageSets/train.txt",
            b"JPEGImages/a.jpg\nJPEGImages/b.jpg\n",
        ),
        (
            "train.txt",
            br"C:\set\JPEGImages\a.jpg 1
C:\set\JPEGImages\b.jpg -1",
        ),
        (
            "imagesets/main/training.txt",
            b"# mine\n/x/a.png\tAnnotations/a.xml\n\n b \n",
        ),
    ] {
        let maker = Maker::new();
        pair(&maker, "Annotations/a.xml", "JPEGImages/a.jpg");
        pair(&maker, "Annotations/b.xml", "JPEGImages/b.jpg");
        maker.write(file, bytes);
        assert_eq!(ids(&maker.open(), Split::Train), ["a", "b"], "{file}");
        assert_eq!(checked(&maker), (2, Vec::new()), "{file}");
    }
}

#[test]
fn a_check_goes_on_when_every_list_is_broken() {
    let maker = Maker::voc();
    maker.labelled("a", 31, 17, &[OBJECT]);
    maker.list("train", "x.jpg\ny.jpg\n");
    maker.write("ImageSets/Main/val.txt", b"\xE9");
    maker.list("test", "");
    let report = maker
        .open()
        .check(&DetectionFolderOptions::default())
        .unwrap();
    use FindingKind::*;
    let faults: Vec<_> = report.findings.iter().map(fault_of).collect();
    for expected in [
        error("ImageSets/Main/train.txt", None, UnknownId),
        error("ImageSets/Main/val.txt", None, BadList),
        error("Annotations", None, NoClasses),
        error("ImageSets/Main/test.txt", None, EmptySplit),
        warning("Annotations/a.xml", None, Unlisted),
    ] {
        assert!(faults.contains(&expected), "{expected:?} in {faults:#?}");
    }
}
