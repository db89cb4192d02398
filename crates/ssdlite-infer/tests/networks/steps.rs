//! Which layers run as one step: `steps.txt` was printed by version 153e85c,
//! whose plans were written down block by block.

use std::fmt::Write;

use ssdlite_core::{ClassNames, Fit, ImageSize, MobileNetV3, ModelInfo, Task, Variant};
use ssdlite_infer::bench::arbitrary_model;
use ssdlite_infer::{Classifier, Detector, DetectorOptions, LayerInfo, RunOptions};

use crate::golden::classes;

type Describe = fn(MobileNetV3, ClassNames, u32) -> ModelInfo;

#[test]
fn layers_run_together_as_before_the_graph() {
    let square = ImageSize::square(320);
    let mut found = String::new();
    for (variant, size, info) in [
        (Variant::Small, square, ModelInfo::detector as Describe),
        (Variant::Small, square, ModelInfo::classifier),
        (Variant::Large, square, ModelInfo::detector),
        // So large that no map is made by channels.
        (
            Variant::Large,
            ImageSize::new(640, 480),
            ModelInfo::detector,
        ),
        (Variant::Large, square, ModelInfo::classifier),
    ] {
        let mut info = info(MobileNetV3::new(variant), classes(3), 320);
        info.preprocessing.size = size;
        info.preprocessing.fit = Fit::Stretch;
        let file = arbitrary_model(&info).expect("a sound model");
        let (task, layers) = match info.task {
            Task::Classify => {
                let model = Classifier::new(&file, &RunOptions::default());
                let model = model.expect("a sound model");
                ("classifier", model.layers().cloned().collect::<Vec<_>>())
            }
            Task::Detect(_) => {
                let model = Detector::new(&file, &DetectorOptions::default());
                let model = model.expect("a sound model");
                ("detector", model.layers().cloned().collect())
            }
        };
        writeln!(found, "{task} {} {size}", variant.name()).expect("a text");
        for layer in layers {
            let LayerInfo { input, output, .. } = layer;
            writeln!(
                found,
                "{}: {}x{}x{} -> {}x{}x{}",
                layer.operation,
                layer.in_channels,
                input.height,
                input.width,
                layer.out_channels,
                output.height,
                output.width
            )
            .expect("a text");
        }
    }
    let expected = include_str!("../golden/steps.txt");
    for (line, (found, expected)) in found.lines().zip(expected.lines()).enumerate() {
        assert_eq!(found, expected, "line {}", line + 1);
    }
    assert_eq!(found.len(), expected.len());
}
