//! An image with boxes drawn over it as SVG.

use maud::{Markup, html};
use ssdlite_core::{ClassId, Detection, GroundTruth, ImageSize, PixelBox};
use ssdlite_eval::{Doubt, JudgedImage, Mistake};

use super::color;
use super::gallery::token;
use crate::pictures::{Picture, Pictures};
use crate::shown::Names;

/// The most boxes that are drawn over an image; wrong ones come first.
const MOST_BOXES: usize = 400;

/// The size of text over an image, as a share of its longer side. Where an image is
/// shown large the page's style takes less.
const TEXT_SHARE: f32 = 1.0 / 30.0;

/// About how wide a character is, as a share of the text's size.
const CHARACTER_SHARE: f32 = 0.62;

/// What a box stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Label,
    Detection,
}

/// What is to be said of a box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tone {
    /// Nothing: it is as it should be, or does not count.
    Right,
    /// It is, or has a part in, a mistake.
    Wrong,
}

/// A box over an image.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct DrawnBox {
    bbox: PixelBox,
    class: ClassId,
    origin: Origin,
    tone: Tone,
    /// What is said of it: over a wrong box in sight, over others where it is pointed at.
    text: String,
    /// What it is filtered by, if it is a mistake.
    token: Option<String>,
}

/// An image of the page, with the size that its boxes count in.
pub(super) struct Shown {
    /// Its place in the evaluation.
    pub(super) image: usize,
    pub(super) size: ImageSize,
    /// What it is called.
    pub(super) label: String,
}

/// The id of an image, which stands in the page once however often it is shown.
fn id_of(image: usize) -> String {
    format!("image-{image}")
}

/// The images that a page refers to.
pub(super) fn store(pictures: &Pictures) -> Markup {
    html! {
        svg.store aria-hidden="true" {
            defs {
                @for (image, Picture { address, size }) in pictures.all() {
                    // As large as what refers to it, whatever size it was reduced to.
                    symbol #(id_of(image)) viewBox={ "0 0 " (size.width) " " (size.height) }
                        preserveAspectRatio="none" {
                        image href=(address) width=(size.width) height=(size.height)
                            decoding="async" {}
                    }
                }
            }
        }
    }
}

/// A button that shows an image with boxes, and opens it large.
pub(super) fn picture(shown: &Shown, boxes: &[DrawnBox]) -> Markup {
    let ImageSize { width, height } = shown.size;
    let left_out = boxes.len().saturating_sub(MOST_BOXES);
    html! {
        button.picture type="button" aria-label={ (shown.label) ", larger" } {
            svg viewBox={ "0 0 " (width) " " (height) } aria-hidden="true"
                font-size=(number(text_size(shown.size))) {
                use href={ "#" (id_of(shown.image)) } width=(width) height=(height) {}
                // What is drawn last lies on top.
                @for drawn in boxes.iter().take(MOST_BOXES).rev() {
                    (drawn_box(drawn, shown.size))
                }
            }
        }
        @if left_out > 0 {
            p.soft { "The first " (MOST_BOXES) " of " (boxes.len()) " boxes are drawn." }
        }
    }
}

fn drawn_box(drawn: &DrawnBox, size: ImageSize) -> Markup {
    let bbox = drawn.bbox.clipped(size);
    let origin = match drawn.origin {
        Origin::Label => "label",
        Origin::Detection => "detection",
    };
    let tone = match drawn.tone {
        Tone::Right => "right",
        Tone::Wrong => "wrong",
    };
    let text_size = text_size(size);
    // Text that would end beyond the image begins before its box.
    let text_width = drawn.text.chars().count() as f32 * text_size * CHARACTER_SHARE;
    let text_left = bbox.x1.min(size.width as f32 - text_width).max(0.0);
    // A detection's text stands over its box, a label's below, where there is room.
    let baseline = match drawn.origin {
        Origin::Detection => (bbox.y1 - 0.3 * text_size).max(text_size),
        Origin::Label => (bbox.y2 + text_size).min(size.height as f32 - 0.3 * text_size),
    };
    let rect = |class: &str| {
        html! {
            rect.(class) x=(number(bbox.x1)) y=(number(bbox.y1)) width=(number(bbox.width()))
                height=(number(bbox.height())) {}
        }
    };
    html! {
        g.box.(origin).(tone) data-mistake=[drawn.token.as_deref()]
            style={ "--class:" (color(drawn.class)) } {
            title { (drawn.text) }
            (rect("rim"))
            (rect("edge"))
            @if drawn.tone == Tone::Wrong {
                text x=(number(text_left)) y=(number(baseline)) { (drawn.text) }
            }
        }
    }
}

fn text_size(size: ImageSize) -> f32 {
    size.width.max(size.height) as f32 * TEXT_SHARE
}

/// Pixels of the original image, to a tenth.
fn number(value: f32) -> String {
    format!("{value:.1}")
}

/// All boxes of a judged image, mistakes first.
pub(super) fn boxes_of(judged: &JudgedImage, names: &Names) -> Vec<DrawnBox> {
    let mut objects: Vec<DrawnBox> = judged
        .objects
        .iter()
        .enumerate()
        .map(|(index, object)| {
            let state = match (object.difficult, judged.is_found(index)) {
                (true, _) => "difficult, does not count",
                (false, true) => "found",
                (false, false) => "not found",
            };
            let class = name(names, object.class);
            label(object, format!("label {class}, {state}"))
        })
        .collect();
    let mut detections: Vec<DrawnBox> = judged
        .detections
        .iter()
        .map(|found| detection(found, scored(names, found)))
        .collect();
    for &mistake in &judged.mistakes {
        let token = token(judged, mistake);
        if let Some(index) = mistake.detection() {
            let drawn = &mut detections[index];
            drawn.tone = Tone::Wrong;
            drawn.token = Some(token.clone());
        }
        // A label that was found is none of the mistake's making.
        if let Some(index) = mistake.object().filter(|&index| !judged.is_found(index)) {
            let class = name(names, judged.objects[index].class);
            let drawn = &mut objects[index];
            drawn.tone = Tone::Wrong;
            drawn.text = class.to_owned();
            drawn.token = Some(token);
        }
    }
    let mut boxes = detections;
    boxes.append(&mut objects);
    boxes.sort_by_key(|drawn| drawn.tone == Tone::Right);
    boxes
}

/// The boxes of a label that is doubted.
pub(super) fn boxes_of_doubt(doubt: &Doubt, names: &Names) -> Vec<DrawnBox> {
    let (found, object) = match doubt {
        Doubt::NoLabel { detection } => (Some(detection), None),
        Doubt::OtherClass { detection, object } => (Some(detection), Some(object)),
        Doubt::NothingNear { object } => (None, Some(object)),
    };
    let found = found.map(|found| detection(found, scored(names, found)));
    let object = object.map(|object| {
        let class = name(names, object.class);
        label(object, format!("label {class}"))
    });
    let boxes = found.into_iter().chain(object);
    boxes
        .map(|drawn| DrawnBox {
            tone: Tone::Wrong,
            ..drawn
        })
        .collect()
}

fn label(object: &GroundTruth, text: String) -> DrawnBox {
    DrawnBox {
        bbox: object.bbox,
        class: object.class,
        origin: Origin::Label,
        tone: Tone::Right,
        text,
        token: None,
    }
}

fn detection(found: &Detection, text: String) -> DrawnBox {
    DrawnBox {
        bbox: found.bbox,
        class: found.class,
        origin: Origin::Detection,
        tone: Tone::Right,
        text,
        token: None,
    }
}

/// A detection's class and score.
pub(super) fn scored(names: &Names, found: &Detection) -> String {
    format!("{} {:.2}", name(names, found.class), found.score)
}

/// A class's name.
pub(super) fn name(names: &Names, class: ClassId) -> &str {
    names.classes.get(class).unwrap_or("?")
}

/// A mistake in words, as its kind and what it is about.
pub(super) fn words(judged: &JudgedImage, mistake: Mistake, names: &Names) -> String {
    let found = mistake.detection().map(|index| &judged.detections[index]);
    let object = mistake.object().map(|index| &judged.objects[index]);
    match (found, object) {
        (None, None) => String::new(),
        (None, Some(object)) => name(names, object.class).to_owned(),
        (Some(found), Some(object)) if object.class != found.class => format!(
            "{}, labelled {}",
            scored(names, found),
            name(names, object.class)
        ),
        (Some(found), _) => scored(names, found),
    }
}
