//! How much memory a run takes, told before its first step: what is taken too much ends
//! a process without a word.

use ssdlite_core::ImageSize;
use ssdlite_files::counted;

use crate::error::{Error, Result};
use crate::memory::MachineMemory;

/// Vectors of all the network's tensors: values, gradients, two moments and the average,
/// and the last four of a checkpoint once more while it is written.
const TENSOR_VECTORS: u64 = 9;

/// The part of a training step's memory for an image that inference takes for one: it
/// keeps the maps that are still read, where a step keeps all of them and their gradients.
const INFERENCE_PART: u64 = 4;

/// Bytes of what a detector's default box should say: a class and four numbers.
const TARGET_BYTES: u64 = 20;

/// The least part of the memory that is told as one.
const LEAST_TOLD_PART: u64 = 20;

/// The share of the memory that is proposed to be used.
const USABLE_SHARE: f64 = 0.8;

/// What a run is made of, as far as its memory goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// Images in a batch.
    pub(super) batch: usize,
    /// The network's input.
    pub(super) input: ImageSize,
    /// Default boxes; 0 for a classifier.
    pub(super) default_boxes: usize,
    /// Numbers of all the network's tensors.
    pub(super) tensors: usize,
    /// Bytes of a step's maps and gradients.
    pub(super) step_bytes: u64,
    /// Bytes of the decoded images that are kept, as far as they are known.
    pub(super) cached_bytes: u64,
    /// Threads that make batches.
    pub(super) workers: usize,
    /// Threads that evaluate.
    pub(super) threads: usize,
}

impl Sizes {
    fn batches(&self) -> u64 {
        // The one that is learnt from and one more than there are workers.
        self.workers as u64 + 2
    }

    /// What an image of a batch takes.
    fn bytes_per_image(&self) -> u64 {
        let pixels = self.input.pixels() * 3 * size_of::<f32>() as u64;
        let targets = self.default_boxes as u64 * TARGET_BYTES;
        let in_step = self.step_bytes / self.batch.max(1) as u64;
        in_step.saturating_add(self.batches().saturating_mul(pixels + targets))
    }

    /// What does not depend on the size of a batch.
    fn fixed_bytes(&self) -> u64 {
        let tensors = self.tensors as u64 * size_of::<f32>() as u64 * TENSOR_VECTORS;
        let in_step = self.step_bytes / self.batch.max(1) as u64;
        let evaluation = (self.threads as u64).saturating_mul(in_step / INFERENCE_PART);
        tensors
            .saturating_add(evaluation)
            .saturating_add(self.cached_bytes)
    }

    fn bytes(&self) -> u64 {
        let batch = self.bytes_per_image().saturating_mul(self.batch as u64);
        batch.saturating_add(self.fixed_bytes())
    }

    /// The largest batch for which so many bytes are enough; 0 if none is.
    fn batch_for(&self, bytes: u64) -> u64 {
        let left = bytes.saturating_sub(self.fixed_bytes());
        left / self.bytes_per_image().max(1)
    }

    /// Checks that a run fits into a machine. Where it does, but not into what is free
    /// now, that is told.
    ///
    /// # Errors
    /// [`Error::Config`] for a run that takes more than there is.
    pub(super) fn check(&self, machine: MachineMemory) -> Result<Option<String>> {
        let bytes = self.bytes();
        if bytes <= machine.free {
            return Ok(None);
        }
        let kept = match self.cached_bytes {
            small if small < bytes / LEAST_TOLD_PART => String::new(),
            kept => format!(
                ", {} of it for decoded images that are kept",
                gibibytes(kept)
            ),
        };
        let needed = format!(
            "batches of {} of {} pixels take about {} of memory{kept}",
            counted(self.batch, "image"),
            self.input,
            gibibytes(bytes)
        );
        let usable = (machine.limit as f64 * USABLE_SHARE) as u64;
        let way_out = match self.batch_for(usable) {
            0 => "a smaller --size takes less, or a smaller --cache".to_owned(),
            fits => {
                let fits = fits.min(self.batch as u64);
                format!("--batch {fits} would fit, and a smaller --size or --cache takes less")
            }
        };
        if bytes > machine.limit {
            return Err(Error::Config(format!(
                "training.batch: {needed}, of which there are {}: {way_out}",
                gibibytes(machine.limit)
            )));
        }
        Ok(Some(format!(
            "{needed}, of which {} of {} are free: if the system ends the run, {way_out}",
            gibibytes(machine.free),
            gibibytes(machine.limit)
        )))
    }
}

fn gibibytes(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn sizes(batch: usize) -> Sizes {
        Sizes {
            batch,
            input: ImageSize::square(256),
            default_boxes: 0,
            tensors: 1 << 18,
            step_bytes: batch as u64 * 8 * MIB,
            cached_bytes: 100 * MIB,
            workers: 0,
            threads: 2,
        }
    }

    #[test]
    fn a_run_that_does_not_fit_is_told_what_does() {
        // An image: 8 MiB in the step, 0.75 MiB in each of two batches. Besides: 9 MiB of
        // tensors, 2 MiB in each of two threads, 100 MiB of images.
        assert_eq!(sizes(32).bytes(), (32 * 19 * MIB) / 2 + 113 * MIB);
        let machine = |mebibytes: u64| MachineMemory {
            limit: mebibytes * MIB,
            free: mebibytes * MIB * 3 / 4,
        };
        assert_eq!(sizes(32).check(machine(1024)).unwrap(), None);
        let warning = sizes(64).check(machine(800)).unwrap().unwrap();
        assert!(warning.contains("0.6 GiB of 0.8 GiB are free"), "{warning}");
        let error = sizes(4096).check(machine(1024)).unwrap_err().to_string();
        for words in [
            "4096 images",
            "256x256",
            "38.1 GiB",
            "are 1.0 GiB",
            "--batch 74 would",
        ] {
            assert!(error.contains(words), "{words}: {error}");
        }
        // What is proposed is taken.
        sizes(74).check(machine(1024)).unwrap();
        let error = sizes(1).check(machine(100)).unwrap_err().to_string();
        assert!(error.contains("a smaller --size"), "{error}");
    }

    #[test]
    fn sizes_without_measure_do_not_overflow() {
        let mut huge = sizes(1);
        huge.batch = usize::MAX;
        huge.step_bytes = u64::MAX;
        huge.cached_bytes = u64::MAX;
        let machine = MachineMemory { limit: 1, free: 1 };
        assert!(huge.check(machine).is_err());
    }
}
