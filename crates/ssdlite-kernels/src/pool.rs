//! A pool of threads with a fork and join of a microsecond or so.
//!
//! Work whose result depends on the parts is divided by its size and the number of
//! threads alone, so a result never depends on which thread was quicker. Who does a
//! part is open: each thread begins with those that are next to what it did before,
//! whose data its caches may hold, and then takes what others have left. So
//! nobody waits for a thread that the system has put aside, unless it was put
//! aside in the middle of a part.
//!
//! Idle workers spin for [`SPIN`] and then sleep. One that finds its core wanted
//! by others gives way instead of spinning. One that finds itself on its caller's
//! core moves off it: where another program has the second core, the system likes to
//! wake a worker next to the caller, and leaves both there.

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

mod crowd;
mod evenness;
mod pace;
mod place;
mod queue;

use crowd::Crowd;
use evenness::Evenness;
use pace::Pace;
use place::NOWHERE;
use queue::Queue;

/// How long an idle worker spins before it sleeps: longer than the gap between
/// two kernels of a network, short beside a scheduler's time slice.
pub const SPIN: Duration = Duration::from_micros(100);

/// Time between two moves of a worker to another core: rare beside what a move costs.
const SETTLED: Duration = Duration::from_millis(20);

/// Most parts for each thread: see [`Pool::parts`].
const PARTS_A_THREAD: usize = 4;

/// The most threads that anything is shared among unless a caller wants more.
pub const MOST_THREADS: NonZeroUsize = NonZeroUsize::new(256).unwrap();

/// As many threads as the machine runs at once, but at most [`MOST_THREADS`].
pub fn all_cores() -> NonZeroUsize {
    most_of(thread::available_parallelism().unwrap_or(NonZeroUsize::MIN))
}

fn most_of(cores: NonZeroUsize) -> NonZeroUsize {
    cores.min(MOST_THREADS)
}

/// What all threads of a fork call, with a part that they claimed.
type Job = dyn Fn(Part) + Sync;

/// A part of a job, and who does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Which part, below their number: what a result may depend on.
    pub index: usize,
    /// Which thread, below [`Pool::threads`]: no two have the same at a time, so
    /// it may choose a place for what ends with the part, and nothing else.
    pub thread: usize,
}

/// A pool of threads that includes the calling one.
///
/// A pool may be used from several threads at once: one of them gets the
/// workers, a call made meanwhile (also from inside a part) does all its parts
/// on its own thread, with the same result.
pub struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    /// Held by the caller whose job the workers have: the pace of the callers.
    owner: Mutex<Pace>,
}

struct Shared {
    /// Counts jobs; a worker looks for parts when it changes.
    epoch: AtomicUsize,
    /// Parts of the current job that aren't done.
    pending: AtomicUsize,
    /// Valid while `pending` is not zero.
    job: UnsafeCell<Option<*const Job>>,
    /// Parts that nobody has claimed: a queue for each thread, the caller's first.
    queues: Vec<Queue>,
    /// The processor on which the caller began the current job, [`NOWHERE`] if unknown.
    caller: AtomicUsize,
    evenness: Evenness,
    crowd: Crowd,
    /// One flag per worker: it sleeps, or is about to.
    asleep: Vec<AtomicBool>,
    closing: AtomicBool,
    /// The first panic in the current job.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    spin: Duration,
}

// SAFETY: `job` is written only by the thread that holds `Pool::owner` while
// `pending` is zero and all queues are empty, and read only by who has claimed a
// part, which is after it was written, and has not counted it down yet. What it
// points to is `Sync`.
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
            queues: (0..threads.get()).map(|_| Queue::default()).collect(),
            caller: AtomicUsize::new(NOWHERE),
            evenness: Evenness::new(),
            crowd: Crowd::new(threads.get()),
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
            owner: Mutex::new(Pace::new(0)),
        }
    }

    /// Parts into which work of milliseconds is divided: more than threads, so
    /// that those that come late find some left, and few enough that what is
    /// gathered part by part is soon combined.
    pub fn parts(&self) -> usize {
        self.parts_of(usize::MAX, 1)
    }

    /// As [`Self::parts`] for `amount` of anything, of which a part should have
    /// `least`: as many for each thread, at least one, and one for a single
    /// thread.
    pub fn parts_of(&self, amount: usize, least: usize) -> usize {
        match self.threads() {
            1 => 1,
            threads => threads * (amount / least / threads).clamp(1, PARTS_A_THREAD),
        }
    }

    /// As [`Self::parts_of`], for work whose result is the same in any number of parts:
    /// one for each thread, as parts have a cost, unless threads had to wait for others
    /// a short time ago, such as beside other programs.
    pub fn parts_if_uneven(&self, amount: usize, least: usize) -> usize {
        if self.shared.evenness.is_even(self.shared.job()) {
            self.threads()
        } else {
            self.parts_of(amount, least)
        }
    }

    /// Makes [`Self::parts_if_uneven`] give many parts for a while, in tests.
    #[cfg(test)]
    pub(crate) fn be_uneven(&self) {
        let job = self.shared.job();
        for job in [job.wrapping_sub(1), job] {
            self.shared.evenness.waits(job);
        }
    }

    /// Threads that share a job, the caller's included.
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Calls `work` once for each part of `0..parts`, in parallel, and waits for
    /// all.
    ///
    /// # Panics
    /// With the panic of a part, after all parts have ended; and for more than
    /// `u32::MAX` parts.
    pub fn run<F: Fn(Part) + Sync>(&self, parts: usize, work: F) {
        let owner = if parts > 1 { self.try_own() } else { None };
        match owner {
            Some(owner) => self.fork(owner, parts, &work),
            None => (0..parts).for_each(|index| work(Part { index, thread: 0 })),
        }
    }

    /// Splits `0..items` into `parts` ranges of nearly equal length and calls
    /// `work(part, range)` for each that isn't empty.
    ///
    /// The split is [`split`]'s.
    ///
    /// # Panics
    /// As [`Self::run`].
    pub fn parallel_for<F: Fn(Part, Range<usize>) + Sync>(
        &self,
        items: usize,
        parts: usize,
        work: F,
    ) {
        // Ranges beyond the first `items` are empty.
        self.run(parts.min(items), |part| {
            work(part, split(items, parts, part.index));
        });
    }

    /// The workers, if there are any and nobody has them.
    fn try_own(&self) -> Option<MutexGuard<'_, Pace>> {
        if self.workers.is_empty() {
            return None;
        }
        match self.owner.try_lock() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    fn fork(&self, mut pace: MutexGuard<'_, Pace>, parts: usize, job: &(dyn Fn(Part) + Sync)) {
        let shared = &*self.shared;
        let job: *const (dyn Fn(Part) + Sync + '_) = job;
        // SAFETY: only the lifetime changes. The pointer is used only while
        // `pending` is not zero, and this function returns, or unwinds, only
        // after it is zero again.
        let job: *const Job = unsafe { std::mem::transmute(job) };
        // SAFETY: this thread owns the workers, and no part can be claimed.
        unsafe { *shared.job.get() = Some(job) };
        shared.caller.store(place::processor(), Ordering::Relaxed);
        shared.pending.store(parts, Ordering::Relaxed);
        for (thread, queue) in shared.queues.iter().enumerate() {
            queue.fill(split(parts, shared.queues.len(), thread));
        }
        // Sequentially consistent, as in `wait_for_job`: either this thread
        // sees that a worker sleeps or that worker sees the new epoch.
        let epoch = shared.epoch.fetch_add(1, Ordering::SeqCst).wrapping_add(1);
        self.wake_sleepers();

        shared.do_parts(&mut pace);
        let done = || shared.pending.load(Ordering::Acquire) == 0;
        if !pace.spin_until(shared.spin, &shared.crowd, done) {
            shared.evenness.waits(epoch);
            while !done() {
                thread::yield_now();
            }
        }
        let panic = shared
            .panic
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(panic) = panic {
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
    /// The last job that has begun, counted from 1.
    fn job(&self) -> usize {
        self.epoch.load(Ordering::Relaxed)
    }

    fn work(&self, worker: usize) {
        let mut seen = 0;
        let mut pace = Pace::new(worker + 1);
        let mut settled = Instant::now();
        loop {
            seen = self.wait_for_job(worker, seen, &mut pace);
            if self.closing.load(Ordering::Acquire) {
                return;
            }
            self.leave_caller(&mut settled);
            self.do_parts(&mut pace);
        }
    }

    /// Moves a worker, which hasn't been moved since `settled`, off the caller's core.
    fn leave_caller(&self, settled: &mut Instant) {
        let caller = self.caller.load(Ordering::Relaxed);
        // With more threads than cores they share cores anyway, and don't spin.
        if caller == place::processor() && !self.spin.is_zero() && settled.elapsed() > SETTLED {
            place::leave(caller);
            *settled = Instant::now();
        }
    }

    /// Does parts until none is left to claim: the thread's own from the front,
    /// then what is left at the back of others' queues.
    fn do_parts(&self, pace: &mut Pace) {
        let (thread, count) = (pace.thread(), self.queues.len());
        while let Some(index) = self.queues[thread].take_first() {
            self.do_part(Part { index, thread });
            pace.offer(&self.crowd);
        }
        for next in 1..count {
            let queue = &self.queues[(thread + next) % count];
            while let Some(index) = queue.take_last() {
                self.do_part(Part { index, thread });
                pace.offer(&self.crowd);
            }
        }
    }

    /// Does a part that this thread has claimed.
    fn do_part(&self, part: Part) {
        // SAFETY: the part was claimed after the job was written, and the job's
        // caller waits until it is counted down.
        let outcome = catch_unwind(AssertUnwindSafe(|| unsafe {
            if let Some(job) = *self.job.get() {
                (*job)(part);
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

    /// Returns the epoch when it is no longer `seen`.
    fn wait_for_job(&self, worker: usize, seen: usize, pace: &mut Pace) -> usize {
        let is_new = || self.epoch.load(Ordering::Acquire) != seen;
        if pace.spin_until(self.spin, &self.crowd, is_new) {
            return self.epoch.load(Ordering::Acquire);
        }
        if self.pending.load(Ordering::Relaxed) > 0 {
            self.evenness.waits(seen);
        }
        self.asleep[worker].store(true, Ordering::SeqCst);
        let epoch = loop {
            let epoch = self.epoch.load(Ordering::SeqCst);
            if epoch != seen {
                break epoch;
            }
            thread::park();
        };
        self.asleep[worker].store(false, Ordering::SeqCst);
        epoch
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
            for (items, parts) in [(0, 4), (1, 4), (2, 3), (3, 3), (17, 8), (100, 1), (9, 100)] {
                let done: Vec<_> = (0..items).map(|_| AtomicUsize::new(0)).collect();
                pool.parallel_for(items, parts, |part, range| {
                    assert!(part.thread < threads && !range.is_empty());
                    assert_eq!(range, split(items, parts, part.index));
                    for i in range {
                        done[i].fetch_add(1, Ordering::Relaxed);
                    }
                });
                assert!(done.iter().all(|n| n.load(Ordering::Relaxed) == 1));
            }
        }
    }

    #[test]
    fn parts_are_as_many_for_each_thread() {
        assert_eq!(pool(1).parts(), 1);
        assert_eq!(pool(1).parts_of(1000, 1), 1);
        let pool = pool(3);
        assert_eq!(pool.parts(), 3 * PARTS_A_THREAD);
        for (amount, parts) in [(0, 3), (59, 3), (60, 6), (89, 6), (90, 9), (1000, 12)] {
            assert_eq!(pool.parts_of(amount, 10), parts, "{amount}");
        }
    }

    #[test]
    fn jobs_follow_each_other() {
        let pool = pool(3);
        let sum = AtomicU64::new(0);
        for job in 0..2000_u64 {
            pool.run(3, |_| {
                sum.fetch_add(job, Ordering::Relaxed);
            });
        }
        assert_eq!(sum.load(Ordering::Relaxed), 3 * 1999 * 1000);
    }

    /// Workers that are never scheduled: the pool has them, but they don't run.
    #[test]
    fn a_worker_that_does_not_run_is_not_waited_for() {
        let (let_go, held) = std::sync::mpsc::channel::<()>();
        let held = Mutex::new(Some(held));
        let threads = NonZeroUsize::new(2).expect("not zero");
        let pool = Pool::spawned(threads, |worker, shared| {
            let held = held.lock().expect("no panic").take().expect("one worker");
            thread::Builder::new().spawn(move || {
                // An error when the other end is dropped, which lets it go too.
                let _ = held.recv();
                shared.work(worker);
            })
        });
        let pool = pool.expect("a thread starts");
        let caller = thread::current().id();
        for _ in 0..100 {
            let done = AtomicUsize::new(0);
            pool.run(9, |part| {
                assert_eq!((part.thread, thread::current().id()), (0, caller));
                done.fetch_add(1 << (3 * part.index), Ordering::Relaxed);
            });
            assert_eq!(done.into_inner(), 0o111_111_111);
        }
        drop(let_go);
    }

    /// Parts of which the first ends only when all others have: one thread is
    /// held up in the middle of a part, and the other does all the rest.
    #[test]
    fn a_thread_that_is_held_up_keeps_one_part_alone() {
        let pool = pool(2);
        for parts in 2..20 {
            let others = AtomicUsize::new(0);
            pool.run(parts, |part| {
                if part.index == 0 {
                    while others.load(Ordering::Acquire) < parts - 1 {
                        thread::yield_now();
                    }
                } else {
                    others.fetch_add(1, Ordering::Release);
                }
            });
            assert_eq!(others.into_inner(), parts - 1);
        }
    }

    #[test]
    fn sleeping_workers_wake() {
        let pool = pool(2);
        for _ in 0..3 {
            while !pool.shared.asleep[0].load(Ordering::SeqCst) {
                thread::yield_now();
            }
            // Each part waits for the other, so the worker must take one.
            let running = AtomicUsize::new(0);
            pool.run(2, |_| {
                running.fetch_add(1, Ordering::Relaxed);
                while running.load(Ordering::Relaxed) < 2 {
                    thread::yield_now();
                }
            });
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
                        pool.run(3, |_| {
                            pool.parallel_for(5, 4, |_, range| {
                                count.fetch_add(range.len(), Ordering::Relaxed);
                            });
                        });
                    }
                });
            }
        });
        assert_eq!(count.load(Ordering::Relaxed), 3 * 200 * 3 * 5);
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_pool_lives_on() {
        let pool = pool(2);
        for bad in 0..5 {
            let ran = AtomicUsize::new(0);
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                pool.run(5, |part| {
                    ran.fetch_add(1, Ordering::Relaxed);
                    assert_ne!(part.index, bad, "part {bad} fails");
                });
            }));
            assert!(outcome.is_err());
            assert_eq!(ran.into_inner(), 5);
        }
        let ran = AtomicUsize::new(0);
        pool.run(2, |_| {
            ran.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(ran.into_inner(), 2);
    }
}
