//! Decodes images within the limits of the server.

use ssdlite_image::decode::header;
use ssdlite_image::{DecodeMemory, Decoded, Error, ImageSize, Limits};

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

    /// What `work` makes of an image file, which is decoded at `least` so large, as
    /// soon as there is memory for it, and holds that until then.
    pub(crate) fn with_decoded<T>(
        &self,
        file: &[u8],
        least: ImageSize,
        work: impl FnOnce(Decoded) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        self.memory
            .with_decoded(file, &self.limits, least, work)
            .unwrap_or_else(|error| Err(self.refusal(file, &error)))
    }

    fn refusal(&self, file: &[u8], error: &Error) -> Refusal {
        let is_too_large =
            header(file).is_ok_and(|header| self.limits.has_too_many_pixels(header.stored));
        Refusal::Unusable(match error {
            Error::OverLimit(message) if is_too_large => {
                format!("{message}; who starts the server can allow more with --max-megapixels")
            }
            error => error.to_string(),
        })
    }
}
