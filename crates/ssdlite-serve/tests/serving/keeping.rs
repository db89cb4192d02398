//! Frames that become training data.

use std::path::Path;

use serde_json::{Value, json};
use ssdlite_core::{ClassId, PixelBox};
use ssdlite_data::split::Split;
use ssdlite_data::voc::{VocFolder, VocOptions};

use crate::client::{Answer, get, multipart, send};
use crate::fixtures::{ColorDetector, Running, jpeg, model, options, png, two_objects};

fn keeping(folder: &Path) -> Running {
    let mut options = options(vec![model("colors", ColorDetector::new())]);
    options.keep = Some(folder.to_owned());
    Running::start(options)
}

fn keep(server: &Running, picture: &[u8], frame: &Value) -> Answer {
    let frame = frame.to_string();
    let parts = [
        ("image", Some("frame"), picture),
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
    for picture in [jpeg(&image), png(&image)] {
        let answer = keep(&server, &picture, &frame(&objects));
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json()["folder"], json!(root.to_str().unwrap()));
    }

    let voc = VocFolder::open(&root).unwrap();
    assert!(voc.has_split(Split::Train));
    let reading = voc.read(Split::Train, &VocOptions::default()).unwrap();
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
    let pictures = std::fs::read_dir(root.join("JPEGImages")).unwrap();
    assert_eq!(pictures.count(), 2);
}

#[test]
fn what_does_not_fit_is_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("new");
    let server = keeping(&root);
    let picture = png(&two_objects());
    let none = json!([]);
    let unknown = json!([{ "class": "blue", "box": [1, 2, 30, 40] }]);
    let other_size = json!({ "width": 61, "height": 97, "detections": [] });
    for (picture, frame, status) in [
        (&b"no picture"[..], frame(&none), 422),
        (&picture, frame(&unknown), 422),
        (&picture, other_size, 422),
        (&picture, json!({ "width": 97 }), 400),
        (
            &picture,
            frame(&json!([{ "class": "red", "box": [1, 2, 3] }])),
            400,
        ),
    ] {
        let answer = keep(&server, picture, &frame);
        assert_eq!(answer.status, status, "{frame}: {}", answer.text());
    }
    assert!(!root.exists());
}
