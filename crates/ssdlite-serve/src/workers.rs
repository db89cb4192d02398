//! The threads that decode and detect, and the bounded queue before them.
//!
//! When the queue is full, a client that has fewer images in it than another
//! takes the last place of that one.
//!
//! Requests do not share a batch: on a CPU the engine's work grows in step
//! with the images, so waiting for others would only add delay.

use std::collections::{HashMap, VecDeque};
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use axum::body::Bytes;
use ssdlite_core::{Detection, ImageSize};
use tokio::sync::oneshot;

use crate::decoder::Decoder;
use crate::error::Error;
use crate::metrics::{Metrics, Times};
use crate::model::{Detect, Model};
use crate::refusal::Refusal;
use crate::share::{Claim, Client};

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
    /// What the bytes take of the memory, and whose they are.
    room: Arc<Claim>,
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

    /// Queues an image; an error at once if there is no place. Letting go of
    /// the receiver takes the image out again.
    pub(crate) fn submit(
        &self,
        model: Arc<Model>,
        bytes: Bytes,
        room: Arc<Claim>,
    ) -> Result<oneshot::Receiver<Result<Found, Refusal>>, Refusal> {
        let (answer, receiver) = oneshot::channel();
        let mut state = self.queue.lock();
        if let Some(last) = self.queue.find_place(&mut state, room.client)? {
            // The client may have gone away meanwhile.
            let job = state.jobs.remove(last);
            let _ = job.map(|job| job.answer.send(Err(Refusal::Full)));
        }
        state.jobs.push_back(Job {
            model,
            bytes,
            room,
            queued: Instant::now(),
            answer,
        });
        drop(state);
        self.queue.changed.notify_one();
        Ok(receiver)
    }

    /// Refuses if there is no place for an image of this client.
    pub(crate) fn check_place(&self, client: Client) -> Result<(), Refusal> {
        let mut state = self.queue.lock();
        self.queue.find_place(&mut state, client).map(drop)
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

    /// Refuses if there is no place for an image of this client. Gives the image
    /// that has to go for it, if one has to.
    fn find_place(&self, state: &mut QueueState, client: Client) -> Result<Option<usize>, Refusal> {
        if state.jobs.len() >= self.length {
            // Those who went away still stand in the queue.
            state.jobs.retain(|job| !job.answer.is_closed());
        }
        if state.jobs.len() < self.length {
            return Ok(None);
        }
        let mut counts: HashMap<Client, usize> = HashMap::new();
        for job in &state.jobs {
            *counts.entry(job.room.client).or_default() += 1;
        }
        let own = counts.get(&client).copied().unwrap_or(0);
        let most = counts.values().copied().max().unwrap_or(0);
        if most <= own + 1 {
            return Err(Refusal::Full);
        }
        let is_greedy = |job: &Job| counts[&job.room.client] == most;
        Ok(state.jobs.iter().rposition(is_greedy))
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
        let found = catch_unwind(AssertUnwindSafe(|| {
            found_in(job.model.detector.as_ref(), &job.bytes, decoder)
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

fn found_in(detector: &dyn Detect, bytes: &[u8], decoder: &Decoder) -> Result<Found, Refusal> {
    let start = Instant::now();
    let image = decoder.decode(bytes)?;
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
