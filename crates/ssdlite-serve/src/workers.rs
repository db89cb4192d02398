//! The threads that decode and detect, and the bounded queue before them.
//!
//! Requests do not share a batch: on a CPU the engine's work grows in step
//! with the images, so waiting for others would only add delay.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use axum::body::Bytes;
use ssdlite_core::{Detection, ImageSize};
use ssdlite_image::{DecodeMemory, Limits as ImageLimits, RgbImage};
use tokio::sync::oneshot;

use crate::memory::Room;
use crate::metrics::{Metrics, Times};
use crate::model::{Detect, Model};
use crate::refusal::Refusal;

/// What was found in an image.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// The image's size as shown.
    pub(crate) size: ImageSize,
    pub(crate) detections: Vec<Detection>,
    pub(crate) times: Times,
}

struct Job {
    model: Arc<Model>,
    bytes: Bytes,
    /// Held for as long as the bytes are.
    _room: Room,
    queued: Instant,
    answer: oneshot::Sender<Result<Found, Refusal>>,
}

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
    pub(crate) fn start(
        threads: NonZeroUsize,
        length: usize,
        limits: ImageLimits,
        metrics: &Arc<Metrics>,
    ) -> Self {
        let queue = Arc::new(Queue {
            state: Mutex::new(QueueState {
                jobs: VecDeque::new(),
                closed: false,
            }),
            changed: Condvar::new(),
            length,
        });
        let memory = Arc::new(DecodeMemory::default());
        for _ in 0..threads.get() {
            let (queue, metrics) = (Arc::clone(&queue), Arc::clone(metrics));
            let memory = Arc::clone(&memory);
            std::thread::spawn(move || work(&queue, &limits, &memory, &metrics));
        }
        Self { queue }
    }

    /// Queues an image; an error at once if the queue is full. Letting go of
    /// the receiver takes the image out again.
    pub(crate) fn submit(
        &self,
        model: Arc<Model>,
        bytes: Bytes,
        room: Room,
    ) -> Result<oneshot::Receiver<Result<Found, Refusal>>, Refusal> {
        let (answer, receiver) = oneshot::channel();
        let mut state = self.queue.lock();
        self.queue.refuse_if_full(&mut state)?;
        state.jobs.push_back(Job {
            model,
            bytes,
            _room: room,
            queued: Instant::now(),
            answer,
        });
        drop(state);
        self.queue.changed.notify_one();
        Ok(receiver)
    }

    /// Refuses if the queue is full.
    pub(crate) fn refuse_if_full(&self) -> Result<(), Refusal> {
        self.queue.refuse_if_full(&mut self.queue.lock())
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

    fn refuse_if_full(&self, state: &mut QueueState) -> Result<(), Refusal> {
        if state.jobs.len() >= self.length {
            // Those who went away still stand in the queue.
            state.jobs.retain(|job| !job.answer.is_closed());
        }
        if state.jobs.len() >= self.length {
            return Err(Refusal::Full);
        }
        Ok(())
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

fn work(queue: &Queue, limits: &ImageLimits, memory: &DecodeMemory, metrics: &Metrics) {
    while let Some(job) = queue.next() {
        let waited = job.queued.elapsed();
        // One bad image must not take the thread from all the others.
        let found = catch_unwind(AssertUnwindSafe(|| {
            let decode = || memory.decode(&job.bytes, limits);
            found_in(job.model.detector.as_ref(), decode)
        }));
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

fn found_in(
    detector: &dyn Detect,
    decode: impl FnOnce() -> ssdlite_image::Result<RgbImage>,
) -> Result<Found, Refusal> {
    let start = Instant::now();
    let image = decode().map_err(|error| Refusal::Unusable(error.to_string()))?;
    let decoded = start.elapsed();
    let start = Instant::now();
    let detections = detector.detect(&image).map_err(Refusal::Broken)?;
    Ok(Found {
        size: image.size(),
        detections,
        times: Times {
            decoded,
            detected: start.elapsed(),
            ..Times::default()
        },
    })
}
