//! Sets written in each format and read again.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use ssdlite_core::random::Rng;
use ssdlite_core::{ClassId, ClassNames, GroundTruth, ImageSize, PixelBox};
use ssdlite_data::finding::Reading;
use ssdlite_data::split::Split;
use ssdlite_data::{
    DetectionFolder, DetectionFolderOptions, DetectionImage, Error, ImageFiles, LabelledSet,
    SetPart, WriteOptions, WrittenFormat, WrittenSet, write_set,
};

use crate::maker::{Maker, turned_jpeg};

const SIZE: ImageSize = ImageSize::new(41, 23);

fn options(format: WrittenFormat) -> WriteOptions {
    WriteOptions {
        format,
        images: ImageFiles::Copy,
    }
}

fn write(out: &Path, set: &LabelledSet, format: WrittenFormat) -> WrittenSet {
    write_set(out, set, &options(format), &AtomicBool::new(false)).unwrap()
}

fn read(root: &Path) -> Reading<LabelledSet> {
    let folder = DetectionFolder::open(root, None).unwrap();
    assert_eq!(folder.findings(), [], "{}", root.display());
    folder.read_all(&DetectionFolderOptions::default()).unwrap()
}

/// What has to stay the same: of each split its images by name with sizes, and objects
/// with their classes by name.
type Labels = BTreeMap<Option<Split>, BTreeMap<String, (ImageSize, Vec<(String, GroundTruth)>)>>;

fn labels(set: &LabelledSet) -> Labels {
    let objects = |image: &DetectionImage| {
        let named = image.objects.iter().map(|object| {
            let name = set.classes.get(object.class).unwrap().to_owned();
            // The id is another where the classes are in another order.
            let class = ClassId(0);
            (name, GroundTruth { class, ..*object })
        });
        named.collect::<Vec<_>>()
    };
    let images = |part: &SetPart| {
        let named = part.images.iter().map(|image| {
            let name = image.path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, (image.size, objects(image)))
        });
        named.collect::<BTreeMap<_, _>>()
    };
    set.parts
        .iter()
        .map(|part| (part.split, images(part)))
        .collect()
}

/// A set at random with images in all splits and in none, some without objects; with
/// boxes on whole pixels, two at least on each side, or anywhere.
fn random_set(maker: &Maker, rng: &mut Rng, are_whole: bool) -> LabelledSet {
    let mut below = |limit: u64| rng.next_u64() % limit;
    let classes = ClassNames::new(["red cell", "käfer", "a: b", "\"q\" & <c>"]).unwrap();
    let mut number = 0;
    let mut parts = Vec::new();
    for split in [
        Some(Split::Train),
        Some(Split::Val),
        Some(Split::Test),
        None,
    ] {
        let images = (0..1 + below(4)).map(|_| {
            number += 1;
            let ending = ["jpg", "PNG"][below(2) as usize];
            let id = format!("image {number}");
            let file = format!("source/{id}.{ending}");
            maker.image(&file, SIZE.width, SIZE.height);
            let objects = (0..below(5)).map(|_| {
                let mut span = |side: u32| {
                    let side = u64::from(side);
                    let low = below(side - 1);
                    let high = low + 2 + below(side - 1 - low);
                    let mut part = || below(1000) as f32 / 1000.0;
                    let shift = match are_whole {
                        true => [0.0, 0.0],
                        false => [part(), part()],
                    };
                    // Inwards, and never to nothing.
                    (low as f32 + shift[0] * 0.4, high as f32 - shift[1] * 0.4)
                };
                let ((x1, x2), (y1, y2)) = (span(SIZE.width), span(SIZE.height));
                GroundTruth {
                    class: ClassId(below(4) as u32),
                    bbox: PixelBox::new(x1, y1, x2, y2),
                    difficult: below(4) == 0,
                }
            });
            let objects = objects.collect();
            DetectionImage {
                id,
                path: maker.path(&file),
                size: SIZE,
                objects,
            }
        });
        let images: Vec<DetectionImage> = images.collect();
        parts.push(SetPart { split, images });
    }
    LabelledSet { classes, parts }
}

#[test]
fn what_is_written_is_read_as_it_was_from_format_to_format() {
    let mut rng = Rng::from_keys(&[7]);
    for round in 0..6 {
        let maker = Maker::new();
        let mut set = random_set(&maker, &mut rng, true);
        // All classes are there, so that VOC has them too.
        for class in set.classes.ids().collect::<Vec<_>>() {
            set.parts[0].images[0].objects.push(GroundTruth {
                class,
                bbox: PixelBox::new(0.0, 0.0, 41.0, 23.0),
                difficult: false,
            });
        }
        let expected = labels(&set);
        use WrittenFormat::{Coco, Voc, Yolo};
        let mut from = set.clone();
        for (step, format) in [Yolo, Coco, Voc, Coco, Yolo, Voc, Yolo]
            .into_iter()
            .enumerate()
        {
            let out = maker.path(&format!("{step}"));
            let written = write(&out, &from, format);
            let counts = expected.values().flat_map(BTreeMap::values);
            let objects: usize = counts.clone().map(|(_, objects)| objects.len()).sum();
            assert_eq!((written.images, written.objects), (counts.count(), objects));
            assert_eq!((written.rounded_boxes, written.repeated_images), (0, 0));
            assert_eq!(written.lost_classes, Vec::<String>::new());
            let reading = read(&out);
            assert!(
                reading.losses.is_none() && reading.findings.is_empty(),
                "{reading:?}"
            );
            assert_eq!(labels(&reading.set), expected, "{round} {format}");
            if format != Voc && step == 0 {
                assert_eq!(reading.set.classes, set.classes);
            }
            from = reading.set;
        }
    }
}

#[test]
fn fractions_of_pixels_stay_where_the_format_has_them() {
    let mut rng = Rng::from_keys(&[8]);
    let maker = Maker::new();
    let set = random_set(&maker, &mut rng, false);
    let expected = labels(&set);
    let boxes = |labels: &Labels| -> Vec<PixelBox> {
        let images = labels.values().flat_map(BTreeMap::values);
        images
            .flat_map(|(_, objects)| objects.iter().map(|(_, object)| object.bbox))
            .collect()
    };
    for (format, tolerance) in [
        (WrittenFormat::Coco, 0.0),
        (WrittenFormat::Yolo, 0.051),
        (WrittenFormat::Voc, 0.501),
    ] {
        let out = maker.path(format.name());
        let written = write(&out, &set, format);
        assert_eq!(written.rounded_boxes > 0, format == WrittenFormat::Voc);
        let found = boxes(&labels(&read(&out).set));
        let wanted = boxes(&expected);
        assert_eq!(found.len(), wanted.len());
        for (found, wanted) in found.iter().zip(&wanted) {
            for (one, other) in found.to_array().iter().zip(wanted.to_array()) {
                assert!(
                    (one - other).abs() <= tolerance,
                    "{format}: {found} {wanted}"
                );
            }
        }
    }
}

#[test]
fn boxes_of_one_pixel_are_none_in_voc_and_get_two() {
    let maker = Maker::new();
    maker.image("source/a.png", SIZE.width, SIZE.height);
    let boxes = [
        [0.0, 0.0, 1.0, 9.0],
        [7.0, 2.0, 8.0, 20.0],
        [40.0, 22.0, 41.0, 23.0],
        [3.25, 5.0, 3.5, 7.0],
    ];
    let objects = boxes.map(|[x1, y1, x2, y2]| GroundTruth {
        class: ClassId(0),
        bbox: PixelBox::new(x1, y1, x2, y2),
        difficult: false,
    });
    let image = DetectionImage {
        id: "a".into(),
        path: maker.path("source/a.png"),
        size: SIZE,
        objects: objects.into(),
    };
    let set = LabelledSet {
        classes: ClassNames::new(["x"]).unwrap(),
        parts: vec![SetPart {
            split: Some(Split::Train),
            images: vec![image],
        }],
    };
    for (format, expected, moved) in [
        (WrittenFormat::Coco, boxes, 0),
        (WrittenFormat::Yolo, boxes, 0),
        (
            WrittenFormat::Voc,
            [
                [0.0, 0.0, 2.0, 9.0],
                [6.0, 2.0, 8.0, 20.0],
                [39.0, 21.0, 41.0, 23.0],
                [2.0, 5.0, 4.0, 7.0],
            ],
            4,
        ),
    ] {
        let out = maker.path(format.name());
        assert_eq!(write(&out, &set, format).rounded_boxes, moved, "{format}");
        let reading = read(&out);
        assert_eq!(reading.findings, [], "{format}");
        let image = &reading.set.parts[0].images[0];
        let found: Vec<[f32; 4]> = (image.objects.iter())
            .map(|object| object.bbox.to_array())
            .collect();
        assert_eq!(found, expected, "{format}");
    }
}

#[test]
fn folders_in_ids_and_names_that_meet_stay_apart() {
    let maker = Maker::new();
    let image = |id: &str| {
        let file = format!("source/{id}.jpg");
        maker.image(&file, SIZE.width, SIZE.height);
        DetectionImage {
            id: id.to_owned(),
            path: maker.path(&file),
            size: SIZE,
            objects: vec![GroundTruth {
                class: ClassId(0),
                bbox: PixelBox::new(1.0, 2.0, 9.0, 9.0),
                difficult: false,
            }],
        }
    };
    let part = |split, ids: &[&str]| SetPart {
        split: Some(split),
        images: ids.iter().map(|id| image(id)).collect(),
    };
    let classes = ClassNames::new(["x"]).unwrap();
    let files = |parts: Vec<SetPart>, format: WrittenFormat, name: &str| {
        let set = LabelledSet {
            classes: classes.clone(),
            parts,
        };
        let out = maker.path(name);
        write(&out, &set, format);
        let reading = read(&out);
        let images = reading.set.parts.into_iter().flat_map(|part| part.images);
        let mut files: Vec<String> = images
            .map(|image| image.path.strip_prefix(&out).unwrap().display().to_string())
            .collect();
        files.sort();
        files
    };
    use WrittenFormat::{Coco, Voc, Yolo};
    let apart = || {
        vec![
            part(Split::Train, &["train/a", "x/b"]),
            part(Split::Val, &["val/c"]),
        ]
    };
    assert_eq!(
        files(apart(), Voc, "1"),
        ["JPEGImages/a.jpg", "JPEGImages/c.jpg", "JPEGImages/x/b.jpg"]
    );
    let of_yolo = [
        "images/train/a.jpg",
        "images/train/x/b.jpg",
        "images/val/c.jpg",
    ];
    assert_eq!(files(apart(), Yolo, "2"), of_yolo);
    let meeting = || {
        vec![
            part(Split::Train, &["train/a"]),
            part(Split::Val, &["val/A"]),
        ]
    };
    assert_eq!(
        files(meeting(), Coco, "3"),
        ["images/train/a.jpg", "images/val/A.jpg"]
    );
}

#[test]
fn an_image_in_two_splits_is_in_both() {
    let maker = Maker::new();
    maker.image("source/a.jpg", SIZE.width, SIZE.height);
    let image = DetectionImage {
        id: "a".into(),
        path: maker.path("source/a.jpg"),
        size: SIZE,
        objects: vec![GroundTruth {
            class: ClassId(0),
            bbox: PixelBox::new(1.0, 2.0, 9.0, 9.0),
            difficult: true,
        }],
    };
    let part = |split| SetPart {
        split: Some(split),
        images: vec![image.clone()],
    };
    let set = LabelledSet {
        classes: ClassNames::new(["x"]).unwrap(),
        parts: vec![part(Split::Train), part(Split::Test)],
    };
    for format in WrittenFormat::ALL {
        let out = maker.path(format.name());
        let written = write(&out, &set, format);
        assert_eq!(written.images, 1);
        assert_eq!(
            written.repeated_images,
            usize::from(format == WrittenFormat::Yolo)
        );
        assert_eq!(labels(&read(&out).set), labels(&set), "{format}");
    }
}

#[test]
fn images_come_as_they_are_or_as_links() {
    let maker = Maker::new();
    maker.write("source/a.jpg", turned_jpeg(40, 20, 6));
    let set = LabelledSet {
        classes: ClassNames::new(["x"]).unwrap(),
        parts: vec![SetPart {
            split: Some(Split::Train),
            images: vec![DetectionImage {
                id: "a".into(),
                path: maker.path("source/a.jpg"),
                // As it is shown.
                size: ImageSize::new(20, 40),
                objects: vec![GroundTruth {
                    class: ClassId(0),
                    bbox: PixelBox::new(1.0, 2.0, 9.0, 39.0),
                    difficult: false,
                }],
            }],
        }],
    };
    let bytes = fs::read(maker.path("source/a.jpg")).unwrap();
    for images in [ImageFiles::Copy, ImageFiles::Link] {
        let out = maker.path(&format!("{images:?}"));
        let options = WriteOptions {
            format: WrittenFormat::Coco,
            images,
        };
        write_set(&out, &set, &options, &AtomicBool::new(false)).unwrap();
        assert_eq!(fs::read(out.join("images/a.jpg")).unwrap(), bytes);
        assert_eq!(labels(&read(&out).set), labels(&set));
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            let inode = |path: &Path| fs::metadata(path).unwrap().ino();
            let is_one = inode(&out.join("images/a.jpg")) == inode(&maker.path("source/a.jpg"));
            assert_eq!(is_one, images == ImageFiles::Link);
        }
    }
}

#[test]
fn nothing_is_overwritten_and_nothing_is_left_of_what_fails() {
    let maker = Maker::new();
    let mut rng = Rng::from_keys(&[9]);
    let set = random_set(&maker, &mut rng, true);
    let refused = |set: &LabelledSet, out: &Path| {
        let stop = AtomicBool::new(false);
        write_set(out, set, &options(WrittenFormat::Yolo), &stop).unwrap_err()
    };
    maker.write("taken/notes", "mine");
    let error = refused(&set, &maker.path("taken"));
    assert!(
        error.to_string().contains("expected a new or empty folder"),
        "{error}"
    );
    assert_eq!(fs::read(maker.path("taken/notes")).unwrap(), b"mine");

    let out = maker.path("new");
    type Change<'a> = &'a dyn Fn(&mut DetectionImage);
    let broken = |change: Change<'_>| {
        let mut set = set.clone();
        set.parts[0].images[0].objects.push(GroundTruth {
            class: ClassId(0),
            bbox: PixelBox::new(1.0, 2.0, 9.0, 9.0),
            difficult: false,
        });
        change(&mut set.parts[0].images[0]);
        let error = refused(&set, &out);
        assert!(!out.exists());
        error
    };
    let last = |image: &DetectionImage| image.objects.len() - 1;
    let changes: [(Change<'_>, &str); 4] = [
        (&|image| image.id = "../a".into(), "`../a`"),
        (
            &|image| {
                let last = last(image);
                image.objects[last].bbox.x2 = 42.0;
            },
            "expected a box inside of 41x23",
        ),
        (
            &|image| {
                let last = last(image);
                image.objects[last].bbox.x1 = f32::NAN;
            },
            "expected a box inside of 41x23",
        ),
        (
            &|image| {
                let last = last(image);
                image.objects[last].class = ClassId(4);
            },
            "found the id 4",
        ),
    ];
    for (change, words) in changes {
        let error = broken(change);
        assert!(matches!(error, Error::InvalidRequest(_)), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
    let error = broken(&|image| image.path = "gone.jpg".into());
    assert!(matches!(error, Error::Io { .. }), "{error}");
    let stopped = write_set(
        &out,
        &set,
        &options(WrittenFormat::Voc),
        &AtomicBool::new(true),
    );
    assert!(matches!(stopped, Err(Error::Stopped)));
    assert!(!out.exists());
    let nothing = LabelledSet {
        parts: Vec::new(),
        ..set.clone()
    };
    assert!(
        refused(&nothing, &out)
            .to_string()
            .contains("expected images")
    );
}
