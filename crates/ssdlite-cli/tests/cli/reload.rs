//! `serve` takes up models whose files change.

#![cfg(unix)]

use std::fs;
use std::path::Path;

use serde_json::Value;
use ssdlite_core::{ClassNames, MobileNetV3, ModelInfo, Variant};
use ssdlite_infer::bench::arbitrary_model;

use crate::live::{ask, host, json};
use crate::media::{GoesOn, folder_with_model, wait_until, write_image};

/// Writes a model of other classes beside a file, and puts it in its place as training
/// does.
fn put_other_model(path: &Path, class: &str) {
    let classes = ClassNames::new([class]).unwrap();
    let info = ModelInfo::detector(MobileNetV3::new(Variant::Small), classes, 96);
    arbitrary_model(&info).unwrap().write(path).unwrap();
}

fn classes(host: &str) -> Value {
    let (status, models) = ask(host, "GET /v1/models", "", b"");
    assert_eq!(status, 200);
    json(&models)["models"][0]["classes"].clone()
}

#[test]
fn a_watched_model_is_taken_up_and_a_bad_file_changes_nothing() {
    let folder = folder_with_model();
    let path = folder.path().join("model.safetensors");
    let image = folder.path().join("a.png");
    write_image(&image);
    let image = fs::read(&image).unwrap();
    let args = ["serve", "cars=model.safetensors", "--port", "0", "--watch"];
    let mut server = GoesOn::start(folder.path(), &args);
    let address = server.line();
    let host = host(&address);
    assert_eq!(classes(host), serde_json::json!(["left", "right"]));

    put_other_model(&path, "new");
    wait_until("the new model is served", || {
        classes(host) == serde_json::json!(["new"])
    });
    let (status, found) = ask(host, "POST /v1/detect?model=cars", "", &image);
    assert_eq!(status, 200, "{found}");
    wait_until("it is told", || {
        server.stderr().contains("cars: the model of ")
    });

    fs::write(&path, b"no model").unwrap();
    wait_until("the bad file is told", || {
        server
            .stderr()
            .contains("cars: the model stays as it was: ")
    });
    assert_eq!(classes(host), serde_json::json!(["new"]));
    fs::remove_file(&path).unwrap();
    let (status, found) = ask(host, "POST /v1/detect", "", &image);
    assert_eq!(status, 200, "{found}");
    put_other_model(&path, "newer");
    wait_until("the next is served", || {
        classes(host) == serde_json::json!(["newer"])
    });
    server.signal("TERM");
    let ran = server.join().exits(0);
    // Once for each file.
    let told = ran.stderr.matches("stays as it was").count();
    assert_eq!(told, 1, "{}", ran.stderr);
}

#[test]
fn a_hangup_has_models_read_again() {
    let folder = folder_with_model();
    let path = folder.path().join("model.safetensors");
    let args = ["serve", "model.safetensors", "--port", "0"];
    let mut server = GoesOn::start(folder.path(), &args);
    let address = server.line();
    let host = host(&address);
    put_other_model(&path, "new");
    // The process answers, so it hears signals too.
    assert_eq!(classes(host), serde_json::json!(["left", "right"]));
    server.signal("HUP");
    wait_until("the new model is served", || {
        classes(host) == serde_json::json!(["new"])
    });
    fs::write(&path, b"").unwrap();
    server.signal("HUP");
    wait_until("the bad file is told", || {
        server.stderr().contains("stays as it was")
    });
    assert_eq!(classes(host), serde_json::json!(["new"]));
    server.signal("TERM");
    server.join().exits(0);
}
