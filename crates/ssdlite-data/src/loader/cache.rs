//! Decoded images, kept from epoch to epoch.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use ssdlite_image::{DecodeMemory, Limits, RgbImage};

use crate::images::image_fault;

/// Keeps the decoded images that come first until their bytes reach a bound.
///
/// Nothing is ever thrown out: each epoch asks for every image once, so a
/// full cache that made room would lose each image just before its turn.
pub struct ImageCache {
    limit_bytes: u64,
    /// Of all threads that decode at once.
    memory: DecodeMemory,
    state: Mutex<State>,
}

struct State {
    bytes: u64,
    images: Vec<Option<Arc<RgbImage>>>,
}

impl ImageCache {
    /// An empty cache for images numbered below `samples`.
    pub fn new(samples: usize, limit_bytes: u64) -> Self {
        Self {
            limit_bytes,
            memory: DecodeMemory::default(),
            state: Mutex::new(State {
                bytes: 0,
                images: vec![None; samples],
            }),
        }
    }

    /// The image `sample`, read from its file only if it isn't here. The error
    /// says what is wrong with the file, without its path.
    ///
    /// # Panics
    /// If there are not so many samples.
    pub fn image(&self, sample: usize, path: &Path) -> Result<Arc<RgbImage>, String> {
        self.get_or_decode(sample, || self.memory.decode_file(path, &Limits::default()))
            .map_err(|error| image_fault(&error, path))
    }

    fn get_or_decode<E>(
        &self,
        sample: usize,
        decode: impl FnOnce() -> Result<RgbImage, E>,
    ) -> Result<Arc<RgbImage>, E> {
        if let Some(image) = &self.state().images[sample] {
            return Ok(Arc::clone(image));
        }
        let image = Arc::new(decode()?);
        let mut state = self.state();
        let bytes = state.bytes + image.pixels().len() as u64;
        if state.images[sample].is_none() && bytes <= self.limit_bytes {
            state.bytes = bytes;
            state.images[sample] = Some(Arc::clone(&image));
        }
        Ok(image)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use ssdlite_image::ImageSize;

    use super::*;

    fn image(shade: u8) -> Result<RgbImage, String> {
        Ok(RgbImage::filled(ImageSize::new(5, 3), [shade; 3]))
    }

    #[test]
    fn images_are_kept_up_to_the_bound() {
        // Room for two images of 45 bytes.
        let cache = ImageCache::new(4, 134);
        for shade in 0..4 {
            let kept = cache.get_or_decode(shade, || image(shade as u8));
            assert_eq!(kept.unwrap().pixels()[0], shade as u8);
        }
        let again = |sample| cache.get_or_decode(sample, || Err("decoded again".to_owned()));
        assert!(again(0).is_ok());
        assert!(again(1).is_ok());
        assert!(again(2).is_err());
        assert!(again(3).is_err());
        assert_eq!(cache.state().bytes, 90);
    }

    #[test]
    fn a_bound_of_nothing_keeps_nothing() {
        let cache = ImageCache::new(1, 0);
        for _ in 0..2 {
            assert!(cache.get_or_decode(0, || image(1)).is_ok());
        }
        let failed = cache.get_or_decode(0, || Err("decoded again"));
        assert_eq!(failed.unwrap_err(), "decoded again");
    }
}
