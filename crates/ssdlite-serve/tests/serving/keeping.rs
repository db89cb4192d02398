//! Frames that become training data.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use ssdlite_core::{ClassId, ImageSize, PixelBox};
use ssdlite_data::split::Split;
use ssdlite_data::{DetectionFolder, DetectionFolderOptions};
use ssdlite_image::RgbImage;
use ssdlite_serve::{Error, Server};

use crate::client::{Answer, get, multipart, send};
use crate::fixtures::{ColorDetector, Running, jpeg, model, options, png, two_objects};

/// A server that keeps frames in a folder.
pub(crate) fn keeping(folder: &Path) -> Running {
    let mut options = options(vec![model("colors", ColorDetector::new())]);
    options.keep = Some(folder.to_owned());
    Running::start(options)
}

fn keep(server: &Running, image: &[u8], frame: &Value) -> Answer {
    let frame = frame.to_string();
    let parts = [
        ("image", Some("frame"), image),
        ("frame", None, frame.as_bytes()),
    ];
    let (kind, body) = multipart(&parts);
    let kind = [("Content-Type", kind.as_str())];
    send(server.address, "POST /v1/keep", &kind, &body)
}

fn frame(objects: &Value) -> Value {
    json!({ "width": 97, "height": 61, "detections": objects })
}

#[test]
fn kept_frames_are_a_data_set() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("new");
    let server = keeping(&root);
    let told = get(server.address, "/v1/sources").json();
    assert_eq!(told["keep"], json!(root.to_str().unwrap()));

    let image = two_objects();
    let objects = json!([
        { "class": "red", "score": 0.9, "box": [8.2, 15.9, 40.0, 32.0] },
        { "class": "green", "score": 0.4, "box": [48.0, 40.0, 80.0, 70.0] },
        { "class": "red", "score": 0.4, "box": [3.1, 3.0, 3.2, 9.0] },
    ]);
    for image in [jpeg(&image), png(&image)] {
        let answer = keep(&server, &image, &frame(&objects));
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json()["folder"], json!(root.to_str().unwrap()));
    }

    let voc = DetectionFolder::open(&root, None).unwrap();
    assert!(voc.has_split(Split::Train));
    let reading = voc
        .read(Split::Train, &DetectionFolderOptions::default())
        .unwrap();
    assert!(reading.findings.is_empty(), "{:?}", reading.findings);
    assert_eq!(reading.set.images.len(), 2);
    for image in &reading.set.images {
        let boxes: Vec<_> = image
            .objects
            .iter()
            .map(|object| (object.class, object.bbox))
            .collect();
        // The classes are sorted by name here.
        let expected = [
            (ClassId(1), PixelBox::new(8.0, 16.0, 40.0, 32.0)),
            (ClassId(0), PixelBox::new(48.0, 40.0, 80.0, 61.0)),
        ];
        assert_eq!(boxes, expected);
    }
    let images = std::fs::read_dir(root.join("JPEGImages")).unwrap();
    assert_eq!(images.count(), 2);
}

/// A folder with two annotated images and these lists.
fn older_data(root: &Path, lists: &[(&str, &str)]) {
    let server = keeping(root);
    let first = keep(&server, &png(&two_objects()), &frame(&json!([])));
    assert_eq!(first.status, 200, "{}", first.text());
    let id = first.json()["id"].as_str().unwrap().to_owned();
    let (annotations, images) = (root.join("Annotations"), root.join("JPEGImages"));
    for name in ["old_1", "old_2"] {
        fs::copy(
            annotations.join(format!("{id}.xml")),
            annotations.join(format!("{name}.xml")),
        )
        .unwrap();
        fs::copy(
            images.join(format!("{id}.png")),
            images.join(format!("{name}.png")),
        )
        .unwrap();
    }
    fs::remove_file(annotations.join(format!("{id}.xml"))).unwrap();
    fs::remove_file(images.join(format!("{id}.png"))).unwrap();
    let main = root.join("ImageSets/Main");
    fs::remove_dir_all(&main).unwrap();
    for (name, text) in lists {
        fs::create_dir_all(&main).unwrap();
        fs::write(main.join(name), text).unwrap();
    }
}

#[test]
fn lists_without_an_end_of_line_are_not_damaged() {
    let folder = tempfile::tempdir().unwrap();
    older_data(
        folder.path(),
        &[("train.txt", "old_1"), ("test.txt", "old_2\n")],
    );
    let server = keeping(folder.path());
    let answer = keep(&server, &png(&two_objects()), &frame(&json!([])));
    assert_eq!(answer.json()["listed"], true);
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    let list = |name| fs::read_to_string(folder.path().join("ImageSets/Main").join(name));
    assert_eq!(list("train.txt").unwrap(), format!("old_1\n{id}\n"));
    assert_eq!(list("test.txt").unwrap(), "old_2\n");
    // It would be the only image of that list.
    assert!(list("trainval.txt").is_err());
}

#[test]
fn a_folder_with_annotations_and_no_lists_gets_none() {
    let folder = tempfile::tempdir().unwrap();
    older_data(folder.path(), &[]);
    let server = keeping(folder.path());
    let answer = keep(&server, &png(&two_objects()), &frame(&json!([])));
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["listed"], false);
    assert!(!folder.path().join("ImageSets/Main/train.txt").exists());
    let annotations = fs::read_dir(folder.path().join("Annotations")).unwrap();
    assert_eq!(annotations.count(), 3);
}

#[test]
fn only_so_many_frames_are_kept_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let server = keeping(folder.path());
    let size = ImageSize::new(3000, 2000);
    let image = png(&RgbImage::filled(size, [9, 9, 9]));
    let frame = json!({ "width": size.width, "height": size.height, "detections": [] });
    let statuses: Vec<_> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..12)
            .map(|_| scope.spawn(|| keep(&server, &image, &frame).status))
            .collect();
        let joined = clients.into_iter().map(|client| client.join().unwrap());
        joined.collect()
    });
    assert!(statuses.iter().all(|status| [200, 429].contains(status)));
    for status in [200, 429] {
        assert!(statuses.contains(&status), "{statuses:?}");
    }
}

#[test]
fn each_part_has_to_be_there_once_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("new");
    let server = keeping(&root);
    let (image, frame) = (png(&two_objects()), frame(&json!([])).to_string());
    let (image, frame) = (
        ("image", Some("frame"), &image[..]),
        ("frame", None, frame.as_bytes()),
    );
    for (parts, named) in [
        (vec![image], "`frame`"),
        (vec![frame], "`image`"),
        (vec![image, frame, image], "`image`"),
        (vec![image, frame, ("note", None, b"")], "`note`"),
    ] {
        let (kind, body) = multipart(&parts);
        let kind = [("Content-Type", kind.as_str())];
        let answer = send(server.address, "POST /v1/keep", &kind, &body);
        assert_eq!(answer.status, 400);
        assert!(answer.text().contains(named), "{}", answer.text());
    }
    let answer = send(server.address, "POST /v1/keep", &[], image.2);
    assert_eq!(answer.status, 415);
    assert_eq!(answer.header("accept"), Some("multipart/form-data"));
    assert!(fs::read_dir(&root).unwrap().next().is_none());
}

#[test]
fn a_frame_that_can_not_be_written_leaves_nothing_and_the_server_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let server = keeping(root);
    let keep_one = || keep(&server, &png(&two_objects()), &frame(&json!([])));
    let images = || match fs::read_dir(root.join("JPEGImages")) {
        Ok(entries) => entries.count(),
        Err(_) => 0,
    };
    fs::create_dir_all(root.join("ImageSets/Main")).unwrap();
    let list = root.join("ImageSets/Main/train.txt");
    // A folder where a list should be, and a file where a folder should be.
    fs::create_dir(&list).unwrap();
    assert_eq!(keep_one().status, 500);
    assert_eq!(images(), 0);
    fs::remove_dir(&list).unwrap();
    fs::write(&list, "").unwrap();
    let annotations = root.join("Annotations");
    let _ = fs::remove_dir(&annotations);
    fs::write(&annotations, "").unwrap();
    let answer = keep_one();
    assert_eq!(answer.status, 500);
    assert!(answer.text().contains("Annotations"), "{}", answer.text());
    assert_eq!(images(), 0);
    assert_eq!(fs::read_to_string(&list).unwrap(), "");
    fs::remove_file(&annotations).unwrap();
    assert_eq!(keep_one().status, 200);
    assert_eq!(images(), 1);
}

#[test]
fn what_does_not_fit_is_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("new");
    let server = keeping(&root);
    let image = png(&two_objects());
    let none = json!([]);
    let unknown = json!([{ "class": "blue", "box": [1, 2, 30, 40] }]);
    let other_size = json!({ "width": 61, "height": 97, "detections": [] });
    for (image, frame, status) in [
        (&b"no image"[..], frame(&none), 422),
        (&image, frame(&unknown), 422),
        (&image, other_size, 422),
        (&image, json!({ "width": 97 }), 400),
        (
            &image,
            frame(&json!([{ "class": "red", "box": [1, 2, 3] }])),
            400,
        ),
    ] {
        let answer = keep(&server, image, &frame);
        assert_eq!(answer.status, status, "{frame}: {}", answer.text());
    }
    assert!(fs::read_dir(&root).unwrap().next().is_none());
}

#[test]
fn a_folder_in_which_nothing_can_be_kept_is_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let make = |file: &str, bytes: &[u8]| {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    let picture = png(&two_objects());
    make("file", b"");
    make("yolo/images/a.png", &picture);
    make("yolo/labels/a.txt", b"0 0.5 0.5 0.2 0.2\n");
    make(
        "coco/instances.json",
        b"{\"images\": [], \"annotations\": []}",
    );
    make("classes/cat/a.png", &picture);
    make("classes/dog/b.png", &picture);
    make("beside/a.png", &picture);
    make("beside/a.xml", b"<annotation></annotation>");
    make("photos/a.png", &picture);
    make("voc/Annotations/.keep", b"");
    let start = |name: &str| {
        let mut options = options(vec![model("colors", ColorDetector::new())]);
        options.keep = Some(root.join(name));
        Server::bind(options, Arc::new(|_| {})).map(drop)
    };
    for (name, expected) in [
        ("file", "found a file"),
        ("file/inside", "can't be kept there"),
        ("yolo", "YOLO"),
        ("yolo/new", "YOLO"),
        ("yolo/images/new", "YOLO"),
        ("coco", "labels of another form"),
        ("classes", "class folders"),
        ("beside", "another layout"),
    ] {
        let before = files_in(root);
        let error = start(name).unwrap_err();
        assert!(matches!(error, Error::Keep { .. }), "{error}");
        let said = error.to_string();
        assert!(said.contains(expected) && said.contains(name), "{said}");
        assert_eq!(files_in(root), before, "{name}");
    }
    for name in ["new/inner", "photos", "voc"] {
        start(name).unwrap();
        assert!(root.join(name).is_dir());
    }
    assert_eq!(fs::read_dir(root.join("new/inner")).unwrap().count(), 0);
}

/// The number of files and folders in a folder and those in it.
fn files_in(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).unwrap();
    let count = |path: std::path::PathBuf| match path.is_dir() {
        true => 1 + files_in(&path),
        false => 1,
    };
    entries.map(|entry| count(entry.unwrap().path())).sum()
}
