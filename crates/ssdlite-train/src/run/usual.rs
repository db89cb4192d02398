//! How long a run is, how many images a step has and how fast it learns, where that is
//! left open.
//!
//! A network from scratch takes about as many steps on a few images as on some
//! hundreds; with a large set's batch, fifty photos have two steps an epoch.

use ssdlite_files::counted;

use super::session::Start;
use crate::config::TrainingOptions;

/// Steps after which a network of a few classes, begun from scratch, finds
/// objects, measured on rendered images and photos of blood cells. Far shorter
/// runs end before.
pub const ENOUGH_STEPS: u64 = 1000;

/// The fewest images of a step that is left open: a batch norm's statistics of
/// fewer are too far from those of all images.
const LEAST_BATCH: usize = 8;

/// A batch that is left open is a multiple of this.
const BATCH_UNIT: usize = 4;

/// The fewest steps between two evaluations that are left open: an evaluation of
/// few images and its running statistics cost about as much as ten steps.
const STEPS_PER_EVALUATION: u64 = 25;

/// The highest learning rate of a run that begins with weights.
pub(super) const FINE_TUNING_LR: f64 = 2e-3;

/// What runs on some hundreds of images have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usual {
    /// Passes over the images, of which a smaller set gets more.
    pub(super) epochs: u32,
    /// Images a step, of which a smaller set gets less.
    pub(super) batch: usize,
    /// The steps of an epoch from which on a batch grows.
    pub(super) steps_per_epoch: usize,
    /// The highest learning rate of a run that begins with random weights.
    pub(super) lr: f64,
}

impl Usual {
    /// A detector's. On rendered images and on blood cells it learns more in twice the
    /// steps of half the images, and at a higher rate: `docs/results.md`.
    pub(super) const DETECTOR: Self = Self {
        epochs: 100,
        batch: 24,
        steps_per_epoch: 24,
        lr: 8e-3,
    };

    /// A classifier's.
    pub(super) const CLASSIFIER: Self = Self {
        epochs: 40,
        batch: 32,
        steps_per_epoch: 10,
        lr: 2e-3,
    };

    /// Chooses what is 0 for a set of so many images, and brings a batch down to the
    /// set's size; says so if that batch was asked for. `every` is the number of
    /// epochs from one evaluation to the next.
    pub(super) fn fit(
        self,
        training: &mut TrainingOptions,
        every: &mut u32,
        images: usize,
        start: &Start,
    ) -> Option<String> {
        let images = images.max(1);
        let asked = training.batch;
        if asked == 0 {
            let share = images / self.steps_per_epoch / BATCH_UNIT * BATCH_UNIT;
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
        if training.lr == 0.0 {
            training.lr = match start {
                Start::Weights(_) => FINE_TUNING_LR,
                Start::Random | Start::Resume | Start::Prolong => self.lr,
            };
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

    fn fitted(usual: Usual, images: usize) -> (usize, u32) {
        let mut training = TrainingOptions::default();
        let mut every = 0;
        assert_eq!(
            usual.fit(&mut training, &mut every, images, &Start::Random),
            None
        );
        let steps = (images / training.batch) as u32;
        assert!(every * steps >= 25 && (every - 1) * steps < 25, "{every}");
        (training.batch, training.epochs)
    }

    #[test]
    fn small_sets_get_enough_steps() {
        for images in 1..2000 {
            for usual in [Usual::DETECTOR, Usual::CLASSIFIER] {
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
        for (images, batch) in [(225, 8), (292, 12), (400, 16), (576, 24), (10_000, 24)] {
            assert_eq!(fitted(Usual::DETECTOR, images), (batch, 100));
        }
        for (images, batch) in [(160, 16), (864, 32)] {
            assert_eq!(fitted(Usual::CLASSIFIER, images).0, batch);
        }
        assert_eq!(fitted(Usual::DETECTOR, 49), (8, 167));
        assert_eq!(fitted(Usual::DETECTOR, 3), (3, 1000));
    }

    #[test]
    fn weights_are_learnt_on_from_slowly() {
        let rate = |lr, start: Start| {
            let mut training = TrainingOptions {
                lr,
                ..TrainingOptions::default()
            };
            Usual::DETECTOR.fit(&mut training, &mut 1, 300, &start);
            training.lr
        };
        let weights = || Start::Weights("model.safetensors".into());
        assert!(rate(0.0, weights()) < rate(0.0, Start::Random));
        assert_eq!([rate(0.5, weights()), rate(0.5, Start::Random)], [0.5; 2]);
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
            Usual::DETECTOR.fit(training, &mut every, images, &Start::Random)
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
