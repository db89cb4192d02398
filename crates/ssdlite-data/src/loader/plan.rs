//! Which samples stand in which batch of an epoch.

use ssdlite_core::random::Rng;

/// Keeps the random numbers of an epoch's order apart from those of its
/// samples.
#[derive(Clone, Copy)]
enum Purpose {
    Order = 0,
    Sample = 1,
}

/// The number of batches in each epoch of `samples` samples.
///
/// The samples that are left over at the end of an epoch are left out of it,
/// others each time. Where the data don't fill one batch, samples come up again
/// until they do.
pub(crate) fn batches_per_epoch(samples: usize, batch_size: usize) -> usize {
    (samples / batch_size).max(1)
}

/// The batches of one epoch, shuffled anew in each. Every batch is full.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct EpochPlan {
    seed: u64,
    epoch: u64,
    order: Vec<usize>,
    batch_size: usize,
}

impl EpochPlan {
    /// A plan for `samples` samples; neither they nor `batch_size` may be 0.
    pub(crate) fn new(seed: u64, epoch: u64, samples: usize, batch_size: usize) -> Self {
        let mut order: Vec<usize> = (0..samples).collect();
        Rng::from_keys(&[seed, Purpose::Order as u64, epoch]).shuffle(&mut order);
        Self {
            seed,
            epoch,
            order,
            batch_size,
        }
    }

    /// The places in the epoch that batch `batch` fills.
    pub(crate) fn positions(&self, batch: usize) -> std::ops::Range<usize> {
        let start = batch * self.batch_size;
        start..start + self.batch_size
    }

    /// The samples that may stand at a place of the epoch, best first: each one
    /// that can't be used is replaced by the next.
    pub(crate) fn candidates(&self, position: usize) -> impl Iterator<Item = usize> {
        let places = position..position + self.order.len();
        places.map(|at| self.order[at % self.order.len()])
    }

    /// Random numbers for the sample at a place of the epoch.
    pub(crate) fn rng(&self, position: usize) -> Rng {
        let keys = [
            self.seed,
            Purpose::Sample as u64,
            self.epoch,
            position as u64,
        ];
        Rng::from_keys(&keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: u64 = 7;

    fn first_choices(plan: &EpochPlan, batches: usize) -> Vec<usize> {
        (0..batches)
            .flat_map(|batch| plan.positions(batch))
            .filter_map(|position| plan.candidates(position).next())
            .collect()
    }

    #[test]
    fn batches_are_full_of_different_samples() {
        let plan = EpochPlan::new(SEED, 3, 23, 4);
        let batches = batches_per_epoch(23, 4);
        assert_eq!(batches, 5);
        let mut samples = first_choices(&plan, batches);
        assert_eq!(samples.len(), 20);
        samples.sort_unstable();
        samples.dedup();
        assert_eq!(samples.len(), 20);
    }

    #[test]
    fn too_few_samples_come_up_again() {
        let plan = EpochPlan::new(SEED, 0, 3, 4);
        let samples = first_choices(&plan, batches_per_epoch(3, 4));
        assert_eq!(samples.len(), 4);
        assert_eq!(samples[0], samples[3]);
    }

    #[test]
    fn epochs_and_seeds_differ() {
        let order = |seed, epoch| first_choices(&EpochPlan::new(seed, epoch, 40, 4), 10);
        assert_eq!(order(1, 2), order(1, 2));
        assert_ne!(order(1, 2), order(1, 3));
        assert_ne!(order(1, 2), order(2, 2));
    }
}
