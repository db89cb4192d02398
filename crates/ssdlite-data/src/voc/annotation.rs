//! What the fields of an annotation mean for its image.

use ssdlite_core::{ClassId, ClassNames, GroundTruth, ImageSize, PixelBox};
use ssdlite_image::Header;

use crate::finding::{Finding, FindingKind, Losses, quoted};
use crate::voc::Coordinates;
use crate::voc::xml::{CORNERS, RawAnnotation, RawObject};

/// How far a box may stick out of its image before that is an error: a tool
/// that counts from another origin is off by one.
const ROUNDING_PIXELS: f64 = 1.0;

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
    /// its size contradicts the image's.
    pub(super) fn new(
        raw: &RawAnnotation,
        header: &'a Header,
        coordinates: Coordinates,
        file: &str,
    ) -> (Option<Self>, Option<Finding>) {
        let frame = |pixels| {
            Some(Self {
                header,
                coordinates,
                pixels,
            })
        };
        let displayed = frame(FramePixels::Displayed);
        match claimed_size(raw) {
            Err(finding) => (displayed, Some(finding.about(file))),
            Ok(size) if size == header.displayed => {
                let unclear = header.is_turned()
                    && header.stored == header.displayed
                    && !raw.objects.is_empty();
                let finding = unclear.then(|| {
                    let message = "the image is turned by its Exif orientation, and its size \
                                   can't tell whether the boxes are; they are taken as shown";
                    Finding::warning(file, FindingKind::UnclearOrientation, message)
                });
                (displayed, finding)
            }
            Ok(size) if size == header.stored => (frame(FramePixels::Stored), None),
            Ok(size) => {
                let message = format!(
                    "expected an image of {size}, as <size> says, found {}",
                    header.displayed
                );
                let finding = Finding::error(file, FindingKind::SizeMismatch, message);
                (None, Some(finding))
            }
        }
    }

    fn size(&self) -> ImageSize {
        match self.pixels {
            FramePixels::Displayed => self.header.displayed,
            FramePixels::Stored => self.header.stored,
        }
    }

    /// The valid objects of an annotation, and what is wrong with the others.
    pub(super) fn objects(
        &self,
        raw: &RawAnnotation,
        classes: &ClassNames,
        file: &str,
        findings: &mut Vec<Finding>,
    ) -> Objects {
        let mut objects = Objects::default();
        for (index, object) in raw.objects.iter().enumerate() {
            let mut report = |finding: Finding| findings.push(finding.of_object(index + 1));
            let mut skip = |(kind, message): Fault| report(Finding::error(file, kind, message));
            let class = class_of(object, classes).map_err(&mut skip).ok();
            let bbox = written_box(object)
                .and_then(|written| self.placed(written))
                .map_err(&mut skip)
                .ok();
            let difficult = is_difficult(object).unwrap_or_else(|message| {
                report(Finding::warning(file, FindingKind::BadNumber, message));
                false
            });
            let (Some(class), Some(placed)) = (class, bbox) else {
                objects.losses.objects_skipped += 1;
                continue;
            };
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
    fn placed(&self, written: [f64; 4]) -> Result<Placed, Fault> {
        let offset = match self.coordinates {
            Coordinates::OneBased => 1.0,
            Coordinates::ZeroBased => 0.0,
        };
        let [xmin, ymin, xmax, ymax] = written;
        let whole = [xmin - offset, ymin - offset, xmax, ymax];
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
            is_error: excess > ROUNDING_PIXELS,
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
            clipped,
        })
    }
}

struct Placed {
    bbox: PixelBox,
    clipped: Option<Unplaced>,
}

/// A finding whose file is not known yet.
struct Unplaced {
    kind: FindingKind,
    message: String,
    is_error: bool,
}

impl Unplaced {
    fn about(self, file: &str) -> Finding {
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
    let (Some(width), Some(height)) = (&raw.width, &raw.height) else {
        return Err(unknown("found no <size>".into(), false));
    };
    match (side_from_text(width), side_from_text(height)) {
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
    let whole = value.fract() == 0.0 && value >= 1.0 && value <= f64::from(u32::MAX);
    whole.then_some(value as u32)
}

fn class_of(object: &RawObject, classes: &ClassNames) -> Result<ClassId, Fault> {
    let Some(name) = &object.name else {
        return Err((FindingKind::MalformedObject, "found no <name>".into()));
    };
    if let Err(fault) = ClassNames::new([name]) {
        return Err((FindingKind::InvalidClass, fault.to_string()));
    }
    classes.id_of(name).ok_or_else(|| {
        let message = format!(
            "the class {} is none of the {} expected: {}",
            quoted(name),
            classes.len(),
            quoted(&classes.to_string())
        );
        (FindingKind::UnknownClass, message)
    })
}

/// The corners as numbers, `xmin < xmax` and `ymin < ymax`.
fn written_box(object: &RawObject) -> Result<[f64; 4], Fault> {
    if let Some(field) = object.repeated {
        let message = format!("found <{field}> twice");
        return Err((FindingKind::MalformedObject, message));
    }
    let mut corners = [0.0; 4];
    for ((corner, text), name) in corners.iter_mut().zip(&object.corners).zip(CORNERS) {
        let Some(text) = text else {
            return Err((FindingKind::MalformedObject, format!("found no <{name}>")));
        };
        *corner = match text.parse::<f64>() {
            Ok(value) if value.is_finite() => value,
            _ => {
                let message = format!("expected a number as {name}, found {}", quoted(text));
                return Err((FindingKind::BadNumber, message));
            }
        };
    }
    for (low, high) in [(0, 2), (1, 3)] {
        if corners[high] <= corners[low] {
            let message = format!(
                "{} {} <= {} {}",
                CORNERS[high], corners[high], CORNERS[low], corners[low]
            );
            return Err((FindingKind::DegenerateBox, message));
        }
    }
    Ok(corners)
}

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
