//! Classes that a detector will find badly, as no default box is like their objects.

use ssdlite_core::FractionBox;
use ssdlite_core::default_boxes::DefaultBoxes;
use ssdlite_core::matcher::MATCH_IOU;
use ssdlite_data::DetectionSet;
use ssdlite_data::stats::{ClassStats, Spread, unmatched_classes};

use super::observer::Observer;

/// Tells the classes of which no default box overlaps any object well enough to be
/// matched, but for the one that each object gets in any case; not those of which other
/// options are told to cover more.
pub(super) fn tell_unmatched(
    set: &DetectionSet,
    default_boxes: &DefaultBoxes,
    has_advice: impl Fn(usize) -> bool,
    observer: &mut dyn Observer,
) {
    let areas = default_boxes.corners().iter().map(FractionBox::area);
    let least_area = MATCH_IOU * areas.fold(1.0, f32::min);
    for (class, stats) in unmatched_classes(set, default_boxes) {
        if !has_advice(class.index()) {
            observer.warning(&text(&stats, least_area));
        }
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
            "most cover less than {:.1} % of their image; cut the images into parts, in which the \
             objects are larger",
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
    use ssdlite_core::{
        ClassId, ClassNames, GroundTruth, ImageSize, MobileNetV3, ModelInfo, PixelBox, Variant,
    };
    use ssdlite_data::DetectionImage;

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
        tell_unmatched(&set, &default_boxes, |_| false, &mut heard);
        let [seed, pole] = &heard.0[..] else {
            panic!("{:?}", heard.0);
        };
        for words in [
            "class seed",
            "overlaps its one object (12 pixels wide",
            "2.0 %",
            "cut",
        ] {
            assert!(seed.contains(words), "{seed}");
        }
        assert!(
            pole.contains("class pole") && pole.contains("thicker"),
            "{pole}"
        );
        let mut heard = Heard::default();
        tell_unmatched(&set, &default_boxes, |class| class == 0, &mut heard);
        assert_eq!(heard.0.len(), 1, "{:?}", heard.0);
    }
}
