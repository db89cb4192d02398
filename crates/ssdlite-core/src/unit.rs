//! What operations are made of: map sizes, activations and convolutions.

use serde::{Deserialize, Serialize};

/// The `eps` of every batch norm: torchvision's `mobilenetv3.py`.
pub const BATCH_NORM_EPS: f64 = 1e-3;

/// A map of features: rows and columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MapSize {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl MapSize {
    /// A map of `height` rows and `width` columns.
    pub const fn new(height: usize, width: usize) -> Self {
        Self { height, width }
    }

    /// The number of cells.
    pub const fn cells(self) -> usize {
        self.height * self.width
    }

    /// The map after a convolution with odd kernel `k`, padding `k / 2` and
    /// this stride.
    pub const fn strided(self, stride: usize) -> Self {
        Self::new(self.height.div_ceil(stride), self.width.div_ceil(stride))
    }
}

/// What follows a batch norm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// Nothing: the projection of a bottleneck.
    Identity,
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, 0), 6)`.
    Relu6,
    /// `x * relu6(x + 3) / 6`.
    HardSwish,
}

/// How a convolution connects channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConvKind {
    /// Every input channel to every output channel, larger than 1x1: the stem.
    Full,
    /// Each channel on its own.
    Depthwise,
    /// 1x1, every input channel to every output channel.
    Pointwise,
}

/// A two-dimensional convolution with a square odd kernel, padding
/// `kernel / 2` and dilation 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Conv {
    /// How it connects channels.
    pub kind: ConvKind,
    /// Channels of its input.
    pub in_channels: usize,
    /// Channels of its output.
    pub out_channels: usize,
    /// Side of the kernel.
    pub kernel: usize,
    /// Step in both directions.
    pub stride: usize,
}

impl Conv {
    /// A 1x1 convolution.
    pub const fn pointwise(in_channels: usize, out_channels: usize) -> Self {
        Self {
            kind: ConvKind::Pointwise,
            in_channels,
            out_channels,
            kernel: 1,
            stride: 1,
        }
    }

    /// A convolution of each channel on its own.
    pub const fn depthwise(channels: usize, kernel: usize, stride: usize) -> Self {
        Self {
            kind: ConvKind::Depthwise,
            in_channels: channels,
            out_channels: channels,
            kernel,
            stride,
        }
    }

    /// The number of groups: 1, or one a channel.
    pub const fn groups(&self) -> usize {
        match self.kind {
            ConvKind::Depthwise => self.in_channels,
            ConvKind::Full | ConvKind::Pointwise => 1,
        }
    }

    /// Shape of the weight, `[out, in / groups, kernel, kernel]`.
    pub const fn weight_shape(&self) -> [usize; 4] {
        [
            self.out_channels,
            self.in_channels / self.groups(),
            self.kernel,
            self.kernel,
        ]
    }

    /// Multiplications with addition on an input map of this size.
    pub const fn macs(&self, input: MapSize) -> u64 {
        let [out, per_group, kernel, _] = self.weight_shape();
        (input.strided(self.stride).cells() * out * per_group * kernel * kernel) as u64
    }
}
