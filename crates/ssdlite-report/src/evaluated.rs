//! What the page of an evaluation shows.

use ssdlite_eval::{
    ClassAp, ConfusionMatrix, DoubtfulLabel, Evaluation, IouThreshold, PrCurve, PrPoint,
    ScoreCurve, ScorePoint, VocMetric, count_mistakes,
};

use crate::error::Result;
use crate::shown::{Gallery, MOST_PICTURES, Names, Shot, ShownData, ShownModel};

/// The most classes whose curves are drawn: those with the most objects.
pub(crate) const MOST_CURVES: usize = 60;

/// The most classes of the confusion matrix: those with the most mistakes.
const MOST_CONFUSED: usize = 20;

/// The most labels that are shown as doubtful.
const MOST_DOUBTS: usize = 100;

/// An evaluation, ready to become a page.
#[derive(Clone, Debug)]
pub struct EvaluatedPage {
    pub(crate) model: ShownModel,
    pub(crate) data: String,
    pub(crate) names: Names,
    /// Objects to be found, without difficult ones.
    pub(crate) objects: usize,
    /// Numbers of all classes, 0 to 1.
    pub(crate) scores: Vec<(&'static str, Option<f64>)>,
    /// In the order of ids.
    pub(crate) classes: Vec<ClassRow>,
    pub(crate) all: ClassRow,
    /// All classes together, then each class that is drawn.
    pub(crate) curves: Vec<Curves>,
    pub(crate) confusion: ConfusionMatrix,
    pub(crate) gallery: Gallery,
    /// The first of them.
    pub(crate) doubts: Vec<DoubtfulLabel>,
    pub(crate) doubt_count: usize,
}

/// The numbers of one class, or of all.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ClassRow {
    pub(crate) name: String,
    pub(crate) objects: usize,
    /// VOC 2007, VOC 2010 and COCO.
    pub(crate) aps: [Option<f64>; 3],
    /// From the model's own least score on.
    pub(crate) point: ScorePoint,
    /// At the score of the best F1.
    pub(crate) best: Option<ScorePoint>,
    /// The score threshold that is suggested.
    pub(crate) suggested: Option<f32>,
    /// In the order of [`ssdlite_eval::MistakeKind::ALL`].
    pub(crate) mistakes: [usize; 6],
}

/// The curves of one class, or of all.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Curves {
    pub(crate) name: String,
    /// The class's id; none for all classes together.
    pub(crate) class: Option<usize>,
    /// `(recall, precision)`.
    pub(crate) precision_recall: Vec<(f64, f64)>,
    /// `(score, F1)`.
    pub(crate) f1: Vec<(f64, f64)>,
    /// At the score of the best F1.
    pub(crate) best: Option<ScorePoint>,
}

impl EvaluatedPage {
    /// What the page shows of an evaluation of this model on this data.
    ///
    /// # Errors
    /// [`Error::Malformed`](crate::Error::Malformed) for another number of images than
    /// the evaluation has; [`Error::Evaluation`](crate::Error::Evaluation) for a least
    /// score of the model that is not from 0 to 1.
    pub fn new(evaluation: &Evaluation, model: ShownModel, data: ShownData) -> Result<Self> {
        let half = IouThreshold::HALF;
        let names = Names::new(evaluation, data.images)?;
        let judged = evaluation.judged_images(model.least_score, half)?;
        let curves = evaluation.score_curves(half, data.known_from);
        let reports = Reports::of(evaluation)?;
        let mistakes = count_mistakes(&judged, evaluation.classes().len());
        let least_score = model.least_score;
        let rows = curves.per_class.iter().zip(&mistakes).enumerate();
        let classes: Vec<ClassRow> = rows
            .map(|(class, (curve, mistakes))| {
                let aps = reports.per_class.each_ref().map(|aps| aps[class].ap);
                ClassRow::new(curve, least_score, aps, *mistakes)
            })
            .collect();
        let sums: [usize; 6] =
            std::array::from_fn(|kind| mistakes.iter().map(|class| class[kind]).sum());
        let mut doubts = evaluation.doubtful_labels(least_score, half)?;
        let doubt_count = doubts.len();
        doubts.truncate(MOST_DOUBTS);

        let shots = judged.into_iter().enumerate().map(|(image, judged)| Shot {
            image,
            views: vec![judged],
        });
        let mut shots: Vec<Shot> = shots
            .filter(|shot| !shot.views[0].mistakes.is_empty())
            .collect();
        shots.sort_by(|a, b| b.views[0].cost().total_cmp(&a.views[0].cost()));
        let all_shots = shots.len();
        shots.truncate(MOST_PICTURES);
        Ok(Self {
            objects: evaluation.object_count(),
            all: ClassRow::new(&curves.all, least_score, reports.means, sums),
            scores: reports.scores,
            classes,
            curves: drawn_curves(evaluation, &curves.all, &curves.per_class),
            confusion: evaluation
                .confusion(least_score, half)?
                .of_most_confused(MOST_CONFUSED),
            gallery: Gallery {
                shots,
                all: all_shots,
            },
            doubts,
            doubt_count,
            model,
            data: data.name,
            names,
        })
    }
}

/// Average precisions by three metrics.
struct Reports {
    scores: Vec<(&'static str, Option<f64>)>,
    means: [Option<f64>; 3],
    per_class: [Vec<ClassAp>; 3],
}

impl Reports {
    fn of(evaluation: &Evaluation) -> Result<Self> {
        let half = IouThreshold::HALF;
        let voc07 = evaluation.voc(VocMetric::ElevenPoint, half);
        let voc = evaluation.voc(VocMetric::Area, half);
        let coco = evaluation.coco()?;
        Ok(Self {
            scores: vec![
                ("mAP, VOC 2007", voc07.map),
                ("mAP, VOC 2010", voc.map),
                ("mAP, COCO", coco.map),
                ("COCO AP50", coco.ap50),
                ("COCO AP75", coco.ap75),
                ("COCO AP small", coco.ap_small),
                ("COCO AP medium", coco.ap_medium),
                ("COCO AP large", coco.ap_large),
                ("COCO AR 100", coco.ar100),
            ],
            means: [voc07.map, voc.map, coco.map],
            per_class: [voc07.per_class, voc.per_class, coco.per_class],
        })
    }
}

impl ClassRow {
    fn new(
        curve: &ScoreCurve,
        least_score: f32,
        aps: [Option<f64>; 3],
        mistakes: [usize; 6],
    ) -> Self {
        Self {
            name: curve.name.clone(),
            objects: curve.objects,
            aps,
            point: curve.at(least_score),
            best: curve.best(),
            suggested: curve.suggestion().map(|found| found.point.score),
            mistakes,
        }
    }
}

/// The curves of all classes together, and of those with the most objects.
fn drawn_curves(evaluation: &Evaluation, all: &ScoreCurve, classes: &[ScoreCurve]) -> Vec<Curves> {
    let precision_recall = evaluation.precision_recall(IouThreshold::HALF);
    let mut drawn: Vec<usize> = (0..classes.len())
        .filter(|&class| classes[class].objects > 0)
        .collect();
    drawn.sort_by_key(|&class| std::cmp::Reverse(classes[class].objects));
    drawn.truncate(MOST_CURVES);
    drawn.sort_unstable();
    let mean = ssdlite_eval::mean_precision_recall(&precision_recall);
    let all = Curves::new(all, None, mean);
    let of_class = drawn.into_iter().map(|class| {
        let points = thinned(&precision_recall[class]);
        Curves::new(&classes[class], Some(class), points)
    });
    std::iter::once(all).chain(of_class).collect()
}

impl Curves {
    fn new(curve: &ScoreCurve, class: Option<usize>, precision_recall: Vec<(f64, f64)>) -> Self {
        let f1 = curve.hundredths();
        let f1 = f1.filter_map(|point| Some((f64::from(point.score), point.f1?)));
        Self {
            name: curve.name.clone(),
            class,
            precision_recall,
            f1: f1.collect(),
            best: curve.best(),
        }
    }
}

/// At most some hundred points of a curve, the first and the last among them. Those at
/// which an object is found go first: at them the curve has its peaks.
fn thinned(curve: &PrCurve) -> Vec<(f64, f64)> {
    const MOST_POINTS: usize = 300;
    let mut recall = -1.0;
    let (last, others) = match curve.points.split_last() {
        Some((last, others)) => (Some(last), others),
        None => (None, &[][..]),
    };
    let peaks = others.iter().filter(|point| {
        let is_higher = point.recall > recall;
        recall = point.recall;
        is_higher
    });
    let points: Vec<&PrPoint> = peaks.chain(last).collect();
    let step = points.len().div_ceil(MOST_POINTS).max(1);
    let kept = points.iter().enumerate();
    let kept = kept.filter(|(index, _)| index.is_multiple_of(step) || index + 1 == points.len());
    kept.map(|(_, point)| (point.recall, point.precision))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_finds_nothing_more_hides_no_peak() {
        let hits = [true, false, false, true, false];
        let mut found = 0;
        let points = hits.iter().enumerate().map(|(index, hit)| {
            found += usize::from(*hit);
            PrPoint {
                score: 0.5,
                precision: found as f64 / (index + 1) as f64,
                recall: found as f64 / 2.0,
            }
        });
        let curve = PrCurve {
            name: "cat".into(),
            objects: 2,
            points: points.collect(),
        };
        assert_eq!(thinned(&curve), [(0.5, 1.0), (1.0, 0.5), (1.0, 0.4)]);
    }

    #[test]
    fn a_long_curve_keeps_its_ends() {
        for count in [0_usize, 1, 2, 299, 300, 301, 10_000] {
            let points = (0..count).map(|index| PrPoint {
                score: 0.5,
                precision: 1.0,
                recall: index as f64,
            });
            let curve = PrCurve {
                name: "cat".into(),
                objects: 1,
                points: points.collect(),
            };
            let thin = thinned(&curve);
            assert!(thin.len() <= 301, "{count}: {}", thin.len());
            let ends = [thin.first(), thin.last()].map(|point| point.map(|point| point.0));
            let last = count.checked_sub(1).map(|last| last as f64);
            assert_eq!(ends, [(count > 0).then_some(0.0), last]);
        }
    }
}
