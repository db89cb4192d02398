//! In which form a client wants its answer.
//!
//! Source: RFC 9110, section 12.5.1 (the header `Accept`, its ranges and their
//! quality). Taken besides: `*` alone, as older Java writes it. A range that
//! can't be read says nothing.

use axum::http::{HeaderMap, header};

use crate::refusal::Refusal;

/// The forms in which detections are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Json,
    /// A JPEG of the image with its boxes.
    Picture,
}

/// How much each form is wanted, 0 to 1: one of them at least.
pub(crate) struct Accepted {
    json: f32,
    picture: f32,
}

impl Accepted {
    /// What the headers say; both alike where they say nothing.
    pub(crate) fn read(headers: &HeaderMap) -> Result<Self, Refusal> {
        let values = headers.get_all(header::ACCEPT).iter();
        let text: Vec<&str> = values.filter_map(|value| value.to_str().ok()).collect();
        let ranges: Vec<Range<'_>> = text
            .iter()
            .flat_map(|value| value.split(','))
            .filter_map(Range::read)
            .collect();
        if ranges.is_empty() {
            return Ok(Self {
                json: 1.0,
                picture: 1.0,
            });
        }
        let json = quality(&ranges, "application", "json");
        let picture = quality(&ranges, "image", "jpeg");
        if json.max(picture) <= 0.0 {
            return Err(Refusal::NotAcceptable(format!(
                "expected `Accept` to allow application/json or image/jpeg, found `{}`",
                text.join(", ")
            )));
        }
        Ok(Self { json, picture })
    }

    /// The form that is wanted most; JSON where both are wanted alike.
    pub(crate) fn form(&self) -> Form {
        if self.picture > self.json {
            Form::Picture
        } else {
            Form::Json
        }
    }

    /// Whether JSON will do, though a picture may be wanted more.
    pub(crate) fn takes_json(&self) -> bool {
        self.json > 0.0
    }
}

/// A kind of answer and how much it is wanted, 0 to 1.
struct Range<'a> {
    kind: &'a str,
    subkind: &'a str,
    quality: f32,
}

impl<'a> Range<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let (kind, subkind) = match parts.next()? {
            "*" => ("*", "*"),
            range => range.split_once('/')?,
        };
        let weight = parts.find_map(|part| {
            let (name, value) = part.split_once('=')?;
            let is_weight = name.trim().eq_ignore_ascii_case("q");
            is_weight.then_some(value.trim())
        });
        let quality = weight.map_or(Some(1.0), |weight| weight.parse().ok())?;
        (0.0..=1.0).contains(&quality).then_some(Self {
            kind,
            subkind,
            quality,
        })
    }

    /// How closely it names a kind of answer; none if it names others.
    fn closeness(&self, kind: &str, subkind: &str) -> Option<u8> {
        let names = |found: &str, wanted: &str| found.eq_ignore_ascii_case(wanted);
        match (self.kind, self.subkind) {
            ("*", "*") => Some(0),
            (found, "*") if names(found, kind) => Some(1),
            (found, rest) if names(found, kind) && names(rest, subkind) => Some(2),
            _ => None,
        }
    }
}

/// How much an answer of this kind is wanted: as the range says that names it
/// most closely.
fn quality(ranges: &[Range<'_>], kind: &str, subkind: &str) -> f32 {
    let closest = ranges
        .iter()
        .filter_map(|range| Some((range.closeness(kind, subkind)?, range.quality)))
        .max_by(|(a, of_a), (b, of_b)| a.cmp(b).then(of_a.total_cmp(of_b)));
    closest.map_or(0.0, |(_, quality)| quality)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(values: &[&str]) -> Option<Form> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::ACCEPT, value.parse().unwrap());
        }
        Some(Accepted::read(&headers).ok()?.form())
    }

    #[test]
    fn the_form_that_is_wanted_most_is_chosen() {
        for (accept, form) in [
            (&[][..], Some(Form::Json)),
            (&["*/*"], Some(Form::Json)),
            (&["*"], Some(Form::Json)),
            (&[""], Some(Form::Json)),
            (&["nonsense"], Some(Form::Json)),
            (&["image/jpeg"], Some(Form::Picture)),
            (&["IMAGE/JPEG; Q=0.1"], Some(Form::Picture)),
            (&["image/*"], Some(Form::Picture)),
            (&["application/json, image/jpeg"], Some(Form::Json)),
            (&["application/json;q=0.5, image/jpeg"], Some(Form::Picture)),
            (&["application/json", "image/jpeg;q=0.9"], Some(Form::Json)),
            (&["image/*;q=0.2, */*;q=0.8"], Some(Form::Json)),
            (&["image/avif,image/*,*/*;q=0.8"], Some(Form::Picture)),
            (&["application/json, text/plain, */*"], Some(Form::Json)),
            (&["application/*;charset=utf-8"], Some(Form::Json)),
            (&["image/jpeg;q=0, image/*"], None),
            (&["image/jpeg;q=0, */*"], Some(Form::Json)),
            (&["image/png"], None),
            (&["text/html;q=2, image/jpeg"], Some(Form::Picture)),
            (&["*/*;q=0"], None),
        ] {
            assert_eq!(wanted(accept), form, "{accept:?}");
        }
    }
}
