//! What a page tells of a rule that fired, and what a webhook is told of it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use ssdlite_core::classes::MAX_CLASS_NAME_BYTES;

use crate::model::Model;
use crate::refusal::Refusal;

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
            time: utc(now.duration_since(UNIX_EPOCH).unwrap_or_default()),
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

/// A time since the start of 1970 as RFC 3339 writes it.
///
/// The date is counted in years that start in March, so that a leap day is a
/// year's last; 400 of them have 146,097 days.
fn utc(since_1970: Duration) -> String {
    const DAY: u64 = 24 * 60 * 60;
    let (days, second) = (since_1970.as_secs() / DAY, since_1970.as_secs() % DAY);
    // 0000-03-01 is 719,468 days before 1970.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    // A day less for each leap day before it.
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // Months from March on have 31, 30, 31, 30, 31 days, and so again.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next_year) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    let year = 400 * era + year + next_year;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let milliseconds = since_1970.subsec_millis();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milliseconds:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_dates() {
        for (seconds, written) in [
            (0, "1970-01-01T00:00:00.007Z"),
            (951_782_400, "2000-02-29T00:00:00.007Z"),
            (951_868_799, "2000-02-29T23:59:59.007Z"),
            (951_868_800, "2000-03-01T00:00:00.007Z"),
            (1_735_689_599, "2024-12-31T23:59:59.007Z"),
            (1_735_689_600, "2025-01-01T00:00:00.007Z"),
            (4_107_542_399, "2100-02-28T23:59:59.007Z"),
            (4_107_542_400, "2100-03-01T00:00:00.007Z"),
        ] {
            assert_eq!(utc(Duration::from_millis(seconds * 1000 + 7)), written);
        }
    }
}
