//! What tests of layouts, lists and divisions share.

use ssdlite_data::finding::{Finding, FindingKind};
use ssdlite_data::split::Split;
use ssdlite_data::{DataFolder, DetectionFolder, DetectionFolderOptions};

use crate::maker::{Maker, Object, annotation};

pub(crate) const OBJECT: Object<'_> = ("x", ["2", "3", "9", "9"]);

/// Writes an annotation with an object and its image.
pub(crate) fn pair(maker: &Maker, xml: &str, image: &str) {
    maker.write(xml, annotation(31, 17, &[OBJECT]));
    maker.image(image, 31, 17);
}

/// The ids and objects of a set with one list alone or none, by a check.
pub(crate) fn checked(maker: &Maker) -> (usize, Vec<Finding>) {
    let DataFolder::Boxes(folder) = DataFolder::open(maker.root(), None).unwrap() else {
        panic!("expected images with boxes");
    };
    let report = folder.check(&DetectionFolderOptions::default()).unwrap();
    let told = report.findings.into_iter();
    let told = told.filter(|finding| finding.kind != FindingKind::EmptySplit);
    (report.objects, told.collect())
}

pub(crate) fn ids(folder: &DetectionFolder, split: Split) -> Vec<String> {
    let reading = folder
        .read(split, &DetectionFolderOptions::default())
        .unwrap();
    assert_eq!(reading.findings, []);
    reading
        .set
        .images
        .into_iter()
        .map(|image| image.id)
        .collect()
}
