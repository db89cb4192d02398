//! Average precision class by class, as the VOC and COCO reports hold it.

use std::fmt::{self, Display as _};

use serde::Serializer;

use crate::evaluation::Evaluation;
use crate::matching::{detections_per_class, objects_per_class};
use crate::table::{Table, share};

/// The average precision of one class.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassAp {
    /// The class.
    pub name: String,
    /// Objects to be found, without difficult ones.
    pub objects: usize,
    /// Detections at any score.
    pub detections: usize,
    /// Average precision, 0 to 1; `None` where there are no objects.
    pub ap: Option<f64>,
}

/// Puts names and counts to the average precisions of all classes.
pub(crate) fn class_aps(evaluation: &Evaluation, aps: Vec<Option<f64>>) -> Vec<ClassAp> {
    let names = evaluation.classes().iter();
    let objects = objects_per_class(evaluation);
    let detections = detections_per_class(evaluation);
    let counts = objects.into_iter().zip(detections);
    names
        .zip(counts)
        .zip(aps)
        .map(|((name, (objects, detections)), ap)| ClassAp {
            name: name.to_owned(),
            objects,
            detections,
            ap,
        })
        .collect()
}

/// The mean over the classes that have objects; `None` if none has.
pub(crate) fn mean(classes: &[ClassAp]) -> Option<f64> {
    let aps: Vec<f64> = classes.iter().filter_map(|class| class.ap).collect();
    (!aps.is_empty()).then(|| aps.iter().sum::<f64>() / aps.len() as f64)
}

/// Writes `{name: ap}` in the order of classes, null where there is no AP.
pub(crate) fn serialize_by_name<S: Serializer>(
    classes: &[ClassAp],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(classes.iter().map(|class| (&class.name, class.ap)))
}

/// Writes the classes and their mean as a table.
pub(crate) fn write_table(
    f: &mut fmt::Formatter<'_>,
    classes: &[ClassAp],
    map: Option<f64>,
) -> fmt::Result {
    let mut table = Table::new(["class", "objects", "detections", "AP"]);
    let mut row = |name: &str, objects: usize, detections: usize, ap| {
        table.row(vec![
            name.to_owned(),
            objects.to_string(),
            detections.to_string(),
            share(ap),
        ]);
    };
    for class in classes {
        row(&class.name, class.objects, class.detections, class.ap);
    }
    let objects = classes.iter().map(|class| class.objects).sum();
    let detections = classes.iter().map(|class| class.detections).sum();
    row("mean", objects, detections, map);
    table.fmt(f)
}
