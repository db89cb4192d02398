//! Decoded images, kept from epoch to epoch.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use ssdlite_core::ImageSize;
use ssdlite_image::{DecodeMemory, Decoded, Limits};

use crate::images::image_fault;

/// Keeps the decoded images that come first until their bytes reach a bound.
///
/// Nothing is ever thrown out: each epoch asks for every image once, so a
/// full cache that made room would lose each image just before its turn.
pub struct ImageCache<T> {
    limit_bytes: u64,
    /// Of all threads that decode at once.
    memory: DecodeMemory,
    state: Mutex<State<T>>,
}

struct State<T> {
    bytes: u64,
    /// Each with the least size that it was decoded for.
    images: Vec<Option<(ImageSize, Arc<T>)>>,
}

/// What is kept of an image.
pub trait Kept {
    /// The bytes of its pixels.
    fn bytes(&self) -> u64;
}

impl Kept for Decoded {
    fn bytes(&self) -> u64 {
        self.image().pixels().len() as u64
    }
}

impl<T: Kept> ImageCache<T> {
    /// An empty cache for images numbered below `samples`.
    pub fn new(samples: usize, limit_bytes: u64) -> Self {
        Self {
            limit_bytes,
            memory: DecodeMemory::default(),
            state: Mutex::new(State {
                bytes: 0,
                images: (0..samples).map(|_| None).collect(),
            }),
        }
    }

    /// What `keep` makes of the image `sample`, which is read from its file
    /// only if it isn't here for the same `least` size, decoded no larger than
    /// that needs. The error says what is wrong with the file, without its path.
    ///
    /// # Panics
    /// If there are not so many samples.
    pub fn image(
        &self,
        sample: usize,
        path: &Path,
        least: ImageSize,
        keep: impl FnOnce(Decoded) -> T,
    ) -> Result<Arc<T>, String> {
        self.get_or_decode(sample, least, || {
            let decoded = (self.memory).decode_file_at_least(path, &Limits::default(), least);
            decoded.map(keep)
        })
        .map_err(|error| image_fault(&error, path))
    }

    fn get_or_decode<E>(
        &self,
        sample: usize,
        least: ImageSize,
        decode: impl FnOnce() -> Result<T, E>,
    ) -> Result<Arc<T>, E> {
        match &self.state().images[sample] {
            Some((kept_for, image)) if *kept_for == least => return Ok(Arc::clone(image)),
            _ => {}
        }
        let image = Arc::new(decode()?);
        let mut state = self.state();
        let bytes = state.bytes + image.bytes();
        if state.images[sample].is_none() && bytes <= self.limit_bytes {
            state.bytes = bytes;
            state.images[sample] = Some((least, Arc::clone(&image)));
        }
        Ok(image)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: ImageSize = ImageSize::square(5);

    struct Shade(u8);

    impl Kept for Shade {
        fn bytes(&self) -> u64 {
            45
        }
    }

    #[test]
    fn images_are_kept_up_to_the_bound() {
        // Room for two images of 45 bytes.
        let cache = ImageCache::new(4, 134);
        for shade in 0..4 {
            let kept = cache.get_or_decode(shade, LEAST, || Ok::<_, String>(Shade(shade as u8)));
            assert_eq!(kept.unwrap().0, shade as u8);
        }
        let again = |sample| cache.get_or_decode(sample, LEAST, || Err("decoded again".to_owned()));
        assert!(again(0).is_ok());
        assert!(again(1).is_ok());
        assert!(again(2).is_err());
        assert!(again(3).is_err());
        assert_eq!(cache.state().bytes, 90);
    }

    #[test]
    fn an_image_for_another_size_is_another_image() {
        let cache = ImageCache::new(1, 100);
        let shade = |least, shade| {
            let least = ImageSize::square(least);
            let kept = cache.get_or_decode(0, least, || Ok::<_, String>(Shade(shade)));
            kept.unwrap().0
        };
        assert_eq!([shade(5, 1), shade(9, 2), shade(5, 3)], [1, 2, 1]);
    }

    #[test]
    fn a_bound_of_nothing_keeps_nothing() {
        let cache = ImageCache::new(1, 0);
        for _ in 0..2 {
            let kept = cache.get_or_decode(0, LEAST, || Ok::<_, String>(Shade(1)));
            assert!(kept.is_ok());
        }
        let failed = cache.get_or_decode(0, LEAST, || Err("decoded again"));
        assert_eq!(failed.err(), Some("decoded again"));
    }
}
