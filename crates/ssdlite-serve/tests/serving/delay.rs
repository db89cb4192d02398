//! How long a camera's frame takes until the page shows it with its boxes.
//!
//! The camera is a stream of JPEGs that the test sends at a steady rate, each
//! with its number as a row of black and white fields, which a script in the
//! page reads from what is drawn. `SSDLITE_CAMERA_RATE` sets another rate;
//! `--nocapture` shows the times.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use ssdlite_core::{ClassNames, ImageSize, MobileNetV3, ModelInfo, Variant};
use ssdlite_image::RgbImage;
use ssdlite_infer::bench::arbitrary_model;
use ssdlite_media::LiveInput;
use ssdlite_serve::{Model, ModelOptions};

use crate::devtools::{Browser, write_camera_file};
use crate::ffmpeg::has_ffmpeg;
use crate::fixtures::{Running, image, jpeg, options};

const SIZE: ImageSize = ImageSize::new(640, 480);

/// Fields of a number, each this wide and high.
const BITS: u32 = 10;
const FIELD: u32 = 40;

/// Frames a second, unless asked otherwise. Slow enough that two frames are long
/// beside what a busy machine adds, also to a development build.
const RATE: f64 = 4.0;

/// Frames whose delay is measured, after those that the source is opened with.
const MEASURED: usize = 40;
const SETTLING: usize = 8;

/// A share of the frames whose greatest delay is told.
const SHARE: f64 = 0.9;

fn milliseconds_now() -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_secs_f64() * 1e3
}

fn numbered(number: u32) -> RgbImage {
    let white = (0..BITS)
        .filter(|bit| number >> bit & 1 == 1)
        .map(|bit| ([bit * FIELD, 0, (bit + 1) * FIELD, FIELD], [255; 3]));
    image(SIZE, &white.collect::<Vec<_>>())
}

/// Sends numbered frames to the one who asks, and notes when.
struct NumberedCamera {
    address: SocketAddr,
    sent: Arc<Mutex<Vec<f64>>>,
    /// Dropped with the camera, which ends its thread.
    _on: Sender<()>,
}

impl NumberedCamera {
    fn start(rate: f64) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let sent = Arc::new(Mutex::new(Vec::new()));
        let frames: Vec<_> = (0..1 << BITS)
            .map(|number| jpeg(&numbered(number)))
            .collect();
        let noted = Arc::clone(&sent);
        let (on, is_on) = channel();
        std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let clock = Clock {
                period: Duration::from_secs_f64(1.0 / rate),
                start: Instant::now(),
                is_on,
            };
            // It ends when the reader goes away.
            let _ = send(stream, &frames, &clock, &noted);
        });
        Self {
            address,
            sent,
            _on: on,
        }
    }
}

/// A camera's own clock.
struct Clock {
    period: Duration,
    start: Instant,
    is_on: Receiver<()>,
}

impl Clock {
    /// Waits until a frame is due; false once the camera is off.
    fn wait_for(&self, number: u32) -> bool {
        let due = (self.period * number).saturating_sub(self.start.elapsed());
        self.is_on.recv_timeout(due) == Err(RecvTimeoutError::Timeout)
    }
}

fn send(
    mut stream: TcpStream,
    frames: &[Vec<u8>],
    clock: &Clock,
    sent: &Mutex<Vec<f64>>,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let _ = stream.read(&mut [0; 4096])?;
    let kind = "multipart/x-mixed-replace;boundary=frame";
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n\r\n")?;
    for (number, frame) in (0..).zip(frames) {
        if !clock.wait_for(number) {
            return Ok(());
        }
        let head = format!(
            "--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n",
            frame.len()
        );
        sent.lock().unwrap().push(milliseconds_now());
        stream.write_all(&[head.as_bytes(), frame, b"\r\n"].concat())?;
    }
    Ok(())
}

/// Notes in `seen` each new number on the canvas with the time.
fn watching_script() -> String {
    format!(
        "(() => {{
            window.seen = [];
            const canvas = document.querySelector('#image');
            const context = canvas.getContext('2d');
            const read = () => {{
                const scale = canvas.width / {width};
                let number = 0;
                for (let bit = 0; bit < {BITS}; bit += 1) {{
                    const x = (bit + 0.5) * {FIELD} * scale;
                    // Boxes may be drawn over a field: most of three points decide.
                    const bright = [0.3, 0.5, 0.7].filter((share) =>
                        context.getImageData(x, share * {FIELD} * scale, 1, 1).data[1] > 150);
                    if (bright.length > 1) number += 2 ** bit;
                }}
                if (window.seen.at(-1)?.[0] !== number) window.seen.push([number, Date.now()]);
                requestAnimationFrame(read);
            }};
            read();
        }})()",
        width = SIZE.width
    )
}

fn model() -> Model {
    let classes = ClassNames::new(["a", "b"]).unwrap();
    let info = ModelInfo::detector(MobileNetV3::new(Variant::Small), classes, 320);
    let file = arbitrary_model(&info).unwrap();
    let options = ModelOptions::threads(std::thread::available_parallelism().unwrap());
    Model::new("any", &file, &options).unwrap()
}

#[test]
fn most_frames_are_shown_at_most_two_frames_after_the_camera_gave_them() {
    if !has_ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let unused = write_camera_file(folder.path(), &[numbered(0)]);
    let Some(mut browser) = Browser::start(&unused) else {
        return;
    };
    let rate = std::env::var("SSDLITE_CAMERA_RATE").map_or(RATE, |text| text.parse().unwrap());
    let camera = NumberedCamera::start(rate);
    let mut options = options(vec![model()]);
    options.source = Some(LiveInput::Stream(format!("http://{}/", camera.address)));
    let server = Running::start(options);
    browser.resize(1280, 800);
    browser.open(&format!("http://localhost:{}/", server.address.port()));
    // Boxes of the arbitrary model would hide the numbers.
    browser.wait_until("document.querySelectorAll('#classes li').length === 2");
    browser.evaluate("document.querySelector('#threshold').focus()");
    browser.press("End", 35);
    browser.wait_until("document.querySelector('#state').dataset.kind === 'live'");
    browser.evaluate(&watching_script());
    browser.wait_until(&format!("window.seen.length >= {}", SETTLING + MEASURED));

    let seen = browser.evaluate("window.seen");
    let sent = camera.sent.lock().unwrap().clone();
    let delay = |seen: &Value| {
        let number = seen[0].as_u64().unwrap() as usize;
        seen[1].as_f64().unwrap() - sent[number]
    };
    let seen = &seen.as_array().unwrap()[SETTLING..];
    let mut delays: Vec<f64> = seen.iter().map(delay).collect();
    delays.sort_by(f64::total_cmp);
    let at = |share: f64| delays[(delays.len() as f64 * share) as usize];
    let (median, most, worst) = (at(0.5), at(SHARE), delays[delays.len() - 1]);
    eprintln!(
        "at {rate} frames/s: median {median:.0} ms, {SHARE} within {most:.0} ms, worst {worst:.0} ms"
    );
    // Frames that wait for others are all late; some are on a busy machine.
    assert!(
        median * rate / 1e3 <= 2.0,
        "{delays:.0?} ms at {rate} frames/s"
    );
}
