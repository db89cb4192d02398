//! The option of how many threads work on images.

use std::num::NonZeroUsize;

use ssdlite_infer::MOST_THREADS;

use super::number::whole;

/// Reads a number of threads.
pub(crate) fn threads(text: &str) -> Result<NonZeroUsize, String> {
    whole(NonZeroUsize::MIN..=MOST_THREADS)(text)
}

/// How threads are shared out between images and the network's work on each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spread {
    /// Images that are looked at at once.
    pub(crate) of_images: NonZeroUsize,
    /// Threads that share the network's work.
    pub(crate) of_model: NonZeroUsize,
}

impl Spread {
    /// Of so many images and nothing else: where there are enough for all threads, each
    /// takes whole images.
    pub(crate) fn of(threads: NonZeroUsize, images: usize) -> Self {
        let of_model = match images >= threads.get() {
            true => NonZeroUsize::MIN,
            false => threads,
        };
        Self {
            of_model,
            ..Self::beside_others(threads, images)
        }
    }

    /// Of inputs of which others than images want all threads for each of their frames.
    pub(crate) fn beside_others(threads: NonZeroUsize, inputs: usize) -> Self {
        Self {
            of_images: NonZeroUsize::new(inputs).map_or(threads, |inputs| inputs.min(threads)),
            of_model: threads,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_images_are_taken_whole_and_few_are_shared() {
        let threads = |threads| NonZeroUsize::new(threads).unwrap();
        for (images, expected) in [
            (0, (4, 4)),
            (1, (1, 4)),
            (3, (3, 4)),
            (4, (4, 1)),
            (9, (4, 1)),
        ] {
            let spread = Spread::of(threads(4), images);
            assert_eq!((spread.of_images.get(), spread.of_model.get()), expected);
        }
        let spread = Spread::beside_others(threads(4), 9);
        assert_eq!((spread.of_images.get(), spread.of_model.get()), (4, 4));
        assert_eq!(Spread::of(threads(1), 9).of_images.get(), 1);
    }
}
