//! A bound on the memory of all images that are being decoded at once.

use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use ssdlite_core::ImageSize;

use crate::decode::{Limits, WHOLE, decode_in_room, read_image_file};
use crate::error::Result;
use crate::reduced::Decoded;
use crate::rgb::RgbImage;

/// Memory that the threads of one owner share while they decode. An image
/// waits until there is room for it; those that came before go first, so that
/// a large one isn't overtaken for ever. One that is larger than all of the
/// memory is decoded alone.
#[derive(Debug)]
pub struct DecodeMemory {
    bytes: u64,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    free: u64,
    /// The number that the next image to come gets.
    next: u64,
    /// The number of the image that is let in next.
    first: u64,
}

impl Default for DecodeMemory {
    /// 1 GiB: twenty photos of 12 megapixels, or four progressive ones of 48.
    fn default() -> Self {
        Self::new(1 << 30)
    }
}

impl DecodeMemory {
    /// Room for so many bytes.
    pub fn new(bytes: u64) -> Self {
        Self {
            bytes,
            state: Mutex::new(State {
                free: bytes,
                next: 0,
                first: 0,
            }),
            changed: Condvar::new(),
        }
    }

    /// [`decode`](crate::decode::decode) as soon as there is room.
    ///
    /// # Errors
    /// Those of [`decode`](crate::decode::decode).
    pub fn decode(&self, bytes: &[u8], limits: &Limits) -> Result<RgbImage> {
        Ok(self.decode_at_least(bytes, limits, WHOLE)?.into_image())
    }

    /// [`decode_at_least`](crate::decode::decode_at_least) as soon as there is room.
    ///
    /// # Errors
    /// Those of [`decode`](crate::decode::decode).
    pub fn decode_at_least(
        &self,
        bytes: &[u8],
        limits: &Limits,
        least: ImageSize,
    ) -> Result<Decoded> {
        decode_in_room(bytes, limits, least, |needed| self.take(needed))
    }

    /// What `work` makes of an image that is decoded no larger than needed, as by
    /// [`decode_at_least`](crate::decode::decode_at_least), as soon as there is room.
    /// Until it is done the room that the image itself takes is held.
    ///
    /// # Errors
    /// Those of [`decode`](crate::decode::decode).
    pub fn with_decoded<T>(
        &self,
        bytes: &[u8],
        limits: &Limits,
        least: ImageSize,
        work: impl FnOnce(Decoded) -> T,
    ) -> Result<T> {
        let mut room = None;
        let decoded = decode_in_room(bytes, limits, least, |needed| {
            room = Some(self.take(needed));
        })?;
        if let Some(room) = &mut room {
            room.shrink_to(decoded.image().pixels().len() as u64);
        }
        Ok(work(decoded))
    }

    /// [`Self::with_decoded`] for the file at `path`.
    ///
    /// # Errors
    /// Those of [`decode_file`](crate::decode::decode_file).
    pub fn with_decoded_file<T>(
        &self,
        path: &Path,
        limits: &Limits,
        least: ImageSize,
        work: impl FnOnce(Decoded) -> T,
    ) -> Result<T> {
        let bytes = read_image_file(path, limits)?;
        (self.with_decoded(&bytes, limits, least, work)).map_err(|error| error.in_file(path))
    }

    /// [`decode_file`](crate::decode::decode_file) as soon as there is room.
    ///
    /// # Errors
    /// Those of [`decode_file`](crate::decode::decode_file).
    pub fn decode_file(&self, path: &Path, limits: &Limits) -> Result<RgbImage> {
        Ok(self.decode_file_at_least(path, limits, WHOLE)?.into_image())
    }

    /// [`decode_file_at_least`](crate::decode::decode_file_at_least) as soon as there is
    /// room.
    ///
    /// # Errors
    /// Those of [`decode_file`](crate::decode::decode_file).
    pub fn decode_file_at_least(
        &self,
        path: &Path,
        limits: &Limits,
        least: ImageSize,
    ) -> Result<Decoded> {
        let bytes = read_image_file(path, limits)?;
        (self.decode_at_least(&bytes, limits, least)).map_err(|error| error.in_file(path))
    }

    /// Waits for so many bytes, or all if there are fewer.
    fn take(&self, bytes: u64) -> Room<'_> {
        let bytes = bytes.min(self.bytes);
        let mut state = self.lock();
        let number = state.next;
        state.next += 1;
        let must_wait = |state: &mut State| state.first != number || state.free < bytes;
        let waited = self.changed.wait_while(state, must_wait);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        state.free -= bytes;
        state.first += 1;
        drop(state);
        self.changed.notify_all();
        Room {
            memory: self,
            bytes,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes that are taken until it is dropped.
struct Room<'a> {
    memory: &'a DecodeMemory,
    bytes: u64,
}

impl Room<'_> {
    /// Gives back what it has more than so many bytes.
    fn shrink_to(&mut self, bytes: u64) {
        let more = self.bytes.saturating_sub(bytes);
        self.bytes -= more;
        self.memory.lock().free += more;
        self.memory.changed.notify_all();
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::thread;

    use super::*;
    use crate::encode::jpeg_from_image;

    #[test]
    fn what_is_taken_at_once_never_exceeds_the_memory() {
        let memory = DecodeMemory::new(100);
        let (held, most) = (AtomicU64::new(0), AtomicU64::new(0));
        thread::scope(|scope| {
            for thread in 0..8 {
                let (memory, held, most) = (&memory, &held, &most);
                scope.spawn(move || {
                    for round in 0..200 {
                        // Up to 196, which is more than there is.
                        let room = memory.take((thread * 31 + round) % 197);
                        let now = held.fetch_add(room.bytes, Ordering::SeqCst) + room.bytes;
                        most.fetch_max(now, Ordering::SeqCst);
                        thread::yield_now();
                        held.fetch_sub(room.bytes, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(most.into_inner(), 100);
        assert_eq!(memory.lock().free, 100);
    }

    #[test]
    fn an_image_holds_its_room_until_it_is_done_with() {
        let image = RgbImage::filled(ImageSize::new(61, 37), [9, 8, 7]);
        let file = jpeg_from_image(&image, 90).unwrap();
        let memory = DecodeMemory::new(1 << 20);
        for (least, size) in [(WHOLE, (61, 37)), (ImageSize::new(15, 9), (16, 10))] {
            let size = ImageSize::new(size.0, size.1);
            let free = memory.with_decoded(&file, &Limits::default(), least, |decoded| {
                assert_eq!(decoded.image().size(), size);
                memory.lock().free
            });
            assert_eq!(free.unwrap(), (1 << 20) - size.pixels() * 3);
        }
        assert_eq!(memory.lock().free, 1 << 20);
        let cut = &file[..file.len() / 2];
        assert!((memory.with_decoded(cut, &Limits::default(), WHOLE, |_| ())).is_err());
        assert_eq!(memory.lock().free, 1 << 20);
    }

    #[test]
    fn a_large_image_is_not_overtaken() {
        let memory = DecodeMemory::new(100);
        let order = Mutex::new(Vec::new());
        let first = memory.take(60);
        thread::scope(|scope| {
            // The last fits beside the first, but not beside the one that came before it.
            for (place, bytes) in [(1, 70), (2, 40)] {
                let (memory, order) = (&memory, &order);
                scope.spawn(move || {
                    let room = memory.take(bytes);
                    order.lock().unwrap().push(room.bytes);
                });
                while memory.lock().next <= place {
                    thread::yield_now();
                }
            }
            assert!(order.lock().unwrap().is_empty());
            drop(first);
        });
        assert_eq!(order.lock().unwrap().first(), Some(&70));
    }
}
