//! Bytes of an image file: an error, or detections inside of the image.

#![no_main]

use std::num::NonZeroUsize;
use std::panic::{PanicHookInfo, set_hook};
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use ssdlite_core::{Detection, ImageSize, PostProcessing, Suppression};
use ssdlite_fuzz::{detector_info, model};
use ssdlite_image::Limits;
use ssdlite_image::decode::{decode, decode_at_least, header};
use ssdlite_infer::{Detector, DetectorOptions, RunOptions};

/// So large that every path of a decoder runs, so small that none takes long.
const LIMITS: Limits = Limits {
    max_width: 4096,
    max_height: 4096,
    max_pixels: 1 << 20,
    max_bytes: 1 << 20,
};

/// Many detections of arbitrary weights.
const MANY: PostProcessing = PostProcessing {
    score_threshold: 0.1,
    suppression: Suppression::Hard { max_iou: 0.5 },
    candidates_per_class: 100,
    max_detections: 50,
};

static DETECTOR: LazyLock<Detector> = LazyLock::new(|| {
    let options = DetectorOptions {
        run: RunOptions::threads(NonZeroUsize::MIN),
        post_processing: Some(MANY),
        tiles: None,
    };
    Detector::new(&model(&detector_info()), &options).expect("a sound model")
});

/// A decoder's panic is caught and becomes an error; one of ours is a find.
fn end_on_own_panic(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map_or("", |location| location.file());
    if place.contains("ssdlite") || place.contains("fuzz_targets") {
        eprintln!("{panic}");
        std::process::abort();
    }
}

fuzz_target!(init: set_hook(Box::new(end_on_own_panic)), |data: &[u8]| {
    let side = data.last().copied().unwrap_or_default().into();
    let least = ImageSize::new(side, side);
    let reduced = decode_at_least(data, &LIMITS, least);
    let Ok(image) = decode(data, &LIMITS) else {
        assert!(reduced.is_err());
        return;
    };
    let reduced = reduced.expect("what can be decoded can be reduced");
    assert_eq!(reduced.whole_size(), image.size());
    let header = header(data).expect("what can be decoded has a header");
    assert_eq!(header.displayed, image.size());
    for found in [DETECTOR.detect(&image), DETECTOR.detect(&reduced)] {
        expect_sound(&found.expect("finite outputs"), image.size());
    }
});

fn expect_sound(found: &[Detection], image: ImageSize) {
    assert!(found.len() <= MANY.max_detections);
    for detection in found {
        assert!((MANY.score_threshold..=1.0).contains(&detection.score));
        assert!(detection.bbox.is_valid());
        assert_eq!(detection.bbox, detection.bbox.clipped(image));
    }
}
