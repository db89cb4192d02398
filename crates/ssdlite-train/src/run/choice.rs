//! What a detector is made of, where that is left to the run.
//!
//! Weights of a detector bring its network along, so that all of them are taken over.
//! Otherwise it is what was best of the rows in `docs/results.md`: a pyramid with fitted
//! default boxes, from stride 8 on unless no object is small.

use std::path::Path;

use ssdlite_core::{DetectorSettings, FinestMap, GroundTruth, ImageSize};
use ssdlite_data::DetectionSet;
use ssdlite_data::default_box_fit::LEAST_STRIDES;

use super::detector::is_learnt;
use super::session::Start;
use crate::config::{Boxes, DetectorConfig, HeadKind};
use crate::error::Result;
use crate::step::detector_of_weights;

/// The share of a class's objects that may be smaller without a finer map.
const FEW_SMALL: f32 = 0.02;

/// Chooses what the configuration leaves open, and says what and why, if anything was
/// left.
///
/// # Errors
/// Those of reading a file of weights.
pub(super) fn choose(
    config: &mut DetectorConfig,
    set: &DetectionSet,
    start: &Start,
) -> Result<Option<String>> {
    let before = config.clone();
    let of_weights = match start {
        Start::Weights(path) => by_weights(config, path)?,
        Start::Random | Start::Resume | Start::Prolong => None,
    };
    let why = of_weights.unwrap_or_else(|| by_data(config, set));
    let told = format!("{}: {why}", text(config));
    Ok((*config != before).then_some(told))
}

fn by_weights(config: &mut DetectorConfig, path: &Path) -> Result<Option<String>> {
    let Some(settings) = detector_of_weights(path)? else {
        return Ok(None);
    };
    let DetectorSettings {
        head,
        finest,
        default_boxes,
        ..
    } = settings;
    let detector = &config.detector;
    // Its boxes fit its maps alone.
    let is_its = HeadKind::from(head) == detector.head.or(head.into())
        && finest == detector.finest.or(finest);
    let boxes = match is_its {
        true => Boxes::Sizes(default_boxes),
        false => Boxes::Fit,
    };
    config.settle(head.into(), finest, boxes);
    Ok(Some("as the detector whose weights are taken over".into()))
}

fn by_data(config: &mut DetectorConfig, set: &DetectionSet) -> String {
    // Boxes that are given fit the maps that are asked for.
    if matches!(config.detector.boxes, Boxes::Sizes(_) | Boxes::File(_)) {
        let detector = &config.detector;
        config.settle(detector.kind(), detector.finest(), Boxes::Fit);
        return "by the boxes that are given".into();
    }
    let least = LEAST_STRIDES * FinestMap::Stride16.stride() as f32;
    let (share, class) = most_small(config, set, least);
    let finest = match share <= FEW_SMALL {
        true => FinestMap::Stride16,
        false => FinestMap::Stride8,
    };
    config.settle(HeadKind::Fpn, finest, Boxes::Fit);
    let smaller = format!("smaller than {least:.0} of the network's pixels");
    match class {
        Some(class) => format!(
            "{:.0} % of the objects of {class} are {smaller}",
            100.0 * share
        ),
        None => format!("no object is {smaller}"),
    }
}

/// The largest share of a class's objects that are smaller in the network's input, and
/// the class; none where no object is.
fn most_small<'a>(
    config: &DetectorConfig,
    set: &'a DetectionSet,
    least: f32,
) -> (f32, Option<&'a str>) {
    let input = ImageSize::square(config.model.size);
    let mut counts = vec![(0_usize, 0_usize); set.classes.len()];
    for image in &set.images {
        let learnt = |object: &&GroundTruth| is_learnt(config, object);
        for object in image.objects.iter().filter(learnt) {
            let side = object.bbox.rescaled(image.size, input).area().sqrt();
            let (all, small) = &mut counts[object.class.index()];
            *all += 1;
            *small += usize::from(side < least);
        }
    }
    let shares = counts.iter().zip(set.classes.iter());
    let shares = shares.filter(|((_, small), _)| *small > 0);
    let shares = shares.map(|(&(all, small), class)| (small as f32 / all as f32, class));
    let most = shares.max_by(|one, other| one.0.total_cmp(&other.0));
    most.map_or((0.0, None), |(share, class)| (share, Some(class)))
}

fn text(config: &DetectorConfig) -> String {
    let detector = &config.detector;
    let boxes = match detector.boxes {
        Boxes::Fit => "default boxes fitted to the objects",
        Boxes::Paper => "the paper's default boxes",
        _ => "given default boxes",
    };
    format!(
        "head {}, finest map of stride {}, {boxes}",
        detector.head().name(),
        detector.finest().stride()
    )
}

#[cfg(test)]
mod tests {
    use ssdlite_core::{
        ClassId, ClassNames, DefaultBoxSizes, Head, MobileNetV3, ModelInfo, PixelBox, Task, Variant,
    };
    use ssdlite_data::DetectionImage;
    use ssdlite_testing::model_from_formula;

    use super::*;
    use crate::config::Choice;

    /// Images of 600 x 600 pixels with an object of each of these sides, which the
    /// network sees in half its size.
    fn set(sides: &[f32]) -> DetectionSet {
        let image = |(index, &side): (usize, &f32)| DetectionImage {
            id: index.to_string(),
            path: "none.jpg".into(),
            size: ImageSize::square(600),
            objects: vec![GroundTruth {
                class: ClassId(0),
                bbox: PixelBox::new(10.0, 20.0, 10.0 + side, 20.0 + side),
                difficult: false,
            }],
        };
        DetectionSet {
            classes: ClassNames::new(["pea"]).unwrap(),
            images: sides.iter().enumerate().map(image).collect(),
        }
    }

    fn chosen(config: &mut DetectorConfig, sides: &[f32]) -> Option<String> {
        choose(config, &set(sides), &Start::Random).unwrap()
    }

    #[test]
    fn small_objects_get_a_finer_map() {
        for (sides, finest, told) in [
            (
                &[80.0, 400.0][..],
                FinestMap::Stride8,
                "50 % of the objects of pea",
            ),
            (&[100.0, 400.0], FinestMap::Stride16, "no object"),
            (&[], FinestMap::Stride16, "no object"),
        ] {
            let mut config = DetectorConfig::new("photos");
            let text = chosen(&mut config, sides).unwrap();
            assert!(text.contains(told) && text.contains("head fpn"), "{text}");
            assert_eq!(config.detector.finest, Choice::Is(finest), "{sides:?}");
            assert_eq!(config.detector.boxes, Boxes::Fit);
            // Nothing is left to choose.
            assert_eq!(chosen(&mut config, &[1.0]), None);
            assert_eq!(config.detector.finest, Choice::Is(finest));
        }
    }

    #[test]
    fn what_is_asked_for_stays() {
        let mut config = DetectorConfig::new("photos");
        config.detector.head = Choice::Is(HeadKind::Ssdlite);
        config.detector.boxes = Boxes::Paper;
        let text = chosen(&mut config, &[10.0]).unwrap();
        assert!(
            text.starts_with("head ssdlite, finest map of stride 8, the paper's"),
            "{text}"
        );
        let paper = DetectorConfig::new("photos").of_run();
        assert_eq!(config.loss, paper.loss);
        assert_eq!(paper.detector.finest, Choice::Is(FinestMap::Stride16));
    }

    #[test]
    fn a_detectors_weights_bring_its_network() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let network = MobileNetV3 {
            width_multiplier: 0.1,
            ..MobileNetV3::new(Variant::Small)
        };
        let classes = ClassNames::new(["bean"]).unwrap();
        let mut info = ModelInfo::detector(network, classes.clone(), 64);
        let mut boxes = DefaultBoxSizes::paper(Head::Ssdlite, FinestMap::Stride8);
        boxes.maps[0][0].width = 0.123;
        if let Task::Detect(settings) = &mut info.task {
            settings.finest = FinestMap::Stride8;
            settings.default_boxes = boxes.clone();
        }
        model_from_formula(&info).write(&path).unwrap();
        let start = Start::Weights(path.clone());
        let mut config = DetectorConfig::new("photos");
        let text = choose(&mut config, &set(&[500.0]), &start)
            .unwrap()
            .unwrap();
        assert!(text.contains("whose weights"), "{text}");
        assert_eq!(config.detector.head, Choice::Is(HeadKind::Ssdlite));
        assert_eq!(config.detector.boxes, Boxes::Sizes(boxes));

        // Its boxes don't fit another head.
        let mut config = DetectorConfig::new("photos");
        config.detector.head = Choice::Is(HeadKind::Fpn);
        choose(&mut config, &set(&[500.0]), &start).unwrap();
        assert_eq!(config.detector.boxes, Boxes::Fit);

        // A classifier brings none.
        model_from_formula(&ModelInfo::classifier(network, classes, 64))
            .write(&path)
            .unwrap();
        let mut config = DetectorConfig::new("photos");
        let text = choose(&mut config, &set(&[500.0]), &start)
            .unwrap()
            .unwrap();
        assert!(text.contains("no object"), "{text}");
    }
}
