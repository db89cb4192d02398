//! What a page tells of a rule that fired, and what a webhook is told of it.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use ssdlite_core::classes::MAX_CLASS_NAME_BYTES;

use crate::model::Model;
use crate::refusal::Refusal;
use crate::utc::utc;

/// The most bytes of what a page tells.
pub(crate) const MAX_BYTES: usize = 8 << 10;

/// The most characters of a text that a page made: a rule holds the name of a class,
/// and a source's title may be the name of a file.
const MAX_CHARACTERS: usize = MAX_CLASS_NAME_BYTES + 100;

/// A rule that fired, as a page tells it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ToldEvent {
    source: String,
    rule: String,
    class: String,
    score: f32,
    /// In double precision, as a number that is too large for another is a fault of the
    /// box and not of the JSON.
    #[serde(rename = "box")]
    bbox: [f64; 4],
    width: u32,
    height: u32,
    track: Option<u64>,
}

/// A rule that fired: an object of a class was there for a while.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RuleEvent {
    /// When it was told, in UTC: `2026-01-31T12:34:56.789Z`.
    pub time: String,
    /// What the page calls the source.
    pub source: String,
    /// The model's name.
    pub model: String,
    /// The rule in words, as the page shows it.
    pub rule: String,
    /// The object's class, one of the model's.
    pub class: String,
    /// How sure the detector was, 0 to 1.
    pub score: f32,
    /// Where the object was, in pixels of the frame, from the top left, `x2` and
    /// `y2` exclusive.
    #[serde(rename = "box")]
    pub bbox: [f32; 4],
    /// The frame's width in pixels.
    pub width: u32,
    /// The frame's height in pixels.
    pub height: u32,
    /// The object's number in the page.
    pub track: Option<u64>,
}

impl ToldEvent {
    /// The event for the webhook.
    pub(crate) fn into_event(self, model: &Model, now: SystemTime) -> Result<RuleEvent, Refusal> {
        let refuse = |reason: String| Err(Refusal::Unusable(reason));
        if model.classes().id_of(&self.class).is_none() {
            return refuse(format!("there is no class `{}`", self.class));
        }
        for (name, text) in [("source", &self.source), ("rule", &self.rule)] {
            let length = text.chars().count();
            if length > MAX_CHARACTERS {
                return refuse(format!(
                    "`{name}`: expected at most {MAX_CHARACTERS} characters, found {length}"
                ));
            }
        }
        if !(0.0..=1.0).contains(&self.score) {
            return refuse(format!("expected a score of 0 to 1, found {}", self.score));
        }
        let bbox = self.bbox.map(|side| side as f32);
        if bbox.iter().any(|side| !side.is_finite()) {
            return refuse(format!("expected a box of numbers, found {:?}", self.bbox));
        }
        Ok(RuleEvent {
            time: utc(now),
            source: self.source,
            model: model.name.clone(),
            rule: self.rule,
            class: self.class,
            score: self.score,
            bbox,
            width: self.width,
            height: self.height,
            track: self.track,
        })
    }
}
