//! Small data sets, made on the spot.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use ssdlite_core::ImageSize;
use ssdlite_core::random::Rng;
use ssdlite_data::dataset::DetectionSet;
use ssdlite_data::detection::SplitCounts;
use ssdlite_data::finding::{Finding, FindingKind, Reading, Severity};
use ssdlite_data::split::{Split, SplitShares};
use ssdlite_data::{DetectionFolder, DetectionFolderOptions, Format, Grouping, Overwrite};
use ssdlite_image::RgbImage;
use ssdlite_image::encode::{jpeg_from_image, png_from_image};

/// A folder that is removed at the end of the test.
pub(crate) struct Maker {
    folder: tempfile::TempDir,
}

impl Maker {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// A VOC folder without any file.
    pub(crate) fn voc() -> Self {
        let maker = Self::new();
        for folder in ["Annotations", "JPEGImages", "ImageSets/Main"] {
            fs::create_dir_all(maker.root().join(folder)).unwrap();
        }
        maker
    }

    pub(crate) fn root(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.root().join(file)
    }

    pub(crate) fn write(&self, file: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub(crate) fn list(&self, split: &str, text: &str) {
        self.write(&format!("ImageSets/Main/{split}.txt"), text);
    }

    /// Writes an image, as PNG if the file's name says so. Images of other names look
    /// different.
    pub(crate) fn image(&self, file: &str, width: u32, height: u32) {
        let image = noise(file, width, height);
        let bytes = if file.to_lowercase().ends_with("png") {
            png_from_image(&image).unwrap()
        } else {
            jpeg_from_image(&image, 90).unwrap()
        };
        self.write(file, bytes);
    }

    /// Writes an image and its annotation with these objects.
    pub(crate) fn labelled(&self, id: &str, width: u32, height: u32, objects: &[Object<'_>]) {
        self.image(&format!("JPEGImages/{id}.jpg"), width, height);
        self.annotation(id, &annotation(width, height, objects));
    }

    pub(crate) fn annotation(&self, id: &str, xml: &str) {
        self.write(&format!("Annotations/{id}.xml"), xml);
    }

    /// The folder in the format that it is recognised as.
    pub(crate) fn open(&self) -> DetectionFolder {
        DetectionFolder::open(self.root(), None).unwrap()
    }

    /// What a split holds of the folder, which must be recognised as this format.
    pub(crate) fn read_as(&self, format: Format, split: Split) -> Reading<DetectionSet> {
        let folder = self.open();
        assert_eq!(folder.format(), format);
        folder
            .read(split, &DetectionFolderOptions::default())
            .unwrap()
    }
}

pub(crate) fn ids(reading: &Reading<DetectionSet>) -> Vec<&str> {
    reading
        .set
        .images
        .iter()
        .map(|image| image.id.as_str())
        .collect()
}

/// The boxes of all images.
pub(crate) fn boxes(reading: &Reading<DetectionSet>) -> Vec<[f32; 4]> {
    let objects = reading.set.images.iter().flat_map(|image| &image.objects);
    objects.map(|object| object.bbox.to_array()).collect()
}

/// Divides a folder and writes its lists.
pub(crate) fn divide(
    folder: &DetectionFolder,
    shares: &SplitShares,
    overwrite: Overwrite,
) -> ssdlite_data::Result<SplitCounts> {
    let lists = folder.divide(shares, Grouping::ByLook, overwrite)?;
    lists.write()?;
    Ok(lists.counts()[0].clone())
}

/// A class and the corners as they are written.
pub(crate) type Object<'a> = (&'a str, [&'a str; 4]);

pub(crate) fn annotation(width: u32, height: u32, objects: &[Object<'_>]) -> String {
    let mut xml =
        format!("<annotation><size><width>{width}</width><height>{height}</height></size>");
    for (name, [xmin, ymin, xmax, ymax]) in objects {
        write!(
            xml,
            "<object><name>{name}</name><bndbox><xmin>{xmin}</xmin><ymin>{ymin}</ymin>\
             <xmax>{xmax}</xmax><ymax>{ymax}</ymax></bndbox></object>"
        )
        .unwrap();
    }
    xml + "</annotation>"
}

/// An image without two alike parts, the same for the same name.
pub(crate) fn noise(name: &str, width: u32, height: u32) -> RgbImage {
    let mut rng = Rng::from_text(0, name);
    let mut image = RgbImage::filled(ImageSize::new(width, height), [0; 3]);
    for pixel in image.pixels_mut().chunks_exact_mut(3) {
        pixel.fill(rng.below(256) as u8);
    }
    image
}

pub(crate) fn jpeg(width: u32, height: u32) -> Vec<u8> {
    let grey = RgbImage::filled(ImageSize::new(width, height), [90, 120, 150]);
    jpeg_from_image(&grey, 90).unwrap()
}

/// A JPEG whose Exif block asks to be shown turned.
pub(crate) fn turned_jpeg(width: u32, height: u32, orientation: u8) -> Vec<u8> {
    let mut segment = b"\xFF\xE1\0\x22Exif\0\0II*\0\x08\0\0\0\x01\0".to_vec();
    segment.extend([0x12, 0x01, 3, 0, 1, 0, 0, 0, orientation, 0, 0, 0]);
    segment.extend([0; 4]);
    let bytes = jpeg(width, height);
    [&bytes[..2], &segment, &bytes[2..]].concat()
}

/// A JPEG that claims to have another size than it has.
pub(crate) fn jpeg_that_claims(width: u16, height: u16) -> Vec<u8> {
    let mut bytes = jpeg(16, 16);
    let frame = bytes
        .windows(2)
        .position(|pair| pair == [0xFF, 0xC0])
        .unwrap();
    bytes[frame + 5..frame + 7].copy_from_slice(&height.to_be_bytes());
    bytes[frame + 7..frame + 9].copy_from_slice(&width.to_be_bytes());
    bytes
}

/// What identifies a finding, its message aside.
pub(crate) type Fault = (String, Option<usize>, FindingKind, Severity);

pub(crate) fn fault_of(finding: &Finding) -> Fault {
    (
        finding.file.clone(),
        finding.object,
        finding.kind,
        finding.severity,
    )
}

pub(crate) fn error(file: &str, object: impl Into<Option<usize>>, kind: FindingKind) -> Fault {
    (file.to_owned(), object.into(), kind, Severity::Error)
}

pub(crate) fn warning(file: &str, object: impl Into<Option<usize>>, kind: FindingKind) -> Fault {
    (file.to_owned(), object.into(), kind, Severity::Warning)
}

/// Asserts that exactly these faults were found, whatever their order.
pub(crate) fn assert_faults(findings: &[Finding], mut expected: Vec<Fault>) {
    let mut found: Vec<Fault> = findings.iter().map(fault_of).collect();
    found.sort();
    expected.sort();
    let missing: Vec<_> = expected.iter().filter(|f| !found.contains(f)).collect();
    let surplus: Vec<_> = found.iter().filter(|f| !expected.contains(f)).collect();
    assert!(
        missing.is_empty() && surplus.is_empty() && found.len() == expected.len(),
        "missing {missing:#?}\nsurplus {surplus:#?}\nof {findings:#?}"
    );
}
