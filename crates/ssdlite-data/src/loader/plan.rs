//! Which samples stand in which batch of an epoch.

use crate::rng::Rng;

/// What a pass over the data is for, which decides its order and its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// Shuffled anew each epoch. Every batch is full, and there are as many
    /// for each device: the samples that are left over at the end of an epoch
    /// are left out of it, others each time. Where the data don't fill one
    /// batch for each device, samples come up again until they do.
    ///
    /// A picture that can't be used is replaced by the next one.
    Training {
        /// What order and augmentation are drawn from.
        seed: u64,
        /// The number of devices that take turns in taking a batch.
        devices: usize,
    },
    /// In the order of the data set, every sample once: the last batch may be
    /// smaller than the others, as may be one with a picture that can't be
    /// used, which is left out.
    Evaluation,
}

impl Pass {
    pub(crate) fn devices(self) -> usize {
        match self {
            Self::Training { devices, .. } => devices,
            Self::Evaluation => 1,
        }
    }
}

/// Keeps the random numbers of an epoch's order apart from those of its
/// samples.
#[derive(Clone, Copy)]
enum Purpose {
    Order = 0,
    Sample = 1,
}

/// The batches of one epoch.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct EpochPlan {
    pass: Pass,
    epoch: u64,
    order: Vec<usize>,
    batch_size: usize,
}

impl EpochPlan {
    /// A plan for `samples` samples; neither they, `batch_size`, nor the
    /// number of devices may be 0.
    pub(crate) fn new(pass: Pass, epoch: u64, samples: usize, batch_size: usize) -> Self {
        let mut order: Vec<usize> = (0..samples).collect();
        if let Pass::Training { seed, .. } = pass {
            Rng::from_keys(&[seed, Purpose::Order as u64, epoch]).shuffle(&mut order);
        }
        Self {
            pass,
            epoch,
            order,
            batch_size,
        }
    }

    /// The number of batches in each epoch of `samples` samples.
    pub(crate) fn batches(pass: Pass, samples: usize, batch_size: usize) -> usize {
        match pass {
            Pass::Training { devices, .. } => {
                let rounds = samples / batch_size / devices;
                rounds.max(1) * devices
            }
            Pass::Evaluation => samples.div_ceil(batch_size),
        }
    }

    /// The places in the epoch that batch `batch` fills.
    pub(crate) fn positions(&self, batch: usize) -> std::ops::Range<usize> {
        let start = batch * self.batch_size;
        let end = start + self.batch_size;
        if self.every_place_is_filled() {
            start..end
        } else {
            start..end.min(self.order.len())
        }
    }

    /// Whether a sample that can't be used is replaced.
    pub(crate) fn every_place_is_filled(&self) -> bool {
        matches!(self.pass, Pass::Training { .. })
    }

    /// The samples that may stand at a place of the epoch, best first; at
    /// least one.
    pub(crate) fn candidates(&self, position: usize) -> impl Iterator<Item = usize> {
        let count = if self.every_place_is_filled() {
            self.order.len()
        } else {
            1
        };
        (position..position + count).map(|at| self.order[at % self.order.len()])
    }

    /// Random numbers for the sample at a place of the epoch.
    pub(crate) fn rng(&self, position: usize) -> Rng {
        let seed = match self.pass {
            Pass::Training { seed, .. } => seed,
            Pass::Evaluation => 0,
        };
        Rng::from_keys(&[seed, Purpose::Sample as u64, self.epoch, position as u64])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn training(devices: usize) -> Pass {
        Pass::Training { seed: 7, devices }
    }

    fn first_choices(plan: &EpochPlan, batches: usize) -> Vec<usize> {
        (0..batches)
            .flat_map(|batch| plan.positions(batch))
            .filter_map(|position| plan.candidates(position).next())
            .collect()
    }

    #[test]
    fn training_has_full_batches_of_different_samples() {
        let plan = EpochPlan::new(training(1), 3, 23, 4);
        let batches = EpochPlan::batches(training(1), 23, 4);
        assert_eq!(batches, 5);
        let mut samples = first_choices(&plan, batches);
        assert_eq!(samples.len(), 20);
        samples.sort_unstable();
        samples.dedup();
        assert_eq!(samples.len(), 20);
    }

    #[test]
    fn every_device_gets_as_many_batches() {
        for devices in 1..6 {
            for samples in 1..60 {
                let batches = EpochPlan::batches(training(devices), samples, 3);
                assert_eq!(batches % devices, 0);
                assert!(batches > 0);
            }
        }
    }

    #[test]
    fn too_few_samples_come_up_again() {
        let plan = EpochPlan::new(training(2), 0, 3, 4);
        let samples = first_choices(&plan, EpochPlan::batches(training(2), 3, 4));
        assert_eq!(samples.len(), 8);
        assert_eq!(samples[..3], samples[3..6]);
    }

    #[test]
    fn epochs_and_seeds_differ() {
        let order = |seed, epoch| {
            let pass = Pass::Training { seed, devices: 1 };
            first_choices(&EpochPlan::new(pass, epoch, 40, 4), 10)
        };
        assert_eq!(order(1, 2), order(1, 2));
        assert_ne!(order(1, 2), order(1, 3));
        assert_ne!(order(1, 2), order(2, 2));
    }

    #[test]
    fn evaluation_takes_every_sample_once_in_order() {
        let plan = EpochPlan::new(Pass::Evaluation, 0, 23, 4);
        let batches = EpochPlan::batches(Pass::Evaluation, 23, 4);
        assert_eq!(first_choices(&plan, batches), (0..23).collect::<Vec<_>>());
        assert_eq!(plan.positions(5), 20..23);
        assert_eq!(plan.candidates(4).count(), 1);
    }
}
