//! What the text fields of a VOC annotation mean.

use std::sync::Arc;

use ssdlite_core::ImageSize;

use crate::detection::annotation::{
    ClaimedSize, Corners, Fault, ImageLabels, LabelledObject, ObjectFields, Parsed, Unit,
};
use crate::finding::{FindingKind, escaped, quoted};
use crate::formats::voc::xml::{self, CORNERS, ROTATED_BOX, RawAnnotation, RawObject};

/// Reads an annotation file.
pub(crate) fn parse(bytes: &[u8]) -> Parsed {
    xml::parse(bytes).map(labels_of)
}

/// What the fields of an annotation say. An object whose fields are a fault is misplaced.
pub(super) fn labels_of(raw: RawAnnotation) -> ImageLabels {
    let size = claimed_size(&raw);
    let mut doubts = Vec::new();
    if let Some(doubt) = raw.doubtful_encoding {
        doubts.push((FindingKind::DoubtfulEncoding, doubt));
    }
    if raw.parts > 0 {
        let message = format!(
            "found {} <part>s of objects; objects alone are read",
            raw.parts
        );
        doubts.push((FindingKind::PartsOfObjects, message));
    }
    let objects = raw.objects.into_iter().enumerate();
    ImageLabels {
        filename: raw.filename,
        size,
        objects: objects
            .map(|(index, object)| LabelledObject {
                number: index + 1,
                fields: fields_of(object),
            })
            .collect(),
        doubts,
    }
}

fn fields_of(object: RawObject) -> Result<ObjectFields, Fault> {
    if let Some(place) = &object.misplaced {
        let message = format!("{place} is not read; objects stand in <annotation>");
        return Err((FindingKind::MisplacedObject, message));
    }
    let corners = corners_of(&object);
    let difficult = is_difficult(&object);
    let no_name = || (FindingKind::MalformedObject, "found no <name>".to_owned());
    Ok(ObjectFields {
        class: object.name.map(Arc::from).ok_or_else(no_name),
        corners,
        difficult,
        is_outline: false,
    })
}

/// The corners of an object, whatever they are worth.
fn corners_of(object: &RawObject) -> Result<Corners, Fault> {
    let malformed = |message| Err((FindingKind::MalformedObject, message));
    if let Some(field) = object.repeated {
        return malformed(format!("found <{field}> twice"));
    }
    let rotation = object.rotation.as_deref();
    let robndbox = rotation.map(|rotation| &rotation.robndbox);
    let robndbox = robndbox.filter(|fields| fields.iter().any(Option::is_some));
    if !object.has_box {
        return match (robndbox, object.outline) {
            (Some(fields), _) => corners_of_rotated_box(fields),
            (None, Some(outline)) => malformed(format!(
                "found no <bndbox> but a <{outline}>; boxes alone are read"
            )),
            (None, None) => malformed("found no <bndbox>".into()),
        };
    }
    let edges = numbers(&object.corners, CORNERS).map_err(|(kind, fault)| {
        let known = CORNERS.join(", ");
        match &object.other_edge {
            Some(other) if kind == FindingKind::MalformedObject => (
                kind,
                format!(
                    "expected {known} in <bndbox>, {fault} but <{}>",
                    escaped(other)
                ),
            ),
            _ => (kind, fault),
        }
    })?;
    let mut corners = Corners::new(edges, Unit::Numbers);
    let as_it_stands = "its <bndbox> is taken as it stands";
    if let Some(degrees) = rotation.and_then(|rotation| rotation.attribute.as_ref()) {
        match finite(degrees) {
            Some(0.0) => {}
            Some(value) => {
                corners.radians = Some(value.to_radians());
                corners.rotated = Some(rotated_by(value));
            }
            None => {
                corners.rotated = Some(format!(
                    "expected degrees as rotation, found {}; {as_it_stands}",
                    quoted(degrees)
                ));
            }
        }
    } else if let Some(angle) = rotation.and_then(|rotation| rotation.element.as_ref()) {
        if finite(angle) != Some(0.0) {
            corners.rotated = Some(format!("is rotated by {}; {as_it_stands}", quoted(angle)));
        }
    } else if robndbox.is_some() {
        corners.rotated = Some(format!("found a <robndbox> too; {as_it_stands}"));
    }
    Ok(corners)
}

/// The corners of roLabelImg's boxes: centre and sides in pixels from 0, the
/// angle in radians.
///
/// Source: roLabelImg's `libs/pascal_voc_io.py`.
fn corners_of_rotated_box(fields: &[Option<String>; 5]) -> Result<Corners, Fault> {
    let [x, y, width, height, radians] = numbers(fields, ROTATED_BOX)?;
    let edges = [
        x - width / 2.0,
        y - height / 2.0,
        x + width / 2.0,
        y + height / 2.0,
    ];
    Ok(Corners {
        radians: Some(radians),
        rotated: (radians != 0.0).then(|| rotated_by(radians.to_degrees())),
        ..Corners::new(edges, Unit::Pixels)
    })
}

fn rotated_by(degrees: f64) -> String {
    format!("is rotated by {degrees:.1} degrees; the upright box around it is taken")
}

/// Fields as numbers.
fn numbers<const N: usize>(
    fields: &[Option<String>; N],
    names: [&str; N],
) -> Result<[f64; N], Fault> {
    let mut numbers = [0.0; N];
    for ((number, text), name) in numbers.iter_mut().zip(fields).zip(names) {
        let Some(text) = text else {
            return Err((FindingKind::MalformedObject, format!("found no <{name}>")));
        };
        *number = finite(text).ok_or_else(|| {
            let message = format!("expected a number as {name}, found {}", quoted(text));
            (FindingKind::BadNumber, message)
        })?;
    }
    Ok(numbers)
}

fn finite(text: &str) -> Option<f64> {
    text.parse().ok().filter(|value: &f64| value.is_finite())
}

/// The image's size by the annotation.
fn claimed_size(raw: &RawAnnotation) -> ClaimedSize {
    let unusable = |message: String, is_error| ClaimedSize::Unusable { message, is_error };
    if let Some(field) = raw.repeated {
        return unusable(format!("found <{field}> twice"), true);
    }
    let (Some(width), Some(height)) = (&raw.width, &raw.height) else {
        return unusable("found no <size>".into(), false);
    };
    match (side_from_text(width), side_from_text(height)) {
        (Some(0), _) | (_, Some(0)) => {
            unusable(format!("found a <size> of {width} by {height}"), false)
        }
        (Some(width), Some(height)) => ClaimedSize::Pixels(ImageSize::new(width, height)),
        _ => unusable(
            format!(
                "expected a <size> of pixels, found {} by {}",
                quoted(width),
                quoted(height)
            ),
            true,
        ),
    }
}

fn side_from_text(text: &str) -> Option<u32> {
    let value: f64 = text.parse().ok()?;
    let whole = value.fract() == 0.0 && value >= 0.0 && value <= f64::from(u32::MAX);
    whole.then_some(value as u32)
}

/// Whether an object is difficult; the error is a message for the user.
fn is_difficult(object: &RawObject) -> Result<bool, String> {
    match object.difficult.as_deref() {
        None | Some("" | "0" | "false" | "False" | "Unspecified") => Ok(false),
        Some("1" | "true" | "True") => Ok(true),
        Some(other) => Err(format!(
            "expected difficult to be 0 or 1, found {}; taken as 0",
            quoted(other)
        )),
    }
}
