//! A pool of threads with a fork and join of a microsecond or so.
//!
//! Work is split statically: part `i` of `n` is a function of `i` and `n`
//! alone, so a result never depends on which thread was quicker. Idle workers
//! spin for [`SPIN`] and then sleep.

use std::any::Any;
use std::cell::UnsafeCell;
use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long an idle worker spins before it sleeps: longer than the gap between
/// two kernels of a network, short beside a scheduler's time slice.
pub const SPIN: Duration = Duration::from_micros(100);

/// The most threads that anything is shared among unless a caller wants more.
pub const MOST_THREADS: NonZeroUsize = NonZeroUsize::new(256).unwrap();

/// As many threads as the machine runs at once, but at most [`MOST_THREADS`].
pub fn all_cores() -> NonZeroUsize {
    most_of(thread::available_parallelism().unwrap_or(NonZeroUsize::MIN))
}

fn most_of(cores: NonZeroUsize) -> NonZeroUsize {
    cores.min(MOST_THREADS)
}

/// Spins between two looks at the clock.
const SPINS_PER_LOOK: u32 = 64;

/// What all threads of a fork call, with the part's index.
type Job = dyn Fn(usize) + Sync;

/// A pool of threads that includes the calling one.
///
/// A pool may be used from several threads at once: one of them gets the
/// workers, a call made meanwhile (also from inside a part) does all its parts
/// on its own thread, with the same result.
pub struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    /// Held by the caller whose job the workers have.
    owner: Mutex<()>,
}

struct Shared {
    /// Counts jobs; a worker starts when it changes.
    epoch: AtomicUsize,
    /// Workers that haven't finished the current job.
    pending: AtomicUsize,
    /// Valid while `pending` is not zero.
    job: UnsafeCell<Option<*const Job>>,
    /// One flag per worker: it sleeps, or is about to.
    asleep: Vec<AtomicBool>,
    closing: AtomicBool,
    /// The first panic of a worker in the current job.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    spin: Duration,
}

// SAFETY: `job` is written only by the thread that holds `Pool::owner` while no
// worker is in a job (`pending` is zero), and read by workers only after they
// saw the `epoch` that was stored after it. What it points to is `Sync`.
unsafe impl Sync for Shared {}
// SAFETY: as above; the pointer is used only while the job's caller waits.
unsafe impl Send for Shared {}

impl Pool {
    /// A pool of `threads` threads, the calling one included; one thread
    /// spawns nothing.
    ///
    /// # Errors
    /// That of the operating system if it can't start a thread; those that it
    /// started have ended then.
    pub fn new(threads: NonZeroUsize) -> io::Result<Self> {
        Self::spawned(threads, |worker, shared| {
            thread::Builder::new()
                .name(format!("ssdlite-{}", worker + 1))
                .spawn(move || shared.work(worker))
        })
    }

    /// A pool of the calling thread alone.
    pub fn single() -> Self {
        Self::without_workers(NonZeroUsize::MIN)
    }

    fn spawned(
        threads: NonZeroUsize,
        spawn: impl Fn(usize, Arc<Shared>) -> io::Result<JoinHandle<()>>,
    ) -> io::Result<Self> {
        let mut pool = Self::without_workers(threads);
        for worker in 0..threads.get() - 1 {
            // On an error the pool is dropped, which ends the workers it has.
            pool.workers.push(spawn(worker, Arc::clone(&pool.shared))?);
        }
        Ok(pool)
    }

    /// A pool that is to have `threads` threads.
    fn without_workers(threads: NonZeroUsize) -> Self {
        let others = threads.get() - 1;
        let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let shared = Arc::new(Shared {
            epoch: AtomicUsize::new(0),
            pending: AtomicUsize::new(0),
            job: UnsafeCell::new(None),
            asleep: (0..others).map(|_| AtomicBool::new(false)).collect(),
            closing: AtomicBool::new(false),
            panic: Mutex::new(None),
            // Spinning on a core that another thread of the job needs is a loss.
            spin: if threads.get() <= cores {
                SPIN
            } else {
                Duration::ZERO
            },
        });
        Self {
            shared,
            workers: Vec::new(),
            owner: Mutex::new(()),
        }
    }

    /// Threads that share a job, the caller's included.
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Calls `part(i)` once for each `i` in `0..threads()`, in parallel, and
    /// waits for all.
    ///
    /// # Panics
    /// With the panic of a part, after all parts have ended.
    pub fn broadcast<F: Fn(usize) + Sync>(&self, part: F) {
        match self.try_own() {
            Some(owner) => self.fork(owner, &part),
            None => (0..self.threads()).for_each(part),
        }
    }

    /// Splits `0..items` into `threads()` ranges of nearly equal length and
    /// calls `part(thread, range)` for each that isn't empty.
    ///
    /// The split is [`split`]'s.
    ///
    /// # Panics
    /// With the panic of a part, after all parts have ended.
    pub fn parallel_for<F: Fn(usize, Range<usize>) + Sync>(&self, items: usize, part: F) {
        let threads = self.threads();
        let run = |thread: usize| {
            let range = split(items, threads, thread);
            if !range.is_empty() {
                part(thread, range);
            }
        };
        if items <= 1 {
            // The first range alone holds anything.
            run(0);
        } else {
            self.broadcast(run);
        }
    }

    /// The workers, if there are any and nobody has them.
    fn try_own(&self) -> Option<MutexGuard<'_, ()>> {
        if self.workers.is_empty() {
            return None;
        }
        match self.owner.try_lock() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    fn fork(&self, _owner: MutexGuard<'_, ()>, job: &(dyn Fn(usize) + Sync)) {
        let shared = &*self.shared;
        let job: *const (dyn Fn(usize) + Sync + '_) = job;
        // SAFETY: only the lifetime changes. Workers use the pointer while
        // `pending` is not zero, and this function returns, or unwinds, only
        // after it is zero again.
        let job: *const Job = unsafe { std::mem::transmute(job) };
        // SAFETY: this thread owns the workers and none is in a job.
        unsafe { *shared.job.get() = Some(job) };
        shared.pending.store(self.workers.len(), Ordering::Relaxed);
        // Sequentially consistent, as in `wait_for_job`: either this thread
        // sees that a worker sleeps or that worker sees the new epoch.
        shared.epoch.fetch_add(1, Ordering::SeqCst);
        self.wake_sleepers();

        // SAFETY: the pointer was made from a reference that is still alive.
        let own = catch_unwind(AssertUnwindSafe(|| unsafe { (*job)(0) }));

        let start = Instant::now();
        let mut spins = 0_u32;
        while shared.pending.load(Ordering::Acquire) != 0 {
            spins += 1;
            if spins.is_multiple_of(SPINS_PER_LOOK) && start.elapsed() > shared.spin {
                thread::yield_now();
            } else {
                std::hint::spin_loop();
            }
        }
        let theirs = shared
            .panic
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Err(panic) = own {
            resume_unwind(panic);
        }
        if let Some(panic) = theirs {
            resume_unwind(panic);
        }
    }

    fn wake_sleepers(&self) {
        for (asleep, worker) in self.shared.asleep.iter().zip(&self.workers) {
            if asleep.load(Ordering::SeqCst) {
                worker.thread().unpark();
            }
        }
    }
}

impl Shared {
    fn work(&self, worker: usize) {
        let mut seen = 0;
        loop {
            self.wait_for_job(worker, seen);
            if self.closing.load(Ordering::Acquire) {
                return;
            }
            // A new job starts only after this one's `pending` reached zero,
            // so no epoch is skipped.
            seen = seen.wrapping_add(1);
            // SAFETY: the epoch was stored after the job, and the job's caller
            // waits until this worker has counted down `pending`.
            let outcome = catch_unwind(AssertUnwindSafe(|| unsafe {
                if let Some(job) = *self.job.get() {
                    (*job)(worker + 1);
                }
            }));
            if let Err(panic) = outcome {
                self.panic
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .get_or_insert(panic);
            }
            self.pending.fetch_sub(1, Ordering::Release);
        }
    }

    /// Returns when the epoch is no longer `seen`.
    fn wait_for_job(&self, worker: usize, seen: usize) {
        let start = Instant::now();
        loop {
            for _ in 0..SPINS_PER_LOOK {
                if self.epoch.load(Ordering::Acquire) != seen {
                    return;
                }
                std::hint::spin_loop();
            }
            if start.elapsed() >= self.spin {
                break;
            }
        }
        self.asleep[worker].store(true, Ordering::SeqCst);
        while self.epoch.load(Ordering::SeqCst) == seen {
            thread::park();
        }
        self.asleep[worker].store(false, Ordering::SeqCst);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::Release);
        self.shared.epoch.fetch_add(1, Ordering::SeqCst);
        for worker in &self.workers {
            worker.thread().unpark();
        }
        for worker in self.workers.drain(..) {
            // A worker catches the panics of its parts, so it can't have died.
            let _ = worker.join();
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("threads", &self.threads())
            .finish()
    }
}

/// Part `part` of `parts` of `0..items`: contiguous, in order, with lengths
/// that differ by at most one, the longer ones first.
///
/// # Panics
/// If `parts` is zero.
pub fn split(items: usize, parts: usize, part: usize) -> Range<usize> {
    let (each, more) = (items / parts, items % parts);
    let start = part * each + part.min(more);
    let end = start + each + usize::from(part < more);
    start..end
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Weak;
    use std::sync::atomic::AtomicU64;

    fn pool(threads: usize) -> Pool {
        let threads = NonZeroUsize::new(threads).expect("not zero");
        Pool::new(threads).expect("threads start")
    }

    #[test]
    fn all_cores_are_never_too_many() {
        let many = NonZeroUsize::new(384).expect("not zero");
        assert_eq!(most_of(many), MOST_THREADS);
        assert_eq!(most_of(NonZeroUsize::MIN), NonZeroUsize::MIN);
        assert!(all_cores() <= MOST_THREADS);
    }

    #[test]
    fn a_thread_that_cannot_start_is_an_error_and_the_others_end() {
        let shared = Mutex::new(Weak::new());
        let threads = NonZeroUsize::new(4).expect("not zero");
        let outcome = Pool::spawned(threads, |worker, job| {
            *shared.lock().expect("no panic") = Arc::downgrade(&job);
            if worker == 2 {
                return Err(io::Error::from(io::ErrorKind::WouldBlock));
            }
            thread::Builder::new().spawn(move || job.work(worker))
        });
        let error = outcome.expect_err("the third worker has no thread");
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        let left = shared.lock().expect("no panic").strong_count();
        assert_eq!(left, 0, "a worker is still there");
    }

    #[test]
    fn split_partitions() {
        for items in 0..40 {
            for parts in 1..9 {
                let mut next = 0;
                for part in 0..parts {
                    let range = split(items, parts, part);
                    assert_eq!(range.start, next);
                    assert!(range.len() >= items / parts);
                    assert!(range.len() <= items.div_ceil(parts));
                    next = range.end;
                }
                assert_eq!(next, items);
            }
        }
    }

    #[test]
    fn every_item_is_done_once() {
        for threads in 1..5 {
            let pool = pool(threads);
            assert_eq!(pool.threads(), threads);
            for items in [0, 1, 2, 3, 17, 100] {
                let done: Vec<_> = (0..items).map(|_| AtomicUsize::new(0)).collect();
                pool.parallel_for(items, |thread, range| {
                    assert_eq!(range, split(items, threads, thread));
                    for i in range {
                        done[i].fetch_add(1, Ordering::Relaxed);
                    }
                });
                assert!(done.iter().all(|n| n.load(Ordering::Relaxed) == 1));
            }
        }
    }

    #[test]
    fn jobs_follow_each_other() {
        let pool = pool(3);
        let sum = AtomicU64::new(0);
        for job in 0..2000_u64 {
            pool.broadcast(|_| {
                sum.fetch_add(job, Ordering::Relaxed);
            });
        }
        assert_eq!(sum.load(Ordering::Relaxed), 3 * 1999 * 1000);
    }

    #[test]
    fn sleeping_workers_wake() {
        let pool = pool(2);
        let ran = AtomicUsize::new(0);
        for jobs in 1..=3 {
            while !pool.shared.asleep[0].load(Ordering::SeqCst) {
                thread::yield_now();
            }
            pool.broadcast(|_| {
                ran.fetch_add(1, Ordering::Relaxed);
            });
            assert_eq!(ran.load(Ordering::Relaxed), 2 * jobs);
        }
    }

    #[test]
    fn nested_and_concurrent_calls_complete() {
        let pool = pool(2);
        let count = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        pool.broadcast(|_| {
                            pool.parallel_for(5, |_, range| {
                                count.fetch_add(range.len(), Ordering::Relaxed);
                            });
                        });
                    }
                });
            }
        });
        assert_eq!(count.load(Ordering::Relaxed), 3 * 200 * 2 * 5);
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_pool_lives_on() {
        let pool = pool(2);
        for bad in 0..2 {
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                pool.broadcast(|part| assert_ne!(part, bad, "part {bad} fails"));
            }));
            assert!(outcome.is_err());
        }
        let ran = AtomicUsize::new(0);
        pool.broadcast(|_| {
            ran.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(ran.load(Ordering::Relaxed), 2);
    }
}
