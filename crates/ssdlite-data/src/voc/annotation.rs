//! What the fields of an annotation mean for its image.

use ssdlite_core::{ClassId, ClassNames, GroundTruth, ImageSize, PixelBox};
use ssdlite_image::Header;

use crate::finding::{
    FileFindings, Finding, FindingKind, Looks, Losses, QUOTED_CHARS, escaped, quoted,
};
use crate::voc::Coordinates;
use crate::voc::xml::{CORNERS, ROTATED_BOX, RawAnnotation, RawObject};

/// How far a box may stick out of its image before that is an error: a tool
/// that counts from another origin is off by one. As far may a size be off.
const ROUNDING_PIXELS: f64 = 1.0;

/// How far boxes of an image of this size reach at most, as a multiple of its
/// sides, if a few of them are drawn too large.
const LONGEST_REACH: f64 = 1.5;

/// Corners of which all four lie in this range are shares of the image, with
/// room for rounding: as pixels they would hold one at most.
const SHARES: std::ops::RangeInclusive<f64> = -0.1..=1.1;

/// How the boxes of an annotation relate to the pixels of its image.
pub(super) struct Frame<'a> {
    header: &'a Header,
    coordinates: Coordinates,
    pixels: FramePixels,
}

#[derive(Clone, Copy, PartialEq)]
enum FramePixels {
    Displayed,
    Stored,
}

/// The classes that objects may have.
pub(super) struct Expected<'a> {
    names: &'a ClassNames,
    looks: Looks<'a>,
}

impl<'a> Expected<'a> {
    pub(super) fn new(names: &'a ClassNames) -> Self {
        let looks = Looks::new(names);
        Self { names, looks }
    }
}

/// What was read of one annotation's objects.
#[derive(Default)]
pub(super) struct Objects {
    pub(super) valid: Vec<GroundTruth>,
    pub(super) losses: Losses,
}

/// A fault of one object.
type Fault = (FindingKind, String);

impl<'a> Frame<'a> {
    /// Finds out which pixels the annotation counts. There is no frame where
    /// its size or all of its boxes contradict the image's size.
    pub(super) fn new(
        raw: &RawAnnotation,
        corners: &[Result<Corners, Fault>],
        header: &'a Header,
        coordinates: Coordinates,
    ) -> (Option<Self>, Option<Unplaced>) {
        let boxes: Vec<&Corners> = corners.iter().flatten().collect();
        let (pixels, finding) = pixels_of(raw, &boxes, header);
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
            FramePixels::Displayed => self.header.displayed,
            FramePixels::Stored => self.header.stored,
        }
    }

    /// Why these can't be the boxes of the image, all together.
    fn contradiction(&self, boxes: &[&Corners]) -> Option<Unplaced> {
        if boxes.is_empty() {
            return None;
        }
        if boxes.iter().all(|corners| corners.are_shares()) {
            return Some(Unplaced {
                kind: FindingKind::NormalisedBox,
                message: format!(
                    "the corners of its boxes ({}) all lie between 0 and 1, as shares of the \
                     image; expected pixels",
                    boxes.len()
                ),
                is_error: true,
            });
        }
        let size = self.size();
        let [right, bottom] = [2, 3].map(|edge| {
            let edges = boxes.iter().map(|corners| corners.edges[edge]);
            edges.fold(0.0, f64::max)
        });
        let is_far = right > LONGEST_REACH * f64::from(size.width)
            || bottom > LONGEST_REACH * f64::from(size.height);
        let is_apart = is_far && !boxes.iter().any(|corners| corners.fit(size));
        is_apart.then(|| Unplaced {
            kind: FindingKind::SizeMismatch,
            message: format!(
                "none of its boxes ({}) lies inside the image of {size}, they reach to \
                 {right},{bottom}; the image was probably resized after it was annotated",
                boxes.len()
            ),
            is_error: true,
        })
    }

    /// The valid objects of an annotation, and what is wrong with the others.
    pub(super) fn objects(
        &self,
        raw: &RawAnnotation,
        corners: Vec<Result<Corners, Fault>>,
        classes: Option<&Expected<'_>>,
        file: &str,
        findings: &mut FileFindings,
    ) -> Objects {
        let mut objects = Objects::default();
        for (index, (object, corners)) in raw.objects.iter().zip(corners).enumerate() {
            let mut report = |finding: Finding| findings.push(finding.of_object(index + 1));
            let mut skip = |(kind, message): Fault| report(Finding::error(file, kind, message));
            let is_misplaced = matches!(corners, Err((FindingKind::MisplacedObject, _)));
            let class = match is_misplaced {
                true => None,
                false => class_of(object, classes).map_err(&mut skip).ok(),
            };
            let placed = corners
                .and_then(|corners| self.placed(corners))
                .map_err(&mut skip)
                .ok();
            let difficult = is_difficult(object).unwrap_or_else(|message| {
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
            objects.valid.push(GroundTruth {
                class,
                bbox: placed.bbox,
                difficult,
            });
        }
        objects
    }

    /// The box as it lies in the image that is shown.
    fn placed(&self, corners: Corners) -> Result<Placed, Fault> {
        let [xmin, ymin, xmax, ymax] = corners.edges;
        if corners.are_shares() {
            let message = format!(
                "the box {xmin},{ymin},{xmax},{ymax} lies between 0 and 1, as shares of the \
                 image; expected pixels"
            );
            return Err((FindingKind::NormalisedBox, message));
        }
        for (low, high) in [(0, 2), (1, 3)] {
            let [least, most] = [low, high].map(|edge| corners.edges[edge]);
            if most <= least {
                let message = format!("{} {most} <= {} {least}", CORNERS[high], CORNERS[low]);
                return Err((FindingKind::DegenerateBox, message));
            }
        }
        let offset = match self.coordinates {
            Coordinates::OneBased if !corners.are_exact => 1.0,
            _ => 0.0,
        };
        let upright = [xmin - offset, ymin - offset, xmax, ymax];
        let whole = match corners.radians {
            Some(radians) => box_around(upright, radians),
            None => upright,
        };
        let size = self.size();
        let (right, bottom) = (f64::from(size.width), f64::from(size.height));
        let limits = [right, bottom, right, bottom];
        let mut inside = whole;
        for (edge, limit) in inside.iter_mut().zip(limits) {
            *edge = edge.clamp(0.0, limit);
        }
        let described = || format!("the box {xmin},{ymin},{xmax},{ymax}");
        if inside[2] <= inside[0] || inside[3] <= inside[1] {
            let message = format!("{} lies outside the image of {size}", described());
            return Err((FindingKind::OutsideBox, message));
        }
        let excess = (whole.iter().zip(inside))
            .map(|(edge, kept)| (edge - kept).abs())
            .fold(0.0, f64::max);
        let clipped = (excess > 0.0).then(|| Unplaced {
            kind: FindingKind::ClippedBox,
            message: format!("{} sticks out of the image of {size}", described()),
            // The corners of a rotated box may, while its object does not.
            is_error: excess > ROUNDING_PIXELS && corners.radians.is_none(),
        });
        let [x1, y1, x2, y2] = inside.map(|edge| edge as f32);
        let bbox = PixelBox::new(x1, y1, x2, y2);
        if !bbox.is_valid() {
            let message = format!("{} is thinner than can be told", described());
            return Err((FindingKind::DegenerateBox, message));
        }
        Ok(Placed {
            bbox: match self.pixels {
                FramePixels::Displayed => bbox,
                FramePixels::Stored => self.header.displayed_box(bbox),
            },
            rotated: corners.rotated,
            clipped,
        })
    }
}

struct Placed {
    bbox: PixelBox,
    rotated: Option<String>,
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

/// The corners of an object's box as they are written.
pub(super) struct Corners {
    /// In the order of [`CORNERS`].
    edges: [f64; 4],
    /// Whether the edges were computed, so that no pixel's number is among
    /// them.
    are_exact: bool,
    /// How far the box is rotated about its centre.
    radians: Option<f64>,
    /// What to tell of the rotation.
    rotated: Option<String>,
}

impl Corners {
    fn are_shares(&self) -> bool {
        self.edges.iter().all(|edge| SHARES.contains(edge))
    }

    /// Whether the box lies inside of an image, roughly.
    fn fit(&self, size: ImageSize) -> bool {
        let [xmin, ymin, xmax, ymax] = self.edges;
        let (right, bottom) = (f64::from(size.width), f64::from(size.height));
        xmin.min(ymin) >= -ROUNDING_PIXELS
            && xmax <= right + ROUNDING_PIXELS
            && ymax <= bottom + ROUNDING_PIXELS
    }
}

/// The corners of an object, whatever they are worth.
pub(super) fn corners_of(object: &RawObject) -> Result<Corners, Fault> {
    if let Some(place) = &object.misplaced {
        let message = format!("{place} is not read; objects stand in <annotation>");
        return Err((FindingKind::MisplacedObject, message));
    }
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
    let mut corners = Corners {
        edges,
        are_exact: false,
        radians: None,
        rotated: None,
    };
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
    Ok(Corners {
        edges: [
            x - width / 2.0,
            y - height / 2.0,
            x + width / 2.0,
            y + height / 2.0,
        ],
        are_exact: true,
        radians: Some(radians),
        rotated: (radians != 0.0).then(|| rotated_by(radians.to_degrees())),
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

/// Which pixels the annotation's size tells, and what is wrong with it; none
/// where it is another image's.
fn pixels_of(
    raw: &RawAnnotation,
    boxes: &[&Corners],
    header: &Header,
) -> (Option<FramePixels>, Option<Unplaced>) {
    let (displayed, stored) = (header.displayed, header.stored);
    let size = match claimed_size(raw) {
        Ok(size) => size,
        Err(mut finding) => {
            if header.is_turned() && !boxes.is_empty() {
                finding.message += "; the image is turned by its Exif orientation, the boxes \
                                    are taken as shown";
            }
            return (Some(FramePixels::Displayed), Some(finding));
        }
    };
    if size == displayed {
        let unclear = header.is_turned() && stored == displayed && !boxes.is_empty();
        let finding = unclear.then(|| Unplaced {
            kind: FindingKind::UnclearOrientation,
            message: "the image is turned by its Exif orientation, and its size can't tell \
                      whether the boxes are; they are taken as shown"
                .into(),
            is_error: false,
        });
        return (Some(FramePixels::Displayed), finding);
    }
    if size == stored {
        return (Some(FramePixels::Stored), None);
    }
    let is_near = |other: ImageSize| {
        let off = |one: u32, other: u32| f64::from(one.abs_diff(other)) <= ROUNDING_PIXELS;
        off(size.width, other.width) && off(size.height, other.height)
    };
    let exchanged = ImageSize::new(displayed.height, displayed.width);
    let (pixels, reason) = if is_near(displayed) {
        (Some(FramePixels::Displayed), "")
    } else if is_near(stored) {
        (Some(FramePixels::Stored), "")
    } else if size == exchanged && boxes.iter().all(|corners| corners.fit(displayed)) {
        let reason = "; width and height are exchanged, the boxes are taken as shown";
        (Some(FramePixels::Displayed), reason)
    } else if size == exchanged {
        (
            None,
            "; the image was probably turned after it was annotated",
        )
    } else if is_same_shape(size, displayed) || is_same_shape(size, stored) {
        (
            None,
            "; the image was probably resized after it was annotated",
        )
    } else {
        (None, "")
    };
    let finding = Unplaced {
        kind: FindingKind::SizeMismatch,
        message: format!("expected an image of {size}, as <size> says, found {displayed}{reason}"),
        is_error: pixels.is_none(),
    };
    (pixels, Some(finding))
}

/// Whether two sizes have the same aspect ratio, but for rounding.
fn is_same_shape(one: ImageSize, other: ImageSize) -> bool {
    let across = f64::from(one.width) * f64::from(other.height);
    let down = f64::from(one.height) * f64::from(other.width);
    (across - down).abs() <= 0.01 * across
}

/// A finding whose file is not known yet.
pub(super) struct Unplaced {
    kind: FindingKind,
    message: String,
    is_error: bool,
}

impl Unplaced {
    pub(super) fn about(self, file: &str) -> Finding {
        if self.is_error {
            Finding::error(file, self.kind, self.message)
        } else {
            Finding::warning(file, self.kind, self.message)
        }
    }
}

/// The image's size by the annotation.
fn claimed_size(raw: &RawAnnotation) -> Result<ImageSize, Unplaced> {
    let unknown = |message, is_error| Unplaced {
        kind: FindingKind::UnknownSize,
        message,
        is_error,
    };
    if let Some(field) = raw.repeated {
        return Err(unknown(format!("found <{field}> twice"), true));
    }
    let (Some(width), Some(height)) = (&raw.width, &raw.height) else {
        return Err(unknown("found no <size>".into(), false));
    };
    match (side_from_text(width), side_from_text(height)) {
        (Some(0), _) | (_, Some(0)) => {
            let message = format!("found a <size> of {width} by {height}");
            Err(unknown(message, false))
        }
        (Some(width), Some(height)) => Ok(ImageSize::new(width, height)),
        _ => Err(unknown(
            format!(
                "expected a <size> of pixels, found {} by {}",
                quoted(width),
                quoted(height)
            ),
            true,
        )),
    }
}

fn side_from_text(text: &str) -> Option<u32> {
    let value: f64 = text.parse().ok()?;
    let whole = value.fract() == 0.0 && value >= 0.0 && value <= f64::from(u32::MAX);
    whole.then_some(value as u32)
}

fn class_of(object: &RawObject, classes: Option<&Expected<'_>>) -> Result<ClassId, Fault> {
    let Some(name) = &object.name else {
        return Err((FindingKind::MalformedObject, "found no <name>".into()));
    };
    if let Some(fault) = ClassNames::fault_of(name) {
        return Err((FindingKind::InvalidClass, fault));
    }
    let unknown = |message| (FindingKind::UnknownClass, message);
    let Some(Expected { names, looks }) = classes else {
        let message = format!("the class {} is not expected: no class is", quoted(name));
        return Err(unknown(message));
    };
    names.id_of(name).ok_or_else(|| {
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

/// Whether an object is difficult; the error is a message for the user.
pub(super) fn is_difficult(object: &RawObject) -> Result<bool, String> {
    match object.difficult.as_deref() {
        None | Some("" | "0" | "false" | "False" | "Unspecified") => Ok(false),
        Some("1" | "true" | "True") => Ok(true),
        Some(other) => Err(format!(
            "expected difficult to be 0 or 1, found {}; taken as 0",
            quoted(other)
        )),
    }
}
