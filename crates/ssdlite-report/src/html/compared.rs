//! The page of a comparison.

use maud::{Markup, html};
use ssdlite_eval::bootstrap::CONFIDENCE;
use ssdlite_eval::{ApDifference, Better, Interval, Side};

use super::gallery::GalleryView;
use super::table::{cell, table};
use super::{Section, page, score, share};
use crate::compared::ComparedPage;
use crate::pictures::Pictures;

/// What the two models are called beside each other.
const SIDES: [&str; 2] = ["A", "B"];

/// The page, with those of its images that have found room.
pub(crate) fn compared(shown: &ComparedPage, pictures: &Pictures) -> String {
    let [a, b] = &shown.models;
    let lead = html! {
        p {
            (shown.data) ": " (shown.comparison.images) " images, "
            (shown.comparison.objects) " objects"
        }
        div.sides {
            @for (side, model) in SIDES.iter().zip(&shown.models) {
                h2 { (side) ": " (model.name) }
            }
        }
        p.verdict { (verdict(&shown.comparison.map)) }
    };
    let gallery = GalleryView {
        gallery: &shown.gallery,
        names: &shown.names,
        pictures,
        views: Some(SIDES),
    };
    let section = |id, title: &str, body| Section {
        id,
        title: title.to_owned(),
        body,
    };
    let differing = html! {
        p.soft {
            "The images in which the two differ most come first: a missed object counts 1, a \
             wrong detection its score."
        }
        @if shown.gallery.all == 0 {
            p { "They differ in no image." }
        }
        (gallery.html())
    };
    let sections = [
        section("scores", "Scores", scores(shown)),
        section("classes", "Classes", classes(shown)),
        section("images", "Images", differing),
    ];
    page(
        &format!("{} and {}", a.name, b.name),
        &lead,
        &sections,
        pictures,
    )
}

/// What the interval of the mean says.
fn verdict(map: &ApDifference) -> String {
    let (Some(difference), Some(interval)) = (map.difference, map.interval) else {
        return "There are no objects to compare by.".into();
    };
    format!(
        "mAP of B − A: {difference:+.3}; in {} of resampled sets {}: {}.",
        percent(CONFIDENCE),
        interval_text(Some(interval)),
        map.better()
    )
}

fn percent(share: f64) -> String {
    format!("{:.0} %", 1e2 * share)
}

fn scores(shown: &ComparedPage) -> Markup {
    let sides = [&shown.comparison.a, &shown.comparison.b];
    let row = |name: &str, of: fn(&Side) -> String| {
        let values = sides.map(|side| cell(of(side)));
        std::iter::once(cell(name)).chain(values).collect()
    };
    let map = shown.comparison.map;
    let mut rows: Vec<Vec<Markup>> = vec![
        vec![cell("mAP"), cell(share(map.a)), cell(share(map.b))],
        row("least score", |side| score(Some(side.point.score))),
        row("precision", |side| share(side.point.precision)),
        row("recall", |side| share(side.point.recall)),
        row("F1", |side| share(side.point.f1)),
        row("best F1", |side| share(side.best_f1)),
        row("at score", |side| score(side.best_score)),
    ];
    let [a, b] = &shown.models;
    rows.extend(a.facts.iter().map(|(name, of_a)| {
        let of_b = b.facts.iter().find(|(other, _)| other == name);
        let of_b = of_b.map(|(_, value)| value.as_str());
        vec![cell(name), cell(of_a), cell(of_b.unwrap_or_default())]
    }));
    html! {
        p.soft { (shown.comparison.metric.to_string()) " at IoU " (shown.comparison.iou.get()) }
        div.both { (table("Both models", &["", SIDES[0], SIDES[1]], &rows)) }
    }
}

fn classes(shown: &ComparedPage) -> Markup {
    let comparison = &shown.comparison;
    let interval = format!("{} interval", percent(CONFIDENCE));
    let headings = [
        "class",
        "objects",
        "AP A",
        "AP B",
        "B − A",
        interval.as_str(),
        "",
        "F1 A",
        "F1 B",
    ];
    let all = comparison.per_class.iter().map(|class| &class.ap);
    let span = all
        .chain([&comparison.map])
        .filter_map(|ap| ap.interval)
        .map(|interval| interval.high.abs().max(interval.low.abs()))
        .fold(0.0, f64::max);
    let row = |name: &str, objects: usize, ap: &ApDifference, f1: [Option<f64>; 2]| {
        let mut cells = vec![
            cell(name),
            cell(objects),
            cell(share(ap.a)),
            cell(share(ap.b)),
            cell(signed(ap.difference)),
            cell(interval_text(ap.interval)),
            bar(ap, span),
        ];
        cells.extend(f1.map(|f1| cell(share(f1))));
        cells
    };
    let mut rows: Vec<Vec<Markup>> = comparison
        .per_class
        .iter()
        .map(|class| row(&class.name, class.objects, &class.ap, class.f1))
        .collect();
    let f1 = [comparison.a.point.f1, comparison.b.point.f1];
    rows.push(row(
        "mean AP, all F1",
        comparison.objects,
        &comparison.map,
        f1,
    ));
    html! {
        p.soft {
            "The interval is a paired bootstrap’s over the images, of " (comparison.resamples)
            " resamples: where it holds 0, these images do not show which model is better."
        }
        (table("Classes", &headings, &rows))
    }
}

/// An interval as a bar around 0; `span` reaches to either side.
fn bar(ap: &ApDifference, span: f64) -> Markup {
    let (Some(difference), Some(interval)) = (ap.difference, ap.interval) else {
        return html! {};
    };
    let place = |value: f64| 50.0 + 48.0 * (value / span.max(f64::MIN_POSITIVE)).clamp(-1.0, 1.0);
    let (low, high) = (place(interval.low), place(interval.high));
    let kind = match ap.better() {
        Better::A | Better::B => "sure",
        Better::Unknown => "unsure",
    };
    html! {
        svg.bar.(kind) viewBox="0 0 100 16" aria-hidden="true" {
            path.zero d="M50 0V16" {}
            path.reach d=(format!("M{low:.1} 8H{high:.1}")) {}
            circle cx=(format!("{:.1}", place(difference))) cy="8" r="3.5" {}
        }
    }
}

fn signed(difference: Option<f64>) -> String {
    difference.map_or_else(|| share(None), |value| format!("{value:+.3}"))
}

fn interval_text(interval: Option<Interval>) -> String {
    interval.map_or_else(
        || share(None),
        |Interval { low, high }| format!("{low:+.3} to {high:+.3}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn difference(low: f64, high: f64) -> ApDifference {
        ApDifference {
            a: Some(0.5),
            b: Some(0.5 + low),
            difference: Some(low),
            interval: Some(Interval { low, high }),
        }
    }

    #[test]
    fn a_verdict_is_given_where_the_interval_leaves_no_zero() {
        for (low, high, words) in [
            (0.01, 0.2, "B is better"),
            (-0.2, -0.01, "A is better"),
            (-0.1, 0.1, "do not show"),
            (0.0, 0.0, "do not show"),
        ] {
            let text = verdict(&difference(low, high));
            assert!(text.contains(words), "{text}");
        }
        let nothing = ApDifference {
            a: None,
            b: None,
            difference: None,
            interval: None,
        };
        assert!(verdict(&nothing).contains("no objects"));
        assert_eq!(bar(&nothing, 1.0).into_string(), "");
    }

    #[test]
    fn a_bar_stays_in_its_box() {
        for span in [0.0, 0.5, 1.0] {
            let bar = bar(&difference(-1.0, 1.0), span).into_string();
            assert!(bar.contains("M2.0 8H98.0"), "{bar}");
        }
        let none = bar(&difference(0.0, 0.0), 0.0).into_string();
        assert!(none.contains("M50.0 8H50.0"), "{none}");
    }
}
