//! Which processor a thread runs on, and moving off it.

pub(super) use system::{leave, processor};

/// Stands for no processor.
pub(super) const NOWHERE: usize = usize::MAX;

#[cfg(target_os = "linux")]
mod system {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};

    /// The processor on which the calling thread runs.
    pub(in super::super) fn processor() -> usize {
        sched_getcpu()
    }

    /// Moves the calling thread off a processor, if it may run on others; whether it may.
    /// Afterwards it may run where it might before.
    pub(in super::super) fn leave(processor: usize) -> bool {
        // A set can't hold all processors of the largest machines; the system refuses then.
        let Ok(allowed) = sched_getaffinity(None) else {
            return false;
        };
        if processor >= CpuSet::MAX_CPU || !allowed.is_set(processor) {
            return false;
        }
        let mut others = allowed;
        others.unset(processor);
        // No other processor is a refusal too.
        if sched_setaffinity(None, &others).is_err() {
            return false;
        }
        // Refused only if those were taken from this process meanwhile, by whom the
        // thread has been given others.
        let _ = sched_setaffinity(None, &allowed);
        true
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    /// [`NOWHERE`](super::NOWHERE), as the system doesn't tell.
    pub(in super::super) fn processor() -> usize {
        super::NOWHERE
    }

    /// Nothing: a thread stays where the system wants it.
    pub(in super::super) fn leave(_: usize) -> bool {
        false
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    fn allowed() -> CpuSet {
        sched_getaffinity(None).expect("fewer processors than a set holds")
    }

    /// What a thread is allowed is its own, so tests beside this one are not disturbed.
    fn on_a_thread(work: impl FnOnce() + Send) {
        std::thread::scope(|scope| scope.spawn(work).join()).expect("no panic");
    }

    #[test]
    fn a_thread_that_moved_may_run_where_it_might_before() {
        on_a_thread(|| {
            let before = allowed();
            assert_eq!(leave(processor()), before.count() > 1);
            assert_eq!(allowed(), before);
            assert!(!leave(NOWHERE));
            assert_eq!(allowed(), before);
        });
    }

    #[test]
    fn a_thread_stays_on_its_only_processor() {
        on_a_thread(|| {
            let here = processor();
            let mut alone = CpuSet::new();
            alone.set(here);
            sched_setaffinity(None, &alone).expect("it may run here");
            assert!(!leave(here));
            assert_eq!((processor(), allowed()), (here, alone));
        });
    }
}
