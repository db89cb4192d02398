//! What a detector gets wrong, image by image, sorted by kind.
//!
//! Source: Bolya, Foley, Hays, Hoffman, "TIDE: A General Toolbox for Identifying
//! Object Detection Errors", arXiv 2008.08115, section 2.2, with the order of tests of
//! its `tidecv/quantify.py`. What is right is told by VOC's matching, as in
//! [`Evaluation::voc`], and not by COCO's, so that the mistakes are those that average
//! precision counts.

use ssdlite_core::{ClassId, Detection, GroundTruth};

use crate::error::Result;
use crate::evaluation::{Evaluation, Image, IouThreshold, expect_least_score};
use crate::matching::{Match, matches};

/// The greatest IoU with any object at which a detection lies on the background: the
/// paper's `t_b`.
pub const BACKGROUND_IOU: f32 = 0.1;

/// A kind of mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MistakeKind {
    /// An object that no detection finds, nor errs about in class or place.
    Missed,
    /// A detection where there is nothing.
    Background,
    /// A detection that hits an object of another class.
    WrongClass,
    /// A detection that overlaps an object of its class, and too little.
    BadlyPlaced,
    /// A detection that overlaps an object of another class, and too little.
    WrongClassAndPlace,
    /// A detection of an object that one of higher score has found.
    Double,
}

impl MistakeKind {
    /// All kinds.
    pub const ALL: [Self; 6] = [
        Self::Missed,
        Self::Background,
        Self::WrongClass,
        Self::BadlyPlaced,
        Self::WrongClassAndPlace,
        Self::Double,
    ];

    /// The kind in words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Missed => "missed",
            Self::Background => "background",
            Self::WrongClass => "wrong class",
            Self::BadlyPlaced => "badly placed",
            Self::WrongClassAndPlace => "wrong class and place",
            Self::Double => "double",
        }
    }

    /// The place of the kind in [`Self::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// Something that is wrong with an image's detections; `object` and `detection` are
/// indices of the [`JudgedImage`]'s lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// [`MistakeKind::Missed`].
    Missed {
        /// What is missed.
        object: usize,
    },
    /// [`MistakeKind::Background`].
    Background {
        /// What lies on the background.
        detection: usize,
    },
    /// [`MistakeKind::WrongClass`].
    WrongClass {
        /// What has the wrong class.
        detection: usize,
        /// The object of another class that it overlaps most.
        object: usize,
    },
    /// [`MistakeKind::BadlyPlaced`].
    BadlyPlaced {
        /// What is badly placed.
        detection: usize,
        /// The object of its class that it overlaps most.
        object: usize,
    },
    /// [`MistakeKind::WrongClassAndPlace`].
    WrongClassAndPlace {
        /// What has the wrong class and place.
        detection: usize,
        /// The object that it overlaps most.
        object: usize,
    },
    /// [`MistakeKind::Double`].
    Double {
        /// What comes too late.
        detection: usize,
        /// The object that was found before.
        object: usize,
    },
}

impl Mistake {
    /// The kind of the mistake.
    pub const fn kind(self) -> MistakeKind {
        match self {
            Self::Missed { .. } => MistakeKind::Missed,
            Self::Background { .. } => MistakeKind::Background,
            Self::WrongClass { .. } => MistakeKind::WrongClass,
            Self::BadlyPlaced { .. } => MistakeKind::BadlyPlaced,
            Self::WrongClassAndPlace { .. } => MistakeKind::WrongClassAndPlace,
            Self::Double { .. } => MistakeKind::Double,
        }
    }

    /// The wrong detection; none where an object is missed.
    pub const fn detection(self) -> Option<usize> {
        match self {
            Self::Missed { .. } => None,
            Self::Background { detection }
            | Self::WrongClass { detection, .. }
            | Self::BadlyPlaced { detection, .. }
            | Self::WrongClassAndPlace { detection, .. }
            | Self::Double { detection, .. } => Some(detection),
        }
    }

    /// The object that it is about; none on the background.
    pub const fn object(self) -> Option<usize> {
        match self {
            Self::Background { .. } => None,
            Self::Missed { object }
            | Self::WrongClass { object, .. }
            | Self::BadlyPlaced { object, .. }
            | Self::WrongClassAndPlace { object, .. }
            | Self::Double { object, .. } => Some(object),
        }
    }
}

/// A detection that is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// The index of the object that it finds.
    pub object: usize,
    /// Its own index.
    pub detection: usize,
}

/// An image with what is right and what is wrong in it. A detection that is neither
/// lies on a difficult object.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct JudgedImage {
    /// All objects, in the annotator's order, difficult ones among them.
    pub objects: Vec<GroundTruth>,
    /// The detections that were judged, those of highest score first.
    pub detections: Vec<Detection>,
    /// The detections that are right, in their order.
    pub hits: Vec<Hit>,
    /// The wrong detections in their order, then the missed objects in theirs.
    pub mistakes: Vec<Mistake>,
}

impl JudgedImage {
    /// How bad the image is: the score of each wrong detection, and 1 for each missed
    /// object.
    pub fn cost(&self) -> f64 {
        let costs = self.mistakes.iter().map(|mistake| {
            let score = |detection: usize| f64::from(self.detections[detection].score);
            mistake.detection().map_or(1.0, score)
        });
        costs.sum()
    }

    /// The class that a mistake is counted at: the detection's, or the missed object's.
    pub fn class_of(&self, mistake: Mistake) -> ClassId {
        match (mistake.detection(), mistake.object()) {
            (Some(detection), _) => self.detections[detection].class,
            (None, Some(object)) => self.objects[object].class,
            (None, None) => unreachable!("a mistake is about a detection or an object"),
        }
    }

    /// Whether an object was found.
    pub fn is_found(&self, object: usize) -> bool {
        self.hits.iter().any(|hit| hit.object == object)
    }
}

impl Evaluation {
    /// Every image in order, with the detections that score at least `min_score` told
    /// right from wrong.
    ///
    /// A detection is right by VOC's rule: see [`Evaluation::voc`]. Each other one has
    /// the first kind that fits. Of the objects that are not difficult, it overlaps the
    /// nearest of its class by an IoU from [`BACKGROUND_IOU`] up to `iou`: badly
    /// placed. It reaches `iou` with one of another class: wrong class. It reaches it
    /// with one of its class, which was found before: double. It overlaps none by more
    /// than [`BACKGROUND_IOU`]: background. What remains has a wrong class and place.
    /// An object is missed if it was not found, and no badly placed detection and none
    /// of a wrong class is about it.
    ///
    /// # Errors
    /// [`Error::Malformed`](crate::Error::Malformed) for a score that is not from 0
    /// to 1.
    pub fn judged_images(&self, min_score: f32, iou: IouThreshold) -> Result<Vec<JudgedImage>> {
        expect_least_score(min_score)?;
        Ok(self
            .images()
            .map(|image| judged(image, min_score, iou))
            .collect())
    }
}

fn judged(image: Image<'_>, min_score: f32, iou: IouThreshold) -> JudgedImage {
    let counted = image.detections.iter();
    let counted = counted.filter(|found| found.score >= min_score);
    let mut detections: Vec<Detection> = counted.copied().collect();
    detections.sort_by(|a, b| b.score.total_cmp(&a.score));
    let matches = matches(
        Image {
            detections: &detections,
            ..image
        },
        iou,
    );

    let mut hits = Vec::new();
    let mut mistakes = Vec::new();
    let mut is_settled: Vec<bool> = image.objects.iter().map(|o| o.difficult).collect();
    for (detection, found) in matches.into_iter().enumerate() {
        match found {
            Match::Hit(object) => {
                is_settled[object] = true;
                hits.push(Hit { object, detection });
            }
            Match::FalsePositive => {
                let nearest = Nearest::of(&detections[detection], image.objects);
                mistakes.push(nearest.mistake(detection, iou));
            }
            Match::Difficult => {}
        }
    }
    for mistake in &mistakes {
        if let Mistake::WrongClass { object, .. } | Mistake::BadlyPlaced { object, .. } = mistake {
            is_settled[*object] = true;
        }
    }
    let objects = is_settled.iter().enumerate();
    let missed = objects.filter(|(_, settled)| !**settled);
    mistakes.extend(missed.map(|(object, _)| Mistake::Missed { object }));
    JudgedImage {
        objects: image.objects.to_vec(),
        detections,
        hits,
        mistakes,
    }
}

/// The objects, difficult ones left out, that a detection overlaps most, with their
/// IoU: the one of its class and the one of another class.
#[derive(Default)]
struct Nearest {
    own_class: Option<(usize, f32)>,
    other_class: Option<(usize, f32)>,
}

impl Nearest {
    fn of(detection: &Detection, objects: &[GroundTruth]) -> Self {
        let mut nearest = Self::default();
        for (index, object) in objects.iter().enumerate() {
            if object.difficult {
                continue;
            }
            let overlap = object.bbox.iou(&detection.bbox);
            let best = match object.class == detection.class {
                true => &mut nearest.own_class,
                false => &mut nearest.other_class,
            };
            if overlap > best.map_or(0.0, |(_, most)| most) {
                *best = Some((index, overlap));
            }
        }
        nearest
    }

    /// The first kind that fits.
    fn mistake(&self, detection: usize, iou: IouThreshold) -> Mistake {
        match (self.own_class, self.other_class) {
            (Some((object, overlap)), _)
                if overlap >= BACKGROUND_IOU && !iou.reached_by(overlap) =>
            {
                Mistake::BadlyPlaced { detection, object }
            }
            (_, Some((object, overlap))) if iou.reached_by(overlap) => {
                Mistake::WrongClass { detection, object }
            }
            (Some((object, overlap)), _) if iou.reached_by(overlap) => {
                Mistake::Double { detection, object }
            }
            (_, Some((object, overlap))) if overlap > BACKGROUND_IOU => {
                Mistake::WrongClassAndPlace { detection, object }
            }
            _ => Mistake::Background { detection },
        }
    }
}

/// How often each kind of mistake was made, by the class that it counts at: a row for
/// each of `classes` classes, in the order of [`MistakeKind::ALL`].
pub fn count_mistakes(images: &[JudgedImage], classes: usize) -> Vec<[usize; 6]> {
    let mut counts = vec![[0; 6]; classes];
    for image in images {
        for &mistake in &image.mistakes {
            counts[image.class_of(mistake).index()][mistake.kind().index()] += 1;
        }
    }
    counts
}
