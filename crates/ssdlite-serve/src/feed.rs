//! Live sources: frames with what was found in them, for all who watch.
//!
//! A source is opened when the first page watches it and closed a moment after
//! the last one left. Each has one thread, which takes the latest frame,
//! detects and encodes; pages are handed the latest result.

use std::collections::HashMap;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use serde::Serialize;
use ssdlite_image::encode::jpeg_from_image;
use ssdlite_media::{Frame, LiveInput, LiveOptions, LiveSource, LiveState, cameras};
use tokio::sync::watch;

use crate::answer::{FoundObject, milliseconds, objects};
use crate::metrics::Metrics;
use crate::model::{LEAST_SCORE, Model};
use crate::options::Log;

/// How long a source stays open for a page that may come back at once.
const LINGER: Duration = Duration::from_secs(2);

/// How long a feed waits for a frame before it looks around.
const PATIENCE: Duration = Duration::from_millis(100);

/// The quality of the frames sent to pages: as good as a kept frame needs.
const FRAME_QUALITY: u8 = 90;

/// A source that the page may choose.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ListedSource {
    pub(crate) id: String,
    pub(crate) title: String,
    #[serde(skip)]
    input: LiveInput,
}

/// What a page is to show.
#[derive(Clone, Default)]
pub(crate) struct Shown {
    /// What the source is doing, as a JSON message.
    pub(crate) status: Arc<str>,
    /// The latest frame with its number, from 1.
    pub(crate) frame: Option<(u64, Bytes)>,
}

/// All sources that are open.
pub(crate) struct Feeds {
    given: Option<LiveInput>,
    live: LiveOptions,
    metrics: Arc<Metrics>,
    log: Log,
    state: Mutex<FeedsState>,
}

#[derive(Default)]
struct FeedsState {
    open: HashMap<FeedKey, watch::Sender<Shown>>,
    threads: Vec<JoinHandle<()>>,
    stopping: bool,
}

/// A source's id and a model's name.
type FeedKey = (String, String);

impl Feeds {
    pub(crate) fn new(
        given: Option<LiveInput>,
        live: LiveOptions,
        metrics: Arc<Metrics>,
        log: Log,
    ) -> Self {
        Self {
            given,
            live,
            metrics,
            log,
            state: Mutex::default(),
        }
    }

    /// The sources that a page may choose: the one that the server was given,
    /// then this machine's cameras. May take a moment.
    pub(crate) fn sources(&self) -> Vec<ListedSource> {
        let given = self.given.iter().map(|input| ListedSource {
            id: "given".to_owned(),
            title: input.name(),
            input: input.clone(),
        });
        let cameras = cameras().into_iter().map(|listed| ListedSource {
            id: format!("camera-{}", listed.camera.argument()),
            title: listed.title,
            input: LiveInput::Camera(listed.camera),
        });
        let new = cameras.filter(|camera| self.given.as_ref() != Some(&camera.input));
        given.chain(new).collect()
    }

    /// Watches a source, opening it if need be. None while the server ends.
    pub(crate) fn watch(
        self: &Arc<Self>,
        source: &ListedSource,
        model: &Arc<Model>,
    ) -> Option<watch::Receiver<Shown>> {
        let key = (source.id.clone(), model.name.clone());
        let mut state = self.lock();
        if state.stopping {
            return None;
        }
        if let Some(sender) = state.open.get(&key) {
            return Some(sender.subscribe());
        }
        let (sender, receiver) = watch::channel(Shown::default());
        state.open.insert(key.clone(), sender.clone());
        state.threads.retain(|thread| !thread.is_finished());
        let feed = Feed {
            feeds: Arc::clone(self),
            key,
            name: source.title.clone(),
            model: Arc::clone(model),
            sender,
        };
        let input = source.input.clone();
        state
            .threads
            .push(std::thread::spawn(move || feed.run(&input)));
        Some(receiver)
    }

    /// Closes all sources and waits until that is done.
    pub(crate) fn stop(&self) {
        let mut state = self.lock();
        state.stopping = true;
        let threads = std::mem::take(&mut state.threads);
        drop(state);
        for thread in threads {
            // What a panic there meant has been shown to its pages.
            let _ = thread.join();
        }
    }

    fn lock(&self) -> MutexGuard<'_, FeedsState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A source that is open.
struct Feed {
    feeds: Arc<Feeds>,
    key: FeedKey,
    name: String,
    model: Arc<Model>,
    sender: watch::Sender<Shown>,
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.feeds.lock().open.remove(&self.key);
    }
}

/// What the page is told of a source.
#[derive(Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
enum Status<'a> {
    Opening,
    Playing,
    Lost { reason: &'a str, retry_seconds: f32 },
    Failed { reason: &'a str },
}

/// What goes before a frame's JPEG.
#[derive(Serialize)]
struct FrameNote<'a> {
    id: u64,
    width: u32,
    height: u32,
    /// Seconds since the source was opened.
    time: f64,
    frames: u64,
    skipped: u64,
    detections: Vec<FoundObject<'a>>,
    milliseconds: FrameMilliseconds,
}

#[derive(Serialize)]
struct FrameMilliseconds {
    wait: f64,
    detect: f64,
    encode: f64,
}

impl Feed {
    fn run(self, input: &LiveInput) {
        let source = match LiveSource::open(input, self.feeds.live) {
            Ok(source) => source,
            Err(error) => return self.fail(&error.to_string()),
        };
        let mut watched = Instant::now();
        let mut last = source.status();
        let mut number = 0;
        self.show_state(&last.state);
        while !self.is_over(&mut watched) {
            let frame = source.next_within(PATIENCE);
            let now = source.status();
            if now.state != last.state {
                self.show_state(&now.state);
            }
            let metrics = &self.feeds.metrics;
            metrics
                .skipped
                .fetch_add(now.skipped - last.skipped, Relaxed);
            metrics.losses.fetch_add(now.losses - last.losses, Relaxed);
            last = now;
            let Some(frame) = frame else { continue };
            number += 1;
            match self.message(&source, &frame, number, last.skipped) {
                Ok(message) => {
                    metrics.frames.fetch_add(1, Relaxed);
                    self.sender
                        .send_modify(|shown| shown.frame = Some((number, message)));
                }
                Err(reason) => return self.fail(&reason),
            }
        }
    }

    /// Whether nobody has watched for a while, or the server ends. Nobody can
    /// come to watch between the answer and the source's end, since both ask
    /// under the same lock.
    fn is_over(&self, watched: &mut Instant) -> bool {
        if self.sender.receiver_count() > 0 {
            *watched = Instant::now();
        }
        let mut state = self.feeds.lock();
        let over =
            state.stopping || (watched.elapsed() > LINGER && self.sender.receiver_count() == 0);
        if over {
            state.open.remove(&self.key);
        }
        over
    }

    /// Detects in a frame and encodes it: the length of the note in four bytes,
    /// least first; the note, which is JSON; the JPEG.
    fn message(
        &self,
        source: &LiveSource,
        frame: &Frame,
        number: u64,
        skipped: u64,
    ) -> Result<Bytes, String> {
        let waited = source.elapsed().saturating_sub(frame.time);
        let start = Instant::now();
        let detections = self.model.detector.detect(&frame.image)?;
        let detected = start.elapsed();
        let start = Instant::now();
        let jpeg = jpeg_from_image(&frame.image, FRAME_QUALITY).map_err(|e| e.to_string())?;
        let note = FrameNote {
            id: number,
            width: frame.image.width(),
            height: frame.image.height(),
            time: frame.time.as_secs_f64(),
            frames: frame.index + 1,
            skipped,
            detections: objects(&detections, self.model.classes(), LEAST_SCORE),
            milliseconds: FrameMilliseconds {
                wait: milliseconds(waited),
                detect: milliseconds(detected),
                encode: milliseconds(start.elapsed()),
            },
        };
        let note = serde_json::to_vec(&note).map_err(|error| error.to_string())?;
        let length = u32::try_from(note.len()).map_err(|error| error.to_string())?;
        Ok([&length.to_le_bytes()[..], &note, &jpeg].concat().into())
    }

    fn show_state(&self, state: &LiveState) {
        let name = &self.name;
        match state {
            LiveState::Opening => self.show(&Status::Opening),
            LiveState::Playing(size) => {
                (self.feeds.log)(&format!("{name}: frames of {size}"));
                self.show(&Status::Playing);
            }
            LiveState::Lost { reason, retry_in } => {
                let retry_seconds = retry_in.as_secs_f32();
                (self.feeds.log)(&format!(
                    "{name}: {reason}; trying again in {retry_seconds} s"
                ));
                self.show(&Status::Lost {
                    reason,
                    retry_seconds,
                });
            }
        }
    }

    fn show(&self, status: &Status<'_>) {
        let text = serde_json::to_string(status).unwrap_or_default();
        self.sender
            .send_modify(|shown| shown.status = text.as_str().into());
    }

    /// Tells the pages that nothing more will come.
    fn fail(self, reason: &str) {
        (self.feeds.log)(&format!("{}: {reason}", self.name));
        self.show(&Status::Failed { reason });
    }
}
