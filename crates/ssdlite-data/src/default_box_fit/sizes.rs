//! The sizes that objects have in a network's input.

use ssdlite_core::GroundTruth;
use ssdlite_core::default_boxes::BoxSize;
use ssdlite_core::random::Rng;

use super::DefaultBoxFit;
use super::clusters::SizeSample;
use crate::augment::View;
use crate::dataset::{DetectionImage, DetectionSet};

/// The most sizes that are kept, of images seen whole and of augmented views each.
const MOST_SIZES: usize = 10_000;

/// The most views that are drawn.
const MOST_VIEWS: usize = 20_000;

/// The most views of one image: enough to show the augmentation's scales.
const VIEWS_PER_IMAGE: usize = 100;

/// Sets the draws of the fit apart from those of the training.
const FIT: u64 = 0x66_6974;

/// Items of a stream, each kept as likely as any other: J. S. Vitter, "Random Sampling
/// with a Reservoir", ACM Transactions on Mathematical Software 11(1), 1985, algorithm R.
struct Reservoir<T> {
    kept: Vec<T>,
    seen: usize,
    rng: Rng,
}

impl<T> Reservoir<T> {
    const fn new(rng: Rng) -> Self {
        let kept = Vec::new();
        Self { kept, seen: 0, rng }
    }

    fn add(&mut self, item: T) {
        self.seen += 1;
        if self.kept.len() < MOST_SIZES {
            self.kept.push(item);
            return;
        }
        let place = self.rng.below(self.seen);
        if let Some(slot) = self.kept.get_mut(place) {
            *slot = item;
        }
    }
}

/// The size of an object with its class.
struct ClassSize {
    class: usize,
    size: BoxSize,
}

/// Sizes of the learnt objects of a set: half the weight in all is theirs on images
/// seen whole, as at inference, half theirs in augmented views.
///
/// A class weighs as the square root of the number of its objects, so that a rare one
/// is neither lost among the others nor worth as much as one that shows what is typical.
pub(super) fn collect_sizes(fit: &DefaultBoxFit, set: &DetectionSet) -> Vec<SizeSample> {
    let reservoir = |kind: u64| Reservoir::new(Rng::from_keys(&[fit.seed, FIT, kind]));
    let mut whole = reservoir(0);
    for image in &set.images {
        add_objects(
            fit,
            &View::whole(image.size),
            &learnt(fit, image),
            &mut whole,
        );
    }
    let mut augmented = reservoir(1);
    for (image, round) in views(fit, set, whole.seen) {
        let objects = learnt(fit, &set.images[image]);
        let mut rng = Rng::from_keys(&[fit.seed, FIT, image as u64, round]);
        let view = (fit.augment).draw_view(set.images[image].size, &objects, &mut rng);
        add_objects(fit, &view, &objects, &mut augmented);
    }
    let classes = set.classes.len();
    let halves = [whole.kept, augmented.kept];
    let weighted = halves.into_iter().flat_map(|half| weighted(half, classes));
    weighted.collect()
}

/// Which images are drawn, and which time: in random order, each as often as the
/// others but for the last round.
fn views(
    fit: &DefaultBoxFit,
    set: &DetectionSet,
    objects: usize,
) -> impl Iterator<Item = (usize, u64)> {
    let rounds = MOST_SIZES.div_ceil(objects.max(1)).min(VIEWS_PER_IMAGE);
    let mut order: Vec<usize> = (0..set.images.len()).collect();
    Rng::from_keys(&[fit.seed, FIT]).shuffle(&mut order);
    let all = (0..rounds as u64).flat_map(move |round| {
        let images = order.clone().into_iter();
        images.map(move |image| (image, round))
    });
    all.take(MOST_VIEWS)
}

fn learnt(fit: &DefaultBoxFit, image: &DetectionImage) -> Vec<GroundTruth> {
    let objects = image.objects.iter().copied();
    objects
        .filter(|object| fit.difficult.counts(object))
        .collect()
}

fn add_objects(
    fit: &DefaultBoxFit,
    view: &View,
    objects: &[GroundTruth],
    sizes: &mut Reservoir<ClassSize>,
) {
    for object in view.objects_in_input(objects, fit.input) {
        let bbox = object.bbox.to_fractions(fit.input);
        sizes.add(ClassSize {
            class: object.class.index(),
            size: BoxSize {
                width: bbox.width(),
                height: bbox.height(),
            },
        });
    }
}

/// The sizes with weights whose sum is 1.
fn weighted(sizes: Vec<ClassSize>, classes: usize) -> Vec<SizeSample> {
    let mut counts = vec![0_usize; classes];
    for size in &sizes {
        counts[size.class] += 1;
    }
    let root = |class: usize| (counts[class] as f64).sqrt();
    let sum: f64 = (0..classes).map(root).sum();
    let samples = sizes.iter().map(|&ClassSize { class, size }| SizeSample {
        size,
        weight: 1.0 / (root(class) * sum),
    });
    samples.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reservoir_keeps_each_item_as_likely() {
        let (mut low, draws, items) = (0, 20, 5 * MOST_SIZES);
        for seed in 0..draws {
            let mut reservoir = Reservoir::new(Rng::from_keys(&[seed]));
            (0..items).for_each(|item| reservoir.add(item));
            assert_eq!((reservoir.kept.len(), reservoir.seen), (MOST_SIZES, items));
            low += reservoir
                .kept
                .iter()
                .filter(|&&item| item < items / 2)
                .count();
        }
        let share = low as f64 / (draws as usize * MOST_SIZES) as f64;
        // Five standard deviations of 200,000 draws.
        assert!((share - 0.5).abs() < 0.006, "{share}");
    }

    #[test]
    fn classes_weigh_as_roots_of_their_numbers() {
        let size = BoxSize {
            width: 0.1,
            height: 0.2,
        };
        let sizes = [vec![0; 90], vec![2; 10]].concat();
        let sizes = sizes.into_iter().map(|class| ClassSize { class, size });
        let samples = weighted(sizes.collect(), 3);
        let sum = |samples: &[SizeSample]| samples.iter().map(|s| s.weight).sum::<f64>();
        assert!((sum(&samples) - 1.0).abs() < 1e-9);
        assert!((sum(&samples[..90]) / sum(&samples[90..]) - 3.0).abs() < 1e-9);
    }
}
