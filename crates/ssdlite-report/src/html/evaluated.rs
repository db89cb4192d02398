//! The page of an evaluation.

use maud::{Markup, html};
use ssdlite_core::ClassId;
use ssdlite_eval::{ConfusionMatrix, MistakeKind};

use super::curves::curves;
use super::gallery::{GalleryView, doubts};
use super::table::{cell, table};
use super::{Section, color, facts, page, score, share};
use crate::evaluated::{ClassRow, EvaluatedPage, MOST_CURVES};
use crate::pictures::Pictures;

/// The page, with those of its images that have found room.
pub(crate) fn evaluated(shown: &EvaluatedPage, pictures: &Pictures) -> String {
    let images = shown.names.images.len();
    let lead = html! {
        p { (shown.data) ": " (images) " images, " (shown.objects) " objects" }
        (facts(&shown.model))
    };
    let gallery = GalleryView {
        gallery: &shown.gallery,
        names: &shown.names,
        pictures,
        views: None,
    };
    let section = |id, title: &str, body| Section {
        id,
        title: title.to_owned(),
        body,
    };
    let sections = [
        section("scores", "Scores", scores(shown)),
        section("classes", "Classes", classes(shown)),
        section("curves", "Curves", all_curves(shown)),
        section("confusion", "Confusion", confusion(shown)),
        section(
            "mistakes",
            "Mistakes",
            html! { (mistakes(shown)) (gallery.html()) },
        ),
        section("labels", "Doubtful labels", labels(shown, pictures)),
    ];
    page(&shown.model.name, &lead, &sections, pictures)
}

fn scores(shown: &EvaluatedPage) -> Markup {
    let point = &shown.all.point;
    let at_own = [
        ("precision", point.precision),
        ("recall", point.recall),
        ("F1", point.f1),
    ];
    html! {
        dl.tiles {
            @for (name, value) in &shown.scores {
                div { dt { (name) } dd { (share(*value)) } }
            }
            @for (name, value) in at_own {
                div { dt { (name) " from score " (score(Some(point.score))) } dd { (share(value)) } }
            }
        }
    }
}

/// The rows of all classes, then that of all together.
fn rows(shown: &EvaluatedPage) -> impl Iterator<Item = (Markup, &ClassRow)> {
    let ids = shown.names.classes.ids();
    let classes = ids.zip(&shown.classes);
    let classes = classes.map(|(class, row)| (swatch(class, &row.name), row));
    classes.chain([(cell("all classes"), &shown.all)])
}

/// A class's name behind its colour.
fn swatch(class: ClassId, name: &str) -> Markup {
    html! {
        span.swatch style={ "--class:" (color(class)) } {}
        (name)
    }
}

fn classes(shown: &EvaluatedPage) -> Markup {
    let least = score(Some(shown.model.least_score));
    let headings = [
        "class",
        "objects",
        "AP 2007",
        "AP 2010",
        "AP COCO",
        "precision",
        "recall",
        "F1",
        "best F1",
        "at score",
        "suggested",
    ];
    let rows: Vec<Vec<Markup>> = rows(shown)
        .map(|(name, row)| {
            let mut cells = vec![name, cell(row.objects)];
            cells.extend(row.aps.map(|ap| cell(share(ap))));
            let point = row.point;
            cells.extend([point.precision, point.recall, point.f1].map(|value| cell(share(value))));
            cells.push(cell(share(row.best.and_then(|point| point.f1))));
            cells.push(cell(score(row.best.map(|point| point.score))));
            cells.push(cell(score(row.suggested)));
            cells
        })
        .collect();
    html! {
        p.soft {
            "Average precision at IoU 0.5 by VOC 2007 (11 points) and VOC 2010 (area), and over \
             IoU 0.5 to 0.95 by COCO; precision, recall and F1 of detections from score "
            (least) " on. The score of the best F1 is these images’; the suggested one lies in \
             the middle of those that are about as good."
        }
        (table("Classes", &headings, &rows))
    }
}

fn all_curves(shown: &EvaluatedPage) -> Markup {
    let with_objects = shown.classes.iter().filter(|class| class.objects > 0);
    let left_out = with_objects.count().saturating_sub(MOST_CURVES);
    html! {
        @if left_out > 0 {
            p.soft {
                "The " (MOST_CURVES) " classes with the most objects are drawn; "
                (left_out) " others are not."
            }
        }
        div.curve-grid {
            @for class in &shown.curves {
                (curves(class))
            }
        }
    }
}

fn confusion(shown: &EvaluatedPage) -> Markup {
    let matrix = &shown.confusion;
    let mut headings = vec!["true \\ predicted"];
    headings.extend(matrix.labels().iter().map(String::as_str));
    let labels = matrix.labels().iter().enumerate();
    let rows: Vec<Vec<Markup>> = labels
        .map(|(truth, label)| {
            let predicted = 0..matrix.labels().len();
            let counts = predicted.map(|predicted| count(matrix, truth, predicted));
            std::iter::once(cell(label)).chain(counts).collect()
        })
        .collect();
    html! {
        p.soft {
            "Rows: what there was. Columns: what was predicted from score "
            (score(Some(shown.model.least_score))) " on. A darker cell is a larger share of its row."
        }
        div.matrix { (table("Confusion matrix", &headings, &rows)) }
    }
}

fn count(matrix: &ConfusionMatrix, truth: usize, predicted: usize) -> Markup {
    let count = matrix.get(truth, predicted).unwrap_or_default();
    let share = matrix.share(truth, predicted).unwrap_or_default();
    html! {
        span.count style=(format!("--share:{share:.3}")) title=(matrix.percent(truth, predicted)) {
            (count)
        }
    }
}

fn mistakes(shown: &EvaluatedPage) -> Markup {
    let mut headings = vec!["class"];
    headings.extend(MistakeKind::ALL.map(MistakeKind::name));
    let rows: Vec<Vec<Markup>> = rows(shown)
        .map(|(name, row)| {
            let counts = row.mistakes.iter().map(|count| cell(*count));
            std::iter::once(name).chain(counts).collect()
        })
        .collect();
    html! {
        p.soft {
            "Of detections from score " (score(Some(shown.model.least_score)))
            " on. Missed: no detection, nor one that only errs in class or place. Background: \
             nothing is there. Wrong class: it hits an object of another class. Badly placed: \
             it overlaps an object of its class by less than IoU 0.5. Double: the object was \
             found already. The worst images come first: a missed object counts 1, a wrong \
             detection its score."
        }
        (table("Mistakes by class and kind", &headings, &rows))
        @if shown.gallery.all == 0 {
            p { "There is no mistake in any image." }
        }
    }
}

fn labels(shown: &EvaluatedPage, pictures: &Pictures) -> Markup {
    html! {
        p.soft {
            "Where the labels are probably wrong: detections surer than half of the right ones \
             of their class, without a label or with another one, and labels that no detection \
             of any class and score comes near."
        }
        @if shown.doubts.is_empty() {
            p { "No label is doubtful." }
        } @else {
            (doubts(&shown.doubts, shown.doubt_count, &shown.names, pictures))
        }
    }
}
