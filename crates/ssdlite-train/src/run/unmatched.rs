//! Classes that a detector will find badly, as no default box is like their objects.

use ssdlite_core::default_boxes::DefaultBoxes;
use ssdlite_core::matcher::MATCH_IOU;
use ssdlite_core::{ClassId, FractionBox};
use ssdlite_data::DetectionSet;
use ssdlite_data::coverage::{ClassCoverage, Coverage};
use ssdlite_data::stats::{ClassStats, Spread};

use super::observer::Observer;

/// Tells of these classes those of which no default box overlaps any object well enough
/// to be matched, but for the one that each object gets in any case.
pub(super) fn tell_unmatched(
    found: &Coverage,
    classes: impl Iterator<Item = usize>,
    set: &DetectionSet,
    default_boxes: &DefaultBoxes,
    observer: &mut dyn Observer,
) {
    let is_unmatched = |class: &usize| {
        let ClassCoverage {
            objects, covered, ..
        } = found.classes[*class];
        objects > 0 && covered == 0
    };
    let areas = default_boxes.corners().iter().map(FractionBox::area);
    let least_area = MATCH_IOU * areas.fold(1.0, f32::min);
    for class in classes.filter(is_unmatched) {
        let stats = ClassStats::of(set, ClassId::from_index(class));
        observer.warning(&text(&stats, least_area));
    }
}

/// What to tell of a class; `least_area` is the least share of an image that an object
/// which is matched can cover.
fn text(stats: &ClassStats, least_area: f32) -> String {
    let objects: usize = stats.objects.iter().sum();
    let whose = match objects {
        1 => "its one object".into(),
        _ => format!("any of its {objects} objects"),
    };
    let is_small = (stats.relative_side).is_some_and(|side| side.median.powi(2) < least_area);
    let advice = if is_small {
        format!(
            "most cover less than {:.1} % of their image; --tiles or a larger --size shows them larger",
            least_area * 100.0
        )
    } else {
        "default boxes are shorter or thicker, or lie apart at this --size; a larger --size lays \
         them more densely; boxes around parts of an object, or images cut so that it is nearer to \
         square, are learnt better"
            .into()
    };
    format!(
        "the class {}: no default box overlaps {whose} ({} pixels wide, {} \
         high) with an IoU of {MATCH_IOU} or more, so that it will be found badly: {advice}",
        stats.class,
        range_text(stats.width),
        range_text(stats.height),
    )
}

/// Pixels from the least to the most.
fn range_text(found: Option<Spread>) -> String {
    let whole = found.map(|found| (found.min.round(), found.max.round()));
    match whole {
        None => "-".into(),
        Some((min, max)) if min == max => min.to_string(),
        Some((min, max)) => format!("{min} to {max}"),
    }
}

#[cfg(test)]
mod tests {
    use ssdlite_core::tiles::Tiling;
    use ssdlite_core::{
        ClassNames, GroundTruth, ImageSize, MobileNetV3, ModelInfo, PixelBox, Variant,
    };
    use ssdlite_data::DetectionImage;
    use ssdlite_data::loader::DifficultObjects;

    use super::*;

    #[derive(Default)]
    struct Heard(Vec<String>);

    impl Observer for Heard {
        fn warning(&mut self, message: &str) {
            self.0.push(message.to_owned());
        }
    }

    #[test]
    fn classes_that_no_default_box_is_like_are_told() {
        let classes = ClassNames::new(["seed", "cup", "pole", "none"]).unwrap();
        let network = MobileNetV3::new(Variant::Small);
        let info = ModelInfo::detector(network, classes.clone(), 320);
        let object = |class, bbox| GroundTruth {
            class: ClassId::from_index(class),
            bbox,
            difficult: false,
        };
        let image = DetectionImage {
            id: "a".into(),
            path: "a.jpg".into(),
            size: ImageSize::new(640, 480),
            objects: vec![
                object(0, PixelBox::new(10.0, 10.0, 22.0, 19.0)),
                object(1, PixelBox::new(200.0, 100.0, 400.0, 300.0)),
                object(1, PixelBox::new(10.0, 10.0, 14.0, 14.0)),
                object(2, PixelBox::new(300.0, 0.0, 330.0, 480.0)),
            ],
        };
        let set = DetectionSet {
            classes,
            images: vec![image],
        };
        let mut heard = Heard::default();
        let default_boxes = info.default_boxes().unwrap();
        let found = Coverage::new(
            &set,
            DifficultObjects::LeaveOut,
            &default_boxes,
            &Tiling::OFF,
        );
        tell_unmatched(&found, 0..4, &set, &default_boxes, &mut heard);
        let [seed, pole] = &heard.0[..] else {
            panic!("{:?}", heard.0);
        };
        for words in [
            "class seed",
            "overlaps its one object (12 pixels wide",
            "2.0 %",
            "--tiles",
        ] {
            assert!(seed.contains(words), "{seed}");
        }
        assert!(
            pole.contains("class pole") && pole.contains("thicker"),
            "{pole}"
        );
        let mut heard = Heard::default();
        tell_unmatched(&found, 1..4, &set, &default_boxes, &mut heard);
        assert_eq!(heard.0.len(), 1, "{:?}", heard.0);
    }
}
