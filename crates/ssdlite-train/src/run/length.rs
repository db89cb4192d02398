//! How long a run is and how many images a step has, where that is left open.
//!
//! A network from scratch takes about as many steps on a few images as on some
//! hundreds; with a large set's batch, fifty photos have two steps an epoch.

use ssdlite_files::counted;

use crate::config::TrainingOptions;

/// Steps after which a network of a few classes, begun from scratch, finds
/// objects, measured on rendered images and photos of blood cells. Far shorter
/// runs end before.
pub const ENOUGH_STEPS: u64 = 1000;

/// The fewest images of a step that is left open: a batch norm's statistics of
/// fewer are too far from those of all images.
const LEAST_BATCH: usize = 8;

/// The most steps that a batch leaves an epoch, where it may grow.
const STEPS_PER_EPOCH: usize = 10;

/// The fewest steps between two evaluations that are left open: an evaluation of
/// few images and its running statistics cost about as much as ten steps.
const STEPS_PER_EVALUATION: u64 = 25;

/// What runs on some hundreds of images have.
#[derive(Clone, Copy, Debug)]
pub(super) struct UsualLength {
    /// Passes over the images, of which a smaller set gets more.
    pub(super) epochs: u32,
    /// Images a step, of which a smaller set gets less.
    pub(super) batch: usize,
}

impl UsualLength {
    /// A detector's.
    pub(super) const DETECTOR: Self = Self {
        epochs: 100,
        batch: 24,
    };

    /// A classifier's.
    pub(super) const CLASSIFIER: Self = Self {
        epochs: 40,
        batch: 32,
    };

    /// Chooses what is 0 for a set of so many images, and brings a batch down to the
    /// set's size; says so if that batch was asked for. `every` is the number of
    /// epochs from one evaluation to the next.
    pub(super) fn fit(
        self,
        training: &mut TrainingOptions,
        every: &mut u32,
        images: usize,
    ) -> Option<String> {
        let images = images.max(1);
        let asked = training.batch;
        if asked == 0 {
            let share = images / STEPS_PER_EPOCH / LEAST_BATCH * LEAST_BATCH;
            training.batch = share.clamp(LEAST_BATCH, self.batch);
        }
        training.batch = training.batch.min(images);
        let steps = (images / training.batch) as u64;
        if *every == 0 {
            *every = STEPS_PER_EVALUATION.div_ceil(steps) as u32;
        }
        if training.epochs == 0 {
            training.epochs = self.epochs.max(ENOUGH_STEPS.div_ceil(steps) as u32);
        }
        (asked > images).then(|| {
            let there = counted(images, "image");
            format!("a batch of {asked} is more than the {there} to learn from: a step has no more")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fitted(usual: UsualLength, images: usize) -> (usize, u32) {
        let mut training = TrainingOptions::default();
        let mut every = 0;
        assert_eq!(usual.fit(&mut training, &mut every, images), None);
        let steps = (images / training.batch) as u32;
        assert!(every * steps >= 25 && (every - 1) * steps < 25, "{every}");
        (training.batch, training.epochs)
    }

    #[test]
    fn small_sets_get_enough_steps() {
        for images in 1..2000 {
            for usual in [UsualLength::DETECTOR, UsualLength::CLASSIFIER] {
                let (batch, epochs) = fitted(usual, images);
                let steps = (images / batch) as u64 * u64::from(epochs);
                assert!(steps >= ENOUGH_STEPS, "{images} images: {steps} steps");
                assert!((1..=images).contains(&batch));
                assert!(batch <= usual.batch && epochs >= usual.epochs);
            }
        }
    }

    #[test]
    fn some_hundreds_of_images_have_the_usual_length() {
        for images in [240, 292, 346, 10_000] {
            assert_eq!(fitted(UsualLength::DETECTOR, images), (24, 100));
        }
        assert_eq!(fitted(UsualLength::CLASSIFIER, 864), (32, 40));
        assert_eq!(fitted(UsualLength::DETECTOR, 49), (8, 167));
        assert_eq!(fitted(UsualLength::DETECTOR, 3), (3, 1000));
    }

    #[test]
    fn what_was_given_stays() {
        let mut training = TrainingOptions {
            epochs: 3,
            batch: 16,
            ..TrainingOptions::default()
        };
        let mut every = 2;
        let mut fit = |training: &mut TrainingOptions, images| {
            UsualLength::DETECTOR.fit(training, &mut every, images)
        };
        assert_eq!(fit(&mut training, 49), None);
        assert_eq!((training.epochs, training.batch), (3, 16));
        let note = fit(&mut training, 15).unwrap();
        assert!(note.contains("16") && note.contains("15"), "{note}");
        assert_eq!((training.epochs, training.batch), (3, 15));
        assert_eq!(fit(&mut training, 15), None);
        let note = fit(&mut training, 1).unwrap();
        assert!(note.contains("the 1 image to"), "{note}");
        assert_eq!(every, 2);
    }
}
