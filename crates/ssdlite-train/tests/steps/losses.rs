//! Losses and assignment of detectors agree with torchvision's and with PyTorch
//! (`reference/detector_losses.py`).

use std::collections::HashMap;
use std::num::NonZeroUsize;

use serde::Deserialize;
use ssdlite_core::matcher::Assignment;
use ssdlite_core::{BoxSize, CenterBox, DefaultBoxSizes, DefaultBoxes, FractionBox, MapSize};
use ssdlite_train::step::loss::{
    ClassificationLoss, MultiboxLoss, MultiboxOutput, MultiboxTargets, RegressionLoss,
};

/// Most distance of a number from its golden one, which is of double precision, in
/// parts of the largest.
const TOLERANCE: f64 = 2e-6;

#[derive(Deserialize)]
struct Golden {
    losses: Losses,
    atss: Atss,
}

#[derive(Deserialize)]
struct Losses {
    images: NonZeroUsize,
    logits: Vec<f32>,
    regressions: Vec<f32>,
    targets: Vec<f32>,
    labels: Vec<i32>,
    /// Centre and sides.
    default_boxes: Vec<[f32; 4]>,
    results: HashMap<String, Expected>,
}

#[derive(Deserialize)]
struct Expected {
    loss: f64,
    gradient: Vec<f64>,
}

#[derive(Deserialize)]
struct Atss {
    maps: Vec<GoldenMap>,
    /// Corners.
    objects: Vec<[f32; 4]>,
    /// The object of each default box, or -1.
    matches: Vec<i64>,
}

#[derive(Deserialize)]
struct GoldenMap {
    height: usize,
    width: usize,
    boxes: Vec<BoxSize>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../golden/detector_losses.json")).unwrap()
}

impl Losses {
    fn evaluate(&self, loss: MultiboxLoss) -> MultiboxOutput {
        let boxes = self.default_boxes.iter();
        let boxes = boxes.map(|&[cx, cy, w, h]| CenterBox::new(cx, cy, w, h));
        let targets = MultiboxTargets {
            labels: &self.labels,
            regressions: &self.targets,
            default_boxes: &boxes.collect::<Vec<_>>(),
            images: self.images,
        };
        loss.evaluate(&self.logits, &self.regressions, targets, NonZeroUsize::MIN)
    }

    fn assert_close(&self, name: &str, loss: f64, gradient: &[f32]) {
        let expected = &self.results[name];
        let error = (loss - expected.loss).abs();
        assert!(error < TOLERANCE * expected.loss, "{name}: {loss}");
        assert_eq!(gradient.len(), expected.gradient.len());
        let largest = expected
            .gradient
            .iter()
            .fold(0.0, |most: f64, slope| most.max(slope.abs()));
        for (index, (&found, expected)) in gradient.iter().zip(&expected.gradient).enumerate() {
            let error = (f64::from(found) - expected).abs();
            assert!(
                error < TOLERANCE * largest,
                "{name}, {index}: {found}, {expected}"
            );
        }
    }
}

#[test]
fn the_losses_agree_with_pytorch() {
    let golden = golden().losses;
    let found = golden.evaluate(MultiboxLoss {
        classification: ClassificationLoss::QualityFocal,
        regression: RegressionLoss::Giou,
        ..MultiboxLoss::default()
    });
    golden.assert_close("quality-focal", found.classification, &found.logit_gradient);
    golden.assert_close("giou", found.regression, &found.regression_gradient);
}

#[test]
fn atss_agrees_with_its_definition_in_pytorch() {
    let Atss {
        maps,
        objects,
        matches,
    } = golden().atss;
    let sizes: Vec<MapSize> = maps
        .iter()
        .map(|map| MapSize::new(map.height, map.width))
        .collect();
    let boxes = DefaultBoxSizes {
        maps: maps.into_iter().map(|map| map.boxes).collect(),
    };
    let boxes = DefaultBoxes::new(&boxes, &sizes);
    let objects: Vec<FractionBox> = objects
        .into_iter()
        .map(|[x1, y1, x2, y2]| FractionBox::new(x1, y1, x2, y2))
        .collect();
    let found = Assignment::Atss.assign(&boxes, &objects);
    let expected: Vec<Option<u32>> = matches
        .iter()
        .map(|&object| u32::try_from(object).ok())
        .collect();
    assert_eq!(found, expected);
    assert!(found.iter().flatten().count() > objects.len());
}
