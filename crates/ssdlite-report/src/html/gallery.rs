//! Images with mistakes, their filters, and the large view.

use maud::{Markup, html};
use ssdlite_eval::{Doubt, DoubtfulLabel, JudgedImage, Mistake, MistakeKind};

use super::picture::{Shown, boxes_of, boxes_of_doubt, name, picture, scored, words};
use crate::pictures::Pictures;
use crate::shown::{Gallery, Names, Shot};

/// The most mistakes that are listed under an image.
const MOST_LISTED: usize = 10;

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
        let shots = &self.gallery.shots;
        html! {
            @if self.gallery.all > shots.len() {
                p.soft {
                    "The first " (shots.len()) " of " (self.gallery.all) " images are shown."
                }
            }
            (legend())
            (self.filters())
            div.gallery #gallery {
                @for shot in shots {
                    (self.shot(shot))
                }
            }
        }
    }

    fn mistakes(&self) -> impl Iterator<Item = (&JudgedImage, Mistake)> {
        let views = self.gallery.shots.iter().flat_map(|shot| &shot.views);
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
            if costs[0] > costs[1] { "a" } else { "b" }
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
        let mistakes = &view.mistakes;
        let left_out = mistakes.len().saturating_sub(MOST_LISTED);
        html! {
            div.view {
                @if let Some(title) = title {
                    h4 { (title) }
                }
                @if let Some(reduced) = self.pictures.get(shot.image) {
                    @let shown = Shown { picture: reduced, size: image.size, label };
                    (picture(&shown, &boxes_of(view, self.names)))
                }
                ul.mistakes {
                    @for &mistake in mistakes.iter().take(MOST_LISTED) {
                        li data-mistake=(token(view, mistake)) {
                            strong { (mistake.kind().name()) }
                            " " (words(view, mistake, self.names))
                        }
                    }
                    @if left_out > 0 {
                        li.soft { "and " (left_out) " more" }
                    }
                    @if mistakes.is_empty() {
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

/// Labels that are doubted.
pub(super) fn doubts(doubts: &[DoubtfulLabel], names: &Names, pictures: &Pictures) -> Markup {
    html! {
        div.gallery {
            @for DoubtfulLabel { image, doubt } in doubts {
                article.shot {
                    h3 { (names.images[*image].name) }
                    div.view {
                        @if let Some(reduced) = pictures.get(*image) {
                            @let shown = Shown {
                                picture: reduced,
                                size: names.images[*image].size,
                                label: names.images[*image].name.clone(),
                            };
                            (picture(&shown, &boxes_of_doubt(doubt, names)))
                        }
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
