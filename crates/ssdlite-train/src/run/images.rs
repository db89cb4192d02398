//! Images of what a run does: the first batch with its targets, and what the
//! best network finds.

use ssdlite_core::detector::BOX_NUMBERS;
use ssdlite_core::{
    ClassId, ClassNames, GroundTruth, ImageSize, ModelInfo, PixelBox, Preprocessing,
};
use ssdlite_data::DetectionSet;
use ssdlite_data::loader::{ClassificationBatch, DetectionBatch, TargetEncoder};
use ssdlite_image::decode::decode_file;
use ssdlite_image::draw::{fitted, grid, pair, size_inside};
use ssdlite_image::{LabelledBox, Limits, Resizer, RgbImage, draw_boxes};
use ssdlite_infer::Detector;

use crate::error::Result;

/// Images in a grid.
const SHOWN: usize = 16;
const COLUMNS: u32 = 4;

/// Images in a grid of pairs, each with its labels and with what is found.
const PAIRS: usize = 12;
const PAIR_COLUMNS: u32 = 3;

/// An image in a grid.
const CELL: ImageSize = ImageSize::square(320);

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
        .map(|(image, (labels, regressions))| {
            let objects = objects_from_targets(labels, regressions, targets, batch.input);
            drawn_in_cell(&image, &boxes_of_objects(&objects, &info.classes))
        })
        .collect();
    grid(&drawn, CELL, COLUMNS)
}

/// The first images of a classifier's batch, each with the name of its class.
pub(crate) fn grid_of_inputs(batch: &ClassificationBatch, info: &ModelInfo) -> RgbImage {
    let images = inputs_as_images(&batch.pixels, batch.input, &info.preprocessing);
    let named: Vec<RgbImage> = images
        .zip(&batch.labels)
        .map(|(image, &label)| {
            let class = ClassId::from_index(label as usize);
            let whole = GroundTruth {
                class,
                bbox: PixelBox::new(0.0, 0.0, image.width() as f32, image.height() as f32),
                difficult: false,
            };
            drawn_in_cell(&image, &boxes_of_objects(&[whole], &info.classes))
        })
        .collect();
    grid(&named, CELL, COLUMNS)
}

/// The first images of a set, each with its labels and beside it with what a detector
/// finds in it; none if none can be read.
pub(crate) fn grid_of_detections(
    set: &DetectionSet,
    detector: &Detector,
) -> Result<Option<RgbImage>> {
    let mut pairs = Vec::new();
    for image in set.images.iter().take(PAIRS) {
        // An image that can't be read was reported by the evaluation.
        let Ok(pixels) = decode_file(&image.path, &Limits::default()) else {
            continue;
        };
        let labelled = boxes_of_objects(&image.objects, &set.classes);
        let found = detector.detect(&pixels)?;
        let found = LabelledBox::of_detections(found.iter(), detector.classes());
        let [labelled, found] =
            [labelled, found].map(|boxes| fitted(&drawn_in_cell(&pixels, &boxes), CELL));
        pairs.push(pair([&labelled, &found], ["labelled", "found"]));
    }
    let Some(first) = pairs.first() else {
        return Ok(None);
    };
    Ok(Some(grid(&pairs, first.size(), PAIR_COLUMNS)))
}

/// An image in the size that it has in a cell, with its boxes drawn there, so that
/// their labels can be read.
fn drawn_in_cell(image: &RgbImage, boxes: &[LabelledBox]) -> RgbImage {
    let size = size_inside(image.size(), CELL);
    let mut small = Resizer::new().stretch(image, size);
    let boxes: Vec<LabelledBox> = boxes
        .iter()
        .map(|item| LabelledBox {
            bbox: item.bbox.rescaled(image.size(), size),
            ..item.clone()
        })
        .collect();
    draw_boxes(&mut small, &boxes);
    small
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

fn boxes_of_objects(objects: &[GroundTruth], classes: &ClassNames) -> Vec<LabelledBox> {
    let objects = objects.iter();
    objects
        .map(|object| LabelledBox::of_ground_truth(object, classes))
        .collect()
}
