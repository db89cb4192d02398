//! The same work for many items on several cores.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::panic::resume_unwind;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// `work` of every item on all cores, in the order of the items.
pub fn map<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let cores = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    map_on(cores, items, work)
}

/// `work` of every item on that many threads, in the order of the items.
pub fn map_on<T: Sync, R: Send>(
    threads: NonZeroUsize,
    items: &[T],
    work: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    let mut results = Vec::with_capacity(items.len());
    let ends = in_order(threads, items.len(), items, work, |_, result| {
        results.push(result);
        ControlFlow::<Infallible>::Continue(())
    });
    match ends {
        ControlFlow::Continue(()) => results,
    }
}

/// `work` of every item on that many threads. `take` gets the results one by one in the
/// order of the items, on the calling thread, each as soon as it and those before it are
/// there, and may break off; what is at work then is waited for. At most `ahead` more
/// results, and one at least, are made or wait meanwhile. On one thread nothing is made
/// ahead.
pub fn in_order<T: Sync, R: Send, B>(
    threads: NonZeroUsize,
    ahead: usize,
    items: &[T],
    work: impl Fn(&T) -> R + Sync,
    mut take: impl FnMut(&T, R) -> ControlFlow<B>,
) -> ControlFlow<B> {
    let threads = threads.get().min(items.len());
    if threads <= 1 {
        return items.iter().try_for_each(|item| take(item, work(item)));
    }
    let queue = Queue {
        state: Mutex::new(State {
            next: 0,
            most: ahead.clamp(1, items.len()),
            ends: false,
            results: BTreeMap::new(),
        }),
        changed: Condvar::new(),
        items: items.len(),
    };
    let make = || {
        let _guard = EndOnPanic(&queue);
        while let Some(index) = queue.claim() {
            let result = work(&items[index]);
            queue.lock().results.insert(index, result);
            queue.changed.notify_all();
        }
    };
    thread::scope(|scope| {
        let _guard = EndOnPanic(&queue);
        let makers: Vec<_> = (0..threads).map(|_| scope.spawn(make)).collect();
        let mut numbered = items.iter().enumerate();
        let taken = numbered.try_for_each(|(index, item)| match queue.wait_for(index) {
            Some(result) => take(item, result),
            None => ControlFlow::Continue(()),
        });
        queue.end();
        for maker in makers {
            if let Err(panic) = maker.join() {
                resume_unwind(panic);
            }
        }
        taken
    })
}

/// The items that are to be claimed, and the results that are to be taken.
struct Queue<R> {
    state: Mutex<State<R>>,
    changed: Condvar,
    items: usize,
}

struct State<R> {
    /// The item that is claimed next.
    next: usize,
    /// The items that may be claimed so far.
    most: usize,
    /// No more is to be claimed or waited for.
    ends: bool,
    results: BTreeMap<usize, R>,
}

impl<R> Queue<R> {
    /// The next item's index as soon as it may be made; none if there is nothing more to
    /// do.
    fn claim(&self) -> Option<usize> {
        let must_wait = |state: &mut State<R>| {
            !state.ends && state.next >= state.most && state.next < self.items
        };
        let waited = self.changed.wait_while(self.lock(), must_wait);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        let index = state.next;
        let is_open = !state.ends && index < self.items;
        is_open.then(|| {
            state.next += 1;
            index
        })
    }

    /// An item's result as soon as it is there; none if a thread panicked.
    fn wait_for(&self, index: usize) -> Option<R> {
        let must_wait = |state: &mut State<R>| !state.ends && !state.results.contains_key(&index);
        let waited = self.changed.wait_while(self.lock(), must_wait);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        state.most = (state.most + 1).min(self.items);
        let result = state.results.remove(&index);
        drop(state);
        self.changed.notify_all();
        result
    }

    fn end(&self) {
        self.lock().ends = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State<R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends a queue where its thread panics: the others would wait for ever.
struct EndOnPanic<'a, R>(&'a Queue<R>);

impl<R> Drop for EndOnPanic<'_, R> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const FIVE: NonZeroUsize = NonZeroUsize::new(5).unwrap();

    #[test]
    fn results_come_in_the_order_of_the_items() {
        let items: Vec<usize> = (0..1009).collect();
        let doubled = map(&items, |item| item * 2);
        assert_eq!(doubled, (0..1009).map(|i| i * 2).collect::<Vec<_>>());
        for threads in [NonZeroUsize::MIN, FIVE] {
            let again = map_on(threads, &items, |item| item * 2);
            assert_eq!(again, doubled);
        }
        assert!(map(&[], |item: &u8| *item).is_empty());
    }

    #[test]
    fn no_more_results_wait_than_asked_for() {
        let items: Vec<usize> = (0..300).collect();
        for ahead in [0, 1, 3, 1000] {
            let (made, taken) = (AtomicUsize::new(0), AtomicUsize::new(0));
            let work = |&item: &usize| {
                made.fetch_add(1, Ordering::SeqCst);
                item
            };
            let ends = in_order(FIVE, ahead, &items, work, |&item, result| {
                assert_eq!(item, result);
                // The one that is taken makes room for another.
                let waiting = made.load(Ordering::SeqCst) - taken.load(Ordering::SeqCst);
                assert!(waiting <= ahead.max(1) + 1, "{waiting} of {ahead}");
                assert_eq!(taken.fetch_add(1, Ordering::SeqCst), item);
                ControlFlow::<()>::Continue(())
            });
            assert!(ends.is_continue());
            assert_eq!(taken.into_inner(), items.len());
        }
    }

    #[test]
    fn who_takes_may_break_off() {
        let items: Vec<usize> = (0..1000).collect();
        for threads in [NonZeroUsize::MIN, FIVE] {
            let made = AtomicUsize::new(0);
            let work = |&item: &usize| {
                made.fetch_add(1, Ordering::SeqCst);
                item
            };
            let ends = in_order(threads, 4, &items, work, |_, result| match result {
                7 => ControlFlow::Break(result),
                _ => ControlFlow::Continue(()),
            });
            assert_eq!(ends, ControlFlow::Break(7));
            assert!(made.into_inner() <= 7 + 1 + 4);
        }
    }

    #[test]
    fn a_panic_is_passed_on() {
        let items: Vec<usize> = (0..50).collect();
        for threads in [NonZeroUsize::MIN, FIVE] {
            let fails = |&item: &usize| {
                if item == 20 {
                    resume_unwind(Box::new("broken"));
                }
            };
            let run = || map_on(threads, &items, fails);
            assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
            let take = |&item: &usize, ()| {
                fails(&item);
                ControlFlow::<()>::Continue(())
            };
            let run = || in_order(threads, 2, &items, |_| (), take);
            assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
        }
    }
}
