//! The option of how large images may be.

use std::path::Path;

use clap::Args;
use ssdlite_image::decode::header_of_file;
use ssdlite_image::{DecodeMemory, Decoded, Error, ImageSize, Limits};

use super::number::whole;

/// What `Limits::default` allows.
const USUAL_MEGAPIXELS: u32 = 120;

/// What the longest sides that are taken make.
const MOST_MEGAPIXELS: u32 = 1_000;

/// How large images may be.
#[derive(Args)]
pub(crate) struct LimitArgs {
    /// Largest image in million pixels, 1 to 1000; each takes 3 to 9 times as many
    /// megabytes of memory
    #[arg(
        long,
        value_name = "MILLIONS",
        default_value_t = USUAL_MEGAPIXELS,
        value_parser = whole(1..=MOST_MEGAPIXELS)
    )]
    max_megapixels: u32,
}

impl LimitArgs {
    pub(crate) fn limits(&self) -> Limits {
        Limits::with_megapixels(self.max_megapixels)
    }

    /// What `work` makes of the image file at `path`, decoded at `least` so large; an
    /// image with too many pixels is told with the option that allows more.
    pub(crate) fn with_decoded<T>(
        &self,
        memory: &DecodeMemory,
        path: &Path,
        least: ImageSize,
        work: impl FnOnce(Decoded) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let limits = self.limits();
        let worked = memory.with_decoded_file(path, &limits, least, work);
        worked.map_err(|error| {
            let is_too_large = matches!(error, Error::OverLimit(_))
                && header_of_file(path, &limits)
                    .is_ok_and(|header| limits.has_too_many_pixels(header.stored));
            match is_too_large {
                true => anyhow::anyhow!("{error}; --max-megapixels allows more"),
                false => error.into(),
            }
        })?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_limit_is_the_library_s() {
        assert_eq!(Limits::with_megapixels(USUAL_MEGAPIXELS), Limits::default());
        let most = Limits::with_megapixels(MOST_MEGAPIXELS);
        let longest = u64::from(most.max_width) * u64::from(most.max_height);
        assert!(most.max_pixels <= longest);
    }
}
