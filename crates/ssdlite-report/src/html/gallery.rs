//! Images with mistakes, their filters, and the large view.

use std::cmp::Ordering;

use maud::{Markup, html};
use ssdlite_eval::{Doubt, DoubtfulLabel, JudgedImage, Mistake, MistakeKind};

use super::picture::{Shown, boxes_of, boxes_of_doubt, name, picture, scored, words};
use crate::pictures::Pictures;
use crate::shown::{Gallery, Names, Shot};

/// The most lines of mistakes under an image.
const MOST_LISTED: usize = 10;

/// Mistakes of an image of which the same is to be said.
struct Line {
    /// The first of them.
    mistake: Mistake,
    words: String,
    count: usize,
}

/// An image's mistakes in their order, equal ones as one.
fn listed(judged: &JudgedImage, names: &Names) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for &mistake in &judged.mistakes {
        let words = words(judged, mistake, names);
        let kind = mistake.kind();
        let same = lines
            .iter_mut()
            .find(|line| line.mistake.kind() == kind && line.words == words);
        match same {
            Some(line) => line.count += 1,
            None => lines.push(Line {
                mistake,
                words,
                count: 1,
            }),
        }
    }
    lines
}

/// What a mistake is filtered by: its kind, the class that it is counted at, and the
/// class of the object that it is about if that is another, with colons between.
pub(super) fn token(judged: &JudgedImage, mistake: Mistake) -> String {
    let class = judged.class_of(mistake);
    let object = mistake.object().map(|index| judged.objects[index].class);
    let (kind, class_index) = (mistake.kind().index(), class.index());
    match object.filter(|other| *other != class) {
        Some(other) => format!("{kind}:{class_index}:{}", other.index()),
        None => format!("{kind}:{class_index}"),
    }
}

/// What the gallery of a page is about.
pub(super) struct GalleryView<'a> {
    pub(super) gallery: &'a Gallery,
    pub(super) names: &'a Names,
    pub(super) pictures: &'a Pictures,
    /// What the views of an image are called, if there are two.
    pub(super) views: Option<[&'static str; 2]>,
}

impl GalleryView<'_> {
    /// Filters and images.
    pub(super) fn html(&self) -> Markup {
        let count = self.shots().count();
        html! {
            @if self.gallery.all > count {
                p.soft {
                    "The first " (count) " of " (self.gallery.all) " images are shown."
                }
            }
            (legend())
            (self.filters())
            div.gallery #gallery {
                @for shot in self.shots() {
                    (self.shot(shot))
                }
            }
        }
    }

    /// Those whose image has found room on the page.
    fn shots(&self) -> impl Iterator<Item = &Shot> {
        let shots = self.gallery.shots.iter();
        shots.take_while(|shot| self.pictures.has(shot.image))
    }

    fn mistakes(&self) -> impl Iterator<Item = (&JudgedImage, Mistake)> {
        let views = self.shots().flat_map(|shot| &shot.views);
        views.flat_map(|view| view.mistakes.iter().map(move |&mistake| (view, mistake)))
    }

    fn filters(&self) -> Markup {
        let mut kinds = [0; MistakeKind::ALL.len()];
        let mut classes = vec![0; self.names.classes.len()];
        for (view, mistake) in self.mistakes() {
            kinds[mistake.kind().index()] += 1;
            classes[view.class_of(mistake).index()] += 1;
            if let Some(object) = mistake.object().map(|index| &view.objects[index])
                && object.class != view.class_of(mistake)
            {
                classes[object.class.index()] += 1;
            }
        }
        let ids = self.names.classes.ids();
        let ids = ids.filter(|class| classes[class.index()] > 0);
        html! {
            form.filters #filters autocomplete="off" hidden {
                label.pick {
                    span { "Class" }
                    select #class-filter {
                        option value="" { "All classes" }
                        @for class in ids {
                            option value=(class.index()) { (name(self.names, class)) }
                        }
                    }
                }
                @if let Some([a, b]) = self.views {
                    label.pick {
                        span { "Worse" }
                        select #worse-filter {
                            option value="" { "Either" }
                            option value="a" { (a) }
                            option value="b" { (b) }
                        }
                    }
                }
                fieldset.chips {
                    legend { "Kind of mistake" }
                    label { input type="radio" name="kind" value="" checked; "all" }
                    @for kind in MistakeKind::ALL {
                        @if kinds[kind.index()] > 0 {
                            label {
                                input type="radio" name="kind" value=(kind.index());
                                (kind.name()) " " span.soft { (kinds[kind.index()]) }
                            }
                        }
                    }
                }
                fieldset.chips {
                    legend { "Boxes" }
                    label { input #show-labels type="checkbox" checked; "labels" }
                    label { input #show-detections type="checkbox" checked; "detections" }
                    label { input #show-right type="checkbox" checked; "right ones too" }
                }
                p #shown-count role="status" aria-live="polite" {}
            }
        }
    }

    fn shot(&self, shot: &Shot) -> Markup {
        let mut tokens: Vec<String> = Vec::new();
        for view in &shot.views {
            tokens.extend(view.mistakes.iter().map(|&mistake| token(view, mistake)));
        }
        tokens.sort_unstable();
        tokens.dedup();
        let worse = self.views.map(|_| {
            let costs = [&shot.views[0], &shot.views[1]].map(JudgedImage::cost);
            match costs[0].total_cmp(&costs[1]) {
                Ordering::Greater => "a",
                Ordering::Less => "b",
                Ordering::Equal => "",
            }
        });
        let image = &self.names.images[shot.image];
        html! {
            article.shot data-mistakes=(tokens.join(" ")) data-worse=[worse] {
                h3 { (image.name) }
                div.views {
                    @for (index, view) in shot.views.iter().enumerate() {
                        (self.view(shot, view, self.views.map(|names| names[index])))
                    }
                }
            }
        }
    }

    fn view(&self, shot: &Shot, view: &JudgedImage, title: Option<&str>) -> Markup {
        let image = &self.names.images[shot.image];
        let label = match title {
            Some(title) => format!("{}, {title}", image.name),
            None => image.name.clone(),
        };
        let listed = listed(view, self.names);
        let left_out = listed.iter().skip(MOST_LISTED).map(|line| line.count);
        let left_out: usize = left_out.sum();
        html! {
            div.view {
                @if let Some(title) = title {
                    h4 { (title) }
                }
                @let shown = Shown { image: shot.image, size: image.size, label };
                (picture(&shown, &boxes_of(view, self.names)))
                ul.mistakes {
                    @for line in listed.iter().take(MOST_LISTED) {
                        li data-mistake=(token(view, line.mistake)) {
                            strong { (line.mistake.kind().name()) }
                            " " (line.words)
                            @if line.count > 1 { " × " (line.count) }
                        }
                    }
                    @if left_out > 0 {
                        li.soft { "and " (left_out) " more" }
                    }
                    @if listed.is_empty() {
                        li.soft { "nothing is wrong" }
                    }
                }
            }
        }
    }
}

/// What the boxes look like.
fn legend() -> Markup {
    html! {
        p.legend {
            span.key.label {} "dashed: a label"
            span.key.detection {} "solid: a detection"
            span { "A box has its class’s colour; those with words are wrong." }
        }
    }
}

/// Labels that are doubted, the first of `all`.
pub(super) fn doubts(
    doubts: &[DoubtfulLabel],
    all: usize,
    names: &Names,
    pictures: &Pictures,
) -> Markup {
    let shown = || doubts.iter().take_while(|label| pictures.has(label.image));
    let count = shown().count();
    html! {
        @if all > count {
            p.soft { "The first " (count) " of " (all) " are shown." }
        }
        div.gallery {
            @for DoubtfulLabel { image, doubt } in shown() {
                article.shot {
                    h3 { (names.images[*image].name) }
                    div.view {
                        @let shown = Shown {
                            image: *image,
                            size: names.images[*image].size,
                            label: names.images[*image].name.clone(),
                        };
                        (picture(&shown, &boxes_of_doubt(doubt, names)))
                        p { (doubt_words(doubt, names)) }
                    }
                }
            }
        }
    }
}

fn doubt_words(doubt: &Doubt, names: &Names) -> String {
    match doubt {
        Doubt::NoLabel { detection } => format!("{}, and no label", scored(names, detection)),
        Doubt::OtherClass { detection, object } => format!(
            "{}, but labelled {}",
            scored(names, detection),
            name(names, object.class)
        ),
        Doubt::NothingNear { object } => format!(
            "labelled {}, and no detection comes near",
            name(names, object.class)
        ),
    }
}

/// The large view, which the script fills.
pub(super) fn viewer() -> Markup {
    html! {
        dialog.viewer #viewer aria-label="Image" {
            div.viewer-head {
                p #viewer-title {}
                button #viewer-close type="button" { "Close" }
            }
            div.viewer-image #viewer-image {}
            div.viewer-steps {
                button #viewer-previous type="button" aria-keyshortcuts="ArrowLeft" { "Previous" }
                button #viewer-next type="button" aria-keyshortcuts="ArrowRight" { "Next" }
            }
        }
    }
}
