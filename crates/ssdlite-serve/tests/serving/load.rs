//! Many clients at once.

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use serde_json::json;
use ssdlite_core::ImageSize;

use crate::client::{connect, receive, request};
use crate::fixtures::{RED, Running, image, png};

const CLIENTS: u32 = 64;
const DURATION: Duration = Duration::from_secs(4);

/// Resident bytes of this process.
#[cfg(target_os = "linux")]
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// Sends an image again and again whose size and box only this client has.
fn ask_until(server: &Running, client: u32, end: Instant) -> usize {
    let (width, right) = (70 + client, 3 + client);
    let image = image(ImageSize::new(width, 41), &[([1, 2, right, 30], RED)]);
    let body = request("POST /v1/detect", &[], &png(&image));
    let mut stream = connect(server.address);
    let mut answers = 0;
    while Instant::now() < end {
        stream.write_all(&body).unwrap();
        let answer = receive(&mut stream);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let json = answer.json();
        assert_eq!(json["width"], width);
        assert_eq!(
            json["detections"][0]["box"],
            json!([1.0, 2.0, right as f32, 30.0])
        );
        answers += 1;
    }
    answers
}

#[test]
#[cfg(target_os = "linux")]
fn every_client_gets_its_own_answers_and_memory_stays_flat() {
    let server = Running::colors();
    let answers = AtomicUsize::new(0);
    let run = |duration| {
        let end = Instant::now() + duration;
        std::thread::scope(|scope| {
            for client in 0..CLIENTS {
                let (server, answers) = (&server, &answers);
                scope.spawn(move || answers.fetch_add(ask_until(server, client, end), Relaxed));
            }
        });
    };
    run(DURATION / 4);
    let before = resident();
    run(DURATION);
    let growth = resident().saturating_sub(before);
    let answers = answers.load(Relaxed);
    assert!(answers > CLIENTS as usize * 2, "{answers}");
    assert!(growth < 32 << 20, "{growth} bytes more");
}
