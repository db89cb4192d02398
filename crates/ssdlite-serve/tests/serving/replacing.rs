//! Models that others take the place of while the server runs.

use std::net::TcpStream;
use std::sync::Arc;

use serde_json::json;
use ssdlite_media::LiveInput;
use ssdlite_serve::{Model, ServedModels, Server};
use tungstenite::{Message, WebSocket};

use crate::browser::{DESKTOP, Page, objects_are};
use crate::client::{get, post};
use crate::ffmpeg::has_ffmpeg;
use crate::fixtures::{
    ColorDetector, PanickingDetector, Running, TellingDetector, WaitingDetector, model,
    moving_square, options, png, two_objects,
};
use crate::sockets::{open, text};

fn serving(models: Vec<Model>) -> (Running, ServedModels) {
    let server = Server::bind(options(models), Arc::new(|_| {})).unwrap();
    let models = server.models();
    (Running::of(server), models)
}

fn telling(version: &str) -> Model {
    Model {
        version: version.into(),
        ..model("one", TellingDetector::new())
    }
}

#[test]
fn the_new_model_answers_and_what_is_under_way_keeps_the_old_one() {
    let (waiting, begun, let_go) = WaitingDetector::new();
    let (server, models) = serving(vec![model("one", waiting)]);
    let address = server.address;
    let asking = std::thread::spawn(move || post(address, "/v1/detect", &png(&two_objects())));
    begun.recv().unwrap();
    models.replace(telling("2")).unwrap();
    let answer = post(server.address, "/v1/detect", &png(&two_objects())).json();
    assert_eq!(answer["detections"][0]["class"], "red");
    let listed = get(server.address, "/v1/models").json();
    assert_eq!(listed["models"][0]["version"], "2");
    let told = get(server.address, "/v2/models/one").json();
    assert_eq!(told["versions"], json!(["2"]));
    // The old one finds nothing, once it may.
    let_go.send(()).unwrap();
    let answer = asking.join().unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["detections"], json!([]));
}

#[test]
fn a_model_that_fails_does_not_come_in() {
    let (server, models) = serving(vec![model("one", ColorDetector::new())]);
    let broken = model("one", PanickingDetector::new());
    let error = models.replace(broken).unwrap_err();
    assert!(error.to_string().contains("`one` fails"), "{error}");
    let unknown = model("two", ColorDetector::new());
    let error = models.replace(unknown).unwrap_err();
    assert!(error.to_string().contains("found `two`"), "{error}");
    let answer = post(server.address, "/v1/detect", &png(&two_objects())).json();
    assert_eq!(answer["detections"].as_array().unwrap().len(), 2);
}

/// How many objects are found in a frame that a page sends.
fn count(socket: &mut WebSocket<TcpStream>) -> usize {
    socket.send(Message::binary(png(&two_objects()))).unwrap();
    let answer = text(&socket.read().unwrap());
    answer["detections"].as_array().unwrap().len()
}

#[test]
fn a_websocket_is_closed_and_the_next_has_the_new_model() {
    let colors = |name| model(name, ColorDetector::new());
    let (server, models) = serving(vec![colors("one"), colors("other")]);
    let mut old = open(&server, "/v1/camera?model=one");
    let mut other = open(&server, "/v1/camera?model=other");
    assert_eq!(count(&mut old), 2);
    assert_eq!(count(&mut other), 2);
    models.replace(telling("2")).unwrap();
    while let Ok(message) = old.read() {
        assert!(message.is_close(), "{message}");
    }
    assert_eq!(count(&mut other), 2);
    let mut new = open(&server, "/v1/camera?model=one");
    assert_eq!(count(&mut new), 1);
}

#[test]
fn a_source_is_looked_at_with_the_new_model() {
    if !has_ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(vec![model("one", ColorDetector::new())]);
    options.source = Some(LiveInput::Video(moving_square(folder.path(), "a.mp4")));
    let server = Server::bind(options, Arc::new(|_| {})).unwrap();
    let models = server.models();
    let server = Running::of(server);
    let mut old = open(&server, "/v1/live?source=given");
    while !old.read().unwrap().is_binary() {}
    models.replace(telling("2")).unwrap();
    while let Ok(message) = old.read() {
        // Frames that were on their way.
        let _ = message.is_binary() && old.send(Message::text("drawn")).is_ok();
    }
    let mut new = open(&server, "/v1/live?source=given");
    let frame = loop {
        let message = new.read().unwrap();
        if message.is_binary() {
            break message.into_data();
        }
    };
    let note = String::from_utf8_lossy(&frame);
    // The square is never in the corner, where the new model says that it is.
    assert!(note.contains("\"box\":[0.0,0.0,"), "{:.300}", note);
}

#[test]
fn a_page_goes_on_with_the_new_model() {
    let options = options(vec![model("one", ColorDetector::new())]);
    let Some((mut page, models)) = Page::with_models(options) else {
        return;
    };
    page.browser.resize(DESKTOP.0, DESKTOP.1);
    page.watch_camera();
    models.replace(telling("2")).unwrap();
    page.browser.wait_until(&objects_are(1));
    page.browser
        .wait_until("document.querySelector('#note').textContent.includes('another model')");
    page.browser
        .wait_until("document.querySelector('#state').dataset.kind === 'live'");
}
