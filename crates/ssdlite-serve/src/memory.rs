//! Bounds the bytes of bodies and frames that are held at once.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::refusal::Refusal;

/// Room is counted in these: a semaphore is asked for 32 bits of them.
const UNIT_BYTES: usize = 1024;

/// The room for bodies and frames.
pub(crate) struct Memory {
    units: usize,
    free: Arc<Semaphore>,
}

/// Room that is taken until the last clone is dropped.
#[derive(Clone)]
pub(crate) struct Room {
    _units: Arc<OwnedSemaphorePermit>,
}

impl Memory {
    pub(crate) fn new(bytes: usize) -> Self {
        let units = bytes.div_ceil(UNIT_BYTES).min(Semaphore::MAX_PERMITS);
        Self {
            units,
            free: Arc::new(Semaphore::new(units)),
        }
    }

    /// Takes room for so many bytes, or refuses at once. What is larger than
    /// all of the room takes all of it.
    pub(crate) fn take(&self, bytes: usize) -> Result<Room, Refusal> {
        let units = bytes.div_ceil(UNIT_BYTES).min(self.units);
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        let permit = Arc::clone(&self.free).try_acquire_many_owned(units);
        Ok(Room {
            _units: Arc::new(permit.map_err(|_| Refusal::Full)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_comes_back_with_the_last_clone() {
        let memory = Memory::new(10 * UNIT_BYTES);
        let first = memory.take(6 * UNIT_BYTES).unwrap();
        let clone = first.clone();
        assert!(memory.take(5 * UNIT_BYTES).is_err());
        assert!(memory.take(4 * UNIT_BYTES).is_ok());
        drop(first);
        assert!(memory.take(5 * UNIT_BYTES).is_err());
        drop(clone);
        let whole = memory.take(usize::MAX).unwrap();
        assert!(memory.take(1).is_err());
        drop(whole);
        assert!(memory.take(1).is_ok());
    }
}
