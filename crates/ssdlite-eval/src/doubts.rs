//! Labels that are probably wrong: where a detector is sure, and the annotator says
//! something else.

use ssdlite_core::{ClassId, Detection, GroundTruth};

use crate::error::Result;
use crate::evaluation::{Evaluation, Image, IouThreshold};
use crate::mistakes::{BACKGROUND_IOU, JudgedImage, Mistake};

/// What is doubtful about a label.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Doubt {
    /// There is none where a confident detection lies.
    NoLabel {
        /// The detection.
        detection: Detection,
    },
    /// A confident detection hits it and has another class.
    OtherClass {
        /// The detection.
        detection: Detection,
        /// The label.
        object: GroundTruth,
    },
    /// No detection of any class and score comes near it.
    NothingNear {
        /// The label.
        object: GroundTruth,
    },
}

/// A label that is probably wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DoubtfulLabel {
    /// The image's place in the evaluation.
    pub image: usize,
    /// What is doubtful.
    pub doubt: Doubt,
}

impl DoubtfulLabel {
    /// The score of the detection that speaks against the label; none where nothing
    /// comes near it.
    fn score(&self) -> Option<f32> {
        match self.doubt {
            Doubt::NoLabel { detection } | Doubt::OtherClass { detection, .. } => {
                Some(detection.score)
            }
            Doubt::NothingNear { .. } => None,
        }
    }

    /// The area of the label that nothing comes near; 0 for another doubt.
    fn area(&self) -> f32 {
        match self.doubt {
            Doubt::NothingNear { object } => object.bbox.area(),
            Doubt::NoLabel { .. } | Doubt::OtherClass { .. } => 0.0,
        }
    }
}

impl Evaluation {
    /// Labels that are probably wrong: those that detections speak against, the most
    /// confident first, then those that no detection comes near, the largest first.
    ///
    /// A detection is confident if it scores more than half of the hits of its class,
    /// all of them at `min_score` or more; in a class without hits none is. One without
    /// a label overlaps no object, difficult ones among them, by more than
    /// [`BACKGROUND_IOU`]. A detection comes near a label with half the IoU of a hit,
    /// whatever its class and its score; how low scores reach is up to what was added
    /// to the evaluation.
    ///
    /// # Errors
    /// As [`Evaluation::judged_images`].
    pub fn doubtful_labels(&self, min_score: f32, iou: IouThreshold) -> Result<Vec<DoubtfulLabel>> {
        let judged = self.judged_images(min_score, iou)?;
        let confident = confident_scores(&judged, self.classes().len());
        let is_confident = |found: &Detection| {
            let score = confident[found.class.index()];
            score.is_some_and(|score| found.score > score)
        };
        let mut doubts = Vec::new();
        for (index, (image, judged)) in self.images().zip(&judged).enumerate() {
            let mistakes = judged.mistakes.iter();
            let of_mistakes =
                mistakes.filter_map(|&mistake| doubt_of(mistake, judged, &is_confident));
            let unseen = labels_with_nothing_near(image, iou);
            let unseen = unseen.map(|object| Doubt::NothingNear { object });
            let all = of_mistakes.chain(unseen);
            doubts.extend(all.map(|doubt| DoubtfulLabel {
                image: index,
                doubt,
            }));
        }
        doubts.sort_by(|a, b| {
            let by_score = b
                .score()
                .unwrap_or(-1.0)
                .total_cmp(&a.score().unwrap_or(-1.0));
            by_score.then(b.area().total_cmp(&a.area()))
        });
        Ok(doubts)
    }
}

/// The median score of the hits of each class; none without any.
fn confident_scores(images: &[JudgedImage], classes: usize) -> Vec<Option<f32>> {
    let mut scores: Vec<Vec<f32>> = vec![Vec::new(); classes];
    for image in images {
        for hit in &image.hits {
            let Detection {
                class: ClassId(class),
                score,
                ..
            } = image.detections[hit.detection];
            scores[class as usize].push(score);
        }
    }
    let medians = scores.into_iter().map(|mut scores| {
        scores.sort_by(f32::total_cmp);
        scores.get(scores.len() / 2).copied()
    });
    medians.collect()
}

fn doubt_of(
    mistake: Mistake,
    image: &JudgedImage,
    is_confident: &impl Fn(&Detection) -> bool,
) -> Option<Doubt> {
    let detection = image.detections[mistake.detection()?];
    if !is_confident(&detection) {
        return None;
    }
    let is_near = |object: &GroundTruth| object.bbox.iou(&detection.bbox) > BACKGROUND_IOU;
    match mistake {
        Mistake::Background { .. } if !image.objects.iter().any(is_near) => {
            Some(Doubt::NoLabel { detection })
        }
        Mistake::WrongClass { object, .. } if !image.is_found(object) => Some(Doubt::OtherClass {
            detection,
            object: image.objects[object],
        }),
        _ => None,
    }
}

/// The labels, difficult ones left out, that no detection overlaps by half the IoU of a
/// hit.
fn labels_with_nothing_near(
    image: Image<'_>,
    iou: IouThreshold,
) -> impl Iterator<Item = GroundTruth> {
    let near = iou.get() / 2.0;
    let is_near = move |object: &GroundTruth| {
        let mut detections = image.detections.iter();
        detections.any(|found| found.bbox.iou(&object.bbox) >= near)
    };
    let labels = image.objects.iter().filter(|object| !object.difficult);
    labels.filter(move |object| !is_near(object)).copied()
}
