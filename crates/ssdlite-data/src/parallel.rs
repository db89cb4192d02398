//! The same work for many items on several cores.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
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
    let next = AtomicUsize::new(0);
    let run = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else {
                return done;
            };
            done.push((index, work(item)));
        }
    };
    let mut results: Vec<(usize, R)> = thread::scope(|scope| {
        let handles: Vec<_> = (0..threads.get().min(items.len()))
            .map(|_| scope.spawn(run))
            .collect();
        handles
            .into_iter()
            .flat_map(|handle| match handle.join() {
                Ok(done) => done,
                Err(panic) => std::panic::resume_unwind(panic),
            })
            .collect()
    });
    results.sort_unstable_by_key(|&(index, _)| index);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    #[test]
    fn results_come_in_the_order_of_the_items() {
        let items: Vec<usize> = (0..1009).collect();
        let doubled = super::map(&items, |item| item * 2);
        assert_eq!(doubled, (0..1009).map(|i| i * 2).collect::<Vec<_>>());
        for threads in [1, 5] {
            let threads = NonZeroUsize::new(threads).unwrap();
            let again = super::map_on(threads, &items, |item| item * 2);
            assert_eq!(again, doubled);
        }
        assert!(super::map(&[], |item: &u8| *item).is_empty());
    }
}
