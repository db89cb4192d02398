//! The threads that decode and detect, and the bounded queue before them.
//!
//! When the queue is full, a client that has fewer images in it than another
//! takes the last place of that one. Each image of a request counts as one, and
//! a request has places for all of its images or for none.
//!
//! Requests do not share a batch: on a CPU the engine's work grows in step
//! with the images, so waiting for others would only add delay.

use std::collections::{HashMap, VecDeque};
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use axum::body::Bytes;
use ssdlite_core::{Detection, ImageSize, PostProcessing};
use ssdlite_image::decode::WHOLE;
use ssdlite_image::encode::{IMAGE_QUALITY, jpeg_from_image};
use ssdlite_image::{AsRgb, Decoded, LabelledBox, RgbImage, draw_boxes};
use tokio::sync::oneshot;

use crate::accept::Form;
use crate::decoder::Decoder;
use crate::error::Error;
use crate::metrics::{Metrics, Times};
use crate::model::Model;
use crate::refusal::Refusal;
use crate::share::{Claim, Client};

/// What was found in an image.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// The image's size as shown.
    pub(crate) size: ImageSize,
    pub(crate) detections: Vec<Detection>,
    /// The image with its boxes as a JPEG; empty unless it was wanted.
    pub(crate) picture: Vec<u8>,
    pub(crate) times: Times,
}

/// What a request wants to know of its images.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    /// Which boxes become detections.
    pub(crate) post_processing: PostProcessing,
    /// The least score of those that are told or drawn.
    pub(crate) least_score: f32,
    pub(crate) form: Form,
}

impl Wanted {
    /// What a model's own settings say.
    pub(crate) fn of(model: &Model, form: Form) -> Self {
        Self {
            post_processing: model.detector.post_processing(),
            least_score: model.score_threshold,
            form,
        }
    }
}

struct Job {
    model: Arc<Model>,
    bytes: Bytes,
    wanted: Wanted,
    /// What the bytes take of the memory, and whose they are.
    room: Arc<Claim>,
    queued: Instant,
    answer: oneshot::Sender<Result<Found, Refusal>>,
}

/// Waits for what is found in an image.
pub(crate) type Waiting = oneshot::Receiver<Result<Found, Refusal>>;

struct Queue {
    state: Mutex<QueueState>,
    changed: Condvar,
    length: usize,
}

struct QueueState {
    jobs: VecDeque<Job>,
    closed: bool,
}

/// The threads that decode and detect. Dropping it ends each after the image
/// that it has; nobody waits for that, so that none can hold up the server's
/// end.
pub(crate) struct Workers {
    queue: Arc<Queue>,
}

impl Workers {
    /// Starts that many threads, before which `length` images may wait.
    ///
    /// # Errors
    /// [`Error::Threads`] where the system refuses one.
    pub(crate) fn start(
        threads: NonZeroUsize,
        length: usize,
        decoder: &Arc<Decoder>,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, Error> {
        let queue = Arc::new(Queue {
            state: Mutex::new(QueueState {
                jobs: VecDeque::new(),
                closed: false,
            }),
            changed: Condvar::new(),
            length,
        });
        let workers = Self { queue };
        for started in 0..threads.get() {
            let (queue, metrics) = (Arc::clone(&workers.queue), Arc::clone(metrics));
            let decoder = Arc::clone(decoder);
            std::thread::Builder::new()
                .spawn(move || work(&queue, &decoder, &metrics))
                .map_err(|source| Error::Threads {
                    expected: threads,
                    started,
                    source,
                })?;
        }
        Ok(workers)
    }

    /// Queues images; an error at once if there is no place for all of them.
    /// Letting go of a receiver takes its image out again.
    pub(crate) fn submit(
        &self,
        model: &Arc<Model>,
        images: Vec<Bytes>,
        room: &Arc<Claim>,
        wanted: Wanted,
    ) -> Result<Vec<Waiting>, Refusal> {
        let mut state = self.queue.lock();
        let going = self.queue.places(&mut state, room.client, images.len())?;
        for place in going {
            // The client may have gone away meanwhile.
            let job = state.jobs.remove(place);
            let _ = job.map(|job| job.answer.send(Err(Refusal::Full)));
        }
        let queued = Instant::now();
        let mut waiting = Vec::with_capacity(images.len());
        for bytes in images {
            let (answer, receiver) = oneshot::channel();
            waiting.push(receiver);
            state.jobs.push_back(Job {
                model: Arc::clone(model),
                bytes,
                wanted,
                room: Arc::clone(room),
                queued,
                answer,
            });
        }
        drop(state);
        self.queue.changed.notify_all();
        Ok(waiting)
    }

    /// Refuses if there is no place for an image of this client.
    pub(crate) fn check_place(&self, client: Client) -> Result<(), Refusal> {
        let mut state = self.queue.lock();
        self.queue.places(&mut state, client, 1).map(drop)
    }

    /// The images that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.lock().jobs.len()
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        let mut state = self.queue.lock();
        state.closed = true;
        state.jobs.clear();
        drop(state);
        self.queue.changed.notify_all();
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses if there are no places for so many images of this client. Gives
    /// the places of the images that have to go for them, the last first.
    fn places(
        &self,
        state: &mut QueueState,
        client: Client,
        images: usize,
    ) -> Result<Vec<usize>, Refusal> {
        if state.jobs.len() + images > self.length {
            // Those who went away still stand in the queue.
            state.jobs.retain(|job| !job.answer.is_closed());
        }
        let free = self.length.saturating_sub(state.jobs.len());
        let mut counts: HashMap<Client, usize> = HashMap::new();
        for job in &state.jobs {
            *counts.entry(job.room.client).or_default() += 1;
        }
        let placed = counts.get(&client).copied().unwrap_or(0) + free.min(images);
        let mut going = Vec::new();
        while going.len() < images.saturating_sub(free) {
            let own = placed + going.len();
            let most = counts.values().copied().max().unwrap_or(0);
            if most <= own + 1 {
                return Err(Refusal::Full);
            }
            let is_greedy = |(place, job): &(usize, &Job)| {
                counts[&job.room.client] == most && !going.contains(place)
            };
            let last = state.jobs.iter().enumerate().rev().find(is_greedy);
            let (place, job) = last.ok_or(Refusal::Full)?;
            counts
                .entry(job.room.client)
                .and_modify(|count| *count -= 1);
            going.push(place);
        }
        going.sort_unstable_by(|a, b| b.cmp(a));
        Ok(going)
    }

    /// The next image that somebody waits for; none when it is time to end.
    fn next(&self) -> Option<Job> {
        let mut state = self.lock();
        loop {
            match state.jobs.pop_front() {
                Some(job) if job.answer.is_closed() => continue,
                Some(job) => return Some(job),
                None if state.closed => return None,
                None => {}
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn work(queue: &Queue, decoder: &Decoder, metrics: &Metrics) {
    while let Some(job) = queue.next() {
        let waited = job.queued.elapsed();
        // One bad image must not take the thread from all the others.
        let found = catch_unwind(AssertUnwindSafe(|| found_in(&job, decoder)));
        let found = found.unwrap_or_else(|_| Err(broken()));
        let found = found.map(|mut found| {
            found.times.waited = waited;
            metrics.observe(&found.times);
            found
        });
        // The client may have gone away meanwhile.
        let _ = job.answer.send(found);
    }
}

fn broken() -> Refusal {
    Refusal::Broken("the detector failed on this image".into())
}

/// What is found in an image, which is decoded no larger than the detector needs. For a
/// picture it is decoded anew where that was not the whole, so that the picture changes
/// nothing of what is found.
fn found_in(job: &Job, decoder: &Decoder) -> Result<Found, Refusal> {
    let Job { model, wanted, .. } = job;
    let drawn = |image: Decoded, detections: &[Detection]| {
        picture(image.into_image(), detections, model, wanted.least_score)
    };
    let draws = matches!(wanted.form, Form::Picture);
    let start = Instant::now();
    let mut found = decoder.with_decoded(&job.bytes, model.detector.enough(), |image| {
        let decoded = start.elapsed();
        let found = (model.detector).detect_with(image.as_rgb(), &wanted.post_processing);
        let detections = found.map_err(Refusal::Broken)?;
        let mut found = Found {
            size: image.whole_size(),
            detections,
            picture: Vec::new(),
            times: Times {
                decoded,
                detected: start.elapsed() - decoded,
                ..Times::default()
            },
        };
        if draws && image.reduction().is_none() {
            found.picture = drawn(image, &found.detections)?;
        }
        Ok(found)
    })?;
    if draws && found.picture.is_empty() {
        found.picture =
            decoder.with_decoded(&job.bytes, WHOLE, |image| drawn(image, &found.detections))?;
    }
    Ok(found)
}

/// A JPEG of the image with the boxes that reach the least score, the surest over
/// the others.
fn picture(
    mut image: RgbImage,
    detections: &[Detection],
    model: &Model,
    least_score: f32,
) -> Result<Vec<u8>, Refusal> {
    let shown = detections
        .iter()
        .filter(|detection| detection.score >= least_score);
    draw_boxes(
        &mut image,
        &LabelledBox::of_detections(shown, model.classes()),
    );
    jpeg_from_image(&image, IMAGE_QUALITY).map_err(|error| Refusal::Unusable(error.to_string()))
}
