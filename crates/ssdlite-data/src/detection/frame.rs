//! How the boxes of an annotation lie in its image.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::RangeInclusive;

use ssdlite_core::{ClassId, ClassNames, GroundTruth, ImageSize, PixelBox};
use ssdlite_image::Header;

use crate::detection::annotation::{
    Corners, Fault, ImageLabels, LabelledObject, ObjectFields, Unit,
};
use crate::detection::counted_pixels::{CountedPixels, ROUNDING_PIXELS, Unplaced, pixels_of};
use crate::finding::{FileFindings, Finding, FindingKind, Looks, Losses, QUOTED_CHARS, quoted};
use crate::voc::Coordinates;

/// The names of a box's edges, in the order of [`Corners::edges`].
const EDGES: [&str; 4] = ["xmin", "ymin", "xmax", "ymax"];

/// How far an edge may be from a whole pixel, or outside of the image, and be meant
/// for it: centre and size with five digits, as tools write shares, tell no more of
/// an image of six thousand pixels.
const ROUNDING_OF_SHARES: f64 = 0.05;

/// How far boxes of an image of this size reach at most, as a multiple of its
/// sides, if a few of them are drawn too large.
const LONGEST_REACH: f64 = 1.5;

/// Corners of which all four lie in this range are shares of the image, with
/// room for rounding: as pixels they would hold one at most.
const SHARES: RangeInclusive<f64> = -0.1..=1.1;

/// Right and bottom edges of shares beyond this count pixels.
const LARGEST_SHARE: f64 = 2.0;

/// How the boxes of an annotation relate to the pixels of its image.
pub(crate) struct Frame<'a> {
    header: &'a Header,
    coordinates: Coordinates,
    pixels: CountedPixels,
}

/// The classes that objects may have.
pub(super) struct Expected<'a> {
    names: &'a ClassNames,
    ids: HashMap<&'a str, ClassId>,
    looks: Looks<'a>,
}

impl<'a> Expected<'a> {
    pub(super) fn new(names: &'a ClassNames) -> Self {
        Self {
            names,
            ids: names.iter().zip(names.ids()).collect(),
            looks: Looks::new(names),
        }
    }

    /// The class with this name, whichever code points write it.
    fn id_of(&self, name: &str) -> Option<ClassId> {
        let id = self.ids.get(name).copied();
        id.or_else(|| self.names.id_of(name))
    }
}

/// What was read of one annotation's objects.
#[derive(Default)]
pub(super) struct Objects {
    pub(super) valid: Vec<GroundTruth>,
    pub(super) losses: Losses,
    /// How many of the valid ones are boxes around other outlines.
    pub(super) outlines: usize,
}

impl<'a> Frame<'a> {
    /// Finds out which pixels the annotation counts. There is no frame where
    /// its size or all of its boxes contradict the image's size.
    pub(crate) fn new(
        labels: &ImageLabels,
        header: &'a Header,
        coordinates: Coordinates,
    ) -> (Option<Self>, Option<Unplaced>) {
        let fields = labels.objects.iter().flat_map(|object| &object.fields);
        let boxes: Vec<&Corners> = fields.flat_map(|fields| &fields.corners).collect();
        let (pixels, finding) = pixels_of(labels, &boxes, header);
        let frame = pixels.map(|pixels| Self {
            header,
            coordinates,
            pixels,
        });
        let contradiction = frame.as_ref().and_then(|frame| frame.contradiction(&boxes));
        match contradiction {
            Some(contradiction) => (None, Some(contradiction)),
            None => (frame, finding),
        }
    }

    fn size(&self) -> ImageSize {
        match self.pixels {
            CountedPixels::Displayed => self.header.displayed,
            CountedPixels::Stored => self.header.stored,
        }
    }

    /// Why these can't be the boxes of the image, all together.
    fn contradiction(&self, boxes: &[&Corners]) -> Option<Unplaced> {
        if boxes.is_empty() {
            return None;
        }
        let error = |kind, message| {
            Some(Unplaced {
                kind,
                message,
                is_error: true,
            })
        };
        let count = boxes.len();
        if boxes.iter().all(|corners| corners.are_shares_not_pixels()) {
            let message = format!(
                "the corners of its boxes ({count}) all lie between 0 and 1, as shares of the \
                 image; expected pixels"
            );
            return error(FindingKind::NormalisedBox, message);
        }
        if boxes.iter().all(|corners| corners.are_pixels_not_shares()) {
            let message = format!(
                "its boxes ({count}) all reach far beyond 1, as if they counted pixels; expected \
                 shares of the image, 0 to 1"
            );
            return error(FindingKind::PixelBox, message);
        }
        if boxes.iter().any(|corners| corners.unit == Unit::Shares) {
            return None;
        }
        let size = self.size();
        let [right, bottom] = [2, 3].map(|edge| {
            let edges = boxes.iter().map(|corners| corners.edges[edge]);
            edges.fold(0.0, f64::max)
        });
        let is_far = right > LONGEST_REACH * f64::from(size.width)
            || bottom > LONGEST_REACH * f64::from(size.height);
        if !is_far || boxes.iter().any(|corners| corners.fit(size)) {
            return None;
        }
        let message = format!(
            "none of its boxes ({count}) lies inside the image of {size}, they reach to \
             {},{}; the image was probably resized after it was annotated",
            shown_number(right),
            shown_number(bottom)
        );
        error(FindingKind::SizeMismatch, message)
    }

    /// The valid objects of an annotation, and what is wrong with the others.
    pub(super) fn objects(
        &self,
        labels: &ImageLabels,
        classes: Option<&Expected<'_>>,
        file: &str,
        findings: &mut FileFindings,
    ) -> Objects {
        let mut objects = Objects::default();
        for LabelledObject { number, fields } in &labels.objects {
            let mut report = |finding: Finding| findings.push(finding.of_object(*number));
            let mut skip = |(kind, message): Fault| report(Finding::error(file, kind, message));
            let fields = match fields {
                Ok(fields) => fields,
                Err(fault) => {
                    skip(fault.clone());
                    objects.losses.objects_skipped += 1;
                    continue;
                }
            };
            let class = class_of(fields, classes).map_err(&mut skip).ok();
            let corners = fields.corners.as_ref().map_err(Fault::clone);
            let placed = corners.and_then(|corners| self.placed(corners));
            let placed = placed.map_err(&mut skip).ok();
            let difficult = fields.difficult.clone().unwrap_or_else(|message| {
                report(Finding::warning(file, FindingKind::BadNumber, message));
                false
            });
            let (Some(class), Some(placed)) = (class, placed) else {
                objects.losses.objects_skipped += 1;
                continue;
            };
            if let Some(message) = placed.rotated {
                report(Finding::warning(file, FindingKind::RotatedBox, message));
            }
            if let Some(finding) = placed.clipped {
                report(finding.about(file));
                objects.losses.objects_clipped += 1;
            }
            objects.outlines += usize::from(fields.is_outline);
            objects.valid.push(GroundTruth {
                class,
                bbox: placed.bbox,
                difficult,
            });
        }
        objects
    }

    /// Whether boxes count the pixels of the image as it is shown.
    pub(crate) fn is_as_shown(&self) -> bool {
        self.pixels == CountedPixels::Displayed
    }

    /// The box as it lies in the image that is shown, clipped to it.
    pub(crate) fn displayed_box(&self, corners: &Corners) -> Result<PixelBox, Fault> {
        self.placed(corners).map(|placed| placed.bbox)
    }

    /// The box as it lies in the image that is shown.
    fn placed<'b>(&self, corners: &'b Corners) -> Result<Placed<'b>, Fault> {
        if corners.are_shares_not_pixels() {
            let message =
                format!("{corners} lies between 0 and 1, as shares of the image; expected pixels");
            return Err((FindingKind::NormalisedBox, message));
        }
        for (low, high) in [(0, 2), (1, 3)] {
            let [least, most] = [low, high].map(|edge| corners.edges[edge]);
            if most <= least {
                let [least, most] = [low, high].map(|edge| corners.shown(edge));
                let message = format!("{} {most} <= {} {least}", EDGES[high], EDGES[low]);
                return Err((FindingKind::DegenerateBox, message));
            }
        }
        let size = self.size();
        let (right, bottom) = (f64::from(size.width), f64::from(size.height));
        let limits = [right, bottom, right, bottom];
        let upright = self.in_pixels(corners, limits);
        let whole = match corners.radians {
            Some(radians) => box_around(upright, radians),
            None => upright,
        };
        let mut inside = whole;
        for (edge, limit) in inside.iter_mut().zip(limits) {
            *edge = edge.clamp(0.0, limit);
        }
        if inside[2] <= inside[0] || inside[3] <= inside[1] {
            if corners.are_pixels_not_shares() {
                let message = format!(
                    "{corners} reaches far beyond 1, as if it counted pixels; expected shares of \
                     the image, 0 to 1"
                );
                return Err((FindingKind::PixelBox, message));
            }
            let message = format!("{corners} lies outside the image{}", of_size(corners, size));
            return Err((FindingKind::OutsideBox, message));
        }
        let excess = (whole.iter().zip(inside))
            .map(|(edge, kept)| (edge - kept).abs())
            .fold(0.0, f64::max);
        let clipped = (excess > ROUNDING_OF_SHARES).then(|| Unplaced {
            kind: FindingKind::ClippedBox,
            message: format!(
                "{corners} sticks out of the image{}",
                of_size(corners, size)
            ),
            // The corners of a rotated box may, while its object does not.
            is_error: excess > ROUNDING_PIXELS && corners.radians.is_none(),
        });
        let [x1, y1, x2, y2] = inside.map(|edge| edge as f32);
        let bbox = PixelBox::new(x1, y1, x2, y2);
        if !bbox.is_valid() {
            let message = format!("{corners} is thinner than can be told");
            return Err((FindingKind::DegenerateBox, message));
        }
        Ok(Placed {
            bbox: match self.pixels {
                CountedPixels::Displayed => bbox,
                CountedPixels::Stored => self.header.displayed_box(bbox),
            },
            rotated: corners.rotated.as_deref(),
            clipped,
        })
    }

    /// Edges in pixels from 0, right and bottom exclusive, of an image that ends at
    /// `limits`.
    fn in_pixels(&self, corners: &Corners, limits: [f64; 4]) -> [f64; 4] {
        let [xmin, ymin, xmax, ymax] = corners.edges;
        match (corners.unit, self.coordinates) {
            (Unit::Numbers, Coordinates::OneBased) => [xmin - 1.0, ymin - 1.0, xmax, ymax],
            (Unit::Numbers, Coordinates::ZeroBased) | (Unit::Pixels, _) => corners.edges,
            (Unit::Shares, _) => {
                let mut pixels = corners.edges;
                for (edge, limit) in pixels.iter_mut().zip(limits) {
                    *edge *= limit;
                }
                let nearest = pixels.map(|edge| {
                    let whole = edge.round();
                    let is_meant = (edge - whole).abs() <= ROUNDING_OF_SHARES;
                    if is_meant { whole } else { edge }
                });
                let is_box = nearest[2] > nearest[0] && nearest[3] > nearest[1];
                if is_box { nearest } else { pixels }
            }
        }
    }
}

struct Placed<'a> {
    bbox: PixelBox,
    rotated: Option<&'a str>,
    clipped: Option<Unplaced>,
}

/// The upright box around a box that is rotated about its centre.
fn box_around([x1, y1, x2, y2]: [f64; 4], radians: f64) -> [f64; 4] {
    let (sin, cos) = (libm::sin(radians).abs(), libm::cos(radians).abs());
    let (width, height) = (x2 - x1, y2 - y1);
    let half_width = (width * cos + height * sin) / 2.0;
    let half_height = (width * sin + height * cos) / 2.0;
    let (x, y) = ((x1 + x2) / 2.0, (y1 + y2) / 2.0);
    [
        x - half_width,
        y - half_height,
        x + half_width,
        y + half_height,
    ]
}

impl Corners {
    fn are_shares_not_pixels(&self) -> bool {
        self.unit != Unit::Shares && self.edges.iter().all(|edge| SHARES.contains(edge))
    }

    fn are_pixels_not_shares(&self) -> bool {
        let [_, _, right, bottom] = self.edges;
        self.unit == Unit::Shares && right > LARGEST_SHARE && bottom > LARGEST_SHARE
    }

    /// Whether the box lies inside of an image, roughly.
    pub(super) fn fit(&self, size: ImageSize) -> bool {
        let [xmin, ymin, xmax, ymax] = self.edges;
        let (right, bottom) = match self.unit {
            Unit::Shares => (1.0, 1.0),
            Unit::Numbers | Unit::Pixels => (f64::from(size.width), f64::from(size.height)),
        };
        xmin.min(ymin) >= -ROUNDING_PIXELS
            && xmax <= right + ROUNDING_PIXELS
            && ymax <= bottom + ROUNDING_PIXELS
    }

    /// An edge for a message.
    fn shown(&self, edge: usize) -> String {
        shown_number(self.edges[edge])
    }
}

/// A number for a message, without the digits by which sums are off, and without the
/// hundreds that the largest ones have.
fn shown_number(value: f64) -> String {
    const DIGITS: f64 = 1e6;
    const LARGE: f64 = 1e12;
    match value.abs() < LARGE {
        true => ((value * DIGITS).round() / DIGITS).to_string(),
        false => format!("{value:e}"),
    }
}

impl std::fmt::Display for Corners {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [x1, y1, x2, y2] = [0, 1, 2, 3].map(|edge| self.shown(edge));
        write!(f, "the box {x1},{y1},{x2},{y2}")
    }
}

/// The image's size for a message about a box in its pixels.
fn of_size(corners: &Corners, size: ImageSize) -> Cow<'static, str> {
    match corners.unit {
        Unit::Shares => ", 0 to 1".into(),
        Unit::Numbers | Unit::Pixels => format!(" of {size}").into(),
    }
}

fn class_of(fields: &ObjectFields, classes: Option<&Expected<'_>>) -> Result<ClassId, Fault> {
    let name = fields.class.as_ref().map_err(Fault::clone)?;
    if let Some(fault) = ClassNames::fault_of(name) {
        return Err((FindingKind::InvalidClass, fault));
    }
    let unknown = |message| (FindingKind::UnknownClass, message);
    let Some(expected) = classes else {
        let message = format!("the class {} is not expected: no class is", quoted(name));
        return Err(unknown(message));
    };
    let Expected { names, looks, .. } = expected;
    expected.id_of(name).ok_or_else(|| {
        let similar = looks.similar(name).map_or_else(String::new, |class| {
            format!("; it looks like the class {}", quoted(class))
        });
        let first: Vec<&str> = names.iter().take(QUOTED_CHARS).collect();
        unknown(format!(
            "the class {} is none of the {} expected: {}{similar}",
            quoted(name),
            names.len(),
            quoted(&first.join(", "))
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_in_few_digits() {
        for (value, told) in [
            (12.0, "12"),
            (-0.1, "-0.1"),
            (0.1 + 0.2, "0.3"),
            (1e300, "1e300"),
            (-2.5e12, "-2.5e12"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(shown_number(value), told);
        }
    }
}
