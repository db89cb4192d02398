//! Sums per channel over many rows, gathered block by block and part by
//! part, and combined in a fixed order.

use std::sync::Mutex;

use super::operand::{Layout, for_runs};
use super::statistics::{Moments, NormSums};
use crate::buffer::Buffer;
use crate::isa::{Kernel, Simd};
use crate::pool::Part;
use crate::width::{for_groups, load_group, store_group};

/// Rows whose sums are added up in `f32` before they go to `f64`.
const FLUSH_ROWS: usize = 256;

/// Two sums per channel over rows that come in blocks: in `f32` over
/// [`FLUSH_ROWS`] rows, in `f64` beyond.
pub(crate) struct ChannelSums {
    partial: Buffer,
    pending: usize,
    pub(crate) first: Vec<f64>,
    pub(crate) second: Vec<f64>,
}

impl ChannelSums {
    pub(crate) fn new(channels: usize) -> Self {
        Self {
            partial: Buffer::zeroed(2 * channels),
            pending: 0,
            first: vec![0.0; channels],
            second: vec![0.0; channels],
        }
    }

    /// The partial sums, into which the caller is about to add `rows` rows.
    #[inline(always)]
    pub(super) fn before_adding(&mut self, rows: usize) -> (*mut f32, *mut f32) {
        if self.pending + rows > FLUSH_ROWS {
            self.flush();
        }
        self.pending += rows;
        let first = self.partial.as_mut_ptr();
        // The second half of `partial`.
        (first, first.wrapping_add(self.first.len()))
    }

    /// Adds `rows` rows, one after the other, to the first sum.
    ///
    /// # Safety
    /// `x` must be valid for reads of the rows.
    #[inline(always)]
    pub(crate) unsafe fn add_first<S: Simd>(&mut self, s: S, x: *const f32, rows: usize) {
        let c = self.first.len();
        let layout = Layout {
            channels: c,
            pixels: usize::MAX / 2,
        };
        for_runs!(layout, 0..rows, sum_run(c), |run, _image| {
            let (first, _) = self.before_adding(run.len());
            for_groups!(S, c, |i, width, G| {
                // SAFETY: rows of `x` are the caller's promise, the partial
                // sum holds `c` numbers.
                unsafe {
                    let first = first.add(i);
                    let mut sum: [_; G] = load_group(s, width, first);
                    for row in run.clone() {
                        let x: [_; G] = load_group(s, width, x.add(row * c + i));
                        for v in 0..G {
                            sum[v] = s.add(sum[v], x[v]);
                        }
                    }
                    store_group(s, width, first, sum);
                }
            })
        });
    }

    #[inline(always)]
    pub(crate) fn flush(&mut self) {
        let channels = self.first.len();
        let (first, second) = self.partial.split_at_mut(channels);
        for (sums, partial) in [(&mut self.first, first), (&mut self.second, second)] {
            for (sum, partial) in sums.iter_mut().zip(partial) {
                *sum += f64::from(*partial);
                *partial = 0.0;
            }
        }
        self.pending = 0;
    }
}

/// Rows that one visit to a channel's sums adds up: enough to pay for the
/// visit, few enough for the cache.
#[inline(always)]
pub(super) fn sum_run(channels: usize) -> usize {
    (4096 / channels).clamp(8, FLUSH_ROWS)
}

/// Gathers the moments of rows as they are written.
///
/// Sums of `z - shift` and its square, where `shift` is the first row seen: a
/// member of the population, so its distance from the mean is within
/// `sigma * sqrt(count)`, and the squares don't cancel however large the mean.
pub(crate) struct MomentSums {
    pub(super) shift: Vec<f32>,
    sums: ChannelSums,
    count: usize,
}

impl MomentSums {
    pub(crate) fn new(channels: usize) -> Self {
        Self {
            shift: vec![0.0; channels],
            sums: ChannelSums::new(channels),
            count: 0,
        }
    }

    /// Adds `rows` rows of `z`, each `channels` long, one after the other.
    ///
    /// # Safety
    /// `z` must be valid for reads of `rows * channels` numbers.
    #[inline(always)]
    pub(crate) unsafe fn add<S: Simd>(&mut self, s: S, z: *const f32, rows: usize) {
        s.run(AddMoments {
            sums: self,
            z,
            rows,
        });
    }

    /// The moments of all parts' rows, combined in order (Chan, Golub and
    /// LeVeque 1979).
    pub(crate) fn combine(parts: impl IntoIterator<Item = Self>, channels: usize) -> Moments {
        let mut count = 0_usize;
        let mut mean = vec![0.0_f64; channels];
        let mut squares = vec![0.0_f64; channels];
        for mut part in parts {
            if part.count == 0 {
                continue;
            }
            part.sums.flush();
            let n = part.count as f64;
            let total = count as f64 + n;
            for c in 0..channels {
                let part_sum = part.sums.first[c];
                let part_mean = f64::from(part.shift[c]) + part_sum / n;
                let part_squares = part.sums.second[c] - part_sum * part_sum / n;
                let delta = part_mean - mean[c];
                mean[c] += delta * n / total;
                squares[c] += part_squares + delta * delta * count as f64 * n / total;
            }
            count += part.count;
        }
        Moments {
            mean: mean.iter().map(|&x| x as f32).collect(),
            variance: squares
                .iter()
                .map(|&x| (x / count as f64).max(0.0) as f32)
                .collect(),
            count,
        }
    }
}

/// [`MomentSums::add`], whose condition holds.
struct AddMoments<'a> {
    sums: &'a mut MomentSums,
    z: *const f32,
    rows: usize,
}

impl Kernel for AddMoments<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { sums, z, rows } = self;
        let c = sums.shift.len();
        if sums.count == 0 && rows > 0 {
            // SAFETY: the first row, which exists.
            unsafe { z.copy_to_nonoverlapping(sums.shift.as_mut_ptr(), c) };
        }
        sums.count += rows;
        let layout = Layout {
            channels: c,
            pixels: usize::MAX / 2,
        };
        for_runs!(layout, 0..rows, sum_run(c), |run, _image| {
            let (first, second) = sums.sums.before_adding(run.len());
            for_groups!(S, c, |i, width, G| {
                // SAFETY: who made this has checked the rows of `z`; `shift`
                // and both partial sums hold `c` numbers.
                unsafe {
                    let (first, second) = (first.add(i), second.add(i));
                    let shift: [_; G] = load_group(s, width, sums.shift.as_ptr().add(i));
                    let mut a: [_; G] = load_group(s, width, first);
                    let mut b: [_; G] = load_group(s, width, second);
                    for row in run.clone() {
                        let z: [_; G] = load_group(s, width, z.add(row * c + i));
                        for v in 0..G {
                            let d = s.sub(z[v], shift[v]);
                            a[v] = s.add(a[v], d);
                            b[v] = s.mul_add(d, d, b[v]);
                        }
                    }
                    store_group(s, width, first, a);
                    store_group(s, width, second, b);
                }
            })
        });
    }
}

/// Combines the parts' sums in order.
pub(crate) fn combine_sums(
    parts: impl IntoIterator<Item = ChannelSums>,
    channels: usize,
) -> NormSums {
    let mut sums = NormSums {
        du: vec![0.0; channels],
        du_centred: vec![0.0; channels],
    };
    for mut part in parts {
        part.flush();
        for c in 0..channels {
            sums.du[c] += part.first[c];
            sums.du_centred[c] += part.second[c];
        }
    }
    sums
}

/// One slot for each part of a job, for what it gathers.
pub(crate) struct PerPart<T>(Vec<Mutex<Option<T>>>);

impl<T> PerPart<T> {
    pub(crate) fn new(parts: usize) -> Self {
        Self((0..parts).map(|_| Mutex::new(None)).collect())
    }

    pub(crate) fn set(&self, part: Part, value: T) {
        if let Ok(mut slot) = self.0[part.index].lock() {
            *slot = Some(value);
        }
    }

    /// What was set, in the parts' order.
    pub(crate) fn into_parts(self) -> impl Iterator<Item = T> {
        self.0
            .into_iter()
            .filter_map(|slot| slot.into_inner().ok().flatten())
    }
}
