//! Rules that fire in a page, on their way to a webhook.

use std::sync::mpsc::{Receiver, sync_channel};

use serde_json::{Value, json};
use ssdlite_serve::{Access, RuleEvent};

use crate::client::{Answer, get, post, send};
use crate::fixtures::{ColorDetector, Running, model, options};

const JSON: (&str, &str) = ("Content-Type", "application/json");

/// A server with a webhook for which so many events may wait.
fn server(queue: usize) -> (Running, Receiver<RuleEvent>) {
    let (sender, receiver) = sync_channel(queue);
    let mut options = options(vec![
        model("other", ColorDetector::new()),
        model("colors", ColorDetector::new()),
    ]);
    options.webhook = Some(sender);
    (Running::start(options), receiver)
}

fn event() -> Value {
    json!({
        "source": "camera \"0\"", "rule": "red above 60 % for 1 s", "class": "red",
        "score": 0.75, "box": [1.5, 2, 30, 40], "width": 97, "height": 61, "track": 3,
    })
}

fn tell(server: &Running, event: &Value) -> Answer {
    let body = event.to_string();
    let line = "POST /v1/webhook?model=colors";
    send(server.address, line, &[JSON], body.as_bytes())
}

#[test]
fn an_event_is_handed_on_with_its_time_and_model() {
    let (server, events) = server(2);
    assert_eq!(get(server.address, "/v1/sources").json()["webhook"], true);
    let answer = tell(&server, &event());
    assert_eq!(answer.status, 202, "{}", answer.text());
    let handed = serde_json::to_value(events.recv().unwrap()).unwrap();
    let time = handed["time"].as_str().unwrap().to_owned();
    assert_eq!((time.len(), &time[10..11], &time[23..]), (24, "T", "Z"));
    let mut expected = event();
    expected["time"] = json!(time);
    expected["model"] = json!("colors");
    expected["box"] = json!([1.5, 2.0, 30.0, 40.0]);
    assert_eq!(handed, expected);
}

#[test]
fn a_rule_of_a_class_with_the_longest_name_is_handed_on() {
    let (server, events) = server(1);
    let rule = format!("{} above 100 % for 3599.9 s", "x".repeat(256));
    let mut event = event();
    event["rule"] = json!(rule);
    event["source"] = json!("x".repeat(255));
    let answer = tell(&server, &event);
    assert_eq!(answer.status, 202, "{}", answer.text());
    assert_eq!(events.recv().unwrap().rule, rule);
}

#[test]
fn a_full_queue_is_told_and_so_is_a_caller_that_is_gone() {
    let (server, events) = server(1);
    assert_eq!(tell(&server, &event()).status, 202);
    let full = tell(&server, &event());
    assert_eq!(full.status, 429);
    assert_eq!(full.header("retry-after"), Some("1"));
    events.recv().unwrap();
    assert_eq!(tell(&server, &event()).status, 202);
    drop(events);
    assert_eq!(tell(&server, &event()).status, 503);
}

#[test]
fn a_server_without_a_webhook_says_so() {
    let server = Running::colors();
    assert_eq!(get(server.address, "/v1/sources").json()["webhook"], false);
    let answer = tell(&server, &event());
    assert_eq!(answer.status, 404);
    assert!(answer.text().contains("webhook"), "{}", answer.text());
}

#[test]
fn what_is_no_event_is_refused_and_nothing_is_handed_on() {
    let (server, events) = server(8);
    let with = |key: &str, value: Value| {
        let mut event = event();
        event[key] = value;
        event
    };
    for (event, status) in [
        (with("class", json!("blue")), 422),
        (with("score", json!(1.01)), 422),
        (with("score", json!(-0.1)), 422),
        (with("box", json!([1e39, 2, 3, 4])), 422),
        (with("rule", json!("x".repeat(357))), 422),
        (with("source", json!("x".repeat(357))), 422),
        (with("box", json!([1, 2, 3])), 400),
        (with("width", json!(-1)), 400),
        (with("track", json!("3")), 400),
        (with("url", json!("http://elsewhere.example")), 400),
        (json!([]), 400),
        (with("rule", json!("x".repeat(9000))), 413),
    ] {
        let answer = tell(&server, &event);
        assert_eq!(answer.status, status, "{event}: {}", answer.text());
    }
    let body = event().to_string();
    let line = "POST /v1/webhook";
    let plain = [("Content-Type", "text/plain")];
    let answer = send(server.address, line, &plain, body.as_bytes());
    assert_eq!(answer.status, 415);
    assert_eq!(answer.header("accept"), Some("application/json"));
    assert_eq!(
        post(server.address, "/v1/webhook", body.as_bytes()).status,
        415
    );
    let answer = send(
        server.address,
        "POST /v1/webhook?model=none",
        &[JSON],
        body.as_bytes(),
    );
    assert_eq!(answer.status, 404);
    assert_eq!(get(server.address, "/v1/webhook").status, 405);
    assert!(events.try_recv().is_err());
}

#[test]
fn only_who_may_keep_frames_may_have_it_called() {
    let (sender, events) = sync_channel(8);
    let mut options = options(vec![model("colors", ColorDetector::new())]);
    options.webhook = Some(sender);
    options.access = Access::Token("a-long-token".into());
    let server = Running::start(options);
    assert_eq!(tell(&server, &event()).status, 401);
    let line = "POST /v1/webhook";
    let token = ("Authorization", "Bearer a-long-token");
    let body = event().to_string();
    let foreign = [JSON, token, ("Origin", "http://elsewhere.example")];
    let answer = send(server.address, line, &foreign, body.as_bytes());
    assert_eq!(answer.status, 403);
    assert!(events.try_recv().is_err());
    let answer = send(server.address, line, &[JSON, token], body.as_bytes());
    assert_eq!(answer.status, 202);
    assert_eq!(events.recv().unwrap().class, "red");
}
