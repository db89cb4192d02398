//! Decodes images within the limits of the server.

use ssdlite_image::{DecodeMemory, Limits, RgbImage};

use crate::refusal::Refusal;

/// Decodes images for all that want it, which share the memory for that.
pub(crate) struct Decoder {
    limits: Limits,
    memory: DecodeMemory,
}

impl Decoder {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            memory: DecodeMemory::default(),
        }
    }

    /// Decodes an image file as soon as there is memory for it.
    pub(crate) fn decode(&self, file: &[u8]) -> Result<RgbImage, Refusal> {
        let decoded = self.memory.decode(file, &self.limits);
        decoded.map_err(|error| Refusal::Unusable(error.to_string()))
    }
}
