//! What the page of a comparison shows.

use ssdlite_eval::{Comparison, Evaluation, IouThreshold};

use crate::error::{Error, Result};
use crate::shown::{Gallery, MOST_PICTURES, Names, Shot, ShownData, ShownModel};

/// One of the two detectors of a comparison.
#[derive(Clone, Debug)]
pub struct ComparedSide<'a> {
    /// What it found.
    pub evaluation: &'a Evaluation,
    /// The model.
    pub model: ShownModel,
}

/// A comparison of two detectors, ready to become a page.
#[derive(Clone, Debug)]
pub struct ComparedPage {
    pub(crate) comparison: Comparison,
    pub(crate) models: [ShownModel; 2],
    pub(crate) data: String,
    pub(crate) names: Names,
    /// The images in which the detectors differ most, with both views.
    pub(crate) gallery: Gallery,
}

impl ComparedPage {
    /// What the page shows of a comparison of these two on this data.
    ///
    /// # Errors
    /// [`Error::Malformed`] for another number of images than the evaluations have;
    /// [`Error::Evaluation`] for a least score of a model that is not from 0 to 1.
    pub fn new(
        comparison: Comparison,
        sides: [ComparedSide<'_>; 2],
        data: ShownData,
    ) -> Result<Self> {
        let half = IouThreshold::HALF;
        let [a, b] = sides;
        let names = Names::new(a.evaluation, data.images)?;
        if b.evaluation.image_count() != names.images.len() {
            return Err(Error::Malformed(format!(
                "expected both detectors on {} images, found the second on {}",
                names.images.len(),
                b.evaluation.image_count()
            )));
        }
        let judged_by = |side: &ComparedSide<'_>| {
            let least_score = side.model.least_score;
            side.evaluation.judged_images(least_score, half)
        };
        let (judged_a, judged_b) = (judged_by(&a)?, judged_by(&b)?);
        let shown = comparison.differing.iter().take(MOST_PICTURES);
        let shots = shown.filter_map(|found| {
            let views = [&judged_a, &judged_b].map(|judged| judged.get(found.image).cloned());
            Some(Shot {
                image: found.image,
                views: views.into_iter().collect::<Option<Vec<_>>>()?,
            })
        });
        Ok(Self {
            gallery: Gallery {
                shots: shots.collect(),
                all: comparison.differing.len(),
            },
            comparison,
            models: [a.model, b.model],
            data: data.name,
            names,
        })
    }
}
