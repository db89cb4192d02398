//! Decoded pictures, kept from epoch to epoch.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use ssdlite_image::decode::decode_file;
use ssdlite_image::{Limits, RgbImage};

use crate::pictures::picture_fault;

/// Keeps the decoded pictures that come first until their bytes reach a bound.
///
/// Nothing is ever thrown out: each epoch asks for every picture once, so a
/// full cache that made room would lose each picture just before its turn.
pub struct PictureCache {
    limit_bytes: u64,
    state: Mutex<State>,
}

struct State {
    bytes: u64,
    pictures: Vec<Option<Arc<RgbImage>>>,
}

impl PictureCache {
    /// An empty cache for pictures numbered below `samples`.
    pub fn new(samples: usize, limit_bytes: u64) -> Self {
        Self {
            limit_bytes,
            state: Mutex::new(State {
                bytes: 0,
                pictures: vec![None; samples],
            }),
        }
    }

    /// The picture `sample`, read from its file only if it isn't here. The error
    /// says what is wrong with the file, without its path.
    ///
    /// # Panics
    /// If there are not so many samples.
    pub fn picture(&self, sample: usize, path: &Path) -> Result<Arc<RgbImage>, String> {
        self.get_or_decode(sample, || decode_file(path, &Limits::default()))
            .map_err(|error| picture_fault(&error, path))
    }

    fn get_or_decode<E>(
        &self,
        sample: usize,
        decode: impl FnOnce() -> Result<RgbImage, E>,
    ) -> Result<Arc<RgbImage>, E> {
        if let Some(picture) = &self.state().pictures[sample] {
            return Ok(Arc::clone(picture));
        }
        let picture = Arc::new(decode()?);
        let mut state = self.state();
        let bytes = state.bytes + picture.pixels().len() as u64;
        if state.pictures[sample].is_none() && bytes <= self.limit_bytes {
            state.bytes = bytes;
            state.pictures[sample] = Some(Arc::clone(&picture));
        }
        Ok(picture)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use ssdlite_image::ImageSize;

    use super::*;

    fn picture(shade: u8) -> Result<RgbImage, String> {
        Ok(RgbImage::filled(ImageSize::new(5, 3), [shade; 3]))
    }

    #[test]
    fn pictures_are_kept_up_to_the_bound() {
        // Room for two pictures of 45 bytes.
        let cache = PictureCache::new(4, 134);
        for shade in 0..4 {
            let kept = cache.get_or_decode(shade, || picture(shade as u8));
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
        let cache = PictureCache::new(1, 0);
        for _ in 0..2 {
            assert!(cache.get_or_decode(0, || picture(1)).is_ok());
        }
        let failed = cache.get_or_decode(0, || Err("decoded again"));
        assert_eq!(failed.unwrap_err(), "decoded again");
    }
}
