//! What a depthwise convolution reads: a map, or what is computed row by row
//! while it is read.

use super::map::{MapRef, MapShape};
use super::packed::{Pointwise, Stem};
use super::stem;

/// What a depthwise convolution reads.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// A map with the depthwise convolution's padding.
    Map(MapRef<'a>),
    /// The output of a 1x1 convolution.
    Expanded {
        /// The convolution.
        layer: &'a Pointwise,
        /// Its input.
        input: MapRef<'a>,
    },
    /// The output of the first convolution.
    Pixels {
        /// The convolution.
        layer: &'a Stem,
        /// An image of packed RGB bytes.
        pixels: &'a [u8],
        /// Its width.
        width: usize,
    },
}

impl Source<'_> {
    /// The shape of what the depthwise convolution reads.
    pub(super) fn shape(&self) -> MapShape {
        match self {
            Self::Map(map) => map.shape(),
            Self::Expanded { layer, input } => MapShape {
                channels: layer.out_channels,
                padding: 0,
                ..input.shape()
            },
            Self::Pixels {
                layer,
                pixels,
                width,
            } => layer.output(pixels, *width),
        }
    }

    pub(super) fn kind(&self) -> SourceKind {
        match self {
            Self::Map(_) => SourceKind::Map,
            Self::Expanded { layer, .. } => SourceKind::Expanded {
                in_channels: layer.in_channels,
            },
            Self::Pixels { .. } => SourceKind::Pixels,
        }
    }
}

/// Which [`Source`] a chain has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// A map.
    Map,
    /// A 1x1 convolution.
    Expanded {
        /// Channels that it reads.
        in_channels: usize,
    },
    /// The first convolution.
    Pixels,
}

impl SourceKind {
    /// Multiplications for each number that the depthwise convolution reads.
    pub(super) const fn inputs(self) -> usize {
        match self {
            Self::Map => 0,
            Self::Expanded { in_channels } => in_channels,
            Self::Pixels => stem::INPUTS,
        }
    }
}
