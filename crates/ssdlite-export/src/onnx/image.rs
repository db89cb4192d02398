//! A file's input: the image as a consumer hands it over, made what the network's first
//! convolution reads.
//!
//! The network was trained on `(p - mean) / std` with `p` from 0 to 1, around which its
//! convolutions see zeros. Dividing is folded into the first convolution's weights;
//! subtracting can't be folded too, since the zeros around the image would then stand
//! for black and no longer for the mean.

use ssdlite_core::Preprocessing;

use super::graph::{Attribute, Element, GraphBuilder, Port, Value};

/// Channels of an image.
const CHANNELS: usize = 3;

/// The numbers in which a consumer gives red, green and blue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InputNumbers {
    /// `f32` from 0 to 1; from -1 to 1 in [`Layout::Jetson`](super::Layout::Jetson), as
    /// jetson-inference gives them to every detector.
    #[default]
    Floats,
    /// `u8` from 0 to 255.
    Bytes,
}

impl InputNumbers {
    pub(super) const fn element(self) -> Element {
        match self {
            Self::Floats => Element::F32,
            Self::Bytes => Element::U8,
        }
    }
}

/// What a pixel's numbers mean: black is at `zero`, and white `unit` above it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scale {
    pub(super) zero: f64,
    pub(super) unit: f64,
}

/// What the first convolution reads.
#[derive(Clone, Debug)]
pub(super) struct Image {
    pub(super) value: Value,
    /// What the weights for red, green and blue are multiplied by.
    pub(super) scale: [f64; CHANNELS],
}

impl Image {
    /// Adds the input, and what stands between it and the first convolution.
    pub(super) fn new(
        builder: &mut GraphBuilder,
        port: &Port,
        Scale { zero, unit }: Scale,
        preprocessing: &Preprocessing,
    ) -> Self {
        let shift = preprocessing.mean.map(|mean| zero + unit * f64::from(mean));
        let scale = preprocessing.std.map(|std| 1.0 / (unit * f64::from(std)));
        let mut value = builder.input(port);
        if port.element() != Element::F32 {
            let to_float = [("to", Attribute::Int(Element::F32.number()))];
            value = builder.node("Cast", "image.float", &[&value], &to_float);
        }
        if shift.iter().any(|&shift| shift != 0.0) {
            let shift = shift.map(|shift| shift as f32);
            let shift = builder.floats("image.mean", &[1, CHANNELS, 1, 1], &shift);
            value = builder.node("Sub", "image.centred", &[&value, &shift], &[]);
        }
        Self { value, scale }
    }

    /// Multiplies weights `[out, 3, kernel, kernel]` by the scale of their channel.
    pub(super) fn scale_weights(&self, weights: &mut [f32], kernel: usize) {
        let channels = weights.chunks_exact_mut(kernel * kernel);
        for (channel, scale) in channels.zip(self.scale.iter().cycle()) {
            for weight in channel {
                *weight = (f64::from(*weight) * scale) as f32;
            }
        }
    }
}
