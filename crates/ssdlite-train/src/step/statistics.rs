//! The running statistics of a batch norm.
//!
//! They are taken anew for the weights that are evaluated, as a mean over some
//! training batches: those that were gathered while the weights moved belong to
//! weights of the past, which in a short run were others altogether. "Precise
//! batch norm" of arXiv 2105.07576, section 3; PyTorch's `swa_utils.update_bn`.

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
    /// Counts a batch in, as PyTorch's `BatchNorm2d` with `momentum=None`: the
    /// running statistics are the mean over all batches counted, of the variances
    /// the unbiased ones. Where a channel has a single value, that is undefined, so
    /// the running one stays as it is; PyTorch refuses such a batch.
    pub fn add(&self, values: &mut [f32], batch: BatchStatistics<'_>) {
        let counted = values[self.batches.clone()].first().copied();
        let share = 1.0 / (f64::from(counted.unwrap_or_default()) + 1.0);
        let mut moved = |range: &Range<usize>, newest: &[f32], factor: f64| {
            let newest_share = (share * factor) as f32;
            let kept = (1.0 - share) as f32;
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
