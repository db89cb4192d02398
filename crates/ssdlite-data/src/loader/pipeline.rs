//! Numbered jobs done by several threads, their results taken in order.
//!
//! What the jobs are is not known here. Threads belong to one [`Pipeline`] and
//! end with it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use ssdlite_image::error::text_of_panic;

use crate::error::{Error, Result};

/// Tells a job that nobody waits for its result any more.
#[derive(Default)]
pub(crate) struct Stop(AtomicBool);

impl Stop {
    /// Whether the job may end early.
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Does a numbered job. Each thread has its own, which may hold buffers.
pub(crate) type Job<T> = Box<dyn FnMut(usize, &Stop) -> Result<T> + Send>;

/// An iterator over the results of jobs in the order of their numbers. It ends
/// after the first error.
pub(crate) struct Pipeline<T> {
    shared: Arc<Shared<T>>,
    threads: Vec<JoinHandle<()>>,
    /// Does the jobs in the calling thread where there are no others.
    own: Option<Job<T>>,
}

struct Shared<T> {
    state: Mutex<State<T>>,
    /// How many jobs may be under way or done and not taken.
    window: usize,
    end: usize,
    stop: Stop,
    /// Told when a job may be started, or the pipeline ends.
    may_start: Condvar,
    /// Told when a job is done.
    done: Condvar,
}

struct State<T> {
    next_to_start: usize,
    next_to_take: usize,
    results: BTreeMap<usize, Result<T>>,
}

impl<T: Send + 'static> Pipeline<T> {
    /// Starts `workers` threads on the jobs of these numbers; with none, each
    /// job is done when it is asked for.
    ///
    /// At most `workers + 1` results exist at a time, the one that was taken
    /// last not counted.
    ///
    /// # Errors
    /// [`Error::Worker`] if a thread can't be started.
    pub(crate) fn start(
        jobs: Range<usize>,
        workers: usize,
        mut new_job: impl FnMut() -> Job<T>,
    ) -> Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                next_to_start: jobs.start,
                next_to_take: jobs.start,
                results: BTreeMap::new(),
            }),
            window: workers + 1,
            end: jobs.end,
            stop: Stop::default(),
            may_start: Condvar::new(),
            done: Condvar::new(),
        });
        let mut pipeline = Self {
            shared,
            threads: Vec::with_capacity(workers),
            own: None,
        };
        if workers == 0 {
            pipeline.own = Some(new_job());
        }
        for worker in 0..workers {
            let shared = Arc::clone(&pipeline.shared);
            let mut job = new_job();
            let thread = thread::Builder::new()
                .name(format!("loader-{worker}"))
                .spawn(move || shared.work(&mut job))
                .map_err(|error| Error::Worker(format!("a worker can't be started: {error}")))?;
            pipeline.threads.push(thread);
        }
        Ok(pipeline)
    }
}

impl<T> Shared<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self, job: &mut Job<T>) {
        while let Some(number) = self.start_next() {
            let result = run(job, number, &self.stop);
            self.state().results.insert(number, result);
            self.done.notify_all();
        }
    }

    /// Waits for room in the window; none when there is nothing left to do.
    fn start_next(&self) -> Option<usize> {
        let full = |state: &mut State<T>| {
            !self.stop.is_set() && state.next_to_start >= state.next_to_take + self.window
        };
        let state = self.state();
        let waited = self.may_start.wait_while(state, full);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        if self.stop.is_set() || state.next_to_start >= self.end {
            return None;
        }
        state.next_to_start += 1;
        Some(state.next_to_start - 1)
    }

    /// Waits for the result that is next in order.
    fn take(&self) -> Result<T> {
        let mut state = self.state();
        loop {
            let number = state.next_to_take;
            if let Some(result) = state.results.remove(&number) {
                state.next_to_take += 1;
                self.may_start.notify_all();
                return result;
            }
            let waited = self.done.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn end_early(&self) {
        // Under the lock, so that no thread is between its check and its wait.
        let _state = self.state();
        self.stop.set();
        self.may_start.notify_all();
    }
}

/// Does a job; a panic in it becomes an error.
fn run<T>(job: &mut Job<T>, number: usize, stop: &Stop) -> Result<T> {
    catch_unwind(AssertUnwindSafe(|| job(number, stop))).unwrap_or_else(|panic| {
        let message = text_of_panic(panic.as_ref());
        Err(Error::Worker(format!(
            "batch {number}: a worker panicked: {message}"
        )))
    })
}

impl<T> Iterator for Pipeline<T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        let number = self.shared.state().next_to_take;
        if number >= self.shared.end || self.shared.stop.is_set() {
            return None;
        }
        let result = match &mut self.own {
            Some(job) => {
                self.shared.state().next_to_take += 1;
                run(job, number, &self.shared.stop)
            }
            None => self.shared.take(),
        };
        if result.is_err() {
            self.shared.end_early();
        }
        Some(result)
    }
}

impl<T> Drop for Pipeline<T> {
    fn drop(&mut self) {
        self.shared.end_early();
        for thread in self.threads.drain(..) {
            // A worker catches its jobs' panics, so there is nothing to learn
            // from how it ended.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::sync::mpsc;

    use super::*;

    const WORKERS: [usize; 4] = [0, 1, 3, 8];

    fn job<T>(job: impl FnMut(usize, &Stop) -> Result<T> + Send + 'static) -> Job<T> {
        Box::new(job)
    }

    #[test]
    fn results_come_in_order_whatever_the_number_of_workers() {
        for workers in WORKERS {
            let pipeline = Pipeline::start(3..40, workers, || {
                job(|number, _| {
                    // Uneven work, so that later jobs overtake.
                    let rounds = if number % 5 == 0 { 100_000 } else { 1 };
                    Ok((0..rounds).fold(number, |sum, i| sum ^ std::hint::black_box(i) ^ i))
                })
            });
            let found: Vec<usize> = pipeline.unwrap().map(Result::unwrap).collect();
            assert_eq!(found, (3..40).collect::<Vec<_>>());
        }
    }

    #[test]
    fn no_job_starts_beyond_the_window() {
        for workers in WORKERS {
            let asked = Arc::new(AtomicUsize::new(0));
            let pipeline = Pipeline::start(0..200, workers, || {
                let asked = Arc::clone(&asked);
                job(move |number, _| {
                    let asked = asked.load(Ordering::SeqCst);
                    Ok(number <= asked + workers)
                })
            });
            let mut pipeline = pipeline.unwrap();
            for count in 1..=200 {
                asked.store(count, Ordering::SeqCst);
                let inside = pipeline.next().unwrap().unwrap();
                assert!(inside, "job {} with {workers} workers", count - 1);
            }
            assert!(pipeline.next().is_none());
        }
    }

    #[test]
    fn a_panic_is_an_error_and_the_end() {
        for workers in WORKERS {
            let pipeline = Pipeline::start(0..20, workers, || {
                job(|number, _| {
                    assert_ne!(number, 7, "seven");
                    Ok(number)
                })
            });
            let mut pipeline = pipeline.unwrap();
            for number in 0..7 {
                assert_eq!(pipeline.next().unwrap().unwrap(), number);
            }
            let error = pipeline.next().unwrap().unwrap_err();
            assert!(matches!(&error, Error::Worker(text) if text.contains("seven")));
            assert!(pipeline.next().is_none());
        }
    }

    #[test]
    fn dropping_ends_jobs_that_are_under_way() {
        let (started, on_start) = mpsc::channel();
        let (ended, on_end) = mpsc::channel();
        let pipeline = Pipeline::start(0..1000, 3, || {
            let (started, ended) = (started.clone(), ended.clone());
            job(move |number, stop| {
                let _ = started.send(number);
                while !stop.is_set() {
                    thread::yield_now();
                }
                let _ = ended.send(number);
                Ok(())
            })
        });
        let pipeline = pipeline.unwrap();
        let begun: Vec<usize> = on_start.iter().take(3).collect();
        drop(pipeline);
        // All threads are joined by now.
        let mut finished: Vec<usize> = on_end.try_iter().collect();
        finished.sort_unstable();
        assert_eq!(finished, [0, 1, 2]);
        assert_eq!(begun.len(), 3);
    }
}
