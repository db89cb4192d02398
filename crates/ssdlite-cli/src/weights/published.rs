//! The weights that torchvision publishes for these networks.

use ssdlite_core::Variant;

/// A published file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Published {
    /// Its name; the eight digits in it begin its SHA-256.
    pub(crate) file: &'static str,
    /// The first eight digits of its SHA-256.
    pub(crate) sha256_prefix: &'static str,
}

const SMALL_IMAGENET: Published = Published {
    file: "mobilenet_v3_small-047dcff4.pth",
    sha256_prefix: "047dcff4",
};

const LARGE_IMAGENET: Published = Published {
    file: "mobilenet_v3_large-5c1a4163.pth",
    sha256_prefix: "5c1a4163",
};

const LARGE_COCO: Published = Published {
    file: "ssdlite320_mobilenet_v3_large_coco-a79551df.pth",
    sha256_prefix: "a79551df",
};

/// What published weights were trained on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TrainedOn {
    /// Classifiers of 1000 classes.
    ImageNet,
    /// A detector of 80 classes, numbered to 90.
    Coco,
}

/// The published weights for a network, if there are any.
pub(crate) fn published_for(variant: Variant, trained_on: TrainedOn) -> Option<Published> {
    match (variant, trained_on) {
        (Variant::Small, TrainedOn::ImageNet) => Some(SMALL_IMAGENET),
        (Variant::Large, TrainedOn::ImageNet) => Some(LARGE_IMAGENET),
        (Variant::Large, TrainedOn::Coco) => Some(LARGE_COCO),
        (Variant::Small, TrainedOn::Coco) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digits_in_a_name_are_those_of_its_digest() {
        for weights in [SMALL_IMAGENET, LARGE_IMAGENET, LARGE_COCO] {
            let stem = weights.file.strip_suffix(".pth").unwrap();
            assert!(stem.ends_with(weights.sha256_prefix));
            assert_eq!(weights.sha256_prefix.len(), 8);
        }
    }
}
