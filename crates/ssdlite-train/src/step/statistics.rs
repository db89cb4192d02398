//! The running statistics of a batch norm.

use std::ops::Range;

/// Where a batch norm's statistics lie in the flat vector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningStatistics {
    /// `running_mean`
    pub mean: Range<usize>,
    /// `running_var`
    pub variance: Range<usize>,
    /// `num_batches_tracked`
    pub batches: Range<usize>,
}

/// Statistics of each channel of a batch.
#[derive(Clone, Copy, Debug)]
pub struct BatchStatistics<'a> {
    /// The mean.
    pub mean: &'a [f32],
    /// The biased variance.
    pub variance: &'a [f32],
    /// Values of a channel.
    pub count: usize,
}

impl RunningStatistics {
    /// Moves the running statistics towards the batch's, as PyTorch's
    /// `BatchNorm2d`: the variance towards the unbiased one. Where a channel
    /// has a single value, that is undefined, so the running one stays as it
    /// is; PyTorch refuses such a batch. `momentum` is the share of the batch.
    pub fn update(&self, values: &mut [f32], batch: BatchStatistics<'_>, momentum: f64) {
        let mut moved = |range: &Range<usize>, newest: &[f32], factor: f64| {
            let newest_share = (momentum * factor) as f32;
            let kept = (1.0 - momentum) as f32;
            for (running, newest) in values[range.clone()].iter_mut().zip(newest) {
                *running = *running * kept + newest * newest_share;
            }
        };
        moved(&self.mean, batch.mean, 1.0);
        if batch.count > 1 {
            let count = batch.count as f64;
            moved(&self.variance, batch.variance, count / (count - 1.0));
        }
        for count in &mut values[self.batches.clone()] {
            *count += 1.0;
        }
    }
}
