//! What a detector's outputs are compared with.

use ssdlite_core::box_coder::BoxCoder;
use ssdlite_core::default_boxes::DefaultBoxes;
use ssdlite_core::detector::BOX_NUMBERS;
use ssdlite_core::matcher::Assignment;
use ssdlite_core::{FractionBox, GroundTruth, ImageSize};

/// The label of a default box without an object.
pub const BACKGROUND: i32 = 0;

/// What training makes of objects marked as difficult.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DifficultObjects {
    /// They are left out, as in SSD: default boxes on them learn the
    /// background.
    LeaveOut,
    /// They are objects like all others.
    Train,
}

impl DifficultObjects {
    /// Whether this object is learnt.
    pub fn counts(self, object: &GroundTruth) -> bool {
        !object.difficult || self == Self::Train
    }
}

/// Makes labels and regression targets of the objects in a network's input.
#[derive(Clone, Debug)]
pub struct TargetEncoder {
    /// The default boxes, in the order of the network's outputs.
    pub default_boxes: DefaultBoxes,
    /// How a box becomes four numbers.
    pub coder: BoxCoder,
    /// Which default boxes an object has.
    pub assignment: Assignment,
    /// Whether difficult objects count.
    pub difficult: DifficultObjects,
}

impl TargetEncoder {
    /// Writes the labels (`[boxes]`; [`BACKGROUND`], or class id + 1) and
    /// regression targets (`[boxes, 4]`; 0 for background) of one input. The
    /// objects' boxes are valid, in pixels of the input.
    pub fn write(
        &self,
        objects: &[GroundTruth],
        input: ImageSize,
        labels: &mut [i32],
        regression: &mut [f32],
    ) {
        let objects: Vec<&GroundTruth> = objects
            .iter()
            .filter(|object| self.difficult.counts(object))
            .collect();
        let boxes: Vec<FractionBox> = objects
            .iter()
            .map(|object| object.bbox.to_fractions(input))
            .collect();
        labels.fill(BACKGROUND);
        regression.fill(0.0);
        let (regression, _) = regression.as_chunks_mut::<BOX_NUMBERS>();
        let matches = self.assignment.assign(&self.default_boxes, &boxes);
        for (slot, object) in matches.into_iter().enumerate() {
            let Some(index) = object.map(|index| index as usize) else {
                continue;
            };
            let default = &self.default_boxes.centers()[slot];
            labels[slot] = label_from_class(objects[index]);
            regression[slot] = self.coder.encode(&boxes[index], default);
        }
    }
}

fn label_from_class(object: &GroundTruth) -> i32 {
    // There are at most `MAX_CLASSES` classes.
    object.class.index() as i32 + 1
}

#[cfg(test)]
mod tests {
    use ssdlite_core::default_boxes::DefaultBoxSizes;
    use ssdlite_core::unit::MapSize;
    use ssdlite_core::{ClassId, PixelBox};

    use super::*;

    const INPUT: ImageSize = ImageSize::new(320, 256);

    fn encoder(difficult: DifficultObjects) -> TargetEncoder {
        let maps = [(10, 12), (5, 6), (3, 3), (2, 2), (1, 1), (1, 1)];
        let maps = maps.map(|(height, width)| MapSize::new(height, width));
        TargetEncoder {
            default_boxes: DefaultBoxes::new(&DefaultBoxSizes::default(), &maps),
            coder: BoxCoder::default(),
            assignment: Assignment::default(),
            difficult,
        }
    }

    fn objects() -> [GroundTruth; 3] {
        let object = |class, corners: [f32; 4], difficult| GroundTruth {
            class: ClassId(class),
            bbox: PixelBox::new(corners[0], corners[1], corners[2], corners[3]),
            difficult,
        };
        [
            object(4, [10.0, 20.0, 90.0, 80.0], false),
            object(0, [200.0, 100.0, 310.0, 250.0], true),
            object(1, [150.0, 30.0, 153.0, 32.0], false),
        ]
    }

    #[test]
    fn decoded_targets_are_the_objects() {
        let encoder = encoder(DifficultObjects::Train);
        let count = encoder.default_boxes.len();
        let (mut labels, mut regression) = (vec![7; count], vec![7.0; 4 * count]);
        encoder.write(&objects(), INPUT, &mut labels, &mut regression);

        let mut found = [0; 3];
        let numbers = regression.as_chunks::<BOX_NUMBERS>().0;
        for (index, &label) in labels.iter().enumerate() {
            if label == BACKGROUND {
                assert_eq!(numbers[index], [0.0; BOX_NUMBERS]);
                continue;
            }
            let default = &encoder.default_boxes.centers()[index];
            let decoded = encoder
                .coder
                .decode(numbers[index], default)
                .to_pixels(INPUT);
            let object = objects()
                .iter()
                .position(|object| object.class.0 as i32 + 1 == label)
                .unwrap();
            let expected = objects()[object].bbox.to_array();
            for (a, b) in decoded.to_array().iter().zip(expected) {
                assert!((a - b).abs() < 1e-2);
            }
            found[object] += 1;
        }
        assert!(found[0] > 1 && found[1] > 1);
        assert_eq!(found[2], 1, "the tiny object has its best default box");
    }

    #[test]
    fn difficult_objects_are_left_out_and_what_was_there_is_gone() {
        let encoder = encoder(DifficultObjects::LeaveOut);
        let count = encoder.default_boxes.len();
        let (mut labels, mut regression) = (vec![2; count], vec![7.0; 4 * count]);
        encoder.write(&objects(), INPUT, &mut labels, &mut regression);
        assert!(labels.contains(&5));
        assert!(!labels.contains(&1));
        encoder.write(&[], INPUT, &mut labels, &mut regression);
        assert_eq!(labels, vec![BACKGROUND; count]);
        assert_eq!(regression, vec![0.0; 4 * count]);
    }
}
