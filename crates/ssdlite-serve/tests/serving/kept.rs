//! Kept frames over HTTP: listed, shown, read, corrected.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use ssdlite_core::{ImageSize, PixelBox};
use ssdlite_data::split::Split;
use ssdlite_data::voc::{VocAnnotation, VocObject, VocWriter};
use ssdlite_data::{DetectionFolder, DetectionFolderOptions};

use crate::client::{Answer, get, send};
use crate::fixtures::{Running, jpeg, png, two_objects};
use crate::keeping::keeping;

/// Puts an image of two objects into a folder, annotated as such.
pub(crate) fn add_frame(root: &Path, id: &str) {
    let objects = [
        ("red", [8.0, 16.0, 40.0, 32.0]),
        ("green", [48.0, 40.0, 80.0, 56.0]),
    ];
    let objects = objects.map(|(name, [x1, y1, x2, y2])| VocObject {
        name,
        bbox: PixelBox::new(x1, y1, x2, y2),
        truncated: false,
        difficult: name == "green",
    });
    let annotation = VocAnnotation {
        filename: &format!("{id}.png"),
        size: ImageSize::new(97, 61),
        objects: objects.into(),
    };
    let mut writer = VocWriter::new(root);
    writer
        .add_to_train(&png(&two_objects()), &annotation)
        .unwrap();
}

pub(crate) fn annotation_of(root: &Path, id: &str) -> PathBuf {
    root.join(format!("Annotations/{id}.xml"))
}

fn correct(server: &Running, id: &str, revision: &str, corrections: &Value) -> Answer {
    let headers = [("Content-Type", "application/json"), ("If-Match", revision)];
    let line = format!("PATCH /v1/kept/{id}");
    let body = corrections.to_string();
    send(server.address, &line, &headers, body.as_bytes())
}

fn revision(answer: &Answer) -> String {
    answer.header("etag").unwrap().to_owned()
}

#[test]
fn frames_are_listed_and_shown() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("kept");
    let server = keeping(&root);
    let listed = get(server.address, "/v1/kept").json();
    let nothing = json!({ "folder": root, "total": 0, "left_out": 0, "frames": [] });
    assert_eq!(listed, nothing);
    for id in ["b", "a c"] {
        add_frame(&root, id);
    }
    fs::write(root.join("JPEGImages/notes.txt"), "").unwrap();
    fs::write(root.join("JPEGImages/d.jpg"), jpeg(&two_objects())).unwrap();
    let listed = get(server.address, "/v1/kept").json();
    assert_eq!(listed["frames"], json!(["a c", "b", "d"]));
    assert_eq!(
        (&listed["total"], &listed["left_out"]),
        (&json!(3), &json!(1))
    );

    let told = get(server.address, "/v1/kept/a%20c");
    let objects = json!([
        { "class": "red", "box": [8.0, 16.0, 40.0, 32.0], "difficult": false },
        { "class": "green", "box": [48.0, 40.0, 80.0, 56.0], "difficult": true },
    ]);
    let expected = json!({
        "id": "a c", "width": 97, "height": 61, "annotated": true, "objects": objects,
    });
    assert_eq!(told.json(), expected);
    let bare = get(server.address, "/v1/kept/d").json();
    assert_eq!(
        (&bare["annotated"], &bare["objects"]),
        (&json!(false), &json!([]))
    );

    for (id, kind, bytes) in [
        ("b", "image/png", png(&two_objects())),
        ("d", "image/jpeg", jpeg(&two_objects())),
    ] {
        let image = get(server.address, &format!("/v1/kept/{id}/image"));
        assert_eq!(image.status, 200);
        assert_eq!(image.header("content-type"), Some(kind));
        assert_eq!(image.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(image.body, bytes);
    }
}

#[test]
fn what_is_corrected_is_what_is_trained_on_and_the_rest_of_the_file_stays() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    add_frame(root, "a");
    let path = annotation_of(root, "a");
    let text = fs::read_to_string(&path).unwrap();
    let text = text.replace(
        "<pose>Unspecified</pose>",
        "<pose>Left</pose><mine>&amp;</mine>",
    );
    fs::write(&path, &text).unwrap();
    let server = keeping(root);
    let told = get(server.address, "/v1/kept/a");
    let corrections = json!({
        "changed": [{ "index": 1, "class": " cyan ", "box": [47.6, 40, 1e300, 55] }],
        "added": [{ "class": "<b>&", "box": [1, 2, 3, 4] }],
        "deleted": [0],
    });
    let corrected = correct(&server, "a", &revision(&told), &corrections);
    assert_eq!(corrected.status, 200, "{}", corrected.text());
    assert_ne!(revision(&corrected), revision(&told));
    let objects = json!([
        { "class": "cyan", "box": [48.0, 40.0, 97.0, 55.0], "difficult": true },
        { "class": "<b>&", "box": [1.0, 2.0, 3.0, 4.0], "difficult": false },
    ]);
    assert_eq!(corrected.json()["objects"], objects);
    let again = get(server.address, "/v1/kept/a");
    assert_eq!(again.json(), corrected.json());
    assert_eq!(revision(&again), revision(&corrected));

    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(
        text.matches("<pose>Left</pose><mine>&amp;</mine>").count(),
        1
    );
    assert!(text.contains("<name>&lt;b&gt;&amp;</name>"), "{text}");
    let voc = DetectionFolder::open(root, None).unwrap();
    let reading = voc
        .read(Split::Train, &DetectionFolderOptions::default())
        .unwrap();
    assert!(reading.findings.is_empty(), "{:?}", reading.findings);
    let classes: Vec<_> = reading.set.classes.iter().collect();
    assert_eq!(classes, ["<b>&", "cyan"]);
}

#[test]
fn of_two_who_correct_a_frame_the_second_is_told() {
    let folder = tempfile::tempdir().unwrap();
    add_frame(folder.path(), "a");
    let server = keeping(folder.path());
    let seen = revision(&get(server.address, "/v1/kept/a"));
    let correct_one = |name: usize| {
        let added = json!({ "added": [{ "class": format!("c{name}"), "box": [1, 2, 3, 4] }] });
        correct(&server, "a", &seen, &added).status
    };
    let correct_one = &correct_one;
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..6)
            .map(|name| scope.spawn(move || correct_one(name)))
            .collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|&&status| status == 200).count(), 1);
    assert_eq!(statuses.iter().filter(|&&status| status == 412).count(), 5);
    let objects = get(server.address, "/v1/kept/a").json();
    assert_eq!(objects["objects"].as_array().unwrap().len(), 3);

    // So it is when another program has changed it.
    let seen = revision(&get(server.address, "/v1/kept/a"));
    let path = annotation_of(folder.path(), "a");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{text}\n")).unwrap();
    let refused = correct(&server, "a", &seen, &json!({ "deleted": [0] }));
    assert_eq!(refused.status, 412);
    assert!(
        refused.text().contains("read it again"),
        "{}",
        refused.text()
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), format!("{text}\n"));
    for revision in ["*", ""] {
        let refused = correct(&server, "a", revision, &json!({}));
        assert!([428, 412].contains(&refused.status), "{}", refused.text());
    }
    // A proxy that compresses calls a tag weak.
    let weak = format!("W/{}", revision(&get(server.address, "/v1/kept/a")));
    assert_eq!(correct(&server, "a", &weak, &json!({})).status, 200);
    let json = [("Content-Type", "application/json")];
    let refused = send(server.address, "PATCH /v1/kept/a", &json, b"{}");
    assert_eq!(refused.status, 428);
    assert!(refused.text().contains("If-Match"), "{}", refused.text());
}

#[test]
fn an_image_without_an_annotation_gets_one() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    fs::create_dir_all(root.join("JPEGImages")).unwrap();
    fs::write(root.join("JPEGImages/a.jpg"), jpeg(&two_objects())).unwrap();
    let server = keeping(root);
    let told = get(server.address, "/v1/kept/a");
    let added = json!({ "added": [{ "class": "red", "box": [8, 16, 40, 32] }] });
    let corrected = correct(&server, "a", &revision(&told), &added);
    assert_eq!(corrected.status, 200, "{}", corrected.text());
    assert_eq!(corrected.json()["annotated"], true);
    // It was none a moment ago.
    assert_eq!(correct(&server, "a", &revision(&told), &added).status, 412);
    let voc = DetectionFolder::open(root, None).unwrap();
    let reading = voc
        .read(Split::Train, &DetectionFolderOptions::default())
        .unwrap();
    assert_eq!(reading.set.images[0].objects.len(), 1);
}

#[test]
fn no_id_leaves_the_folder_and_no_bad_request_changes_anything() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("kept");
    add_frame(&root, "a");
    fs::write(folder.path().join("secret.jpg"), jpeg(&two_objects())).unwrap();
    fs::write(root.join("JPEGImages/bad.jpg"), b"no image").unwrap();
    let server = keeping(&root);
    for id in [
        "..%2F..%2Fsecret",
        "%2e%2e%2f%2e%2e%2fsecret",
        "..",
        "%2Fetc%2Fpasswd",
        "..%5C..%5Csecret",
        "a%00",
        "unknown",
        "%ff",
    ] {
        for path in [format!("/v1/kept/{id}"), format!("/v1/kept/{id}/image")] {
            let status = get(server.address, &path).status;
            assert!([400, 404].contains(&status), "{path}: {status}");
        }
        let status = correct(&server, id, "\"x\"", &json!({})).status;
        assert!([400, 404].contains(&status), "{id}: {status}");
    }
    for path in ["/v1/kept/bad", "/v1/kept/bad/image"] {
        assert_eq!(get(server.address, path).status, 422, "{path}");
    }
    let seen = revision(&get(server.address, "/v1/kept/a"));
    let path = annotation_of(&root, "a");
    let text = fs::read_to_string(&path).unwrap();
    for (corrections, status) in [
        (json!({ "deleted": [2] }), 422),
        (json!({ "deleted": [0, 0] }), 422),
        (json!({ "deleted": [-1] }), 400),
        (json!({ "deleted": 0 }), 400),
        (json!({ "other": [] }), 400),
        (
            json!({ "changed": [{ "index": 0, "box": [9, 9, 9, 20] }] }),
            422,
        ),
        (
            json!({ "changed": [{ "index": 0, "class": "a\u{1b}b" }] }),
            422,
        ),
        (
            json!({ "changed": [{ "index": 0, "class": "a\u{ffff}" }] }),
            422,
        ),
        (
            json!({ "changed": [{ "index": 0, "box": [1, 2, 3] }] }),
            400,
        ),
        (json!({ "changed": [{ "class": "a" }] }), 400),
        (
            json!({ "added": [{ "class": "", "box": [1, 2, 3, 4] }] }),
            422,
        ),
        (
            json!({ "added": [{ "class": "a", "box": [-5, -5, 0, 0] }] }),
            422,
        ),
        (
            json!({ "added": [{ "class": "x".repeat(2 << 20), "box": [1, 2, 3, 4] }] }),
            413,
        ),
        (json!("deleted"), 400),
    ] {
        let refused = correct(&server, "a", &seen, &corrections);
        assert_eq!(
            refused.status,
            status,
            "{:.80}: {}",
            corrections.to_string(),
            refused.text()
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
    let refused = send(
        server.address,
        "PATCH /v1/kept/a",
        &[("If-Match", &seen)],
        b"{}",
    );
    assert_eq!(refused.status, 415);
    assert_eq!(
        send(server.address, "PUT /v1/kept/a", &[], b"{}").status,
        405
    );
    assert_eq!(get(server.address, "/v1/kept?count=1").status, 400);
}

#[test]
fn annotations_that_can_not_be_corrected_say_why() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let server = keeping(root);
    for (id, text, expected) in [
        (
            "broken",
            "<annotation>\n<object>",
            "ends inside of <object>",
        ),
        ("doctype", "<!DOCTYPE a><annotation/>", "DOCTYPE"),
        (
            "other",
            "<annotation><size><width>640</width><height>480</height></size></annotation>",
            "640x480",
        ),
    ] {
        add_frame(root, id);
        fs::write(annotation_of(root, id), text).unwrap();
        let refused = get(server.address, &format!("/v1/kept/{id}"));
        assert_eq!(refused.status, 422, "{id}");
        assert!(refused.text().contains(expected), "{}", refused.text());
        assert_eq!(
            get(server.address, &format!("/v1/kept/{id}/image")).status,
            200
        );
    }
    add_frame(root, "outlined");
    let path = annotation_of(root, "outlined");
    let text = fs::read_to_string(&path).unwrap();
    let polygon = "<object><name>x</name><polygon><x1>1</x1></polygon></object>\n</annotation>";
    fs::write(&path, text.replace("</annotation>", polygon)).unwrap();
    let told = get(server.address, "/v1/kept/outlined");
    let object = &told.json()["objects"][2];
    assert_eq!(
        (&object["class"], &object["box"]),
        (&json!("x"), &json!(null))
    );
    assert!(
        object["fixed"].as_str().unwrap().contains("<polygon>"),
        "{object}"
    );
    let change = json!({ "changed": [{ "index": 2, "class": "y" }] });
    let refused = correct(&server, "outlined", &revision(&told), &change);
    assert_eq!(refused.status, 422);
    let deletion = json!({ "deleted": [2] });
    let corrected = correct(&server, "outlined", &revision(&told), &deletion);
    assert_eq!(corrected.json()["objects"].as_array().unwrap().len(), 2);
    let left = fs::read_to_string(&path).unwrap();
    assert!(
        left.contains("</object>\n</annotation>") && !left.contains("polygon"),
        "{left}"
    );
}

#[test]
fn a_server_without_a_folder_has_no_frames() {
    let server = Running::colors();
    for path in ["/v1/kept", "/v1/kept/a", "/v1/kept/a/image"] {
        let refused = get(server.address, path);
        assert_eq!(refused.status, 404, "{path}");
        assert!(
            refused.text().contains("folder to keep frames"),
            "{}",
            refused.text()
        );
    }
}
