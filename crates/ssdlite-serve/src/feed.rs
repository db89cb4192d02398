//! Live sources: frames with what was found in them, for all who watch.
//!
//! A source is opened when the first page watches it and closed a moment after
//! the last one left. Each has one thread, which takes the latest frame,
//! encodes it and detects in it, with each of the models that pages watch it
//! with; pages are handed the latest result. A device is never opened twice: a
//! source keeps its place until it is closed.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use serde::Serialize;
use ssdlite_image::AsRgb;
use ssdlite_image::encode::jpeg_from_image;
use ssdlite_media::{Frame, LiveInput, LiveOptions, LiveSource, LiveState, cameras};
use tokio::sync::watch;

use crate::answer::milliseconds;
use crate::follow::{FollowedDetection, Follower};
use crate::metrics::Metrics;
use crate::model::Model;
use crate::options::Log;
use crate::refusal::Refusal;

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
    /// Told of each source that is closed.
    closed: Condvar,
}

#[derive(Default)]
struct FeedsState {
    /// By the source's id.
    open: HashMap<String, OpenSource>,
    stopping: bool,
}

#[derive(Default)]
struct OpenSource {
    /// What it is doing, as a JSON message.
    status: Arc<str>,
    channels: Vec<Channel>,
}

/// What those are shown who watch a source with one model.
#[derive(Clone)]
struct Channel {
    model: Arc<Model>,
    sender: watch::Sender<Shown>,
    /// Only the source's thread asks it.
    follower: Arc<Mutex<Follower>>,
}

impl OpenSource {
    fn subscribe(&mut self, model: &Arc<Model>) -> watch::Receiver<Shown> {
        // The last frame of one that nobody watches may be old.
        self.channels.retain(Channel::is_watched);
        let known = self
            .channels
            .iter()
            .find(|channel| Arc::ptr_eq(&channel.model, model));
        if let Some(channel) = known {
            return channel.sender.subscribe();
        }
        let (sender, receiver) = watch::channel(Shown {
            status: Arc::clone(&self.status),
            frame: None,
        });
        self.channels.push(Channel {
            model: Arc::clone(model),
            sender,
            follower: Arc::new(Mutex::new(Follower::new(model.score_threshold))),
        });
        receiver
    }

    fn is_watched(&self) -> bool {
        self.channels.iter().any(Channel::is_watched)
    }
}

impl Channel {
    fn is_watched(&self) -> bool {
        self.sender.receiver_count() > 0
    }

    fn follower(&self) -> MutexGuard<'_, Follower> {
        self.follower.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

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
            closed: Condvar::new(),
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

    /// Watches a source, opening it if need be.
    pub(crate) fn watch(
        self: &Arc<Self>,
        source: &ListedSource,
        model: &Arc<Model>,
    ) -> Result<watch::Receiver<Shown>, Refusal> {
        let mut state = self.lock();
        if state.stopping {
            return Err(Refusal::ending());
        }
        if let Some(open) = state.open.get_mut(&source.id) {
            return Ok(open.subscribe(model));
        }
        let feed = Feed {
            feeds: Arc::clone(self),
            source: source.clone(),
        };
        // It has to wait for the lock before it can do anything.
        std::thread::Builder::new()
            .spawn(move || feed.run())
            .map_err(|error| Refusal::Unavailable(format!("no thread for the source: {error}")))?;
        let open = state.open.entry(source.id.clone()).or_default();
        Ok(open.subscribe(model))
    }

    /// Tells all sources to close.
    pub(crate) fn stop(&self) {
        self.lock().stopping = true;
    }

    /// Waits until all sources are closed, but no longer than so.
    pub(crate) fn wait(&self, patience: Duration) {
        // One that hangs is left to the process's end.
        let is_open = |state: &mut FeedsState| !state.open.is_empty();
        drop(
            self.closed
                .wait_timeout_while(self.lock(), patience, is_open),
        );
    }

    fn lock(&self) -> MutexGuard<'_, FeedsState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A source that is open.
struct Feed {
    feeds: Arc<Feeds>,
    source: ListedSource,
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

/// A frame that was taken from the source.
struct Taken<'a> {
    frame: &'a Frame,
    jpeg: &'a [u8],
    encoded: Duration,
    number: u64,
    skipped: u64,
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
    detections: Vec<FollowedDetection<'a>>,
    milliseconds: FrameMilliseconds,
}

#[derive(Serialize)]
struct FrameMilliseconds {
    wait: f64,
    detect: f64,
    encode: f64,
}

impl Feed {
    fn run(&self) {
        // A page would show its last frame as if it were live.
        let ended = catch_unwind(AssertUnwindSafe(|| self.show_until_left()));
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(reason)) => self.fail(&reason),
            Err(_) => self.fail("the detector failed on a frame"),
        }
    }

    fn show_until_left(&self) -> Result<(), String> {
        let mut number = 0;
        loop {
            self.play(&mut number)?;
            if self.has_given_up() {
                return Ok(());
            }
        }
    }

    /// Shows the source until nobody has watched for a while, or the server
    /// ends. Then it is closed.
    fn play(&self, number: &mut u64) -> Result<(), String> {
        let opened = LiveSource::open(&self.source.input, self.feeds.live);
        let source = opened.map_err(|error| error.to_string())?;
        let mut watched = Instant::now();
        let mut last = source.status();
        self.show_state(&last.state);
        loop {
            let (channels, stopping) = self.look_around();
            if !channels.is_empty() {
                watched = Instant::now();
            }
            if stopping || watched.elapsed() > LINGER {
                return Ok(());
            }
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
            *number += 1;
            let start = Instant::now();
            let jpeg = jpeg_from_image(&frame.image, FRAME_QUALITY).map_err(|e| e.to_string())?;
            let taken = Taken {
                frame: &frame,
                jpeg: &jpeg,
                encoded: start.elapsed(),
                number: *number,
                skipped: last.skipped,
            };
            for channel in channels {
                let message = message(&source, &taken, &channel)?;
                metrics.frames.fetch_add(1, Relaxed);
                channel
                    .sender
                    .send_modify(|shown| shown.frame = Some((*number, message)));
            }
        }
    }

    /// Those who watch, and whether the server ends.
    fn look_around(&self) -> (Vec<Channel>, bool) {
        let state = self.feeds.lock();
        let channels = state
            .open
            .get(&self.source.id)
            .map_or_else(Vec::new, |open| {
                let watched = open.channels.iter().filter(|channel| channel.is_watched());
                watched.cloned().collect()
            });
        (channels, state.stopping)
    }

    /// Gives up the place of a source that was closed, unless somebody came to
    /// watch while it was. Nobody can come between question and answer, since
    /// both are asked under the same lock.
    fn has_given_up(&self) -> bool {
        let mut state = self.feeds.lock();
        let open = state.open.get(&self.source.id);
        let over = state.stopping || !open.is_some_and(OpenSource::is_watched);
        if over {
            state.open.remove(&self.source.id);
            self.feeds.closed.notify_all();
        }
        over
    }

    fn show_state(&self, state: &LiveState) {
        let name = &self.source.title;
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
        let text: Arc<str> = serde_json::to_string(status).unwrap_or_default().into();
        let mut state = self.feeds.lock();
        if let Some(open) = state.open.get_mut(&self.source.id) {
            open.status = Arc::clone(&text);
            for channel in &open.channels {
                // Between two states there may be any time and another image.
                channel.follower().forget_objects();
                channel
                    .sender
                    .send_modify(|shown| shown.status = Arc::clone(&text));
            }
        }
    }

    /// Tells the pages that nothing more will come, and gives up the place of
    /// the source, which is closed.
    fn fail(&self, reason: &str) {
        (self.feeds.log)(&format!("{}: {reason}", self.source.title));
        self.show(&Status::Failed { reason });
        self.feeds.lock().open.remove(&self.source.id);
        self.feeds.closed.notify_all();
    }
}

/// Detects in a frame and puts it together for the pages: the length of the
/// note in four bytes, least first; the note, which is JSON; the JPEG.
fn message(source: &LiveSource, taken: &Taken<'_>, channel: &Channel) -> Result<Bytes, String> {
    let (frame, model) = (taken.frame, &channel.model);
    let waited = source.elapsed().saturating_sub(frame.time + taken.encoded);
    let start = Instant::now();
    let detections = model.detector.detect(frame.image.as_rgb())?;
    let note = FrameNote {
        id: taken.number,
        width: frame.image.width(),
        height: frame.image.height(),
        time: frame.time.as_secs_f64(),
        frames: frame.index + 1,
        skipped: taken.skipped,
        detections: channel
            .follower()
            .follow(&detections, model.classes(), frame.time),
        milliseconds: FrameMilliseconds {
            wait: milliseconds(waited),
            detect: milliseconds(start.elapsed()),
            encode: milliseconds(taken.encoded),
        },
    };
    let note = serde_json::to_vec(&note).map_err(|error| error.to_string())?;
    let length = u32::try_from(note.len()).map_err(|error| error.to_string())?;
    Ok([&length.to_le_bytes()[..], &note, taken.jpeg]
        .concat()
        .into())
}
