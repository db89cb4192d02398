//! Bytes of a model file: an error, or a model that runs.
//!
//! Input that begins with `{` is taken for the header of a file whose tensors
//! are all alike, so that headers are reached without the weights' bytes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use ssdlite_core::{ImageSize, Task};
use ssdlite_image::RgbImage;
use ssdlite_infer::{Classifier, Detector, DetectorOptions, ModelFile, RunOptions};

/// Bytes of the tensors after a header: more than the seeds' have.
const MOST_TENSOR_BYTES: usize = 1 << 20;

/// Multiplications and pixels of a network that still runs at once under the
/// sanitizer.
const MOST_MACS: u64 = 50_000_000;
const MOST_PIXELS: u64 = 256 * 256;

fuzz_target!(|data: &[u8]| {
    let bytes = if data.first() == Some(&b'{') {
        file_with_header(data)
    } else {
        data.to_vec()
    };
    let Ok(file) = ModelFile::from_bytes(&bytes) else {
        return;
    };
    let info = file.info();
    if info.macs() > MOST_MACS || info.preprocessing.size.pixels() > MOST_PIXELS {
        return;
    }
    let run = RunOptions::threads(std::num::NonZeroUsize::MIN);
    let image = RgbImage::filled(ImageSize::new(37, 21), [200, 3, 99]);
    match &info.task {
        Task::Classify => {
            if let Ok(classifier) = Classifier::new(&file, &run) {
                let _ = classifier.top(&image, 3);
            }
        }
        Task::Detect(_) => {
            let options = DetectorOptions {
                run,
                ..DetectorOptions::default()
            };
            if let Ok(detector) = Detector::new(&file, &options) {
                let _ = detector.detect(&image);
            }
        }
    }
});

fn file_with_header(header: &[u8]) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header);
    // 0.25 in each `f32`, a sound number in each role.
    let numbers = 0.25_f32.to_le_bytes().repeat(MOST_TENSOR_BYTES / 4);
    bytes.extend(&numbers[..tensor_bytes(header)]);
    bytes
}

/// Where a header says that the last tensor ends.
fn tensor_bytes(header: &[u8]) -> usize {
    let json: Value = serde_json::from_slice(header).unwrap_or_default();
    let tensors = json
        .as_object()
        .into_iter()
        .flat_map(|tensors| tensors.values());
    let ends = tensors.filter_map(|tensor| tensor["data_offsets"][1].as_u64());
    let end = ends.max().unwrap_or_default();
    end.min(MOST_TENSOR_BYTES as u64) as usize
}
