//! Images of what a run does: the first batch with its targets, and what the
//! best network finds.

use ssdlite_core::detector::BOX_NUMBERS;
use ssdlite_core::{
    ClassId, ClassNames, GroundTruth, ImageSize, ModelInfo, PixelBox, Preprocessing,
};
use ssdlite_data::DetectionSet;
use ssdlite_data::loader::{ClassificationBatch, DetectionBatch, TargetEncoder};
use ssdlite_image::decode::decode_file;
use ssdlite_image::draw::grid;
use ssdlite_image::{LabelledBox, Limits, RgbImage, draw_boxes};
use ssdlite_infer::Detector;

use crate::error::Result;

/// Images in a grid.
const SHOWN: usize = 16;
const COLUMNS: u32 = 4;

/// Side of an image in a grid, in pixels.
const CELL: u32 = 320;

/// The first images of a batch with the boxes that its targets describe.
pub(crate) fn grid_of_batch(
    batch: &DetectionBatch,
    info: &ModelInfo,
    targets: &TargetEncoder,
) -> RgbImage {
    let boxes = targets.default_boxes.len();
    let images = inputs_as_images(&batch.pixels, batch.input, &info.preprocessing);
    let labels = batch.labels.chunks(boxes.max(1));
    let regressions = batch.regression.chunks((boxes * BOX_NUMBERS).max(1));
    let drawn: Vec<RgbImage> = images
        .zip(labels.zip(regressions))
        .map(|(mut image, (labels, regressions))| {
            let objects = objects_from_targets(labels, regressions, targets, batch.input);
            draw_objects(&mut image, &objects, &info.classes);
            image
        })
        .collect();
    grid_of(&drawn)
}

/// The first images of a classifier's batch.
pub(crate) fn grid_of_inputs(batch: &ClassificationBatch, info: &ModelInfo) -> RgbImage {
    let images = inputs_as_images(&batch.pixels, batch.input, &info.preprocessing);
    grid_of(&images.collect::<Vec<_>>())
}

/// The first images of a set with what a detector finds in them; none if
/// none can be read.
pub(crate) fn grid_of_detections(
    set: &DetectionSet,
    detector: &Detector,
) -> Result<Option<RgbImage>> {
    let mut images = Vec::new();
    for image in set.images.iter().take(SHOWN) {
        // An image that can't be read was reported by the evaluation.
        let Ok(mut image) = decode_file(&image.path, &Limits::default()) else {
            continue;
        };
        let found = detector.detect(&image)?;
        // The most certain come last and lie on top.
        let boxes: Vec<LabelledBox> = found
            .iter()
            .rev()
            .map(|detection| LabelledBox::of_detection(detection, detector.classes()))
            .collect();
        draw_boxes(&mut image, &boxes);
        images.push(image);
    }
    Ok((!images.is_empty()).then(|| grid_of(&images)))
}

fn grid_of(images: &[RgbImage]) -> RgbImage {
    grid(images, ImageSize::square(CELL), COLUMNS)
}

/// The images that a batch's normalised pixels were made from.
fn inputs_as_images<'a>(
    pixels: &'a [f32],
    size: ImageSize,
    preprocessing: &'a Preprocessing,
) -> impl Iterator<Item = RgbImage> + 'a {
    let numbers = size.width as usize * size.height as usize * 3;
    pixels.chunks_exact(numbers).take(SHOWN).map(move |input| {
        let Preprocessing { mean, std, .. } = preprocessing;
        let mut image = RgbImage::filled(size, [0; 3]);
        for (index, (byte, value)) in image.pixels_mut().iter_mut().zip(input).enumerate() {
            let channel = index % 3;
            *byte = ((value * std[channel] + mean[channel]) * 255.0).round() as u8;
        }
        image
    })
}

/// The objects that default boxes are matched to, each once.
fn objects_from_targets(
    labels: &[i32],
    regressions: &[f32],
    targets: &TargetEncoder,
    input: ImageSize,
) -> Vec<GroundTruth> {
    let mut objects: Vec<GroundTruth> = Vec::new();
    let rows = labels
        .iter()
        .zip(regressions.chunks_exact(BOX_NUMBERS))
        .zip(targets.default_boxes.centers());
    for ((&label, numbers), default) in rows {
        if label <= 0 {
            continue;
        }
        let numbers = [numbers[0], numbers[1], numbers[2], numbers[3]];
        let bbox = targets.coder.decode(numbers, default).to_pixels(input);
        let class = ClassId::from_index(label as usize - 1);
        let known = |object: &GroundTruth| object.class == class && is_near(object.bbox, bbox);
        if !objects.iter().any(known) {
            objects.push(GroundTruth {
                class,
                bbox,
                difficult: false,
            });
        }
    }
    objects
}

/// Whether two boxes differ by rounding alone.
fn is_near(a: PixelBox, b: PixelBox) -> bool {
    let pairs = a.to_array().into_iter().zip(b.to_array());
    pairs.into_iter().all(|(a, b)| (a - b).abs() < 0.5)
}

fn draw_objects(image: &mut RgbImage, objects: &[GroundTruth], classes: &ClassNames) {
    let boxes = objects.iter();
    let boxes: Vec<LabelledBox> = boxes
        .map(|object| LabelledBox::of_ground_truth(object, classes))
        .collect();
    draw_boxes(image, &boxes);
}
