//! Buffers that are used again: a training step asks for the same sizes as the
//! one before, and fresh memory costs as much as the kernels that fill it.
//!
//! A tensor holds its buffer read-only. When the last tensor on it is gone, the
//! buffer goes back to the store, which never holds more than a share above the
//! most that was in use at a time.

use std::collections::HashMap;
use std::ops::{AddAssign, Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};

use burn::backend::Flex;
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use burn::tensor::{AllocationProperty, Bytes, DType, TensorData};
use ssdlite_kernels::Buffer as Memory;
use ssdlite_kernels::train::norm::NormSums;

use super::tensors::MapSize;

/// A buffer serves a request of at least this share of its length.
const LEAST_USE: usize = 2;

static STORE: Mutex<Store> = Mutex::new(Store::new());

struct Store {
    /// Oldest first.
    free: Vec<Memory>,
    free_len: usize,
    used_len: usize,
    most_used: usize,
    notes: Option<HashMap<usize, Note>>,
}

/// What the operation that made a gradient knows of it besides.
#[derive(Debug)]
pub(super) enum Note {
    /// The sums of batch norm's backward pass.
    Norm(NormSums),
    /// The gradient of the factors of squeeze-and-excitation, `[N, C]`.
    Factors(Vec<f32>),
}

impl Note {
    /// The note on the sum of two gradients, if both have one.
    pub(super) fn of_sum(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        match (one?, other?) {
            (Self::Norm(mut one), Self::Norm(other)) => {
                add(&mut one.du, &other.du);
                add(&mut one.du_centred, &other.du_centred);
                Some(Self::Norm(one))
            }
            (Self::Factors(mut one), Self::Factors(other)) => {
                add(&mut one, &other);
                Some(Self::Factors(one))
            }
            _ => None,
        }
    }
}

fn add<T: Copy + AddAssign>(sums: &mut [T], others: &[T]) {
    for (sum, &other) in sums.iter_mut().zip(others) {
        *sum += other;
    }
}

impl Store {
    const fn new() -> Self {
        Self {
            free: Vec::new(),
            free_len: 0,
            used_len: 0,
            most_used: 0,
            notes: None,
        }
    }

    fn lock() -> MutexGuard<'static, Self> {
        STORE.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The smallest free buffer of at least `len` numbers that isn't too long.
    fn take(&mut self, len: usize) -> Option<Memory> {
        let fits = |buffer: &Memory| buffer.len() >= len && buffer.len() <= LEAST_USE * len;
        let candidates = self.free.iter().enumerate();
        let (index, _) = candidates
            .filter(|(_, buffer)| fits(buffer))
            .min_by_key(|(_, buffer)| buffer.len())?;
        let buffer = self.free.remove(index);
        self.free_len -= buffer.len();
        Some(buffer)
    }

    fn count_use(&mut self, len: usize) {
        self.used_len += len;
        self.most_used = self.most_used.max(self.used_len);
    }

    fn give_back(&mut self, buffer: Memory) -> Vec<Memory> {
        self.used_len -= buffer.len();
        self.free_len += buffer.len();
        self.free.push(buffer);
        let bound = self.most_used + self.most_used / 4;
        let mut surplus = Vec::new();
        while self.used_len + self.free_len > bound && !self.free.is_empty() {
            let oldest = self.free.remove(0);
            self.free_len -= oldest.len();
            surplus.push(oldest);
        }
        surplus
    }
}

/// Numbers that return to the store when dropped.
#[derive(Debug)]
pub(super) struct Buffer {
    /// At least `len` numbers.
    values: Memory,
    len: usize,
}

impl Buffer {
    /// `len` numbers of any value.
    pub(super) fn take(len: usize) -> Self {
        let mut store = Store::lock();
        let found = store.take(len);
        store.count_use(found.as_ref().map_or(len, |buffer| buffer.len()));
        drop(store);
        let values = found.unwrap_or_else(|| Memory::zeroed(len));
        Self { values, len }
    }

    /// A tensor of this shape, row-major.
    pub(super) fn into_tensor<const D: usize>(self, shape: [usize; D]) -> FloatTensor<Flex> {
        let owner = bytes::Bytes::from_owner(self);
        let bytes = Bytes::from_shared(owner, AllocationProperty::Native);
        FloatTensor::<Flex>::from_data(TensorData::from_bytes(bytes, shape, DType::F32))
    }

    /// A map, `[N, C, H, W]`, of numbers that lie channels-last.
    pub(super) fn into_map(self, size: MapSize) -> FloatTensor<Flex> {
        let shape = [size.images, size.height, size.width, size.channels];
        Flex::float_permute(self.into_tensor(shape), &[0, 3, 1, 2])
    }

    /// The same, with a note that [`take_note`] finds as long as the numbers
    /// are these.
    pub(super) fn into_noted_map(self, size: MapSize, note: Option<Note>) -> FloatTensor<Flex> {
        if let Some(note) = note {
            let notes = &mut Store::lock().notes;
            notes
                .get_or_insert_default()
                .insert(self.values.as_ptr().addr(), note);
        }
        self.into_map(size)
    }
}

/// The note on the buffer that starts with these numbers.
///
/// A noted buffer is read-only and the note goes with it, so the address names
/// what the note was written for.
pub(super) fn take_note(values: &[f32]) -> Option<Note> {
    let notes = &mut Store::lock().notes;
    notes.as_mut()?.remove(&values.as_ptr().addr())
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let values = std::mem::take(&mut self.values);
        let mut store = Store::lock();
        if let Some(notes) = &mut store.notes {
            notes.remove(&values.as_ptr().addr());
        }
        let surplus = store.give_back(values);
        drop(store);
        drop(surplus);
    }
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.values[..self.len]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.values[..self.len]
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        bytemuck::cast_slice(self)
    }
}
