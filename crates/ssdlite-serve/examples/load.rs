//! Measures a server under load: 64 clients over loopback against the same
//! work without a server, on the same cores.
//!
//! `cargo run --release -p ssdlite-serve --example load -- [SECONDS]`
//!
//! Each client sends a JPEG of its own size again and again and checks that the
//! answer tells that size and what the bare engine found in that image. The
//! bare engine decodes and detects the same JPEGs in as many threads as the
//! server has workers. Both take turns, so that what else the machine does
//! falls on both. Prints one JSON object, and fails if the server gets less done
//! than `LEAST_SHARE` of the bare engine or memory grows by `MOST_GROWTH`.

#![expect(clippy::print_stdout, reason = "the numbers are what this is for")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use ssdlite_core::{ClassNames, Detection, ImageSize, MobileNetV3, ModelInfo, Variant};
use ssdlite_image::encode::jpeg_from_image;
use ssdlite_image::{AsRgb, Limits, RgbImage, decode};
use ssdlite_infer::bench::arbitrary_model;
use ssdlite_serve::{Model, ModelOptions, Server, ServerOptions};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const CLIENTS: u32 = 64;
const DEFAULT_SECONDS: u64 = 60;

/// Turns of the bare engine and of the server.
const TURNS: u32 = 6;

/// What the server has to reach of the bare engine's images a second.
const LEAST_SHARE: f64 = 0.85;

/// What resident memory may grow by after the first turn, in bytes: room for
/// the allocator's habits, not for a leak over thousands of requests.
const MOST_GROWTH: usize = 32 << 20;

/// Low enough that the arbitrary model finds something.
const SCORE: f32 = 0.1;
const CLASSES: u32 = 5;
const JPEG_QUALITY: u8 = 90;

fn main() -> Result<(), Failure> {
    let seconds = match std::env::args().nth(1) {
        Some(text) => text.parse()?,
        None => DEFAULT_SECONDS,
    };
    let duration = Duration::from_secs(seconds);
    let workers = std::thread::available_parallelism()?;
    // With many classes, arbitrary weights give none of them a score worth
    // telling.
    let classes = ClassNames::new((1..=CLASSES).map(|class| format!("class {class}")))?;
    let backbone = MobileNetV3::new(Variant::Large).with_reduced_tail();
    let file = arbitrary_model(&ModelInfo::detector(backbone, classes, 320))?;
    let model = Model::new("large", &file, &ModelOptions::threads(NonZeroUsize::MIN))?;
    let images = (0..CLIENTS).map(|client| Image::new(client, &model));
    let images: Vec<Image> = images.collect::<Result<_, _>>()?;

    let bare = model.clone();
    let mut options = ServerOptions::new(vec![model]);
    options.address = SocketAddr::from(([127, 0, 0, 1], 0));
    options.workers = workers;
    let server = Server::bind(options, Arc::new(|_| {}))?;
    let address = server.address();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = std::thread::spawn(move || {
        server.run_until(async {
            // Dropping the sender is a sign too.
            let _ = stopped.await;
        })
    });
    let turn = duration / TURNS;
    load(address, &images, turn)?;
    let resident_before = resident();
    let mut bare_done = 0;
    let mut times = Vec::new();
    for _ in 0..TURNS {
        bare_done += detect_without_server(&bare, workers, &images, turn)?;
        times.extend(load(address, &images, turn)?);
    }
    let growth = resident().saturating_sub(resident_before);
    drop(stop);
    running.join().map_err(|_| "the server panicked")??;

    times.sort_unstable();
    let bare = bare_done as f64 / duration.as_secs_f64();
    let served = times.len() as f64 / duration.as_secs_f64();
    let at = |share: f64| times[(times.len() as f64 * share) as usize].as_secs_f64() * 1e3;
    let share = served / bare;
    println!(
        "{}",
        serde_json::json!({
            "clients": CLIENTS,
            "workers": workers,
            "answers": times.len(),
            "bare_per_second": bare,
            "served_per_second": served,
            "share_of_bare": share,
            "median_ms": at(0.5),
            "p99_ms": at(0.99),
            "resident_growth_bytes": growth,
        })
    );
    if share < LEAST_SHARE {
        return Err(format!("expected {LEAST_SHARE} of the bare engine, found {share:.3}").into());
    }
    if growth > MOST_GROWTH {
        return Err(format!("expected flat memory, found {growth} bytes more").into());
    }
    Ok(())
}

/// What a client sends, and what it expects to be told.
struct Image {
    jpeg: Vec<u8>,
    /// Parts of the answer's JSON.
    size: String,
    detections: String,
}

impl Image {
    /// An image of a size that no other client has, with something to compress.
    fn new(client: u32, model: &Model) -> Result<Self, Failure> {
        let size = ImageSize::new(608 + client, 480);
        let pixels = (0..size.pixels() as u32)
            .flat_map(|index| {
                let (x, y) = (index % size.width, index / size.width);
                [x / 3, y / 2, (x / 16 + y / 16) % 2 * 160].map(|value| value as u8)
            })
            .collect();
        let jpeg = jpeg_from_image(&RgbImage::new(size, pixels)?, JPEG_QUALITY)?;
        let found = detect(model, &jpeg)?;
        let objects: Vec<_> = found
            .iter()
            .filter(|detection| detection.score >= SCORE)
            .map(|detection| detection.named(&model.detector.info().classes))
            .collect();
        if objects.is_empty() {
            return Err("expected a model that finds something".into());
        }
        Ok(Self {
            jpeg,
            size: format!("\"width\":{},\"height\":{},", size.width, size.height),
            detections: serde_json::to_string(&objects)?,
        })
    }
}

/// What a server does for an image.
fn detect(model: &Model, jpeg: &[u8]) -> Result<Vec<Detection>, Failure> {
    let detector = &model.detector;
    let image = decode::decode_at_least(jpeg, &Limits::default(), detector.enough())?;
    Ok(detector.detect(image.as_rgb())?)
}

/// Decodes and detects in this many threads; gives the images done.
fn detect_without_server(
    model: &Model,
    threads: NonZeroUsize,
    images: &[Image],
    duration: Duration,
) -> Result<usize, Failure> {
    let done = AtomicUsize::new(0);
    let end = Instant::now() + duration;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads.get())
            .map(|_| {
                scope.spawn(|| -> Result<(), Failure> {
                    for image in images.iter().cycle() {
                        if Instant::now() >= end {
                            break;
                        }
                        detect(model, &image.jpeg)?;
                        done.fetch_add(1, Relaxed);
                    }
                    Ok(())
                })
            })
            .collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().map_err(|_| "a thread panicked")?)
    })?;
    Ok(done.into_inner())
}

/// Asks from all clients at once; gives the time of every answer.
fn load(
    address: SocketAddr,
    images: &[Image],
    duration: Duration,
) -> Result<Vec<Duration>, Failure> {
    let end = Instant::now() + duration;
    std::thread::scope(|scope| {
        let clients: Vec<_> = images
            .iter()
            .map(|image| scope.spawn(move || ask(address, image, end)))
            .collect();
        let mut times = Vec::new();
        for client in clients {
            times.extend(client.join().map_err(|_| "a client panicked")??);
        }
        Ok(times)
    })
}

fn ask(address: SocketAddr, image: &Image, end: Instant) -> Result<Vec<Duration>, Failure> {
    let head = format!(
        "POST /v1/detect?score={SCORE} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n",
        image.jpeg.len()
    );
    let request = [head.as_bytes(), &image.jpeg].concat();
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut times = Vec::new();
    while Instant::now() < end {
        let start = Instant::now();
        stream.write_all(&request)?;
        let answer = receive(&mut stream)?;
        let is_right = answer.starts_with("HTTP/1.1 200")
            && answer.contains(&image.size)
            && answer.contains(&image.detections);
        if !is_right {
            let expected = [&*image.size, &image.detections];
            return Err(format!("expected {expected:?}, found {answer}").into());
        }
        times.push(start.elapsed());
    }
    Ok(times)
}

/// Reads one answer of stated length.
fn receive(stream: &mut TcpStream) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 16 << 10];
    loop {
        let read = stream.read(&mut chunk)?;
        if read == 0 {
            return Err("the server closed the connection".into());
        }
        bytes.extend_from_slice(&chunk[..read]);
        let text = std::str::from_utf8(&bytes)?;
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .ok_or("expected a content-length")?;
        if body.len() >= length.parse()? {
            return Ok(text.to_owned());
        }
    }
}

/// Resident bytes of this process; 0 where that can't be read.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    pages.unwrap_or(0) * 4096
}
